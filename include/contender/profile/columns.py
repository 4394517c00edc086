"""How the values of one column differ between two snapshots, in words. ``distance`` says what is more than chance."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from contender.documents.change import Change
from contender.documents.columns import LEVELS, ColumnStatistics
from contender.errors import one_line
from contender.profile.distance import (
    SHIFT,
    SIGMAS,
    distance,
    distance_by_chance,
    noise,
    outside,
    share_shift,
    surprising,
    variation,
)
from contender.profile.statistics import COUNTED, SAMPLE
from contender.spec.columns import ColumnType
from contender.words import percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contender.profile.distance import Share

NUMBERS = {"integer", "number"}
_NAMED = 3  # categories that a change names
_BREAK = 5.0  # times: no column grows so much between two runs and keeps the shape of its distribution
_DECIMALS = 0.06  # least shift of the share with decimals: from 97 % to 89 %
_DAY = 86_400.0
_NINES = re.compile(r"-?9{2,15}")  # 99, -999 and the like often stand for a missing value
_MEDIAN = LEVELS.index(0.5)
_INNER = slice(LEVELS.index(0.05), LEVELS.index(0.95))  # the knots without the tails


class Side(NamedTuple):
    """A column in one of the two snapshots. The knots of timestamps are seconds relative to its ``as_of``."""

    type: ColumnType
    stats: ColumnStatistics
    rows: int
    knots: np.ndarray

    @property
    def valid(self) -> int:
        """Rows with a finite value."""
        return self.rows - self.stats.nulls - self.stats.infinite

    @property
    def sampled(self) -> int:
        """Rows that the knots were computed from."""
        return min(self.valid, SAMPLE)


class Pair(NamedTuple):
    """The same column before and after."""

    name: str
    old: Side
    new: Side

    def change(self, kind: Any, words: str, weight: float) -> Change:
        """A change of this column."""
        return Change(kind=kind, column=self.name, words=words, weight=weight)

    @property
    def comparable(self) -> bool:
        """Whether both have finite values, of the same type or both numeric."""
        kinds = {self.old.type, self.new.type}
        return self.old.valid > 0 < self.new.valid and (len(kinds) == 1 or kinds == NUMBERS)


def share_change(
    kind: Any, column: str | None, words: str, before: Share, after: Share, *, least: float = 0.0
) -> list[Change]:
    """A change when the share of rows that ``words`` describes moved, else none.

    Args:
        least: the smallest weight of the change.
    """
    weight = abs(share_shift(before, after))
    if not weight:
        return []
    was, now = (percent(count / rows) for count, rows in (before, after))
    return [Change(kind=kind, column=column, words=f"{now} {words}, {was} before", weight=least + (1 - least) * weight)]


def missing_changes(pair: Pair) -> Iterator[Change]:
    """Changes of the rows without a value, or with one that is not finite."""
    name, old, new = pair
    nulls = (old.stats.nulls, old.rows), (new.stats.nulls, new.rows)
    emptied = (old.valid > 0) != (new.valid > 0)  # a column that lost or got all its values
    yield from share_change("nulls", name, "of the rows have no value", *nulls, least=0.9 if emptied else 0.0)
    was, now = old.stats.infinite, new.stats.infinite
    if bool(was) != bool(now):
        yield pair.change("infinite", f"{now:,} rows are infinite, {was:,} before", max(0.5, now / new.rows))
    else:
        yield from share_change("infinite", name, "of the rows are infinite", (was, old.rows), (now, new.rows))


def target_changes(pair: Pair, positive: str | None) -> Iterator[Change]:
    """Another share of the positive class, or another mean."""
    _, old, new = pair
    if positive is not None:
        was, now = ((side.stats.counts.get(positive, 0), side.valid) for side in (old, new))
        yield from share_change("target", pair.name, f"of the labels are {one_line(positive)!r}", was, now, least=0.5)
        return
    values = list(value_changes(pair))
    means, spreads = ([getattr(side.stats, part) for side in (old, new)] for part in ("mean", "std"))
    if None not in (*means, *spreads) and not any(change.kind == "scale" for change in values):
        gap, spread = abs(means[1] - means[0]), math.hypot(*spreads) / math.sqrt(2)  # pooled deviation
        if gap > spread * max(SHIFT, SIGMAS * noise(old.valid, new.valid)):
            words = f"the target's mean is {_number(means[1])}, {_number(means[0])} before"
            yield pair.change("target", words, 0.5 + min(1.0, gap / (spread or gap)) / 2)
            values = [change for change in values if change.kind != "distribution"]  # the mean says it
    yield from values


def value_changes(pair: Pair) -> Iterator[Change]:
    """How the values differ. A change of scale stands alone, because it explains every other difference."""
    _, old, new = pair
    knotted = len(old.knots) > 0 < len(new.knots)
    scale = _scale_change(pair) if knotted and old.type != "timestamp" else None
    if scale is not None:
        yield scale
        return
    if old.stats.counts and new.stats.counts:
        yield from _category_changes(pair)
    elif knotted:
        yield from _distribution(pair)
    else:
        yield from _cardinality(pair)
    if knotted:
        for change in share_change("precision", pair.name, "of the values have decimals", *_with_decimals(pair)):
            if change.weight > _DECIMALS:
                yield change.model_copy(update={"weight": change.weight / 2})


def _with_decimals(pair: Pair) -> tuple[Share, Share]:
    """The share of the sampled values that have a fractional part, on each side."""
    old, new = ((side.stats.fractional * side.sampled, side.sampled) for side in (pair.old, pair.new))
    return old, new


def _scale_change(pair: Pair) -> Change | None:
    """All values are the same multiple of what they were, or some lie far beyond the other side's range."""
    _, old, new = pair
    was, now = old.knots, new.knots
    apart = distance(was, now)
    if apart > distance_by_chance(old.sampled, new.sampled):
        factor = float(np.abs(now[_INNER]).mean() / np.abs(was[_INNER]).mean())
        far = 0 < factor < 1 / _BREAK or _BREAK < factor < math.inf
        # Other units keep the shape of a distribution, growth does not: old knots times factor must be the new ones.
        if far and distance(was * factor, now) <= min(apart / 3, SHIFT):
            return pair.change("scale", _scale_words(pair, factor), 1.0)
    return _partial_scale(pair)


def _scale_words(pair: Pair, factor: float) -> str:
    """``decimal points lost? About 100 times what it was: median 7,020, 70.2 before``."""
    power = 10.0 ** round(math.log10(factor))
    tenfold = power != 1 and 0.8 < factor / power < 1.25  # so near a power of ten it is shown as one
    factor = power if tenfold else factor
    times = _number(float(f"{max(factor, 1 / factor):.2g}"))
    size = f"{times} times" if factor > 1 else f"1/{times} of"
    points = tenfold and abs(share_shift(*_with_decimals(pair))) > _DECIMALS
    guess = "other units?" if not points else "decimal points lost?" if factor > 1 else "decimal points back?"
    was, now = (_number(side.knots[_MEDIAN]) for side in (pair.old, pair.new))
    return f"{guess} About {size} what it was: median {now}, {was} before"


def _partial_scale(pair: Pair) -> Change | None:
    """Some rows lie far beyond the other side's range: nines for missing, other units, or lost decimal points."""
    for mixed, plain in ((pair.new, pair.old), (pair.old, pair.new)):
        verb, when = ("are", "before") if mixed is pair.new else ("were", "now")
        for end, word in ((0, "smallest"), (-1, "largest")):
            value, other = f"{mixed.knots[end]:.15g}", plain.knots[end]
            # Equal knots at an end are one repeated value; the span of their levels is its share of the rows.
            share = float(np.ptp(np.array(LEVELS)[mixed.knots == mixed.knots[end]]))
            outer = mixed.knots[0] < other if end == 0 else mixed.knots[-1] > other
            if outer and _NINES.fullmatch(value) and surprising(share * mixed.sampled, mixed.sampled, plain.sampled):
                words = f"{percent(share)} of the values {verb} {value}; {_number(other)} is the {word} {when}"
                return pair.change("scale", f"does {value} stand for missing? {words}", 1.0)
        top, most = plain.knots[-1], mixed.knots[-1]
        _, high = outside(mixed.knots, plain.knots, mixed.sampled, plain.sampled)
        if high and most > _BREAK * top > 0:
            above = f"{percent(high)} of the values {verb} above {_number(top)}, the largest {when}"
            words = f"{above}, up to {_number(most)}"
            if not share_shift(*_with_decimals(pair)):
                return pair.change("scale", f"other units? {words}", 1.0)
            was, now = (percent(side.stats.fractional) for side in (pair.old, pair.new))
            guess = f"decimal points {'lost' if mixed is pair.new else 'back'}?"
            return pair.change("scale", f"{guess} {words}; {now} have decimals, {was} before", 1.0)
    return None


def _category_changes(pair: Pair) -> Iterator[Change]:
    """Categories that are new or gone, and changed shares of those on both sides."""
    _, old, new = pair
    was, now = old.stats.counts, new.stats.counts
    if not old.stats.other:  # else a category without a count may be among the unnamed rows
        yield from _unmatched_categories(pair, "new_category", new, old)
    if not new.stats.other:
        yield from _unmatched_categories(pair, "lost_category", old, new)
    apart = variation(was, now)
    if apart:
        names = was.keys() & now.keys()
        rows, others = sum(was[name] for name in names), sum(now[name] for name in names)
        shares = {name: (was[name] / rows, now[name] / others) for name in names}
        movers = sorted(names, key=lambda name: (-abs(shares[name][1] - shares[name][0]), name))[:_NAMED]
        clauses = (f"{name!r} {percent(shares[name][1])}, {percent(shares[name][0])} before" for name in movers)
        yield pair.change("distribution", "; ".join(clauses), apart)


def _unmatched_categories(pair: Pair, kind: str, here: Side, there: Side) -> Iterator[Change]:
    """A change for the categories of ``here`` that ``there`` lacks, in more rows than chance explains."""
    found = {
        name: count
        for name, count in here.stats.counts.items()
        if name not in there.stats.counts and surprising(count, here.valid, there.valid)
    }
    if found:
        named = [f"{name!r} ({count:,} rows)" for name, count in found.items()][:_NAMED]
        more = [f"{len(found) - _NAMED:,} more"] if len(found) > _NAMED else []
        words = f"{'new' if kind == 'new_category' else 'gone'}: {', '.join(named + more)}"
        yield pair.change(kind, words, 0.3 + 0.6 * sum(found.values()) / here.valid)


def _cardinality(pair: Pair) -> Iterator[Change]:
    """Few distinct values became very many, or the reverse. The bound grows with the rows, as distinct values do."""
    few, many = sorted((pair.old, pair.new), key=lambda side: side.stats.distinct or COUNTED + 1)
    different = many.stats.distinct or COUNTED + 1
    if few.stats.counts and few.stats.distinct:
        most = _BREAK * few.stats.distinct * max(1.0, many.rows / few.rows)
        if different > most:
            was, now = (f"{side.stats.distinct or f'over {COUNTED:,}'}" for side in (pair.old, pair.new))
            yield pair.change("distribution", f"{now} different values, {was} before", 0.9)


def _distribution(pair: Pair) -> Iterator[Change]:
    """Moved quantiles, or values beyond the other side's range."""
    _, old, new = pair
    apart = distance(old.knots, new.knots)
    moved = apart > max(SHIFT, distance_by_chance(old.sampled, new.sampled))
    if old.type == "timestamp":
        if moved:
            was, now = (_number(-side.knots[_MEDIAN] / _DAY) for side in (old, new))
            yield pair.change("distribution", f"half are older than {now} days at as_of, {was} before", apart / 2)
        return
    beyond = _beyond_range(old, new)
    clauses = [clause for _, clause in beyond]
    if moved:
        words = f"{percent(apart)} of the rows are elsewhere: {_moved_quantile(old.knots, new.knots)}"
        yield pair.change("distribution", "; ".join([words, *clauses[:1]]), apart)
    elif beyond:
        yield pair.change("range", "; ".join(clauses), 0.1 + 0.8 * beyond[0][0])


def _beyond_range(old: Side, new: Side) -> list[tuple[float, str]]:
    """Shares of the rows beyond the other side's range, each with its words, the largest first."""
    low, high = outside(new.knots, old.knots, new.sampled, old.sampled)
    was_low, was_high = outside(old.knots, new.knots, old.sampled, new.sampled)
    shares = [
        (high, f"{percent(high)} are above {_number(old.knots[-1])}, the largest before"),
        (low, f"{percent(low)} are below {_number(old.knots[0])}, the smallest before"),
        (was_high, f"none is above {_number(new.knots[-1])}, {percent(was_high)} were before"),
        (was_low, f"none is below {_number(new.knots[0])}, {percent(was_low)} were before"),
    ]
    return sorted((clause for clause in shares if clause[0]), key=lambda clause: -clause[0])


def _moved_quantile(was: np.ndarray, now: np.ndarray) -> str:
    """How the median moved, or another quantile if that moved more than twice as far."""
    names = {
        0.5: "median",
        0.25: "lower quarter up to",
        0.75: "upper quarter from",
        0.05: "lowest 5 % up to",
        0.95: "highest 5 % from",
    }
    at = {level: LEVELS.index(level) for level in names}
    gaps = {level: abs(now[at[level]] - was[at[level]]) for level in names}
    far = max(names, key=lambda level: gaps[level])
    level = 0.5 if gaps[far] <= 2 * gaps[0.5] else far
    return f"{names[level]} {_number(now[at[level]])}, {_number(was[at[level]])} before"


def _number(number: Any) -> str:
    return f"{number:,.0f}" if 1_000 <= abs(number) < 1e12 else f"{number:.4g}"
