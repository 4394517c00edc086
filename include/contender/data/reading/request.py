"""What a run asks of a source, and what the source answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from contender.data.reading.connections import Connect, from_environment
from contender.spec.columns import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

    from contender.documents.data import SourceFile


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
        types: the column types of the pipeline's contract, by name; empty before there is one. A source reads by
            them where it can, so that today's rows never change a column's type.
        connect: looks up a connection's fields by its id.
        identity: the column that names entities; its decimals are read as text, because floats would merge some.
    """

    window: Window | None = None
    exclude: frozenset[str] = frozenset()
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    connect: Connect = from_environment
    identity: str | None = None


@dataclass(frozen=True)
class Unread:
    """Cells of a column that do not fit its type.

    Attributes:
        cells: text, shape (rows of the table,): the cell as written where it does not fit, null everywhere else.
        first: where the first of them is, such as ``drop.csv:17``; empty when that is not known.
    """

    cells: pa.ChunkedArray
    first: str = ""


@dataclass(frozen=True)
class ReadResult:
    """What a source read.

    Attributes:
        table: the rows in any order, without the excluded columns. With a window those inside it, and those whose time
            is missing or cannot be read: the time is null there.
        files: the files that the rows came from, sorted by name; empty for a database.
        left_out: the excluded columns that the source has and that were not read.
        query: the SQL statement with the names of its parameters; None for files.
        unread: cells that do not fit their column's type, by column; the table has a null in their place.
        types: the columns' types in the source's own words, if it has types: ``double``, or ``double and int64`` where
            its files differ.
        no_time: where the first row without a readable time is; empty when there is none or that is not known.
        rows: how many rows were read to find those of the table; None: no others. Files count all their rows, a
            database those that it was asked for.
        files_found: how many files there are, with those that were not opened and those of another kind.
        files_other: the files of another kind, by ending.
    """

    table: pa.Table
    files: tuple[SourceFile, ...] = ()
    left_out: frozenset[str] = frozenset()
    query: str | None = None
    unread: Mapping[str, Unread] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    no_time: str = ""
    rows: int | None = None
    files_found: int = 0
    files_other: Mapping[str, int] = field(default_factory=dict)
