"""Numbers as people write them: ``1.234,56``, ``$1,234``, ``12 %``, ``12.3-``, ``5 kg``."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Collection

Decimal = Literal[".", ","]
Thousands = Literal[".", ",", " ", "'"]

_BLANKS = " \u00a0\u2009\u202f"
_CELL = re.compile(
    rf"(?P<sign>[-+\u2212]?)(?P<before>[^0-9\s.,+\-'()]{{0,4}})[{_BLANKS}]?(?P<inner>[-+]?)"
    rf"(?P<body>[0-9][0-9.,'\u2019{_BLANKS}]*(?<=[0-9])|[.,][0-9]+)[{_BLANKS}]?"
    r"(?P<after>[^0-9\s.,+\-'()_][^0-9\s.,+\-'()_]{0,11})?(?P<last>-?)"
)
_GROUPED = re.compile(
    rf"(?P<head>[1-9][0-9]{{0,2}})(?P<sign>[.,'\u2019{_BLANKS}])[0-9]{{3}}(?P<more>(?:(?P=sign)[0-9]{{3}})*)(?:(?P<decimal>[.,])[0-9]+)?"
)
_PLAIN = re.compile(r"(?:0|[1-9][0-9]*)?(?:(?P<decimal>[.,])[0-9]+)?")
_GROUPS = {**dict.fromkeys(_BLANKS, " "), "\u2019": "'"}
_UNITS = 3  # so many different units are named as the reason; with more the cells are texts that hold digits


@dataclass(frozen=True)
class Written:
    """How the numbers of a column are written.

    Attributes:
        decimal: the decimal sign; None when they have none.
        thousands: what stands between groups of three digits; None when they have none.
        open: a sign of which it is open whether it is the decimal sign or stands between groups: 6.684 beside 713.
        units: what stands before or after each number, such as $ or kg.
        reason: why they cannot be read as numbers, or None.
    """

    decimal: Decimal | None = None
    thousands: Thousands | None = None
    open: Decimal | None = None
    units: tuple[str, ...] = ()
    reason: str | None = None


def numbers_in(cells: Collection[str]) -> Written | None:
    """How the numbers of a column are written; None when a cell is no number, or one of them is a name, such as 00123."""
    found = [_CELL.fullmatch(cell.strip()) for cell in cells]
    matches = [match for match in found if match is not None]
    if not matches or len(matches) < len(found):
        return None
    units = {unit for match in matches for unit in _units(match)}
    if len(units) > _UNITS or not all(_is_currency(match["before"]) for match in matches if match["before"]):
        return None
    settled = _convention([match["body"] for match in matches])
    if settled is None or settled.reason:
        return settled
    if len(units) > 1:
        return Written(reason="has numbers with different units; convert them to one")
    if units and not all(tuple(_units(match)) for match in matches if match["body"].strip("0.,")):
        return Written(reason="has numbers with and without a unit; write all of them without")
    return Written(settled.decimal, settled.thousands, settled.open, tuple(sorted(units)))


def _units(match: re.Match[str]) -> list[str]:
    return [unit for unit in (match["before"], match["after"]) if unit]


def _is_currency(text: str) -> bool:
    return any(unicodedata.category(sign) == "Sc" for sign in text) or bool(re.fullmatch("[A-Z]{3}", text))


def _convention(bodies: list[str]) -> Written | None:
    """The decimal sign and what stands between groups of three digits, from all digits of a column."""
    decimals: set[Any] = set()
    groups: set[Any] = set()
    maybe: set[Any] = set()
    for body in bodies:
        grouped = _GROUPED.fullmatch(body)
        plain = _PLAIN.fullmatch(body)
        if grouped is not None and plain is not None and not grouped["more"]:  # 1.234
            maybe.add(grouped["sign"])
        elif grouped is not None:
            groups.add(_GROUPS.get(grouped["sign"], grouped["sign"]))
            decimals.add(grouped["decimal"])
        elif plain is not None:
            decimals.add(plain["decimal"])
        else:
            return None
    decimals.discard(None)
    maybe -= decimals | groups
    if maybe and decimals:  # 1.234 beside 0,5
        groups, maybe = groups | maybe, set()
    if maybe and (groups or any(body.isdigit() and len(body) > 3 for body in bodies)):
        decimals, maybe = maybe, set()  # beside 12'345, or beside 1500, which would be grouped
    if max(map(len, (decimals, groups, maybe))) > 1 or decimals & groups:
        return Written(reason="writes its numbers in more than one way; write all of them alike")
    decimal, group, either = (next(iter(signs), None) for signs in (decimals, groups, maybe))
    return Written(decimal, group, either)
