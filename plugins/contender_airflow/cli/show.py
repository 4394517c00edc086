"""``contender check``, ``status``, ``ledger``, ``rollback`` and ``override``: thin calls into the core, and what they print."""

from __future__ import annotations

import getpass
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.table import Table

from contender.errors import ConfigError
from contender.words import metric_score
from contender_airflow.cli import places
from contender_airflow.cli.render import cost_words, plain, to_the_minute
from contender_airflow.embedded.home import Home

if TYPE_CHECKING:
    from rich.console import Console


def check(files: list[Path], console: Console) -> bool:
    """Check each file, by itself and against the libraries whose names it uses; returns whether all are right.

    The user's own code is searched where Airflow's tasks find it: also in the DAG folder and in ``plugins`` beside it.
    A single pipeline is explained in words.
    """
    dags = Home.current().dags.absolute()
    sys.path += [str(folder) for folder in (dags, dags.parent / "plugins") if str(folder) not in sys.path]
    files = files or sorted((dags / "pipelines").glob("*.yaml"))
    if not files:
        raise ConfigError(f"no pipeline in {dags / 'pipelines'}; name the files to check")
    right = True
    for path in files:
        try:
            lines = _lines(path, in_full=len(files) == 1)
        except ConfigError as error:
            right = False
            plain(console, str(error), "red")
        else:
            plain(console, "\n".join(lines))
    return right


def _lines(path: Path, *, in_full: bool) -> list[str]:
    from contender.check import check_libraries
    from contender.spec.explain import explain, gates_without_effect
    from contender.spec.loading import load_spec, locate

    spec = load_spec(path)
    try:
        check_libraries(spec)
    except ConfigError as error:
        raise ConfigError(locate(str(error), path)) from error
    words = explain(spec, datetime.now(UTC)) if in_full else ()
    return [
        f"{path}: ok",
        *(f"warning: {locate(warning, path)}" for warning in gates_without_effect(spec)),
        *(f"  {word:<9} {sentence}" for word, sentence in words),
    ]


def status(pipeline: str | None, console: Console, *, as_json: bool, airflow_url: str | None = None) -> None:
    """Print the state of one or all pipelines, and what Airflow says of their last runs when it can be asked."""
    from contender.run.status import status as state_of

    with places.airflow(airflow_url) as asked:
        state = state_of(places.store(), pipeline, asked=asked)
    if as_json:
        typer.echo(json.dumps(state))
        return
    table = Table("pipeline", "champion", "last run", "next run", box=None, pad_edge=False)
    for one in state["pipelines"]:
        champion, last = one["champion"] or {}, one["last_run"] or {}
        serves = f"version {champion['version']}" if champion else "none"
        if champion.get("value") is not None:
            serves += f", {metric_score(champion['metric'], champion['value'])}"
        ran = f"{last['state']}, {last['decision'] or 'no decision'}" if last else "never"
        next_run = to_the_minute(one["next_run"]) if one["next_run"] else "by hand"
        table.add_row(one["name"], serves, ran, next_run if last else "")
    console.print(table)
    if not state["pipelines"]:
        plain(console, f"no pipeline ran here yet; looked in {places.described()}")
    for one in state["pipelines"]:
        if (last := one["last_run"]) and last["sentence"]:
            style = "red" if last["state"] in ("failed", "stopped", "unknown") else None
            plain(console, f"{one['name']}: {last['sentence']}", style)
        if last and (cost := cost_words(last)):
            plain(console, f"{one['name']}: cost {cost}", "dim")


def ledger(pipeline: str, console: Console, *, verify: bool) -> None:
    """Print the ledger, oldest entry first, and on request verify its chain of hashes."""
    from contender.store.ledger import Ledger

    book = Ledger(places.store(), pipeline)
    if not book.entries():
        raise ConfigError(
            f"{pipeline}: no entry in {places.store().url(f'{pipeline}/ledger')}; nothing was decided yet, "
            f"or it is another store: this is {places.described()}"
        )
    table = Table("no", "kind", "version", "run", "at", "by", "reason", box=None, pad_edge=False)
    for entry in book.entries():
        at = to_the_minute(entry.at)
        cells = (entry.number, entry.kind, entry.version, entry.run_id, at, entry.by, entry.reason)
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in cells))
    console.print(table)
    if verify:
        from contender.release.witness import open_ledger

        open_ledger(places.backends(), pipeline).verify()
        plain(console, "every entry is as it was written, and none that MLflow was told of is missing")


def rollback(pipeline: str, console: Console, *, to: str, reason: str) -> None:
    """Let an earlier version serve again."""
    from contender.release.title import rollback as roll_back
    from contender.store.ledger import shown_version

    backends = places.backends()
    entry = roll_back(backends, pipeline, version=to, reason=reason, by=getpass.getuser())
    plain(
        console,
        f"{pipeline}: version {shown_version(backends.store, entry)} serves again (ledger entry {entry.number})",
    )


def override(pipeline: str, console: Console, *, gates: list[str], reason: str, by: str, expires: str) -> None:
    """Enter an override of gates that cannot be asked."""
    from contender.judge.overrides import override as enter
    from contender.run.freeze import parse_as_of

    user = getpass.getuser()
    entry = enter(
        places.backends(),
        pipeline,
        gates=gates,
        reason=reason,
        by=by if by.strip() in ("", user) else f"{by} (entered by {user})",
        expires=parse_as_of(expires, "--expires"),
        now=datetime.now(UTC),
    )
    given = entry.override
    labels = "" if given is None else ", ".join(given.gates)
    plain(console, f"{pipeline}: {labels}: overridden until {expires} (ledger entry {entry.number}); start a new run")
