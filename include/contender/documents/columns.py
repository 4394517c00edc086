"""A column of a snapshot: name, type and statistics. The statistics are computed in ``profile.statistics``."""

from __future__ import annotations

from contender.frozen import Frozen
from contender.spec.columns import ColumnType

# The quantiles of ``knots``: every percent, and finer at both ends, where broken values show first.
_TAIL = (0.001, 0.002, 0.005)
LEVELS = (0.0, *_TAIL, *(percent / 100 for percent in range(1, 100)), *(1 - level for level in reversed(_TAIL)), 1.0)


class Column(Frozen):
    """The name and the type of a column of a snapshot."""

    name: str
    type: ColumnType


class ColumnStatistics(Frozen):
    """Statistics of a column of a snapshot, enough to compare it with another snapshot's without reading their rows.

    Attributes:
        nulls: rows without a value.
        infinite: rows whose value is not finite; the figures below leave them out.
        distinct: the number of different values; None above the limit of counting.
        mean: of numbers; None also when it overflows a float. ``std`` likewise.
        fractional: share of the values that are not whole numbers.
        knots: the quantiles at ``LEVELS`` of numbers and timestamps (seconds since 1970, UTC); the first and the last
            are the exact minimum and maximum. Empty without a finite value, and for an id.
        counts: rows by value, most frequent first, of a column of few values: text, booleans, small whole numbers.
        other: rows with a value that is not listed in ``counts``; 0 for a column without counts.
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
