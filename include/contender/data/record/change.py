"""A difference between the data of two snapshots, as decisions keep it and people read it."""

from __future__ import annotations

from typing import Literal

from contender.errors import one_line
from contender.frozen import Frozen


class Change(Frozen):
    """One difference between the data of two snapshots, in words: of counts, quantiles, ends and frequent values.

    Attributes:
        kind: what sort of difference; what is new in one direction is lost in the other.
        column: None when it is about all rows.
        weight: 0 to 1, how much of the data it is about and how bad that can be. At 0.9 and above something is
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
        """The change with the column it is about."""
        return self.words if self.column is None else f"{one_line(self.column)}: {self.words}"

    @property
    def loud(self) -> bool:
        """Whether something is likely to be broken."""
        return self.weight >= 0.9
