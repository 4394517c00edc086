"""A column as Contender knows it: a name and one of five types, whatever the source calls them."""

from __future__ import annotations

from typing import Literal

from contender.frozen import Frozen

ColumnType = Literal["integer", "number", "text", "boolean", "timestamp"]


class Column(Frozen):
    """A column of a snapshot."""

    name: str
    type: ColumnType
