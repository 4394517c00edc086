"""``contender backtest``: past weeks again, in a scratch home, by every way of deciding."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.table import Table

from contender.errors import ConfigError, did_you_mean
from contender.frozen import format_duration, parse_duration
from contender.words import counted, metric_name, own_direction, score, signed
from contender_airflow.cli import places
from contender_airflow.cli.render import plain

if TYPE_CHECKING:
    from rich.console import Console

    from contender.backtest.replay import Backtest
    from contender.backtest.table import Line, Summary
    from contender.spec.pipeline import PipelineSpec
    from contender.stats.budget import Policy


def backtest(
    pipeline: str,
    console: Console,
    *,
    first: str,
    last: str,
    every: str,
    policies: list[str],
    trials: int | None,
    as_json: bool,
) -> None:
    """Replay, print a line for each week as it is done, then the table and the recommendation."""
    from contender.backends import Backends
    from contender.backtest.replay import backtest as replay
    from contender.backtest.table import summary
    from contender.backtest.ways import POLICIES
    from contender.release.signing import create_key
    from contender.run.freeze import parse_as_of

    spec = _shortened(places.spec(pipeline), trials)
    for one in policies:
        if one not in POLICIES:
            msg = f"--policy: got {one!r}, expected one of {', '.join(POLICIES)}.{did_you_mean(one, POLICIES)}"
            raise ConfigError(msg)
    asked: list[Policy] = [one for one in POLICIES if one in policies or not policies]
    begin, end, period = parse_as_of(first, "--from"), parse_as_of(last, "--to"), _period(every)
    _check(spec, begin, end, period)
    connections = places.backends().connections  # first: it puts where the home's data are into the environment
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with tempfile.TemporaryDirectory(prefix="contender-backtest-") as scratch:
        root = Path(scratch)
        create_key(root / "signing.pem")
        uri = f"sqlite:///{root / 'mlflow.db'}"
        backends = Backends.connect(store=str(root / "store"), tracking_uri=uri, signing_key=str(root / "signing.pem"))
        found = replay(
            spec,
            dataclasses.replace(backends, connections=connections),
            first=begin,
            last=end,
            every=period,
            policies=asked,
            tell=(lambda _: None) if as_json else lambda line: plain(console, line),
        )
    told = summary(found)
    if as_json:
        typer.echo(json.dumps(document(found, told)))
        return
    _show(found, told, console, trials)


def _shortened(spec: PipelineSpec, trials: int | None) -> PipelineSpec:
    strategy: Any = spec.sweep.strategy
    if trials is None:
        return spec
    if not hasattr(strategy, "trials"):
        raise ConfigError(f"--trials: the strategy {strategy.kind} tries its whole grid; leave it out")
    changed = type(strategy).model_validate(strategy.model_dump() | {"trials": trials})
    changed.check(spec.sweep.candidates)
    return spec.model_copy(update={"sweep": spec.sweep.model_copy(update={"strategy": changed})})


def _period(every: str) -> timedelta:
    try:
        found = parse_duration(every)
    except ValueError as error:
        raise ConfigError(f"--every: {error}") from None
    if not isinstance(found, timedelta) or found <= timedelta(0):
        raise ConfigError(f"--every: got {every!r}, expected a time such as 1w")
    return found


def _check(spec: PipelineSpec, first: datetime, last: datetime, every: timedelta) -> None:
    """See that there is something to replay.

    Raises:
        ConfigError: there is not.
    """
    if spec.data.time is None:
        msg = f"{spec.name}: a backtest needs data.time: without it nobody knows which rows there were in a past week"
        raise ConfigError(msg)
    if last > datetime.now(UTC):
        raise ConfigError(f"--to: {last:%Y-%m-%d} is in the future")
    if first + every > last:
        msg = f"--from {first:%Y-%m-%d} --to {last:%Y-%m-%d}: expected two periods of {format_duration(every)} at least"
        raise ConfigError(msg)


def _show(found: Backtest, told: Summary, console: Console, trials: int | None) -> None:
    metric = metric_name(found.metric)
    titles = (
        "way",
        f"{metric} on the next rows",
        "against the best",
        "trained",
        "promoted",
        "made it worse",
        "CPU time",
    )
    table = Table(*titles, box=None, pad_edge=False)
    for line in told.lines:
        table.add_row(*map(escape, _cells(line, found.metric)))
    console.print()
    console.print(table)
    console.print()
    plain(console, f"Recommended: {told.recommendation}.")
    length = format_duration(found.every)
    plain(
        console,
        f"{counted(len(found.starts), 'period')} of {length}, {told.periods} of them scored for every way. Left out: warm starts"
        + ("" if trials is None else f", and all but {counted(trials, 'trial')} of each sweep")
        + ", approval, and verification of what is promoted.",
    )
    for number, why in list(found.skipped.items())[:5]:
        plain(console, f"{found.starts[number]:%Y-%m-%d} came to nothing: {why}")


def _cells(line: Line, metric: str) -> tuple[str, ...]:
    from contender.backtest.table import cost

    against = "too few periods"
    if math.isfinite(line.low):
        against = (
            "the best" if line.better == 0 else f"{signed(line.better)} ({signed(line.low)} to {signed(line.high)})"
        )
    unknown = f" ({line.unknown} unknown)" if line.unknown else ""
    skill = score(own_direction(metric, line.skill)) if math.isfinite(line.skill) else "unknown"
    return (line.name, skill, against, str(line.trained), str(line.promoted), f"{line.worse}{unknown}", cost(line))


def document(found: Backtest, told: Summary) -> dict[str, Any]:
    """All of it as JSON takes it; a number that is unknown is null."""
    lines = [
        {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in one.items()}
        for one in map(dataclasses.asdict, told.lines)
    ]
    return {
        "pipeline": found.pipeline,
        "metric": found.metric,
        "every": format_duration(found.every),
        "periods": [start.isoformat() for start in found.starts],
        "scored": told.periods,
        "ways": lines,
        "recommendation": told.recommendation,
        "skipped": {found.starts[number].isoformat(): why for number, why in found.skipped.items()},
    }
