"""``contender data``: the snapshots on record, what one holds, and what is different in another."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.table import Table

from contender.documents.columns import LEVELS
from contender.errors import ConfigError, did_you_mean
from contender.words import counted, listed, percent
from contender_airflow.cli import places
from contender_airflow.cli.render import plain, to_the_minute

if TYPE_CHECKING:
    from rich.console import Console

    from contender.documents.columns import Column, ColumnStatistics
    from contender.documents.data import Snapshot
    from contender.profile.history import StoredSnapshot

_SHORT = 12  # characters of a snapshot's id
_SOURCES = 20  # files, and unused columns
_COUNTS = 3  # most frequent values of a column
_NAMED = 2  # runs


def show_all(pipeline: str, console: Console, *, as_json: bool) -> None:
    """Print a pipeline's snapshots, oldest first."""
    from contender.profile.history import snapshots
    from contender.run.status import pipelines

    store = places.store()
    kept = snapshots(store, pipeline)
    if not kept:
        known = pipelines(store)
        hint = "no run has taken one yet" if pipeline in known else f"it never ran here.{did_you_mean(pipeline, known)}"
        raise ConfigError(f"pipeline {pipeline!r} has no snapshot: {hint}")
    if as_json:
        typer.echo(json.dumps({"snapshots": [_summary(one) for one in kept]}))
        return
    table = Table("snapshot", "as of", "window", "rows", "unlabelled", "columns", "runs", box=None, pad_edge=False)
    for one in kept:
        taken = one.snapshot
        cells = (taken.id[:_SHORT], _day(taken.as_of), _window(taken), f"{taken.rows:,}", f"{taken.unlabelled:,}")
        table.add_row(*cells, str(len(taken.columns)), escape(_runs(one.runs)))
    console.print(table)


def show(beginning: str, console: Console, *, as_json: bool) -> None:
    """Print one snapshot: where it came from, and what each column holds."""
    from contender.profile.history import find

    store = places.store()
    found = find(store, beginning)
    kept, taken = found[0], found[0].snapshot
    if as_json:
        document = taken.model_dump(mode="json")
        typer.echo(json.dumps({"pipeline": kept.pipeline, "runs": kept.runs, "snapshot": document}))
        return
    facts = [
        ("snapshot", taken.id),
        *(("pipeline", f"{one.pipeline}, {_runs(one.runs)}") for one in found),
        ("as of", _day(taken.as_of)),
        ("window", _window(taken)),
        ("rows", f"{taken.rows:,}, and {taken.unlabelled:,} without a label yet"),
        ("accounts", "" if taken.accounts is None else taken.accounts.words),
        ("unused", ", ".join(taken.ignored[:_SOURCES])),
        *(("unreadable", f"{odd.reason}: {odd.rows:,} cells, {odd.first}".rstrip(", ")) for odd in taken.uncoerced),
        ("query", taken.query or ""),
        *(("source", f"{file.uri}, {counted(file.bytes, 'byte')}, {file.digest}") for file in taken.sources[:_SOURCES]),
        ("", f"and {len(taken.sources) - _SOURCES:,} more files" if len(taken.sources) > _SOURCES else ""),
        (
            "data",
            f"{store.url(taken.key(kept.pipeline, 'data.parquet'))}{f', sha256:{taken.sha256}' if taken.sha256 else ''}",
        ),
        ("code", "" if taken.code is None else taken.code.fingerprint),
    ]
    for name, text in facts:
        if text:
            plain(console, f"{name:<10} {text}")
    console.print()
    console.print(_columns(taken))


def diff(before: str, after: str, console: Console, *, as_json: bool) -> None:
    """Print what changed from one snapshot to another; changes that may be errors are red."""
    from contender.profile.history import changes_between, find

    store = places.store()
    old, new = find(store, before), find(store, after)
    shared = [one for one in new if one.pipeline in {other.pipeline for other in old}]
    found = changes_between(store, old[0], (shared or new)[0])
    was, now = old[0].snapshot, new[0].snapshot
    if as_json:
        changes = [change.model_dump(mode="json") for change in found]
        typer.echo(json.dumps({"before": was.id, "after": now.id, "changes": changes}))
        return
    plain(
        console,
        " to ".join(f"{one.id[:_SHORT]} (as of {_day(one.as_of)}, {counted(one.rows, 'row')})" for one in (was, now)),
    )
    if was.id == now.id:
        plain(console, "the same snapshot")
    elif not found:
        plain(console, "nothing changed that is more than chance")
    for change in found:
        style = "red" if change.loud else None
        plain(console, f"  {change.sentence}", style)


def _summary(kept: StoredSnapshot) -> dict[str, object]:
    taken = kept.snapshot
    return {
        "id": taken.id,
        "as_of": None if taken.as_of is None else taken.as_of.isoformat(),
        "window": None if taken.window is None else [moment.isoformat() for moment in taken.window],
        "rows": taken.rows,
        "unlabelled": taken.unlabelled,
        "columns": len(taken.columns),
        "runs": list(kept.runs),
    }


def _columns(taken: Snapshot) -> Table:
    """A line per column: the share of missing cells, and the statistics that are on record."""
    held = {one.name: one for one in taken.statistics}
    table = Table("column", "type", "missing", "different", "least", "median", "most", "mean", "most frequent")
    table.box, table.pad_edge = None, False
    for column in taken.columns:
        statistics = held.get(column.name)
        cells = [] if statistics is None else _cells(column, statistics, taken.rows)
        table.add_row(escape(column.name), column.type, *cells)
    return table


def _cells(column: Column, held: ColumnStatistics, rows: int) -> list[str]:
    named = ", ".join(f"{value} {percent(count / rows)}" for value, count in list(held.counts.items())[:_COUNTS])
    more = (held.distinct or 0) - _COUNTS
    different = "" if held.distinct is None else f"{held.distinct:,}"
    ends = [_value(column, held.knots[place]) if held.knots else "" for place in (0, LEVELS.index(0.5), -1)]
    mean = "" if held.mean is None else f"{held.mean:,.6g}"
    return [
        percent(held.nulls / rows),
        different,
        *ends,
        mean,
        escape(named + (f", {more} more" if named and more > 0 else "")),
    ]


def _value(column: Column, knot: float) -> str:
    if column.type != "timestamp":
        return f"{knot:,.6g}"
    try:
        return _day(datetime.fromtimestamp(knot, UTC))
    except (ValueError, OverflowError, OSError):
        return "beyond the year 9999" if knot > 0 else "before the year 1"


def _day(moment: datetime | None) -> str:
    return "" if moment is None else to_the_minute(moment).removesuffix(" 00:00 UTC")


def _window(taken: Snapshot) -> str:
    return "" if taken.window is None else " to ".join(map(_day, taken.window))


def _runs(runs: tuple[str, ...]) -> str:
    """The first runs by name, and the number of the others."""
    more = [f"{len(runs) - _NAMED:,} more"] if len(runs) > _NAMED else []
    return listed([*runs[:_NAMED], *more]) if runs else "no run"
