"""A column as Contender knows it: a name, one of five types whatever the source calls them, and what it holds."""

from __future__ import annotations

from typing import Literal

from contender.frozen import Frozen

ColumnType = Literal["integer", "number", "text", "boolean", "timestamp"]
#: What the cells of a text file are. ``timestamp`` cells say no time zone (they are UTC), ``timestamptz`` cells say theirs.
CsvType = Literal["number", "integer", "text", "boolean", "timestamp", "timestamptz"]
_TAIL = (0.001, 0.002, 0.005)
LEVELS = (0.0, *_TAIL, *(percent / 100 for percent in range(1, 100)), *(1 - level for level in reversed(_TAIL)), 1.0)


class Column(Frozen):
    """A column of a snapshot."""

    name: str
    type: ColumnType


class ColumnStatistics(Frozen):
    """What a column of a snapshot holds: enough to compare it with that of another snapshot, without a row of either.

    Attributes:
        nulls: rows without a value.
        infinite: rows whose value is not finite; none of the figures below is about them.
        distinct: how many different values there are; None: more than are counted.
        mean: of numbers; None also where it is beyond what a float holds. ``std`` likewise.
        fractional: share of the values that are no whole numbers.
        knots: the quantiles at ``LEVELS`` of numbers and timestamps (seconds since 1970, UTC), the first and last of them
            the exact minimum and maximum; empty without a finite value, and for an id.
        counts: rows by value, most frequent first, of a column of few values: text, truth values, small whole numbers.
        other: rows with a value that is in a column of counts and not in them.
    """

    name: str
    nulls: int
    infinite: int = 0
    distinct: int | None = None
    mean: float | None = None
    std: float | None = None
    fractional: float = 0.0
    knots: tuple[float, ...] = ()
    counts: dict[str, int] = {}
    other: int = 0
