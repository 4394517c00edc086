"""Expectations for a table that hold today with some room."""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from contender.data.checks.labels import differ
from contender.words import mean_words

if TYPE_CHECKING:
    import pandas as pd

_LEVELS = 20  # distinct values of a text column that are listed
_LONG = 200  # characters of a level; longer texts are prose
_MISSING = 0.2  # share of missing cells up to which a column is expected to have values
_ROOM = 0.05  # of all cells, to be missing beyond twice today's share
_FAR = 1.0  # how far a range reaches beyond the 1st and 99th percentile, in units of the distance between them
_ERRORS = 0.005  # share of values outside the range up to which they are errors, not a tail
_MEDIAN = 5.0  # factor by which the median of a long-tailed column may change
_WHOLE = 2.0**53  # larger floats are not written as whole numbers


class Expected(NamedTuple):
    """Expectations in the YAML's form, and for ranges that labels made wider the reason by column."""

    expectations: list[dict[str, Any]]
    widened: dict[str, str]


def expectations_for(
    frame: pd.DataFrame, labels: np.ndarray, *, names: list[str], target: str, unique: str | None
) -> Expected:
    """Row count, missing cells, ranges and sets of values.

    A range reaches beyond the 1st and the 99th percentile by the distance between them. Values outside it are errors when
    they are rare, else a long tail. They are a tail also when they are rare but their labels are not those of the others:
    such rows must train and judge, because rows like them are asked about in service. The range of a long tail is so wide
    that it holds a hundredfold error, so the median of such a column gets an expectation as well.

    Args:
        labels: the target as 0/1 or float, shape (n,).
        names: the features.
        unique: a column without repeats.
    """
    widened: dict[str, str] = {}
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
            own = np.zeros(len(column)) if name == target else labels[frame[name].notna()]
            low, high, long, why = _range(column.to_numpy(), own)
            if why:
                widened[name] = why
            made.append({"expect_column_values_to_be_between": {"column": name} | _between(low, high)})
            median = float(column.median())
            if long and median and np.isfinite(median):
                ends = sorted((median / _MEDIAN, median * _MEDIAN))
                around = _between(_outwards(ends[0], down=True), _outwards(ends[1], down=False))
                made.append({"expect_column_median_to_be_between": {"column": name} | around})
        elif str(column.dtype) == "str" and 1 < column.nunique() <= _LEVELS and column.str.len().max() <= _LONG:
            levels = sorted(column.unique())
            made.append(
                {"expect_column_values_to_be_in_set": {"column": name, "value_set": levels, "severity": "warning"}}
            )
    return Expected(made, widened)


def _range(values: np.ndarray, labels: np.ndarray) -> tuple[float, float, bool, str]:
    """The lower and the upper end, whether there is a long tail, and how labels differ that made the range wider."""
    least, most = float(values.min()), float(values.max())
    if len(np.unique(values)) == 2:
        return least, most, False, ""
    near, far = (float(value) for value in np.quantile(values, (0.01, 0.99)))
    reach = _FAR * ((far - near) or (most - least))
    above = _Side(lambda room: values > far + room, labels, "above")
    high, long, why = far + above.room(reach), above.is_tail(reach), above.why(reach)
    if long:
        high = most + (most - least)
    if least >= 0:
        return 0.0, _outwards(high, down=False), long, why
    below = _Side(lambda room: values < near - room, labels, "below")
    low = near - below.room(reach)
    if below.is_tail(reach):
        low, long = least - (most - least), True
    why = "; ".join(filter(None, (below.why(reach), why)))
    return _outwards(low, down=True), _outwards(high, down=False), long, why


class _Side(NamedTuple):
    """The values beyond one end of a range: ``beyond`` gives the rows outside when the range has this much room."""

    beyond: Callable[[float], np.ndarray]
    labels: np.ndarray
    where: str

    def is_tail(self, reach: float) -> bool:
        return bool(self.beyond(reach).mean() > _ERRORS)

    def room(self, reach: float) -> float:
        """The room, doubled until no labels outside are other ones: what is farther is an error like any."""
        while differ(self.beyond(reach), self.labels):
            reach *= 2
        return reach

    def why(self, reach: float) -> str:
        rows, labels = self.beyond(reach), self.labels
        if self.is_tail(reach) or not differ(rows, labels):
            return ""
        classification = bool(np.isin(labels, (0, 1)).all())
        means = mean_words(labels[rows].mean(), labels[~rows].mean(), classification=classification)
        return f"{rows.sum()} rows far {self.where} the others have other labels, {means}"


def _between(low: float, high: float) -> dict[str, Any]:
    return {"min_value": _plain(low), "max_value": _plain(high)}


def _outwards(value: float, *, down: bool) -> float:
    """Rounded to two significant digits, down or up; finite, because YAML numbers are."""
    if value == 0:
        return 0
    limited = min(max(value, -sys.float_info.max), sys.float_info.max)
    exact = Decimal(repr(limited))
    digit = Decimal((0, (1,), exact.adjusted() - 1))
    rounded = float(exact.quantize(digit, rounding=ROUND_FLOOR if down else ROUND_CEILING))
    return rounded if np.isfinite(rounded) else limited


def _plain(value: Any) -> Any:
    """A whole number as an int, so that the YAML shows it without a decimal point."""
    return int(value) if isinstance(value, float) and abs(value) < _WHOLE and value == int(value) else value
