"""From a source's columns to the five types that Contender knows. A cell that does not fit is told apart, never lost.

What fits: an integer is a number, a number without a fraction is an integer, everything has a text, text that spells a
value is that value. What does not fit becomes null in the column, and is kept as it is written beside it.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from contender.data.columns import ColumnType
from contender.data.reading.fitting import ARROW as FITTED
from contender.data.reading.fitting import fit
from contender.errors import DataRejected

ARROW: dict[ColumnType, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "text": pa.large_string(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
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
    if wanted is None or wanted == kind:
        return _canonical(name, column, kind), None
    pairs = [fit(chunk, wanted) for chunk in column.chunks]
    values = _canonical(name, pa.chunked_array([value for value, _ in pairs], FITTED[wanted]), wanted)
    if all(odd is None for _, odd in pairs):
        return values, None
    odd = [pa.nulls(len(value), pa.string()) if odd is None else odd for value, odd in pairs]
    return values, pa.chunked_array(odd, pa.string()).cast(pa.large_string())


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
