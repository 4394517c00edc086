"""``contender adopt``: the words of the command line for ``contender.adoption``, and what it prints."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contender.errors import ConfigError, did_you_mean
from contender_airflow.cli.home import Home, Ports

if TYPE_CHECKING:
    from rich.console import Console

    from contender.backends import Backends
    from contender.spec import PipelineSpec


def adopt(
    pipeline: str,
    console: Console,
    asked: dict[str, Any],
    *,
    tracking_uri: str | None,
    store: Path | None,
    signing_key: Path | None,
) -> None:
    """Make a model the champion and say what that means.

    Args:
        asked: the fields of ``contender.adoption.Request`` that the user may set, dates as text.
    """
    spec = _spec(pipeline)
    now = datetime.now(UTC)
    through = None if asked["through"] is None else _moment(asked["through"], "--trained-through")
    named = asked["as_of"] or (spec.as_of.isoformat() if spec.as_of else now.date().isoformat())  # as a run would
    as_of = _moment(named, "--as-of")
    if as_of > now:
        msg = f"--as-of: {as_of.isoformat()} is in the future"
        raise ConfigError(msg)
    backends = _backends(tracking_uri, store, signing_key)

    from contender.adoption import Request
    from contender.adoption import adopt as make_champion

    request = Request(**asked | {"through": through, "as_of": as_of, "by": getpass.getuser(), "now": now})
    adopted = make_champion(backends, spec, request)
    entry = adopted.entry
    for note in adopted.notes:
        console.print(f"version {entry.version} {note}", markup=False, highlight=False, soft_wrap=True)
    said = "is the champion already" if adopted.already else "is the champion and defends its title from now on"
    line = f"{spec.name}: version {entry.version} {said} (ledger entry {entry.number}: {entry.reason})"
    console.print(line, markup=False, highlight=False, soft_wrap=True)
    if not adopted.already:
        console.print(f"It serves as models:/{spec.name}@champion", markup=False, highlight=False)


def _spec(pipeline: str) -> PipelineSpec:
    from contender.loading import load

    if pipeline.endswith((".yaml", ".yml")):
        return load(pipeline)
    folder = Home.current().dags / "pipelines"
    path = folder / f"{pipeline}.yaml"
    if not path.is_file():
        msg = f"no pipeline {pipeline!r} in {folder}." + did_you_mean(
            pipeline, [one.stem for one in folder.glob("*.yaml")]
        )
        raise ConfigError(msg)
    return load(path)


def _moment(text: str, place: str) -> datetime:
    from contender.run import parse_as_of

    return parse_as_of(text, place)


def _backends(tracking_uri: str | None, store: Path | None, signing_key: Path | None) -> Backends:
    """The named ones, and those of CONTENDER_HOME for what is not named."""
    from contender.backends import Backends

    home = Home.current()
    known = {"CONTENDER_HOME": str(home.root), "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    if None in (tracking_uri, store, signing_key):
        home.prepare()
        known |= {name: url for name, url in home.environment(Ports()).items() if name.startswith("AIRFLOW_CONN_")}
    for name, value in known.items():  # what a data source may need: its path, its database
        os.environ.setdefault(name, value)
    return Backends.connect(
        store=str(store or home.store),
        tracking_uri=tracking_uri or home.tracking_uri,
        signing_key=str(signing_key or home.signing_key),
    )
