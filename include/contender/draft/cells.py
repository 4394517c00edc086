"""The type of one text column, from its cells: numbers, timestamps, booleans or text, and the spellings that mean missing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contender.spec.columns import CsvType

#: Words for a missing number or date, in lower case. In a text column they may be values (NA is North America).
WORDS = frozenset(
    [
        "na",
        "n/a",
        "#n/a",
        "n.a.",
        "nan",
        "null",
        "none",
        "nil",
        "nul",
        "-",
        "--",
        "---",
        ".",
        "?",
        "\\n",
        "missing",
        "unknown",
        "undefined",
        "#null!",
        "#value!",
        "#div/0!",
        "(null)",
        "<na>",
    ]
)
#: Numbers that often mean missing.
SENTINELS = frozenset(
    sign * value for value in (9.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0, 9999999.0) for sign in (1, -1)
)
_DOT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_COMMA = re.compile(r"[-+]?(\d+,?\d*|,\d+)([eE][-+]?\d+)?")
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
_ONE_GROUP = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
_INTEGER = re.compile(r"[-+]?\d{1,18}")
_LEADING_ZERO = re.compile(r"[-+]?0\d+")
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d(?::?\d\d(?::?\d\d(?:\.\d{1,9})?)?)?)?(Z|[+-]\d\d(?::?\d\d)?)?")
_DATE = re.compile(
    r"(?P<a>\d{1,4})(?P<sep>[/.\-])(?P<b>\d{1,2})(?P=sep)(?P<c>\d{4}|\d{2})"
    r"(?P<gap>[ T])?(?P<clock>\d{1,2}:\d{2}(?P<seconds>:\d{2})?)?(?P<half> ?[AaPp][Mm])?"
)
_COMPACT = re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")


@dataclass(frozen=True)
class Cells:
    """The type of one column and how its cells are written.

    Attributes:
        missing: the spellings that mean missing.
        decimal: the decimal sign of the numbers; None when they have none.
        formats: the timestamp formats that read every cell; empty for ISO 8601. More than one: it is open which.
        grouped: whether commas in the numbers may separate thousands.
    """

    kind: CsvType
    missing: tuple[str, ...] = ()
    decimal: Literal[".", ","] | None = None
    formats: tuple[str, ...] = ()
    grouped: bool = False


def read_cells(column: pa.ChunkedArray) -> Cells:
    """The type that every distinct cell has; text where they have none in common."""
    spellings = spellings_of(column)
    blank = tuple(sorted(one for one in spellings if not one.strip()))
    words = tuple(sorted(one for one in spellings if one.strip().lower() in WORDS))
    rest = {one.strip(): spellings[one] for one in spellings if one not in (*blank, *words)}
    if not rest:
        return Cells("text" if words else "number", blank)
    missing = tuple(sorted((*blank, *words)))
    odd = _few_words_among_numbers(rest)
    found = _numbers([one for one in rest if one not in odd], (*missing, *odd)) or _moments(list(rest), missing)
    if found is None and {one.lower() for one in rest} <= {"true", "false"}:
        found = (
            Cells("boolean", missing) if rest.keys() <= {"true", "True", "TRUE", "false", "False", "FALSE"} else None
        )
    return found or Cells("text", blank)


def compact_dates(column: pa.ChunkedArray) -> bool:
    """Whether all numbers of a column are dates written as 20240131."""
    return all(_COMPACT.fullmatch(one.strip()) for one in spellings_of(column) if one.strip())


def sentinels(spellings: Mapping[str, int], decimal: str) -> dict[float, tuple[str, ...]]:
    """Numbers such as -999 that occur at least three times and lie far outside all others, with their spellings.

    Args:
        spellings: the distinct cells of a column of numbers, with their counts.
    """
    values: dict[float, list[str]] = {}
    for one in spellings:
        values.setdefault(_float(one, decimal), []).append(one)
    others = np.array([value for value in values if np.isfinite(value) and value not in SENTINELS])
    if len(others) < 10:
        return {}
    low, high = float(others.min()), float(others.max())
    return {
        value: tuple(spelt)
        for value, spelt in sorted(values.items())
        if value in SENTINELS
        and sum(spellings[one] for one in spelt) >= 3
        and (low - value if value < low else value - high) > max(high - low, 1.0)
    }


def spellings_of(column: pa.ChunkedArray) -> dict[str, int]:
    """The distinct cells with their counts."""
    counted = pc.value_counts(column)
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def _float(cell: str, decimal: str) -> float:
    try:
        return float(cell.replace(decimal, "."))
    except ValueError:
        return float("nan")


def _few_words_among_numbers(rest: dict[str, int]) -> tuple[str, ...]:
    """The words in a column of numbers, which then mean missing: at most three, in fewer than half of the rows."""
    words = tuple(one for one in rest if re.fullmatch(r"[^\W\d]+[\w .\-]*", one) and not _DOT.fullmatch(one))
    numbers = [one for one in rest if one not in words]
    rare = sum(rest[one] for one in words) < 0.5 * sum(rest.values())
    return words if words and len(words) <= 3 and len(numbers) >= 20 and rare else ()


def _numbers(rest: list[str], missing: tuple[str, ...]) -> Cells | None:
    if any(_LEADING_ZERO.fullmatch(one) for one in rest) or any(len(one) > 18 and one.isdigit() for one in rest):
        return None  # 00123 and card numbers are ids, not amounts
    if all(_INTEGER.fullmatch(one) for one in rest):
        return Cells("integer", missing)
    if all(_DOT.fullmatch(one) for one in rest):
        return Cells("number", missing, ".")
    if all(_COMMA.fullmatch(one) for one in rest):
        with_comma = [one for one in rest if "," in one]
        return Cells("number", missing, ",", grouped=all(_ONE_GROUP.fullmatch(one) for one in with_comma))
    if all(_THOUSANDS.fullmatch(one) or _DOT.fullmatch(one) for one in rest):
        return Cells("text", missing, grouped=True)
    return None


def _moments(rest: list[str], missing: tuple[str, ...]) -> Cells | None:
    iso = [_ISO.fullmatch(one) for one in rest]
    if all(iso):
        zoned = {match[1] is not None for match in iso if match}
        kind: CsvType = "timestamptz" if zoned == {True} else "timestamp"
        cells = Cells(kind, missing)
        return cells if len(zoned) == 1 and _iso_moments(rest, kind) else None
    dates = [match for match in map(_DATE.fullmatch, rest) if match]
    if len(dates) < len(rest):
        return None
    shapes = {
        (m["sep"], m["gap"], m["clock"] is None, m["seconds"] is None, m["half"] is None, len(m["a"]) > 2, len(m["c"]))
        for m in dates
    }
    if len(shapes) > 1:
        return None
    [(sep, gap, no_clock, no_seconds, no_half, year_first, last)] = shapes
    year = "%Y" if last == 4 else "%y"
    orders = {"c": "%Y{0}%m{0}%d"} if year_first else {"a": f"%d{{0}}%m{{0}}{year}", "b": f"%m{{0}}%d{{0}}{year}"}
    clock = "" if no_clock else ("%I" if not no_half else "%H") + ":%M" + ("" if no_seconds else ":%S")
    half = "" if no_half else (" %p" if " " in (dates[0]["half"] or "") else "%p")
    formats = {day: order.format(sep) + (gap or "") + clock + half for day, order in orders.items()}
    fitting = tuple(form for day, form in formats.items() if _reads(rest, form, [int(match[day]) for match in dates]))
    return Cells("timestamp", missing, formats=fitting) if fitting else None


def _reads(rest: list[str], form: str, days: list[int]) -> bool:
    """Whether a format reads every cell as an existing day (Arrow reads February 31 as March 2)."""
    read = pc.strptime(pa.array(rest), form, "us", error_is_null=True)
    return bool(read.null_count == 0 and pc.day(read).to_pylist() == days)


def _iso_moments(rest: list[str], kind: CsvType) -> bool:
    """Whether all cells are existing moments; 0000-00-00 only looks like one."""
    wanted = pa.timestamp("us", tz="UTC") if kind == "timestamptz" else pa.timestamp("us")
    try:
        pa.array(rest).cast(wanted)
    except pa.ArrowInvalid:
        return False
    return True
