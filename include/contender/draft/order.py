"""Hints of a time that is no column of timestamps: an epoch, a day and its hour apart, rows in time order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contender.data.reading.fitting import is_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_FIRST, _LAST = 631_152_000, 4_102_444_800  # the seconds from 1970 to 1990 and to 2100
_TIMELY = re.compile(r"time|date|stamp|epoch|(^|_)ts($|_)|(^|_)at$|created|updated", re.IGNORECASE)
_HOUR = re.compile(r"(^|[_ .])(h|hr|hh|hour|time)s?($|[_ .])|hour", re.IGNORECASE)
_CLOCK = r"^\s*\d{1,2}:\d{2}(:\d{2})?\s*([AaPp][Mm])?\s*$"
_ALIKE, _SURE = 0.2, 5.0  # correlation of a target with that of the row before, and its standard errors


def hints(
    table: pa.Table, *, target: str, positive: str | None, id_: str | None, time: str | None, told: Collection[str] = ()
) -> Iterator[str]:
    """What the user may know about the time of the rows and the columns do not say, with the next move.

    Args:
        told: columns of which something was said already.
    """
    if time is not None:
        yield from _hour_of(table, time)
        return
    epochs = [
        (name, unit) for name in table.column_names if name not in (target, *told) and (unit := _epoch(table, name))
    ]
    for name, unit in epochs[:3]:
        yield (
            f"{name!r} looks like {unit} since 1970: write it as a timestamp (in SQL to_timestamp({name})) and name it with "
            "--time; then the newest rows judge"
        )
    alike = _neighbours(table, target, positive, id_) if target in table.column_names else None
    if alike is not None:
        yield (
            f"neighbouring rows have targets that are alike (correlation {alike:.2f}): if the rows are in time order, give them "
            "a column with the time and name it with --time. Without one, rows chosen at random judge: they lie between rows "
            "that train, and flatter what will be seen on later rows"
        )


def _hour_of(table: pa.Table, time: str) -> Iterator[str]:
    """Columns that hold the hour of a time that is known to the day."""
    moments = table[time].drop_null().cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    if not pc.all(pc.equal(pc.multiply(pc.divide(moments, 86_400_000_000), 86_400_000_000), moments)).as_py():
        return
    for name in table.column_names:
        column = table[name].drop_null()
        if not len(column) or name == time:
            continue
        clock = is_text(column.type) and pc.all(pc.match_substring_regex(column, _CLOCK)).as_py()
        hours = pa.types.is_integer(column.type) and _HOUR.search(name) and 2 < _span(column)[1] <= 24
        if clock or (hours and _span(column)[0] >= 0):
            yield (
                f"{time!r} is a day and {name!r} looks like its {'time' if clock else 'hour'}: a timestamp made of both puts the "
                "rows of a day in order, too"
            )


def _epoch(table: pa.Table, name: str) -> str | None:
    """The unit of a column of whole numbers that count from 1970, else None."""
    column = table[name]
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)) or column.null_count == len(column):
        return None
    low, high = _span(column)
    values = column.drop_null().to_numpy()
    if not _TIMELY.search(name) and not bool((values[1:] >= values[:-1]).all()):
        return None
    for unit, factor in _UNITS.items():
        if _FIRST * factor <= low and low + 3_600 * factor < high <= _LAST * factor:
            return unit
    return None


def _span(column: pa.ChunkedArray) -> tuple[float, float]:
    ends = pc.min_max(column).as_py()
    return ends["min"], ends["max"]


def _neighbours(table: pa.Table, name: str, positive: str | None, id_: str | None) -> float | None:
    """The correlation of the target's ranks with those of the row before, of another id, where it is beyond chance."""
    import pandas as pd

    target = table[name]
    numbers = pc.equal(target.cast(pa.large_string()), positive).cast("int8") if positive else target
    ranks = pd.Series(numbers.cast("double", safe=False).to_numpy()).rank()
    if id_ is not None and id_ in table.column_names:
        codes = pd.factorize(table[id_].to_pandas())[0]
        ranks = ranks[np.append(True, codes[1:] != codes[:-1])].reset_index(drop=True)
    ranks = ranks.dropna().reset_index(drop=True)
    if len(ranks) < 100 or ranks.nunique() < 2 or ranks.is_monotonic_increasing or ranks.is_monotonic_decreasing:
        return None
    alike = float(np.corrcoef(ranks[1:], ranks[:-1])[0, 1])
    return alike if alike > _ALIKE and alike * np.sqrt(len(ranks)) > _SURE else None
