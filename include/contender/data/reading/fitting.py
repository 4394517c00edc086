"""Casting columns: the values of the wanted type, and apart from them the cells that do not fit it.

Arrow casts a column as a whole and refuses it as a whole. Only where it refuses are cells cast one by one. What a cell
becomes never depends on its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contender.data.reading.numbers import plain
from contender.data.reading.request import Window
from contender.errors import DataRejected
from contender.spec.columns import CsvType

ARROW: Mapping[CsvType, pa.DataType] = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "text": pa.string(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}
EXACT = 2.0**53  # beyond it a float cannot hold every integer
_ZONED = re.compile(r".*:\d\d(\.\d+)?\s*(Z|[+-]\d\d(:?\d\d)?)\s*")
# Cells that do not look like their type become null without a try ({} is the decimal sign); the others are cast.
_NUMBER = r"[-+]?[0-9{0}]+(e[-+]?[0-9]+)?|[-+]?(inf|nan).*"
_HEX = r"(?i)^[-+]?0x"  # Arrow reads it as an integer
_FINER = r"(\.\d{6})\d{1,3}"  # nanoseconds are cut off
# How many of a unit's ticks are a microsecond's 64 bits; what is beyond would wrap to another year without a word.
_TICKS = {"s": 10**6, "ms": 10**3, "date32[day]": 86_400 * 10**6, "date64[ms]": 10**3}
# Two-digit years are read as 1969 to 2068, as POSIX has it. Those from here on may as well be of the century before.
_OPEN_CENTURY = 2030
_LOOKS: Mapping[CsvType, str] = {
    "number": _NUMBER,
    "integer": _NUMBER,
    "boolean": "[01]|true|false",
    "timestamp": r"\d\d\d\d-\d\d-\d\d.*",
    "timestamptz": r"\d\d\d\d-\d\d-\d\d.*",
}
_NAME_NOT_AMOUNT = r"^\s*[-+]?(0[0-9xX]\S*|\d{19,})\s*$"  # 00123 and card numbers: an id, not an amount


@dataclass(frozen=True)
class Spelling:
    """How numbers and timestamps are written.

    Attributes:
        timestamp_format: None is ISO 8601.
        first_year: the first of the hundred years that two-digit years mean; None: 1969 to 2029, and no others.
        thousands: what stands between groups of three digits.
        units: what may stand before or after a number.
    """

    decimal: str = "."
    timestamp_format: str | None = None
    first_year: int | None = None
    thousands: str | None = None
    units: tuple[str, ...] = ()


PLAIN = Spelling()


class Fitter:
    """Casts the columns of one file, batch by batch.

    Args:
        kinds: the columns' types; a column that is not named stays as it is.
        either: timestamps that may or may not be written with a time zone. The file's first cell decides for the file;
            in the table they are UTC without a zone, because files may differ.
        identity: the column that names entities: equal numbers are spelt alike, floats that stand for several are refused.
    """

    def __init__(
        self,
        kinds: Mapping[str, CsvType],
        spelling: Spelling = PLAIN,
        either: frozenset[str] = frozenset(),
        identity: str | None = None,
    ) -> None:
        self._kinds, self._identity = dict(kinds), identity
        self._spelling = spelling
        self._either, self._open = either, set(either)

    def fit_all(self, columns: Mapping[str, pa.Array], where: str) -> tuple[dict[str, pa.Array], dict[str, pa.Array]]:
        """A batch's columns cast, and those of cells that do not fit.

        Raises:
            DataRejected: a column's type cannot be cast at all, such as a list; with ``where``.
        """
        fitted, unread = {}, {}
        for name, column in columns.items():
            try:
                fitted[name], misfits = self.fit(name, column)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                msg = f"data.source: column {name!r} of {where} is {column.type}, expected {self._kinds.get(name)}; "
                raise DataRejected(msg + "have it written so, or put it under data.exclude") from None
            if misfits is not None:
                unread[name] = misfits
        return fitted, unread

    def fit(self, name: str, column: pa.Array) -> tuple[pa.Array, pa.Array | None]:
        """See the function ``fit``."""
        column = unwrapped(column)
        kind = self._kinds.get(name)
        if name == self._identity:
            check_exact(name, column)
            column = spelt(column) if kind == "text" else column
        if kind is None:
            return column, None
        if name in self._open and is_text(column.type) and column.null_count < len(column):
            self._open.remove(name)
            if _ZONED.fullmatch(column.drop_null()[0].as_py()):
                kind = self._kinds[name] = "timestamptz"
        values, misfits = fit(column, kind, self._spelling)
        return values.cast(ARROW["timestamp"]) if name in self._either and kind == "timestamptz" else values, misfits


def fit(column: pa.Array, kind: CsvType, spelling: Spelling = PLAIN) -> tuple[pa.Array, pa.Array | None]:
    """A column cast to a type, null where a cell does not fit; and those cells as text (null elsewhere), or None.

    Raises:
        pa.ArrowNotImplementedError: the column's type cannot be cast at all, such as a list.
    """
    column = unwrapped(column)
    narrow = pa.types.is_float32(column.type) or pa.types.is_float16(column.type)  # as text they would be rounded
    if (narrow and kind != "text") or (pa.types.is_decimal(column.type) and kind == "boolean"):
        column = column.cast(pa.float64())
    if pa.types.is_floating(column.type) and kind != "number":  # pandas writes a missing integer as NaN
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if is_text(column.type) and pa.types.is_timestamp(ARROW[kind]) and spelling.timestamp_format is not None:
        text = column.cast(pa.string())
        values = _by_format(pc.utf8_trim_whitespace(text), ARROW[kind], spelling.timestamp_format)
        if "%y" in re.findall("%.", spelling.timestamp_format):
            values = _in_century(values, spelling.first_year)
    else:
        values = _as_a_whole(column, kind, spelling)
        if values is not None and values.null_count == column.null_count:
            return values, None
        text = column.cast(pa.string())
        if values is None:
            values = _cell_by_cell(pc.utf8_trim_whitespace(text), kind, spelling)
    misfit = pc.and_(pc.is_valid(text), pc.is_null(values))
    if not pc.any(misfit).as_py():
        return values, None
    return values, pc.if_else(misfit, text, pa.scalar(None, pa.string()))


def possible(cells: pa.Array, among: Iterable[CsvType], spelling: Spelling) -> list[CsvType]:
    """The types that every cell of a text column fits."""
    among = [kind for kind in among if kind != "text"]
    if among and pc.any(pc.match_substring_regex(cells, _NAME_NOT_AMOUNT)).as_py():
        among = [kind for kind in among if kind not in ("integer", "number", "boolean")]
    return [*(kind for kind in among if _reads_all(cells, kind, spelling)), "text"]


#: The order in which types are tried on an undeclared column: it gets the first that every cell fits.
LADDER: tuple[CsvType, ...] = ("integer", "number", "boolean", "timestamp", "timestamptz", "text")
assert set(LADDER) == set(get_args(CsvType))  # noqa: S101 - a new type needs a place on the ladder


def is_text(kind: pa.DataType) -> bool:
    """Whether cells of the type are text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def unwrapped(column: pa.Array) -> pa.Array:
    """The values of a dictionary or of an extension type; a UUID is its text in lower case, ``123e4567-e89b-...``."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not isinstance(column.type, pa.BaseExtensionType):
        return column
    stored = column.storage
    if not isinstance(column.type, pa.UuidType):
        return stored.cast(pa.bool_()) if isinstance(column.type, pa.Bool8Type) else stored
    digits = stored.fill_null(bytes(16)).cast(pa.binary()).to_numpy(zero_copy_only=False)
    text = np.frombuffer(b"".join(digits).hex().encode(), dtype=np.uint8).reshape(-1, 32)
    dashed = np.insert(text, [8, 12, 16, 20], ord("-"), axis=1).view("S36").ravel()
    return pc.if_else(stored.is_valid(), pa.array(dashed, pa.binary()).cast(pa.string()), pa.scalar(None, pa.string()))


def spelt(column: pa.Array) -> pa.Array:
    """Ids as text. Equal numbers have one spelling, whatever type holds them: the decimal 12.00 and the float 12.0 are 12."""
    text = column.cast(pa.string())
    if pa.types.is_decimal(column.type):
        small = pc.match_substring(text, "E")  # Arrow writes small decimals and those of a negative scale so
        if pc.any(small).as_py():
            cells = (None if cell is None else format(Decimal(cell), "f") for cell in text.to_pylist())
            text = pa.array(cells, pa.string())
        return shortened(text)
    if pa.types.is_floating(column.type):
        column = column.cast(pa.float32()) if pa.types.is_float16(column.type) else column
        whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), EXACT))
        number = pc.if_else(whole, column, pa.scalar(None, column.type)).cast(pa.float64()).cast(pa.int64())
        known = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.string()), text)
        return pc.coalesce(number.cast(pa.string()), known)
    return text


def shortened(numbers: pa.Array) -> pa.Array:
    """Numbers in digits without the zeros behind their decimal point."""
    cut = pc.replace_substring_regex(numbers, r"(\.[0-9]*?)0+$", r"\1")
    return pc.replace_substring_regex(cut, r"\.$|^-(0)\.?$", r"\1")


def check_exact(name: str, ids: pa.Array | pa.ChunkedArray) -> None:
    """Check that no id is a float so large that it stands for several whole numbers.

    Raises:
        DataRejected: one is.
    """
    ends = pc.min_max(ids).as_py().values() if pa.types.is_floating(ids.type) else ()
    if any(end is not None and abs(end) >= EXACT for end in ends):
        msg = (
            f"data.id: column {name!r} is read as floats, of which some are 2**53 or more; there one float stands for "
            f"several ids. Have it written as integers or text; if it is, declare data.columns: {{{name}: text}}"
        )
        raise DataRejected(msg)


def within(moments: pa.Array | pa.ChunkedArray, window: Window) -> pa.Array | pa.ChunkedArray:
    """A mask of the timestamps (UTC, with or without a zone) in the window; null where a timestamp is null."""
    bounds = (moment if moments.type.tz else moment.replace(tzinfo=None) for moment in (window.start, window.end))
    start, end = (pa.scalar(bound, pa.timestamp("us", tz=moments.type.tz)) for bound in bounds)
    return pc.and_(pc.greater_equal(moments, start), pc.less(moments, end))


def _as_a_whole(column: pa.Array, kind: CsvType, spelling: Spelling) -> pa.Array | None:
    """The column by Arrow's own cast; None where it refuses a cell or would lose something. A moment that is too far is null."""
    wanted, given = ARROW[kind], column.type
    if given == wanted or pa.types.is_null(given) or kind == "text":
        return column.cast(wanted)
    try:
        if is_text(given):
            return _read(column.cast(pa.string()), kind, spelling)
        if pa.types.is_timestamp(given) or pa.types.is_date(given):
            return _moments(column, wanted) if pa.types.is_timestamp(wanted) else None
        return _numbers(column, kind)
    except pa.ArrowInvalid:
        return None


def _reads_all(cells: pa.Array, kind: CsvType, spelling: Spelling) -> bool:
    """Whether Arrow's reader takes every cell. Unlike ``fit`` it takes no 5.0 for an integer."""
    if kind in ("timestamp", "timestamptz"):
        return fit(cells, kind, spelling)[1] is None
    try:
        _read(pc.utf8_trim_whitespace(cells), kind, spelling)
    except pa.ArrowInvalid:
        return False
    return True


def _moments(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Dates and timestamps in microseconds, UTC; null where microseconds cannot count as far."""
    ticks = _TICKS.get(getattr(column.type, "unit", None) or str(column.type))
    if ticks is not None:
        count = column.cast(pa.int32()).cast(pa.int64()) if pa.types.is_date32(column.type) else column.cast(pa.int64())
        most = (2**63 - 1) // ticks
        near = pc.and_(pc.less_equal(count, most), pc.greater_equal(count, -most))
        column = pc.if_else(near, column, pa.scalar(None, column.type))
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":  # nanoseconds are cut off
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    if getattr(column.type, "tz", None) is not None:
        column = column.cast(pa.timestamp("us", tz="UTC"))
    return column.cast(pa.timestamp("us")).cast(wanted)


def _numbers(column: pa.Array, kind: CsvType) -> pa.Array | None:
    """Numbers and booleans cast to one another; None where a value does not fit exactly."""
    given = column.type
    if not (
        pa.types.is_integer(given)
        or pa.types.is_floating(given)
        or pa.types.is_decimal(given)
        or pa.types.is_boolean(given)
    ):
        return None
    if kind == "number":
        return column.cast(pa.float64(), safe=False)  # an integer or a decimal may be rounded
    if kind == "integer":
        inexact = pa.types.is_floating(given) and pc.any(pc.greater_equal(pc.abs(column), EXACT)).as_py()
        return None if inexact else column.cast(pa.int64())
    if kind == "boolean" and pc.all(pc.is_in(column.drop_null(), pa.array([0, 1]).cast(given))).as_py():
        return column.cast(pa.bool_())
    return None


def _read(text: pa.Array, kind: CsvType, spelling: Spelling) -> pa.Array:
    """Text cast by Arrow.

    Raises:
        pa.ArrowInvalid: a cell does not fit.
    """
    if kind == "number" and spelling.decimal != ".":
        if pc.any(pc.match_substring(text, ".")).as_py():
            raise pa.ArrowInvalid("another decimal sign")
        text = pc.replace_substring(text, spelling.decimal, ".")
    if kind == "integer" and pc.any(pc.match_substring_regex(text, _HEX)).as_py():
        raise pa.ArrowInvalid("hexadecimal")
    return text.cast(ARROW[kind])


def _cell_by_cell(text: pa.Array, kind: CsvType, spelling: Spelling) -> pa.Array:
    """Text cast to a type, null where a cell does not fit. Each distinct cell is cast once."""
    encoded = text.dictionary_encode()
    cells = encoded.dictionary
    if kind == "number":
        cells = plain(cells, spelling.decimal, spelling.thousands, spelling.units)
    looks = pc.match_substring_regex(cells, f"(?is)^({_LOOKS[kind].format(spelling.decimal)})$")
    cells = pc.if_else(looks, cells, pa.scalar(None, pa.string()))
    values = _sift(cells, lambda part: _read(part, kind, spelling))
    rest = pc.if_else(pc.is_null(values), cells, pa.scalar(None, pa.string()))
    if kind == "integer":  # 5.0 and +5: pandas writes integers so when some are missing
        values = pc.coalesce(values, _sift(shortened(rest), lambda part: _read(part, kind, spelling)))
        numbers = _sift(rest, lambda part: _read(part, "number", spelling))
        whole = pc.and_(pc.equal(pc.floor(numbers), numbers), pc.less(pc.abs(numbers), EXACT))
        values = pc.coalesce(values, pc.if_else(whole, numbers, pa.scalar(None, pa.float64())).cast(pa.int64()))
    elif kind in ("timestamp", "timestamptz"):
        rest = pc.replace_substring_regex(rest, _FINER, r"\1")
        values = pc.coalesce(values, _sift(rest, lambda part: _read(part, kind, spelling)))
    return values.take(encoded.indices)


def _sift(cells: pa.Array, read: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """``read`` of the cells, null where it refuses one. It refuses a whole array, so the array is halved until it is one cell."""
    try:
        return read(cells)
    except pa.ArrowInvalid:
        if len(cells) == 1:
            return read(pa.nulls(1, cells.type))
        half = len(cells) // 2
        return pa.concat_arrays([_sift(cells[:half], read), _sift(cells[half:], read)])


def _by_format(text: pa.Array, wanted: pa.DataType, form: str) -> pa.Array:
    """Timestamps written in a format, null where a cell is none.

    Arrow reads 31/02 as March 2, 23:59:60 as the next day and the year 24 as 0024. Results that may have come about
    so are read again by Python's strptime, which refuses them.
    """
    read = pc.strptime(text, form, "us", error_is_null=True).cast(wanted)
    if "%z" in form:
        odd = pc.is_valid(read)
    else:
        # A day that its month does not have became one of the first three of a month after a shorter one.
        odd = pc.and_(pc.less_equal(pc.day(read), 3), pc.is_in(pc.month(read), pa.array([3, 5, 7, 10, 12])))
        odd = pc.or_(odd, pc.less(pc.year(read), 1000))
        odd = pc.or_(odd, pc.match_substring(text, "60"))
    none = [cell for cell in pc.unique(text.filter(odd)).to_pylist() if cell is not None and not _exists(cell, form)]
    return pc.if_else(pc.is_in(text, pa.array(none, pa.string())), pa.scalar(None, wanted), read) if none else read


def _in_century(moments: pa.Array, first_year: int | None) -> pa.Array:
    """Moments of two-digit years, which Arrow reads as 1969 to 2068, in the hundred years from ``first_year``.

    Null where that century has no such day (February 29), and without ``first_year`` where the century is open: 45 is
    1945 for a birthday and 2045 for a contract's end.
    """
    year = pc.year(moments)
    if first_year is None:
        return pc.if_else(pc.less(year, _OPEN_CENTURY), moments, pa.scalar(None, moments.type))
    year = year.fill_null(first_year).to_numpy(zero_copy_only=False)
    counted = moments.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).astype("M8[us]")
    month = counted.astype("M8[M]")
    moved = month + 12 * (first_year + (year - first_year) % 100 - year)
    there = moved.astype("M8[us]") + (counted - month.astype("M8[us]"))
    exists = pa.array(there.astype("M8[M]") == moved)
    kept = pc.and_(exists, pc.is_valid(moments))
    return pc.if_else(kept, pa.array(there.astype("int64")).cast(moments.type), pa.scalar(None, moments.type))


def _exists(cell: str, form: str) -> bool:
    try:
        datetime.strptime(cell, form)  # noqa: DTZ007 - only whether it can be read matters
    except ValueError:
        return False
    return True
