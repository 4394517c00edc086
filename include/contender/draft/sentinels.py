"""Numbers that mean missing, such as -999 or the -200 of a broken sensor: they repeat and lie far outside all others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from contender.draft.asking import Talk

_OTHERS = 10  # distinct values beside them, below which nothing is said
_AT_MOST = 3  # of them at each end
_NINES, _ANY = 3, 5  # rows of 9, 99, ... and of any other number, from which it repeats
_SURELY = 3.0  # ranges of the others between them and it, from which it is no highest value of a scale
_SPACINGS = 20  # distances between neighbours, from which a number is not one of them


def numeric_sentinels(counted: Mapping[str, Mapping[str, int]], rows: int, decimal: str, talk: Talk) -> set[str]:
    """The spellings of numbers that mean missing. Each is asked about; a number of another column it stays everywhere.

    Args:
        counted: the cells of each column of numbers, with their counts.
    """
    values = {name: _values(spellings, decimal) for name, spellings in counted.items()}
    found: dict[float, list[str]] = {}
    for name, counts in values.items():
        for value, surely in outlying(counts).items():
            question = f"{name!r} is {value:g} in {counts[value] / rows:.1%} of the rows, far from all others. Does it mean missing?"
            if talk.choose(question, ["yes", "no"], safer="yes" if surely else "no") == "yes":
                found[value] = [*found.get(value, []), name]
    missing: set[str] = set()
    for value, names in found.items():
        others = [name for name, counts in values.items() if value in counts and name not in names]
        alike = [name for name in others if stands_apart(value, values[name])]
        elsewhere = [name for name in others if name not in alike]
        if elsewhere:
            talk.say(f"{value:g} stays a number in {names}: in {elsewhere[:3]} it is one, and a file has one meaning")
            continue
        if alike:
            shares = ", ".join(f"{name} ({values[name][value] / rows:.1%})" for name in alike[:5])
            talk.say(f"{value:g} means missing also in {shares}{', ...' if alike[5:] else ''}")
        missing |= {cell for spellings in counted.values() for cell in spellings if _float(cell, decimal) == value}
    return missing


def in_typed_source(table: pa.Table) -> Iterator[str]:
    """The same numbers in a source that has types: nothing in the YAML makes them null, so the source must."""
    for name in table.column_names:
        column = table[name]
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            continue
        counted = pc.value_counts(column.drop_null().cast(pa.float64(), safe=False))
        counts = dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
        for value, surely in outlying(counts).items():
            if surely:
                yield (
                    f"{name!r} is {value:g} in {counts[value] / table.num_rows:.1%} of the rows, far from all others: if it means "
                    f"missing, have the source say null (in SQL nullif({name}, {value:g}))"
                )


def outlying(counts: Mapping[float, int]) -> dict[float, bool]:
    """The numbers that repeat and lie far outside all others, and whether each surely means missing.

    The highest number of a scale (a capital gain of 99999 and more) and a zero may well be amounts.
    """
    values = sorted(value for value in counts if math.isfinite(value))
    for ends in sorted(np.ndindex(_AT_MOST + 1, _AT_MOST + 1), key=lambda ends: (-sum(ends), ends)):
        below, rest, above = values[: ends[0]], values[ends[0] : len(values) - ends[1]], values[len(values) - ends[1] :]
        if len(rest) < _OTHERS or not all(_repeats(value, counts) for value in (*below, *above)):
            continue
        span = max(rest[-1] - rest[0], 1.0)
        gaps = [(value, rest[0] - max(below)) for value in below] + [(value, min(above) - rest[-1]) for value in above]
        if all(gap > span or _lone_negative(value, rest) for value, gap in gaps):
            return {value: value != 0 and (gap > _SURELY * span or value < 0 <= rest[0]) for value, gap in gaps}
    return {}


def stands_apart(value: float, counts: Mapping[float, int]) -> bool:
    """Whether a number that means missing elsewhere lies outside the others of a column, and is not their neighbour."""
    rest = sorted(other for other in counts if other != value and math.isfinite(other))
    if len(rest) < 2 or counts[value] < _NINES or rest[0] < value < rest[-1]:
        return False
    gap = rest[0] - value if value < rest[0] else value - rest[-1]
    return gap > _SPACINGS * float(np.median(np.diff(rest)))


def _lone_negative(value: float, rest: list[float]) -> bool:
    """Whether a number is negative though no other is, and is not their neighbour."""
    return value < 0 <= rest[0] and rest[0] - value > max(1.0, _SPACINGS * float(np.median(np.diff(rest))))


def _repeats(value: float, counts: Mapping[float, int]) -> bool:
    nines = value == int(value) and set(str(int(abs(value)))) == {"9"}
    return counts[value] >= (_NINES if nines else _ANY)


def _values(spellings: Mapping[str, int], decimal: str) -> dict[float, int]:
    counts: dict[float, int] = {}
    for cell, number in spellings.items():
        value = _float(cell, decimal)
        counts[value] = counts.get(value, 0) + number
    return counts


def _float(cell: str, decimal: str) -> float:
    try:
        return float(cell.replace(decimal, "."))
    except ValueError:
        return math.nan
