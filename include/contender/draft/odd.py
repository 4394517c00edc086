"""The columns of a Parquet file or a database that no run can use as they are: read as another type, or left out with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from contender.data.coercion import coerce
from contender.data.leaks.ids import DISTINCT, ID_NAME
from contender.data.reading.fitting import Fitter, is_text
from contender.draft.cells import read_cells, since_1970
from contender.draft.written import Written, numbers_in
from contender.errors import DataRejected

if TYPE_CHECKING:
    from contender.spec.columns import ColumnType

_EXACT = 1 << 53  # beyond it a float, by which models compute, cannot hold every integer


def _start(year: int) -> int:
    """Microseconds since 1970 at which a year begins."""
    before = year - 1
    return (365 * before + before // 4 - before // 100 + before // 400 - 719_162) * 86_400_000_000


_YEAR = {year: _start(year) for year in (1, 1000, 9000, 10_000)}
_MISFITS = "__unread__"  # see ``contender.data.snapshot``
_MOST = 3.4e38  # models compute with 32 bits
_FEW = 10  # different values up to which whole numbers are no moments
_LOOK = 1_000  # distinct texts that decide whether all are looked at


def settle(table: pa.Table) -> tuple[pa.Table, dict[str, ColumnType], dict[str, str]]:
    """Find for each column how a run can use it.

    Returns:
        The table as a run has it, with the columns that it cannot use as they are; the types of columns that it has to
        read as another type, for ``data.columns``; and the columns that it cannot use, with the reason and the way back.
    """
    columns: dict[str, ColumnType] = {}
    unusable: dict[str, str] = {}
    for place, field in enumerate(table.schema):
        try:
            wanted, values = _as_a_run_reads(field.name, table.column(place))
            reason = odd_name(field.name) or _odd(field.name, values, wanted)
            table = table.set_column(place, field.name, values)
        except (DataRejected, pa.ArrowException, ValueError, OverflowError):
            wanted = None
            reason = f"is {field.type}, which no model can use; have it written as numbers, text or timestamps"
        if reason is not None:
            unusable[field.name] = reason
        elif wanted is not None:
            columns[field.name] = wanted
    return table, columns, unusable


def _as_a_run_reads(name: str, column: pa.ChunkedArray) -> tuple[ColumnType | None, pa.ChunkedArray]:
    """The type by which a run has to read a column, None for its own, and the column so."""
    wanted = _wanted(column)
    if wanted is not None:
        fitter = Fitter({name: wanted}, either=frozenset([name]))  # as the Parquet and SQL readers do
        pairs = [fitter.fit(name, chunk) for chunk in column.chunks]
        if all(misfits is None for _, misfits in pairs):
            return wanted, coerce(name, pa.chunked_array([values for values, _ in pairs]))[0]
    return None, coerce(name, column)[0]


def odd_name(name: str) -> str | None:
    """Why a column cannot be used for its name, or None."""
    if not name.strip():
        return "has no name; give it one in the source"
    if name.startswith(_MISFITS):
        return f"has a name that begins with {_MISFITS}, which is kept for cells that cannot be read; rename it in the source"
    return None


def epoch(column: pa.ChunkedArray) -> str | None:
    """Why whole numbers are left out that are moments of our years, counted since 1970; None where they are not."""
    numbers = pc.cast(pc.utf8_trim_whitespace(column), pa.int64()) if is_text(column.type) else column
    least, most = _ends(numbers)
    if least is None or most is None or pc.count_distinct(numbers).as_py() <= _FEW:
        return None
    return since_1970(least, most)


def _wanted(column: pa.ChunkedArray) -> ColumnType | None:
    """The type by which a run has to read a column, or None for its own."""
    kind = column.type
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        least, most = _ends(column)
        if least is None or most is None or -_EXACT <= least <= most <= _EXACT:
            return None
        return "text" if since_1970(least, most) is None else None
    if is_text(kind) and len(column) > column.null_count:
        return _text_means(column)
    return None


def _text_means(column: pa.ChunkedArray) -> ColumnType | None:
    """``timestamp`` for text in which every cell is an ISO 8601 moment, ``number`` where all are numbers and some have decimals."""
    text = column.cast(pa.string())
    if _kind(text[: 20 * _LOOK]) is None:
        return None
    return _kind(text)


def _kind(text: pa.ChunkedArray) -> ColumnType | None:
    cells = read_cells(text)
    if cells.missing:  # a run reads no spelling of a missing value here
        return None
    if cells.kind in ("timestamp", "timestamptz") and not cells.formats:
        return "timestamp"
    return "number" if cells.kind == "number" and cells.decimal == "." else None


def _odd(name: str, column: pa.ChunkedArray, wanted: ColumnType | None) -> str | None:
    """Why a column is left out for its values, or None."""
    if not is_text(column.type):
        return odd_values(column)
    names = (
        ID_NAME.search(name) or wanted == "text" or column.null_count == len(column)
    )  # the numbers of an id are names
    return None if names else _odd_text(column)


def odd_values(column: pa.ChunkedArray) -> str | None:
    """Why a column of numbers or timestamps is left out for its values, or None."""
    if pa.types.is_timestamp(column.type):
        return _odd_moments(column)
    if pa.types.is_integer(column.type):
        return epoch(column)
    if pa.types.is_floating(column.type):
        size = pc.abs(column)
        if pc.any(pc.and_(pc.is_finite(size), pc.greater(size, _MOST))).as_py():
            return "holds numbers beyond 3.4e38, which no model can use; mend them, and take it out of exclude"
    return None


def _odd_moments(column: pa.ChunkedArray) -> str | None:
    """Why timestamps are left out of which some cannot be real moments; None where all can, but for a few strays."""
    moments = column.cast(pa.timestamp("us", getattr(column.type, "tz", None))).cast(pa.int64())
    least, most = _ends(moments)
    if least is None or most is None:
        return None
    if least < _YEAR[1] or most >= _YEAR[10_000]:
        return "holds moments outside the years 1 to 9999; mend them, and take it out of exclude"
    never = pc.or_(pc.less(moments, _YEAR[1000]), pc.greater_equal(moments, _YEAR[9000]))
    count = pc.sum(never).as_py()
    if count > len(moments) // 1_000 + 1:
        return (
            f"is before the year 1000 or after 9000 in {count / len(moments):.1%} of the rows, which says never and not "
            "when; have those written as missing, and take it out of exclude"
        )
    return None


def _odd_text(column: pa.ChunkedArray) -> str | None:
    """Numbers as text that differ in nearly every row: else their reason would be that they are like an id."""
    sample = column.drop_null()[:_LOOK].cast(pa.string())
    if pc.count_distinct(sample).as_py() <= DISTINCT * len(sample):
        return None
    cells = pc.unique(sample).to_pylist()
    written = numbers_in(cells)
    if written is None:
        return None
    if written == Written():
        return "has whole numbers as text; to use them as numbers, put it under columns as number and take it out here"
    return written.reason or "has numbers as text with a unit or a sign between thousands; have it written as numbers"


def _ends(column: pa.ChunkedArray) -> tuple[int | None, int | None]:
    ends = pc.min_max(column)
    return ends["min"].as_py(), ends["max"].as_py()
