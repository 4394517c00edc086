"""What changed between two snapshots, in words, the most important first; from their documents alone, without rows.

Changes of columns, types and the window are facts and always reported. All others are reported when they are more than
chance (see ``distance``) and large enough to be worth a line.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from contender.documents.change import Change
from contender.documents.columns import LEVELS
from contender.documents.data import Snapshot
from contender.profile.columns import NUMBERS, Pair, Side, missing_changes, share_change, target_changes, value_changes
from contender.profile.distance import SIGMAS
from contender.spec.columns import ColumnType

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 50  # changes that are reported one by one
_VOLUME = 0.2  # least share of the rows that is gone or new
_HOLDS: dict[ColumnType, str] = {
    "integer": "whole numbers",
    "number": "numbers",
    "text": "text",
    "boolean": "truth values",
    "timestamp": "timestamps",
}


def changes(
    before: Snapshot, after: Snapshot, *, target: str | None = None, positive: str | None = None
) -> tuple[Change, ...]:
    """What is different in ``after``: at most ``MOST`` changes, and one that counts the rest.

    Args:
        positive: the value of the target whose share is compared; None: the target's mean is compared.
    """
    if before.id == after.id:
        return ()
    found = [*_rows(before, after), *_schema(before, after)]
    old, new = _sides(before), _sides(after)
    for name in sorted(old.keys() & new.keys()):
        pair = Pair(name, old[name], new[name])
        found += missing_changes(pair)
        if pair.comparable:
            with np.errstate(all="ignore"):  # values near the largest float overflow to NaN, which is no change
                found += target_changes(pair, positive) if name == target else value_changes(pair)
    found.sort(key=lambda change: (-change.weight, change.column or "", change.kind, change.words))
    if len(found) > MOST:
        rest = f"and {len(found) - MOST:,} smaller changes"
        return (*found[:MOST], Change(kind="more", column=None, words=rest, weight=0.0))
    return tuple(found)


def _sides(snapshot: Snapshot) -> dict[str, Side]:
    """The columns that have statistics, by name."""
    types = {column.name: column.type for column in snapshot.columns}
    sides = {}
    for stats in snapshot.statistics:
        kind = types[stats.name]
        knots = np.array(stats.knots if len(stats.knots) == len(LEVELS) else ())
        if kind == "timestamp":  # relative to as_of: the window moves with it
            knots = np.array(()) if snapshot.as_of is None else knots - snapshot.as_of.timestamp()
        sides[stats.name] = Side(kind, stats, snapshot.rows, knots)
    return sides


def _rows(before: Snapshot, after: Snapshot) -> Iterator[Change]:
    """Changes of the window, of the number of rows, and of the shares that are unlabelled or unreadable."""
    if before.window is not None and after.window is not None:
        was, now = (window[1] - window[0] for window in (before.window, after.window))
        if was != now:
            yield Change(kind="window", column=None, words=f"the window is {now} long, {was} before", weight=0.5)
    gone = 1 - min(before.rows, after.rows) / max(before.rows, after.rows)
    # The root of a Poisson count has a standard error of 1/2, so the difference of two has one of 1/sqrt(2).
    if gone > _VOLUME and abs(math.sqrt(after.rows) - math.sqrt(before.rows)) * math.sqrt(2) > SIGMAS:
        words = f"{after.rows:,} rows, {before.rows:,} before"
        yield Change(kind="volume", column=None, words=words, weight=gone)
    late = [(snapshot.unlabelled, snapshot.rows + snapshot.unlabelled) for snapshot in (before, after)]
    yield from share_change("unlabelled", None, "of the rows have no label yet", late[0], late[1])
    was_unread, is_unread = ({one.column: one.rows for one in snapshot.uncoerced} for snapshot in (before, after))
    for name in sorted(was_unread.keys() | is_unread.keys()):
        shares = (was_unread.get(name, 0), before.rows), (is_unread.get(name, 0), after.rows)
        yield from share_change("unreadable", name, "of the cells are not what the column holds", *shares)


def _schema(before: Snapshot, after: Snapshot) -> Iterator[Change]:
    """Columns that are new, gone or of another type, in the snapshot or in its source."""
    old, new = ({column.name: column.type for column in snapshot.columns} for snapshot in (before, after))
    for name in old.keys() - new.keys():
        if name in after.ignored:
            yield Change(kind="lost_column", column=name, words="still in the source, not used any more", weight=0.5)
        else:
            yield Change(kind="lost_column", column=name, words=f"gone; it held {_HOLDS[old[name]]}", weight=1.0)
    for name in new.keys() - old.keys():
        yield Change(kind="new_column", column=name, words=f"new; it holds {_HOLDS[new[name]]}", weight=0.5)
    known = old.keys() | new.keys()
    for name in set(after.ignored) - set(before.ignored) - known:
        yield Change(kind="new_column", column=name, words="new in the source, and not used", weight=0.3)
    for name in set(before.ignored) - set(after.ignored) - known:
        yield Change(kind="lost_column", column=name, words="gone from the source; it was not used", weight=0.3)
    for name in old.keys() & new.keys():
        if old[name] != new[name]:
            words = f"holds {_HOLDS[new[name]]}, {_HOLDS[old[name]]} before"
            weight = 0.2 if {old[name], new[name]} == NUMBERS else 0.95
            yield Change(kind="type", column=name, words=words, weight=weight)
        elif before.types.get(name) != after.types.get(name) and name in before.types.keys() & after.types.keys():
            now, was = after.types[name], before.types[name]
            words = f"the source has {now}, {was} before; read as {_HOLDS[new[name]]} all the same"
            yield Change(kind="type", column=name, words=words, weight=0.1)
