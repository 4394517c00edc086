"""Expectations for a table: what is true of it today with some room, so that what breaks them tomorrow is news."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_LEVELS = 20
_SOME = 0.2  # of the cells are missing: a column that is there as a rule
_ROOM = 0.05
_FAR = 1.0
_ERRORS = 0.005
_MEDIAN = 5.0


def expectations_for(frame: pd.DataFrame, *, names: list[str], target: str, unique: str | None) -> list[dict[str, Any]]:
    """Row count, missing cells, ranges and sets of values, as the YAML has them.

    A range reaches beyond the 1st and the 99th percentile by as much as lies between them. What lies outside today
    is taken for an error when it is rare, and for a long tail otherwise: in the range of such a column even a hundredfold
    value would be nothing special, so that its median is watched, too.

    Args:
        names: the features. unique: a column without repetitions.
    """
    made: list[dict[str, Any]] = [{"expect_table_row_count_to_be_between": {"min_value": max(1, len(frame) // 2)}}]
    if unique is not None:
        made.append({"expect_column_values_to_be_unique": {"column": unique}})
    for name in names:
        missing = float(frame[name].isna().mean())
        if missing <= _SOME:
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
    """Both ends, and whether there is a long tail."""
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
    """Two significant digits, away from the middle; a whole number without a point."""
    if value == 0:
        return 0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    rounded = (math.floor if down else math.ceil)(value / unit) * unit
    return round(rounded, 12)


def _plain(value: Any) -> Any:
    """A whole number without a point."""
    return int(value) if isinstance(value, float) and value == int(value) else value
