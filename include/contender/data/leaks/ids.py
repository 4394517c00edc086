"""Columns that only number or name the rows. A model learns nothing from them and can memorise every row by them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from contender.data.leaks.sample import sample_positions
from contender.data.leaks.target import Leak

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from contender.data.leaks.sample import KeptRows

ID_NAME = re.compile(r"(^|[_ \-.])(id|uuid|guid|key|no|nr|number|code)$|[a-z](ID|Id)$|^(id|uuid)", re.ASCII)
#: The share of distinct values from which a column is different in nearly every row.
DISTINCT = 0.95
#: Characters on average from which a text is prose, which can be learned from.
PROSE = 40
_FEW = 100  # values, below which nothing is said
_ASKED = 5_000  # values that are looked up among all rows


def id_like(kept: KeptRows) -> Iterator[Leak]:
    """Columns that are different in nearly every row: short texts, and whole numbers that are evenly spread or named like an id."""
    total = len(kept.positions)
    for column in kept.features:
        values = kept.sample.frame[column.name].dropna()
        if len(values) < _FEW or values.nunique() <= DISTINCT * len(values):
            continue
        spread = _unevenness(values) if is_whole(values) else None
        if column.type == "text":
            numbers_rows = values.str.len().mean() < PROSE
        else:
            numbers_rows = spread is not None and (bool(ID_NAME.search(column.name)) or spread < _even(len(values)))
        if not numbers_rows:
            continue
        # Values that are distinct in the sample may still repeat among all rows.
        asked = values.iloc[sample_positions(len(values), _ASKED)]
        found = int(kept.frame[column.name].isin(asked).sum())
        if found * DISTINCT <= len(asked):
            how = "" if spread is None else f"; off an even spread by {spread:.1%} at most"
            words = f"is different in nearly every row: {len(asked):,} of its values are in {found:,} of {total:,} rows{how}"
            yield Leak("id_like", (column.name,), words)


def is_whole(values: pd.Series) -> bool:
    """Whether all values are whole numbers; frames store them as floats, or exactly where they are large."""
    if str(values.dtype) == "Int64":
        return True
    return str(values.dtype) == "float64" and bool(((values.abs() < 2.0**63) & (values == values.round())).all())


def _unevenness(values: pd.Series) -> float:
    """The Kolmogorov-Smirnov distance between the values and an even spread over their range."""
    ordered = np.sort(values.to_numpy(dtype="float64" if str(values.dtype) == "float64" else "int64"))
    if ordered.dtype == "int64":
        ordered = ordered.view("uint64")  # differences of these do not wrap
    expected = (ordered - ordered[0]) / max(ordered[-1] - ordered[0], 1)
    return float(np.abs(expected - np.linspace(0, 1, len(ordered))).max())


def _even(count: int) -> float:
    """The distance below which a spread is even: that of 99 % of uniform samples (1.63 / sqrt(n)), at least 0.02."""
    return max(0.02, 1.63 / float(np.sqrt(count)))
