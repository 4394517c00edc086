"""``contender adopt``: the words of the command line for ``contender.adoption``, and what it prints."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from contender.errors import ConfigError, did_you_mean
from contender_airflow.cli import places
from contender_airflow.cli.home import Home

if TYPE_CHECKING:
    from rich.console import Console

    from contender.spec import PipelineSpec


def adopt(pipeline: str, console: Console, asked: dict[str, Any]) -> None:
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
    backends = places.backends()

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
