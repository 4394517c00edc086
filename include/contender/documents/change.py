"""A difference between the data of two snapshots. ``profile.changes`` finds the changes; a decision stores them."""

from __future__ import annotations

from typing import Literal

from contender.errors import one_line
from contender.frozen import Frozen


class Change(Frozen):
    """One difference between the data of two snapshots, in words: of counts, quantiles, extremes and frequent values.

    Attributes:
        kind: the sort of difference; a ``new_...`` of one snapshot is a ``lost_...`` when the two are swapped.
        column: None when the difference is about all rows.
        weight: 0 to 1, by the share of the data concerned and by how bad it can be. At 0.9 and above something is
            likely to be broken.
    """

    kind: Literal[
        "new_column",
        "lost_column",
        "type",
        "window",
        "volume",
        "unlabelled",
        "unreadable",
        "nulls",
        "infinite",
        "target",
        "scale",
        "precision",
        "range",
        "distribution",
        "new_category",
        "lost_category",
        "more",
    ]
    column: str | None
    words: str
    weight: float

    @property
    def sentence(self) -> str:
        """The words, after the name of the column."""
        return self.words if self.column is None else f"{one_line(self.column)}: {self.words}"

    @property
    def loud(self) -> bool:
        """Whether something is likely to be broken."""
        return self.weight >= 0.9
