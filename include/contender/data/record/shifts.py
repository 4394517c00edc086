"""How far two columns are apart, from what is on record of them: zero unless it is beyond what sampling explains.

Two samples of one distribution are apart by chance. Every question here is answered "apart" by chance six times in a
hundred thousand, as often as something lies beyond four standard errors: a share by its arcsine, where those are the
same for rare and frequent things; a distribution by the bounds of Kolmogorov and McDiarmid; rows of a kind that the
other side does not have at all by the number of ways to deal them out. Two snapshots of twenty columns ask some eighty
questions: a change that is none in one of two hundred pairs. Moreover each has a least size that is worth a line. Rows
in groups (of one customer, of one day) scatter more than that, rows that both snapshots share scatter less.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from contender.data.columns import LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGMAS = 4.0
SHIFT = 0.1  # of the rows are elsewhere; or of a standard deviation
_CHANCE = 6e-5
_SHARE = 0.05  # of the arcsine scale: from 26 % to 28 %, or from none to 0.06 %
_BOUND = math.sqrt(math.log(2 / _CHANCE) / 2)
_KNOT = 0.02  # what the knots leave open of a distribution
_LEVELS = np.array(LEVELS)

Share = tuple[float, int]


def noise(before: int, after: int) -> float:
    """Standard error of a difference of two means, in standard deviations."""
    return math.sqrt(1 / before + 1 / after)


def share_shift(before: Share, after: Share) -> float:
    """How much another share ``count, rows`` is, -1 to 1: from none of the rows to all of them is 1."""
    if not before[1] or not after[1]:
        return 0.0
    old, new = (2 * math.asin(math.sqrt((count + 0.375) / (rows + 0.75))) for count, rows in (before, after))
    if abs(new - old) <= max(_SHARE, SIGMAS * noise(before[1], after[1])):
        return 0.0
    return (new - old) / math.pi


def distance(before: np.ndarray, after: np.ndarray) -> float:
    """Share of the rows that are elsewhere (Kolmogorov and Smirnov's), of two arrays of knots; 0 to 1."""
    places = np.union1d(before, after)
    return float(np.abs(_below(before, places) - _below(after, places)).max())


def distance_by_chance(before: int, after: int) -> float:
    """What samples of this many rows are not apart by chance."""
    return _BOUND * noise(before, after) + _KNOT


def _below(knots: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Share of the rows at or below each place, on straight lines between the knots."""
    right = np.clip(np.searchsorted(knots, places, side="right"), 1, len(knots) - 1)
    left, width = right - 1, knots[right] - knots[right - 1]
    part = np.divide(places - knots[left], width, out=np.ones(len(places)), where=width > 0).clip(0, 1)
    share = _LEVELS[left] + part * (_LEVELS[right] - _LEVELS[left])
    return np.where(places < knots[0], 0.0, np.where(places >= knots[-1], 1.0, share))


def outside(knots: np.ndarray, others: np.ndarray, rows: int, other_rows: int) -> tuple[float, float]:
    """Shares of the rows that are below all and above all others; each at least that, and more than by chance."""
    low = _LEVELS[knots < others[0]].max(initial=0.0)
    high = 1 - _LEVELS[knots > others[-1]].min(initial=1.0)
    return tuple(share if surprising(share * rows, rows, other_rows) else 0.0 for share in (float(low), float(high)))  # type: ignore[return-value]


def surprising(count: float, rows: int, other_rows: int) -> bool:
    """Whether ``count`` rows of a kind are too many to be all on this side by chance."""
    return count * math.log1p(other_rows / rows) > -math.log(_CHANCE)


def variation(before: Mapping[str, int], after: Mapping[str, int]) -> float:
    """Share of the rows that have another of the values that both sides have; 0 when it is as small as by chance."""
    names = before.keys() & after.keys()
    rows, other = sum(before[name] for name in names), sum(after[name] for name in names)
    if not rows or not other:
        return 0.0
    apart = sum(abs(before[name] / rows - after[name] / other) for name in names) / 2
    chance = (0.4 * math.sqrt(len(names)) + _BOUND) * noise(rows, other)
    apart *= min(rows / sum(before.values()), other / sum(after.values()))
    return apart if apart > max(SHIFT, chance) else 0.0
