"""Expectations for a table that hold today with some room."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_LEVELS = 20  # distinct values of a text column that are listed
_MISSING = 0.2  # share of missing cells up to which a column is expected to have values
_ROOM = 0.05  # of all cells, to be missing beyond twice today's share
_FAR = 1.0  # how far a range reaches beyond the 1st and 99th percentile, in units of the distance between them
_ERRORS = 0.005  # share of values outside the range up to which they are errors, not a tail
_MEDIAN = 5.0  # factor by which the median of a long-tailed column may change


def expectations_for(frame: pd.DataFrame, *, names: list[str], target: str, unique: str | None) -> list[dict[str, Any]]:
    """Row count, missing cells, ranges and sets of values, in the YAML's form.

    A range reaches beyond the 1st and the 99th percentile by the distance between them. Values outside it are errors when
    they are rare, else a long tail. The range of a long tail is so wide that it holds a hundredfold error, so the median of
    such a column gets an expectation as well.

    Args:
        names: the features.
        unique: a column without repeats.
    """
    made: list[dict[str, Any]] = [{"expect_table_row_count_to_be_between": {"min_value": max(1, len(frame) // 2)}}]
    if unique is not None:
        made.append({"expect_column_values_to_be_unique": {"column": unique}})
    for name in names:
        missing = float(frame[name].isna().mean())
        if missing <= _MISSING:
            least = {} if missing == 0 else {"mostly": round(1 - 2 * missing - _ROOM, 2)}
            made.append({"expect_column_values_to_not_be_null": {"column": name, **least}})
    for name in [*names, target]:
        column = frame[name].dropna()
        if name == target and column.nunique() == 2:
            classes = [_plain(value) for value in sorted(column.unique())]
            made.append({"expect_column_values_to_be_in_set": {"column": name, "value_set": classes}})
        elif str(column.dtype) == "float64" and len(column.unique()) > 1:
            low, high, long = _range(column)
            made.append({"expect_column_values_to_be_between": {"column": name} | _between(low, high)})
            median = float(column.median())
            if long and median:
                ends = sorted((median / _MEDIAN, median * _MEDIAN))
                around = _between(_outwards(ends[0], down=True), _outwards(ends[1], down=False))
                made.append({"expect_column_median_to_be_between": {"column": name} | around})
        elif str(column.dtype) == "str" and 1 < column.nunique() <= _LEVELS:
            levels = sorted(column.unique())
            made.append(
                {"expect_column_values_to_be_in_set": {"column": name, "value_set": levels, "severity": "warning"}}
            )
    return made


def _range(column: pd.Series) -> tuple[float, float, bool]:
    """The lower and the upper end, and whether there is a long tail."""
    if column.nunique() == 2:
        return float(column.min()), float(column.max()), False
    near, far = float(column.quantile(0.01)), float(column.quantile(0.99))
    least, most = float(column.min()), float(column.max())
    reach = _FAR * ((far - near) or (most - least))
    low, high = near - reach, far + reach
    if least >= 0:
        low = 0.0
    below, above = ((outside.mean() > _ERRORS) for outside in (column < low, column > high))
    if below:
        low = least - (most - least)
    if above:
        high = most + (most - least)
    return _outwards(low, down=True), _outwards(high, down=False), bool(below or above)


def _between(low: float, high: float) -> dict[str, Any]:
    return {"min_value": _plain(low), "max_value": _plain(high)}


def _outwards(value: float, *, down: bool) -> float:
    """Rounded to two significant digits, down or up."""
    if value == 0:
        return 0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    rounded = (math.floor if down else math.ceil)(value / unit) * unit
    return round(rounded, 12)


def _plain(value: Any) -> Any:
    """A whole number as an int, so that the YAML shows it without a decimal point."""
    return int(value) if isinstance(value, float) and value == int(value) else value
