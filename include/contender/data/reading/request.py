"""What a run asks of a source, and what the source found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from contender.data.columns import ColumnType
from contender.data.reading.connections import Connect, from_environment
from contender.frozen import Frozen

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Window:
    """The rows ``start <= column < end`` (UTC) as known at ``as_of``."""

    column: str
    start: datetime
    end: datetime
    as_of: datetime


@dataclass(frozen=True)
class ReadRequest:
    """Which rows and columns, of which types.

    Attributes:
        window: None asks for all rows.
        exclude: columns that are not read.
        types: what the pipeline's contract says the columns hold, by name; empty before there is one. A source reads
            by them where it can, so that a column is not taken for something else because today's rows look like it.
        connect: who knows the connections.
    """

    window: Window | None = None
    exclude: frozenset[str] = frozenset()
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    connect: Connect = from_environment


class SourceFile(Frozen):
    """A file that rows came from, as it was when they were read. ``digest`` is ``sha256:...``, or ``etag:...`` in S3."""

    uri: str
    bytes: int
    digest: str


@dataclass(frozen=True)
class Unread:
    """Cells of a column that are not what it holds.

    Attributes:
        cells: shape (rows of the table,), text: the cell as it is written where it does not fit, null everywhere else.
        first: where the first of them is, such as ``drop.csv:17``; empty when nobody can say.
    """

    cells: pa.ChunkedArray
    first: str = ""


@dataclass(frozen=True)
class Found:
    """What a source answers.

    Attributes:
        table: the rows in any order, without the excluded columns.
        files: what they came from, sorted by name; empty for a database.
        left_out: the excluded columns that it has, which were not read.
        query: what a database was asked, with its parameters' names; None for files.
        types: what the source itself calls the columns' types, as far as it has any: ``double``, or ``double and int64``
            where its files differ.
        unread: cells that do not fit their column's type, by column; the table has a null in their place.
    """

    table: pa.Table
    files: tuple[SourceFile, ...] = ()
    left_out: frozenset[str] = frozenset()
    query: str | None = None
    unread: Mapping[str, Unread] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
