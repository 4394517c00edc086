"""The type of one text column, from its cells: numbers, timestamps, booleans or text, and the spellings that mean missing."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from contender.draft.written import numbers_in

if TYPE_CHECKING:
    from contender.draft.written import Decimal, Thousands
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
_DOT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[-+]?(\d+,?\d*|,\d+)([eE][-+]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[-+]?[0-9]{1,4000}")
_LEADING_ZERO = re.compile(r"[-+]?0\d+", re.ASCII)
_EXACT = 1 << 53  # larger integers are names: a float, by which models compute, cannot hold each of them
_CLOCK = re.compile(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?", re.ASCII)
_LIKE_A_DATE = re.compile(r"\d{1,4}[/.\-]\d{1,2}[/.\-]\d{1,4}(\D.*)?", re.ASCII)
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d(?::?\d\d(?::?\d\d(?:\.\d{1,9})?)?)?)?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII)
_DATE = re.compile(
    r"(?P<a>\d{1,4})(?P<sep>[/.\-])(?P<b>\d{1,2})(?P=sep)(?P<c>\d{4}|\d{2})"
    r"(?P<gap>[ T])?(?P<clock>\d{1,2}:\d{2}(?P<seconds>:\d{2})?)?(?P<half> ?[AaPp][Mm])?",
    re.ASCII,
)
_COMPACT = re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", re.ASCII)
_UNITS = {
    "seconds": (1.2e9, 2.2e9),
    "milliseconds": (1.2e12, 2.2e12),
    "microseconds": (1.2e15, 2.2e15),
    "nanoseconds": (1.2e18, 2.2e18),
}  # of 2008 to 2039, since 1970


@dataclass(frozen=True)
class Cells:
    """The type of one column and how its cells are written.

    Attributes:
        missing: the spellings that mean missing.
        decimal: the decimal sign of the numbers; None when they have none.
        thousands: what stands between groups of three digits; None when they have none.
        units: what stands before or after each number.
        formats: the timestamp formats that read every cell; empty for ISO 8601. More than one: it is open which.
        grouped: the sign of which it is open whether it is the decimal sign or stands between groups of digits.
        words: those of ``missing`` that are no known words for it; a share of the rows has them.
        why: why a column of text is no column of numbers or moments, although its cells look like it.
    """

    kind: CsvType
    missing: tuple[str, ...] = ()
    decimal: Decimal | None = None
    thousands: Thousands | None = None
    units: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    grouped: Decimal | None = None
    words: tuple[str, ...] = ()
    why: str | None = None


def read_cells(column: pa.ChunkedArray) -> Cells:
    """The type that every distinct cell has; text where they have none in common."""
    spellings = spellings_of(column)
    spellings.pop(None, None)  # type: ignore[call-overload] # a missing cell of a source that has types
    blank = tuple(sorted(one for one in spellings if not one.strip()))
    words = tuple(sorted(one for one in spellings if one.strip().lower() in WORDS))
    rest = {one.strip(): spellings[one] for one in spellings if one not in (*blank, *words)}
    if not rest:
        return Cells("text" if words else "number", blank)
    missing = tuple(sorted((*blank, *words)))
    odd = _few_words_among_numbers(rest) or _first_row_of_units(column, rest)
    amounts = _numbers([one for one in rest if one not in odd])
    if amounts is not None and amounts.why is None:
        return replace(amounts, missing=(*missing, *odd), words=odd)
    found = _moments(list(rest), missing)
    if found is None and {one.lower() for one in rest} <= {"true", "false"}:
        found = (
            Cells("boolean", missing) if rest.keys() <= {"true", "True", "TRUE", "false", "False", "FALSE"} else None
        )
    return found or Cells("text", blank, why=amounts.why if amounts else _almost(rest))


def since_1970(least: int, most: int) -> str | None:
    """Why whole numbers are left out that are moments of our years, counted since 1970; None where they are not."""
    unit = next((unit for unit, (first, last) in _UNITS.items() if first <= least < most < last), None)
    if unit is None:
        return None
    return (
        f"counts {unit} since 1970, which a run reads as a number and not as a time; have it written as ISO 8601, then "
        "--time can name it; or take it out of exclude to use the number"
    )


def compact_dates(column: pa.ChunkedArray) -> bool:
    """Whether all numbers of a column are dates written as 20240131."""
    return all(_COMPACT.fullmatch(one.strip()) for one in spellings_of(column) if one.strip())


def spellings_of(column: pa.ChunkedArray) -> dict[str, int]:
    """The distinct cells with their counts."""
    counted = pc.value_counts(column)
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def _few_words_among_numbers(rest: dict[str, int]) -> tuple[str, ...]:
    """The words in a column of numbers, which then mean missing: at most three, in fewer than half of the rows."""
    words = tuple(one for one in rest if re.fullmatch(r"[^\W\d]+[\w .\-]*", one) and not _DOT.fullmatch(one))
    numbers = [one for one in rest if one not in words]
    rare = sum(rest[one] for one in words) < 0.5 * sum(rest.values())
    return words if words and len(words) <= 3 and len(numbers) >= 20 and rare else ()


def _first_row_of_units(column: pa.ChunkedArray, rest: dict[str, int]) -> tuple[str, ...]:
    """The first cell, where it is the only one that is no number: a row of units stands below the header."""
    first = (column[0].as_py() or "").strip()
    alone = rest.get(first) == 1 and len(rest) > 3 and numbers_in([first]) is None
    return (first,) if alone and not re.search(r"\d", first) else ()


def _numbers(rest: list[str]) -> Cells | None:
    if not rest or any(_LEADING_ZERO.fullmatch(one) for one in rest):
        return None  # 00123 is a name, not an amount
    whole = [int(one) for one in rest if _WHOLE.fullmatch(one)]
    if whole and max(map(abs, whole)) > _EXACT:  # and so is the number of a card
        return Cells("text", why=since_1970(min(whole), max(whole)) if len(whole) == len(rest) else None)
    if len(whole) == len(rest):
        return Cells("integer")
    written = numbers_in(rest)
    if written is None:  # 1e5
        signs: tuple[tuple[Decimal, re.Pattern[str]], ...] = ((".", _DOT), (",", _COMMA))
        decimal = next((sign for sign, pattern in signs if all(pattern.fullmatch(one) for one in rest)), None)
        return None if decimal is None else Cells("number", decimal=decimal)
    if written.reason is not None:
        return Cells("text", why=written.reason)
    return Cells("number", (), written.decimal or written.open, written.thousands, written.units, grouped=written.open)


def _almost(rest: dict[str, int]) -> str | None:
    """Why cells that look like moments are none, or None where they do not look so."""
    if all(_CLOCK.fullmatch(one) for one in rest):
        return "holds times of a day without their day, which a run reads as text; write them with their day, or as minutes"
    if all(_LIKE_A_DATE.fullmatch(one) for one in rest):
        return (
            "holds dates that are written in more than one way or that do not exist, such as February 31 or the hour 24; "
            "write all of them as 2026-01-31 00:00"
        )
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
