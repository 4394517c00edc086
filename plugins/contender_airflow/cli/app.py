"""The ``contender`` command: arguments in, exit codes out. Each command imports the module beside this one that does it."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from contender.errors import ContenderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

app = typer.Typer(
    help="Contender: one YAML file is a scheduled champion/challenger retraining pipeline on Apache Airflow.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

data_app = typer.Typer(help="Look at the snapshots that runs trained on.", no_args_is_help=True)
app.add_typer(data_app, name="data")

_Pipeline = Annotated[str, typer.Argument(help="The pipeline: the name of its YAML file without .yaml")]
_Snapshot = Annotated[str, typer.Argument(help="A snapshot's id, or the beginning of it")]
_AsJson = Annotated[bool, typer.Option("--json", help="For programs")]


@app.command()
def run(
    pipeline: _Pipeline = "churn",
    as_of: Annotated[str | None, typer.Option(help="Look at the data as of this moment, such as 2026-03-02")] = None,
    conf: Annotated[
        str | None, typer.Option(help='What the trigger form may change, as JSON: {"sweep.budget": "5m"}')
    ] = None,
    airflow_url: Annotated[
        str | None, typer.Option(help="Use this Airflow (with the token in CONTENDER_AIRFLOW_TOKEN) and start nothing")
    ] = None,
    timeout: Annotated[str | None, typer.Option(help="Give up after this long, such as 30m")] = None,
) -> None:
    """Train PIPELINE once, now, and wait for the decision.

    Uses the Airflow of `contender up` if that is running, else starts one for this run and stops it afterwards.
    """
    from contender_airflow.cli.render import Screen
    from contender_airflow.cli.run import Request
    from contender_airflow.cli.run import run as follow
    from contender_airflow.embedded.home import Home

    request = Request(pipeline, _conf(conf, as_of), airflow_url, _seconds(timeout))
    try:
        with _signals_interrupt():
            succeeded = follow(request, Home.current(), Screen(_console()))
    except TimeoutError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not succeeded:
        raise typer.Exit(1)


@app.command()
def init(
    data: Annotated[
        str,
        typer.Argument(
            help="A CSV or Parquet file, a folder of them, or a database: postgresql://user:password@host/name"
        ),
    ],
    target: Annotated[
        str, typer.Option(help="The column to predict; `end - start` for the minutes between two timestamps")
    ],
    table: Annotated[str | None, typer.Option(help="The database's table: name or schema.name")] = None,
    query: Annotated[str | None, typer.Option(help="A select instead of a table")] = None,
    name: Annotated[str | None, typer.Option(help="The pipeline's name; from the file's name by default")] = None,
    time: Annotated[str | None, typer.Option(help="The column that says when a row was observed")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="The column that says what a row is about")] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing, take the safer reading and say so")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a pipeline of this name")] = False,
) -> None:
    """Look at DATA and write a pipeline for it: a commented YAML file that runs as it stands."""
    from contender_airflow.cli.init import Request
    from contender_airflow.cli.init import init as write

    write(Request(data, target, table, query, name, time, id_, yes, force), _console())


@app.command()
def up(
    port: Annotated[int, typer.Option(help="Where the Airflow UI listens; another port if this one is taken")] = 8080,
    mlflow_port: Annotated[
        int | None,
        typer.Option(help="Where the MLflow UI listens: where it did last, at first 5000; another if that is taken"),
    ] = None,
) -> None:
    """Start Airflow and MLflow in the background: schedules run, and both UIs are open. `contender down` stops them."""
    from contender_airflow.cli.service import up as start
    from contender_airflow.embedded.home import Home

    start(Home.current(), _console(), airflow_port=port, mlflow_port=mlflow_port)


@app.command()
def down() -> None:
    """Stop everything that runs on this home. A task that is cut short runs again after the next start."""
    from contender_airflow.cli.service import down as stop
    from contender_airflow.embedded.home import Home

    stop(Home.current(), _console())


@app.command()
def env() -> None:
    """Print `export` lines with which plain `airflow` and `mlflow` commands work on this home: eval "$(contender env)"."""
    from contender_airflow.cli.service import ports_in_use
    from contender_airflow.embedded.home import Home

    home = Home.current()
    home.prepare()
    for name, value in home.environment(ports_in_use(home)).items():
        typer.echo(f"export {name}={shlex.quote(value)}")


@app.command()
def key(
    path: Annotated[
        Path, typer.Argument(help="Where the key is written: outside the artifact store, readable by workers")
    ],
) -> None:
    """Make the key that releases are signed with, for an Airflow of your own. A key that is there is left alone."""
    from contender.release.signing import create_key

    path = path.expanduser().absolute()
    there = path.exists()
    create_key(path)
    typer.echo(
        f"{path}: {'there already, left as it is' if there else 'made'}; signing_key of the contender_store connection"
    )


@app.command()
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(help="YAML files; all of the DAG folder's pipelines by default")
    ] = None,
) -> None:
    """See whether pipeline files are right, without running anything."""
    from contender_airflow.cli import show

    if not show.check(files or [], _console()):
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON schema of a pipeline's YAML, so that it completes in editors: contender schema > FILE."""
    from contender.schema import yaml_schema

    typer.echo(json.dumps(yaml_schema(), indent=1))


@app.command()
def status(
    pipeline: Annotated[str | None, typer.Argument(help="One pipeline; all of them by default")] = None,
    airflow_url: Annotated[
        str | None,
        typer.Option(help="Ask this Airflow about the runs, with the token in CONTENDER_AIRFLOW_TOKEN"),
    ] = None,
    *,
    as_json: _AsJson = False,
) -> None:
    """Show who serves since when, how the last run ended, and when the next one is."""
    from contender_airflow.cli import show

    show.status(pipeline, _console(), as_json=as_json, airflow_url=airflow_url)


@app.command()
def ledger(
    pipeline: _Pipeline,
    *,
    verify: Annotated[bool, typer.Option("--verify", help="Check that no entry was changed or removed")] = False,
) -> None:
    """Show every promotion, keep and rollback of a pipeline."""
    from contender_airflow.cli import show

    show.ledger(pipeline, _console(), verify=verify)


@app.command()
def rollback(
    pipeline: _Pipeline,
    to: Annotated[str, typer.Option("--to", help="The version that shall serve again, or the run that made it")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is written into the ledger")],
) -> None:
    """Let an earlier champion serve again."""
    from contender_airflow.cli import show

    show.rollback(pipeline, _console(), to=to, reason=reason)


@app.command()
def override(
    pipeline: _Pipeline,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is written into the ledger")],
    by: Annotated[str, typer.Option("--by", help="Who approves it; it is written into the ledger")],
    expires: Annotated[str, typer.Option("--expires", help="Until when it holds, such as 2026-03-02, in UTC")],
    gate: Annotated[
        list[str] | None,
        typer.Option(
            "--gate", help="A gate by its name in the report; default: all that are undecided about the champion"
        ),
    ] = None,
) -> None:
    """Answer for a gate that cannot be asked, because the champion can no longer be scored; the next run goes by it."""
    from contender_airflow.cli import show

    show.override(pipeline, _console(), gates=gate or [], reason=reason, by=by, expires=expires)


@app.command()
def adopt(
    pipeline: Annotated[str, typer.Argument(help="The pipeline, or the path of its YAML file")],
    version: Annotated[
        str | None, typer.Option("--version", help="A version of the registered model that is named as the pipeline")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="Another model: models:/NAME/VERSION, models:/NAME@ALIAS, models:/m-ID, runs:/RUN/PATH"
        ),
    ] = None,
    trained_through: Annotated[
        str | None,
        typer.Option(help="It may have been trained on rows before this moment; default: when it was saved in MLflow"),
    ] = None,
    as_of: Annotated[str | None, typer.Option(help="Look at the data as of this moment, such as 2026-03-02")] = None,
    positive: Annotated[
        str | None, typer.Option(help="Which of its classes is data.positive, where it cannot be told")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; needed to replace a champion, and written into the ledger")] = "",
    *,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="Without data.time: you know that the gate rows were not trained on")
    ] = False,
) -> None:
    """Make a model of your own the champion: verified, released, and from then on it defends its title.

    Loading a model runs its code: name only one that you trust.
    """
    from contender_airflow.cli.adopt import make_champion

    make_champion(
        pipeline,
        _console(),
        version=version,
        model=model,
        trained_through=trained_through,
        as_of=as_of,
        positive=positive,
        reason=reason,
        unseen=unseen,
    )


@app.command()
def backtest(
    pipeline: Annotated[str, typer.Argument(help="The pipeline, or the path of its YAML file")],
    first: Annotated[str, typer.Option("--from", help="The first week's date, such as 2025-09-01")],
    last: Annotated[str, typer.Option("--to", help="The last week's date")],
    every: Annotated[str, typer.Option(help="How often the pipeline runs")] = "1w",
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="Compare this policy of `beats: champion`, too: superior, non_inferior, unless_worse; default: all"
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Shorten each sweep to so many trials")] = None,
    *,
    as_json: _AsJson = False,
) -> None:
    """Replay past weeks of your own data: how good would what serves have been, by how seldom and how strictly one promotes?

    Each week has its own snapshot, validation and sweep, in a scratch home that is removed at the end; nothing of the
    pipeline itself is touched.
    """
    from contender_airflow.cli import backtest as command

    command.backtest(
        pipeline,
        _console(),
        first=first,
        last=last,
        every=every,
        policies=policy or [],
        trials=trials,
        as_json=as_json,
    )


@data_app.command("list")
def data_list(pipeline: _Pipeline, *, as_json: _AsJson = False) -> None:
    """Show the snapshots of a pipeline, oldest first."""
    from contender_airflow.cli import data

    data.show_all(pipeline, _console(), as_json=as_json)


@data_app.command("show")
def data_show(id_: _Snapshot, *, as_json: _AsJson = False) -> None:
    """Show what a snapshot is: where it came from, how many rows, what each column holds."""
    from contender_airflow.cli import data

    data.show(id_, _console(), as_json=as_json)


@data_app.command("diff")
def data_diff(before: _Snapshot, after: _Snapshot, *, as_json: _AsJson = False) -> None:
    """Show what is different in AFTER, most important first: what is more than chance."""
    from contender_airflow.cli import data

    data.diff(before, after, _console(), as_json=as_json)


def main() -> None:
    """The entry point: a ContenderError is one red line and exit code 1, without a traceback."""
    try:
        app()
    except ContenderError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.secho(message, fg="red", err=True)
    sys.exit(1)


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """In here SIGTERM and SIGHUP raise KeyboardInterrupt as Ctrl-C does; afterwards their handlers are as before.

    A signal that is ignored stays ignored: ``nohup`` sets SIGHUP so.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    taken = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    try:
        for number in taken:
            signal.signal(number, _interrupt)
        yield
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _conf(conf: str | None, as_of: str | None) -> dict[str, Any]:
    try:
        parsed = json.loads(conf or "{}")
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="--conf") from None
    if not isinstance(parsed, dict):
        raise typer.BadParameter('expected a JSON object such as {"as_of": "2026-03-02"}', param_hint="--conf")
    return parsed | ({} if as_of is None else {"as_of": as_of})


def _seconds(duration: str | None) -> float | None:
    from contender.frozen import parse_duration

    try:
        return None if duration is None else float(parse_duration(duration).total_seconds())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeout") from None


def _console() -> Console:
    from rich.console import Console

    # In a log file lines need not fit a screen. Emoji are off: rich takes a line number such as :100: for one.
    return Console(width=None if sys.stdout.isatty() else 200, emoji=False)


if __name__ == "__main__":
    main()
