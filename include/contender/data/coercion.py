"""From a source's columns to the five types that Contender knows. A cell that does not fit is told apart, never lost.

What fits: an integer is a number, a number without a fraction is an integer, everything has a text, text that spells a
value is that value. What does not fit becomes null in the column, and is kept as it is written beside it.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from contender.data.columns import ColumnType
from contender.errors import DataRejected

ARROW: dict[ColumnType, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "text": pa.large_string(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
}
_SPELLING: dict[ColumnType, str] = {
    "integer": r"^\s*[+-]?[0-9]{1,18}(\.0*)?\s*$",
    "number": r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$|^\s*([+-]?inf(inity)?|nan)\s*$",
    "boolean": r"^\s*(true|false)\s*$",
    "timestamp": r"^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?\s*$",
}


def kind_of(kind: pa.DataType) -> ColumnType:
    """What a column of an Arrow type holds.

    Raises:
        KeyError: nothing that a model can use.
    """
    if pa.types.is_dictionary(kind):
        return kind_of(kind.value_type)
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return "number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "timestamp"
    raise KeyError(kind)


def coerce(
    name: str, column: pa.ChunkedArray, wanted: ColumnType | None = None
) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """The column in canonical form, and the cells that do not fit as they are written (null elsewhere), if there are any.

    Args:
        wanted: what the contract says it holds; None takes what it is.

    Raises:
        DataRejected: it is of a type that no model can use, or of integers that do not fit into 64 bits.
    """
    try:
        kind = kind_of(column.type)
    except KeyError:
        msg = f"data.source: column {name!r} is {column.type}, which no model can use; put it under data.exclude"
        raise DataRejected(msg) from None
    if pa.types.is_null(column.type):
        return column.cast(ARROW[wanted or kind]), None
    canonical = _canonical(name, column, kind)
    if wanted is None or wanted == kind:
        return canonical, None
    return _converted(canonical, kind, wanted)


def _canonical(name: str, column: pa.ChunkedArray, kind: ColumnType) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return column.cast(pa.timestamp("us", tz="UTC"), safe=False).cast(pa.timestamp("us"))
    try:  # a decimal may be rounded, an integer must not wrap
        column = column.cast(ARROW[kind], safe=pa.types.is_integer(column.type))
    except pa.ArrowInvalid:
        msg = f"data.source: column {name!r} holds integers beyond 64 bits; use text, or put it under data.exclude"
        raise DataRejected(msg) from None
    return _one_spelling(column) if kind == "number" else column


def _one_spelling(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """One zero, and one way to be missing."""
    column = pc.add(column, 0.0)
    missing = pc.is_nan(column)
    if not pc.any(missing).as_py():
        return column
    return pc.if_else(missing, pa.scalar(None, pa.float64()), column)


def _converted(
    column: pa.ChunkedArray, kind: ColumnType, wanted: ColumnType
) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """A canonical column as another kind: first which cells can be, then those."""
    if wanted == "text":
        return column.cast(pa.large_string()), None
    if kind == "text":
        fits = pc.match_substring_regex(column, _SPELLING[wanted], ignore_case=True)
    elif (kind, wanted) in (("integer", "number"), ("boolean", "number"), ("boolean", "integer")):
        return _widened(column, wanted), None
    elif kind == "number" and wanted == "integer":
        whole = pc.equal(pc.floor(column), column)
        fits = pc.and_(whole, pc.less(pc.abs(column), 2.0**63))
    elif kind in ("integer", "number") and wanted == "boolean":
        fits = pc.or_(pc.equal(column, 0), pc.equal(column, 1))
    else:
        return pa.chunked_array([pa.nulls(len(column), ARROW[wanted])]), _written(column, pc.is_valid(column))
    value = pc.if_else(fits, column, pa.scalar(None, column.type))
    if kind == "text":
        value = pc.utf8_trim_whitespace(value)
        value = pc.replace_substring_regex(value, r"\.0*$", "") if wanted == "integer" else value
    if (kind, wanted) == ("text", "timestamp"):
        value, fits = _moments(value)
    else:
        value = value.cast(ARROW[wanted], safe=False)
    value = _one_spelling(value) if wanted == "number" else value
    return value, _written(column, pc.and_(pc.is_valid(column), pc.invert(pc.fill_null(fits, fill_value=False))))


def _written(column: pa.ChunkedArray, odd: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The odd cells as text."""
    return (
        pc.if_else(odd, column.cast(pa.large_string()), pa.scalar(None, pa.large_string()))
        if pc.any(odd).as_py()
        else None
    )


def _widened(column: pa.ChunkedArray, wanted: ColumnType) -> pa.ChunkedArray:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int64())
    return column.cast(ARROW[wanted], safe=False)


def _moments(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """ISO 8601 text as moments, and which cells name one that exists (Arrow refuses the whole column for a single 31/02)."""
    try:
        moments = column.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        import pandas as pd

        read = pd.to_datetime(column.to_pandas(), format="ISO8601", errors="coerce").astype("datetime64[us]")
        moments = pa.chunked_array([pa.Array.from_pandas(read, type=pa.timestamp("us"))])
    return moments, pc.is_valid(moments)


def spelled(name: str, wanted: ColumnType) -> str:
    """The reason that stands at a row whose cell does not fit."""
    article = "an" if wanted == "integer" else "" if wanted == "text" else "a"
    return re.sub(" +", " ", f"{name} is not {article} {wanted}")
