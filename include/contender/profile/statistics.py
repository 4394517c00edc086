"""The statistics of a snapshot's columns, at little cost beside sorting and hashing the rows.

Exact are missing and infinite cells, minimum, maximum, mean, deviation, and the counts of a column with few values.
Quantiles and the share of values with a fractional part come from a sample of the rows, always the same ones. No
statistic holds an id, a text of a column whose texts hardly repeat, or a text that looks like an address or a number.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contender.documents.columns import LEVELS, ColumnStatistics
from contender.errors import one_line

SAMPLE = 100_000  # rows: a quantile is then off by less than 0.5 % of the rows
COUNTED = 1_000  # distinct values; a column with more has no counts
NAMED = 100  # most frequent values, each with its count
_CODES = 20  # whole numbers with at most so many distinct values are treated as names
_REPEATS = 10  # texts that stand in fewer rows than this on average may be ids
_PERSONAL = re.compile(r"@|\d{7}")  # an e-mail address, a number as long as a telephone's
_GOLDEN = 0.6180339887498949  # the fractional parts of its multiples fill 0 to 1 evenly
_THREADS = 2


def statistics(table: pa.Table, *, id_: str | None = None) -> tuple[ColumnStatistics, ...]:
    """Statistics of each column of a canonical table, in order.

    Args:
        id_: the column that identifies entities; only its missing cells are counted.
    """
    sample = table if table.num_rows <= SAMPLE else table.take(pa.array(_spread(table.num_rows)))

    def of_column(name: str) -> ColumnStatistics:
        nulls = table[name].null_count
        figures = {} if name == id_ or nulls == table.num_rows else _figures(table[name], sample[name])
        return ColumnStatistics(name=name, nulls=nulls, **figures)

    with ThreadPoolExecutor(_THREADS) as pool:  # Arrow releases Python's lock
        return tuple(pool.map(of_column, table.column_names))


def _spread(rows: int) -> np.ndarray:
    """Positions of the sample: one in each of ``SAMPLE`` equal stretches, moved within it by the golden ratio.

    A fixed step would meet the same hour of every day in a table that is sorted by time.
    """
    stretch = np.arange(SAMPLE)
    return ((stretch + stretch * _GOLDEN % 1) * (rows / SAMPLE)).astype("int64")


def _figures(column: pa.ChunkedArray, sample: pa.ChunkedArray) -> dict[str, Any]:
    """All statistics but name and missing cells, of a column that has a value."""
    if pa.types.is_boolean(column.type):
        return _counted(column)
    if pa.types.is_large_string(column.type):
        if pc.count_distinct(sample).as_py() > COUNTED:  # spares hashing every text of the column
            return {}
        return _counted(column)
    if pa.types.is_timestamp(column.type):
        return {"knots": _knots(column.cast(pa.int64()), sample.cast(pa.int64()), 1e-6)}
    infinite = 0
    if pa.types.is_floating(column.type) and math.inf in map(abs, pc.min_max(column).as_py().values()):
        infinite = pc.sum(pc.is_inf(column)).as_py()
        column, sample = (part.filter(pc.is_finite(part)) for part in (column, sample))
        if not len(column):
            return {"infinite": infinite}
    part = pc.mean(pc.not_equal(sample, pc.trunc(sample))).as_py() if pa.types.is_floating(column.type) else 0.0
    figures = {
        "infinite": infinite,
        "mean": _finite(pc.mean(column).as_py()),
        "std": _finite(pc.stddev(column).as_py()),
        "fractional": part or 0.0,
        "knots": _knots(column, sample, 1.0),
    }
    different = pc.count_distinct(sample).as_py()
    if different <= COUNTED:
        counted = _counted(column)
        named = not part and len(counted["counts"]) <= _CODES and not counted["other"]
        figures |= counted if named else {"distinct": counted["distinct"]}
    return figures


def _counted(column: pa.ChunkedArray) -> dict[str, Any]:
    """The number of distinct values, and the counts of the most frequent ones unless they may be ids."""
    found = pc.value_counts(column.drop_null())
    different, rows = len(found), len(column) - column.null_count
    if different > COUNTED:
        return {}
    if different > max(2, rows // _REPEATS):
        return {"distinct": different, "counts": {}, "other": 0}
    counts: Counter[str] = Counter()  # long texts are cut and may then be equal
    for value, count in zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True):
        counts[_value_name(value)] += count
    nameable = ((name, count) for name, count in counts.items() if not _PERSONAL.search(name))
    named = dict(sorted(nameable, key=lambda item: (-item[1], item[0]))[:NAMED])
    return {"distinct": different, "counts": named, "other": rows - sum(named.values())}


def _value_name(value: object) -> str:
    """A value as a name: whole numbers without a decimal point, truth values as in YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return one_line(value)


def _knots(column: pa.ChunkedArray, sample: pa.ChunkedArray, unit: float) -> tuple[float, ...]:
    """The quantiles at ``LEVELS``, times ``unit``: the ends exact, those between from the sample."""
    ends = pc.min_max(column).as_py()
    values = sample.drop_null().cast(pa.float64(), safe=False).to_numpy()
    if not len(values):  # every cell of the sample is missing
        values = np.array([ends["min"], ends["max"]], dtype="float64")
    inner = np.quantile(values, LEVELS[1:-1], method="inverted_cdf").tolist()
    return tuple(float(value) * unit for value in (ends["min"], *inner, ends["max"]))


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
