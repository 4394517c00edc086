"""Numbers as people write them, made into those that Arrow reads: ``1.234,56 kg`` and ``12.3-``."""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

#: What may stand between groups of three digits, as the YAML names it, and all signs that it stands for.
GROUPS: Final = {".": ".", ",": ",", " ": " \u00a0\u2009\u202f", "'": "'\u2019"}
_BLANKS = r"[ \x{a0}\x{2009}\x{202f}]*"


def plain(cells: pa.Array, decimal: str, thousands: str | None, units: tuple[str, ...]) -> pa.Array:
    """Cells of text without units and without signs between groups of three digits, a minus behind them put before.

    A cell that is no such number stays as it is.
    """
    decimal = re.escape(decimal)
    minus = pc.replace_substring_regex(cells, "^[\u2212]", "-")
    if units:
        one = "|".join(re.escape(unit) for unit in sorted(units, key=len, reverse=True))
        minus = pc.replace_substring_regex(minus, rf"^([-+]?)(?:{one}){_BLANKS}([-+]?[0-9{decimal}])", r"\1\2")
        minus = pc.replace_substring_regex(minus, rf"([0-9]){_BLANKS}(?:{one})(-?)$", r"\1\2")
    minus = pc.replace_substring_regex(minus, rf"^([0-9].*[0-9]|[0-9]){_BLANKS}-$", r"-\1")
    if thousands is None:
        return minus
    sign = f"[{re.escape(GROUPS[thousands])}]"
    grouped = pc.match_substring_regex(minus, rf"^[-+]?[0-9]{{1,3}}({sign}[0-9]{{3}})+({decimal}[0-9]*)?$")
    return pc.if_else(grouped, pc.replace_substring_regex(minus, sign, ""), minus)
