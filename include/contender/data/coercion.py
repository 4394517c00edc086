"""From a source's Arrow columns to the five column types of Contender.

An integer fits a number column, a whole number fits an integer column, every value fits text, and text fits where it
spells a value. A cell that does not fit becomes null in the column and is kept as it is written in a second column.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from contender.data.reading.fitting import ARROW as FITTED
from contender.data.reading.fitting import check_exact, fit, is_text, spelt, unwrapped
from contender.errors import DataRejected
from contender.spec.columns import ColumnType

ARROW: dict[ColumnType, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "text": pa.large_string(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
}


def kind_of(kind: pa.DataType) -> ColumnType:
    """The column type of an Arrow type.

    Raises:
        KeyError: it has none, because no model can use such a column.
    """
    if pa.types.is_dictionary(kind):
        return kind_of(kind.value_type)
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return "number"
    if is_text(kind):
        return "text"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "timestamp"
    raise KeyError(kind)


def coerce(
    name: str, column: pa.ChunkedArray, wanted: ColumnType | None = None, *, identity: bool = False
) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """The column in canonical form, and the cells that do not fit as they are written (null elsewhere); None without any.

    Args:
        wanted: the contract's type; None: the column's own.
        identity: whether its values name entities. They stay exact: decimals and unsigned integers become text, spelt as
            the same number of another type is.

    Raises:
        DataRejected: no model can use its type, it has integers beyond 64 bits, or it names entities by numbers of
            which one may stand for several.
    """
    try:
        kind = kind_of(column.type)
    except KeyError:
        msg = f"data.source: column {name!r} is {column.type}, which no model can use; put it under data.exclude"
        raise DataRejected(msg) from None
    if pa.types.is_null(column.type):
        return column.cast(ARROW[wanted or kind]), None
    if identity:
        wanted = wanted or ("text" if _is_wide(column.type) else None)
        check_exact(name, column)
        if wanted == "text":
            column = pa.chunked_array([spelt(unwrapped(chunk)) for chunk in column.chunks], pa.string())
        values, odd = coerce(name, column, wanted)
        check_exact(name, values)
        return values, odd
    wanted = wanted or kind
    if wanted == kind != "timestamp":
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
    try:  # a decimal may be rounded, an integer must not wrap
        column = column.cast(ARROW[kind], safe=pa.types.is_integer(column.type))
    except pa.ArrowInvalid:
        msg = f"data.source: column {name!r} holds integers beyond 64 bits; declare it as text under data.columns, or put it under data.exclude"
        raise DataRejected(msg) from None
    return _one_zero_one_null(column) if kind == "number" else column


def _is_wide(kind: pa.DataType) -> bool:
    """Whether numbers of the type may not fit 64 bits."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_decimal(kind) or pa.types.is_uint64(kind))


def _one_zero_one_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """-0.0 as 0.0 and NaN as null, so that equal numbers have equal bytes."""
    column = pc.add(column, 0.0)  # -0.0 + 0.0 is 0.0
    missing = pc.is_nan(column)
    if not pc.any(missing).as_py():
        return column
    return pc.if_else(missing, pa.scalar(None, pa.float64()), column)
