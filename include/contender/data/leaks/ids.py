"""Columns that only number or name the rows: there is nothing in them to learn, but much to remember."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from contender.data.leaks.telling import Leak, some

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from contender.data.leaks.kept import KeptRows

ID_NAME = re.compile(r"(^|[_ \-.])(id|uuid|guid|key|no|nr|number|code)$|[a-z](ID|Id)$|^(id|uuid)", re.ASCII)
_UNLIKE = 0.95
_PROSE = 40  # characters on average: that can say something
_FEW = 100
_ASKED = 5_000


def id_like(kept: KeptRows) -> Iterator[Leak]:
    """Texts that are different in nearly every row; whole numbers that are, and are spread evenly or named like an id."""
    total = len(kept.positions)
    for column in kept.features:
        values = kept.few.frame[column.name].dropna()
        if len(values) < _FEW or values.nunique() <= _UNLIKE * len(values):
            continue
        spread = _unevenness(values) if whole(values) else None
        if column.type == "text":
            numbers_rows = values.str.len().mean() < _PROSE
        else:
            numbers_rows = spread is not None and (bool(ID_NAME.search(column.name)) or spread < _even(len(values)))
        if not numbers_rows:
            continue
        # Different in a few of many rows is not yet different in all.
        asked = values.iloc[some(len(values), _ASKED)]
        found = int(kept.frame[column.name].isin(asked).sum())
        if found * _UNLIKE <= len(asked):
            how = "" if spread is None else f"; off an even spread by {spread:.1%} at most"
            words = f"is different in nearly every row: {len(asked):,} of its values are in {found:,} of {total:,} rows{how}"
            yield Leak("id_like", (column.name,), words)


def whole(values: pd.Series) -> bool:
    """Whether these are whole numbers, whatever they are stored as."""
    return str(values.dtype) == "float64" and bool(((values.abs() < 2.0**63) & (values == values.round())).all())


def _unevenness(values: pd.Series) -> float:
    """The Kolmogorov-Smirnov distance from numbers that are given one after another."""
    ordered = np.sort(values.to_numpy())
    expected = (ordered - ordered[0]) / max(ordered[-1] - ordered[0], 1)
    return float(np.abs(expected - np.linspace(0, 1, len(ordered))).max())


def _even(count: int) -> float:
    """The distance that 99 % of samples from an even spread stay below, or 2 %."""
    return max(0.02, 1.63 / float(np.sqrt(count)))
