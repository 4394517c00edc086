"""How far two columns are apart, from their statistics alone; zero when sampling explains the difference.

Each test has a false-alarm rate of 6e-5, that of four standard errors. Shares are compared on the arcsine scale, where
rare and frequent values have the same variance; distributions by the bounds of Kolmogorov and McDiarmid; values that
only one side has by the number of ways to deal the rows out. Two snapshots of twenty columns take some eighty tests: a
false change in one of two hundred pairs. Each test also has a least size that is worth a line. Rows in groups (of one
customer, of one day) scatter more than these bounds assume, rows that both snapshots share scatter less.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from contender.documents.columns import LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGMAS = 4.0
SHIFT = 0.1  # least size of a change: a share of the rows, or a part of a standard deviation
_CHANCE = 6e-5  # that a normal variable lies beyond SIGMAS
_SHARE = 0.05  # least size on the arcsine scale: from 26 % to 28 %, or from none to 0.06 %
_BOUND = math.sqrt(math.log(2 / _CHANCE) / 2)  # standard errors that a distance exceeds with probability _CHANCE
_KNOT = 0.02  # how far apart two distributions of equal knots may be
_LEVELS = np.array(LEVELS)

Share = tuple[float, int]  # rows of a kind, and all rows


def noise(before: int, after: int) -> float:
    """Standard error of the difference of two means of so many rows, in standard deviations."""
    return math.sqrt(1 / before + 1 / after)


def share_shift(before: Share, after: Share) -> float:
    """Change of a share on the arcsine scale, -1 to 1 (1: from no row to all rows); 0 when chance explains it."""
    if not before[1] or not after[1]:
        return 0.0
    # Anscombe's corrections (Biometrika 1948) keep the variance the same for counts near zero.
    old, new = (2 * math.asin(math.sqrt((count + 0.375) / (rows + 0.75))) for count, rows in (before, after))
    if abs(new - old) <= max(_SHARE, SIGMAS * noise(before[1], after[1])):
        return 0.0
    return (new - old) / math.pi


def distance(before: np.ndarray, after: np.ndarray) -> float:
    """Kolmogorov and Smirnov's distance of two arrays of knots, the share of the rows that moved; 0 to 1."""
    places = np.union1d(before, after)
    return float(np.abs(_cumulative(before, places) - _cumulative(after, places)).max())


def distance_by_chance(before: int, after: int) -> float:
    """The largest distance that chance explains between samples of so many rows."""
    return _BOUND * noise(before, after) + _KNOT


def _cumulative(knots: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The cumulative distribution at each place, linear between the knots."""
    right = np.clip(np.searchsorted(knots, places, side="right"), 1, len(knots) - 1)
    left, width = right - 1, knots[right] - knots[right - 1]
    part = np.divide(places - knots[left], width, out=np.ones(len(places)), where=width > 0).clip(0, 1)
    share = _LEVELS[left] + part * (_LEVELS[right] - _LEVELS[left])
    return np.where(places < knots[0], 0.0, np.where(places >= knots[-1], 1.0, share))


def outside(knots: np.ndarray, others: np.ndarray, rows: int, other_rows: int) -> tuple[float, float]:
    """Shares of the rows below and above the range of the others, as lower bounds; 0 when chance explains them."""
    low = _LEVELS[knots < others[0]].max(initial=0.0)
    high = 1 - _LEVELS[knots > others[-1]].min(initial=1.0)
    return tuple(share if surprising(share * rows, rows, other_rows) else 0.0 for share in (float(low), float(high)))  # type: ignore[return-value]


def surprising(count: float, rows: int, other_rows: int) -> bool:
    """Whether ``count`` rows of a kind are too many for chance to put all of them on this side."""
    # Its probability is (rows / (rows + other_rows)) ** count, compared by the logarithm.
    return count * math.log1p(other_rows / rows) > -math.log(_CHANCE)


def variation(before: Mapping[str, int], after: Mapping[str, int]) -> float:
    """Total variation distance over the values that both sides have; 0 when chance explains it."""
    names = before.keys() & after.keys()
    rows, other = sum(before[name] for name in names), sum(after[name] for name in names)
    if not rows or not other:
        return 0.0
    apart = sum(abs(before[name] / rows - after[name] / other) for name in names) / 2
    # Its mean by chance, at most sqrt(values / (2 pi)) standard errors, plus McDiarmid's bound.
    chance = (0.4 * math.sqrt(len(names)) + _BOUND) * noise(rows, other)
    # From a share of the rows with these values to a share of all rows.
    apart *= min(rows / sum(before.values()), other / sum(after.values()))
    return apart if apart > max(SHIFT, chance) else 0.0
