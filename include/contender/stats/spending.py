"""Repeated looks at one challenger: evidence adds up, and all looks together err as often as one test would.

Each look is at rows that no look before it saw, so that what has been gathered is a sum with independent steps. How much
of the error may be spent by when is Lan and DeMets' function after O'Brien and Fleming (Discrete sequential boundaries for
clinical trials, Biometrika 1983), in calendar time: by the share of the patience that has passed, however many looks there
were and whatever they brought (Lan and DeMets, Group sequential procedures: calendar versus information time, Statistics in
Medicine 1989). Neither SciPy nor a kept Python library has these boundaries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.signal import fftconvolve
from scipy.stats import norm
from scipy.stats import t as student

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from contender.documents import challenger as document

_STEPS = 200  # of the grid, in one standard deviation of all that was gathered
_REACH = 8  # standard deviations on either side
_NEVER = 1e-12  # less than this of an error cannot be told from rounding


class Look(NamedTuple):
    """A comparison on rows of its own.

    Attributes:
        difference, error: with its standard error; 0 and 0 where the two models did not differ.
        rows: how many there were, by which the looks are weighted.
        degrees: the error's degrees of freedom.
        share: of the patience that has passed, above 0; from 1 on the last look.
    """

    difference: float
    error: float
    rows: int
    degrees: float = float("inf")
    share: float = 1.0


def looks_of(looks: Sequence[document.Look], metric: str, patience: timedelta | None = None) -> list[Look]:
    """What looks saw of a metric, oldest first; each with the share of the patience that had passed by it."""
    found = []
    for look in looks:
        seen = look.seen[metric]
        share = 1.0 if patience is None else min(1.0, (look.through - looks[0].begin) / patience)
        found.append(Look(seen.difference, seen.error, seen.rows, seen.degrees, share))
    return found


class Gathered(NamedTuple):
    """What all looks say together.

    Attributes:
        difference, error: the mean difference over the rows of all looks, and its standard error.
        needed: the difference that would be enough at this look; infinite while none would.
        proved: whether it was reached, at this look or before.
        over: whether the patience has passed.
        degrees: the error's degrees of freedom.
    """

    difference: float
    error: float
    needed: float
    proved: bool
    over: bool
    degrees: float = float("inf")

    def no_longer(self, required: float, alpha: float = 0.05) -> bool:
        """Whether the true difference is shown not to be above what is required: to go on is of no use.

        It can only take promotions away: a challenger that is good enough is given up a little more often over many looks.
        """
        return bool(self.difference + student.isf(alpha, self.degrees) * self.error <= required)


def gathered(looks: Sequence[Look], *, required: float = 0.0, alpha: float = 0.05) -> Gathered:
    """Whether the true difference is shown to be above ``required``, by all looks so far.

    Args:
        looks: in the order of time, at least one.
        alpha: the probability that any of the looks proves it when the difference is ``required``.
    """
    shares = [look.share for look in looks]
    return summed(looks, required, lambda steps: boundaries(steps, shares, alpha))._replace(over=shares[-1] >= 1)


def summed(looks: Sequence[Look], required: float, enough: Callable[[np.ndarray], np.ndarray]) -> Gathered:
    """The looks' differences weighted by rows, and whether they were ever far enough above what is required.

    Not weighted by their estimated errors: of errors with 9 degrees of freedom the small ones would count for too much, and
    26 looks would err in 8 % instead of 5.

    Args:
        enough: from the variance that each of k looks adds to a sum, how many of its errors the sum must be above 0 at each;
            shape (k,) each.
    """
    rows = np.array([look.rows for look in looks], dtype=float)
    steps = np.array([look.error for look in looks]) ** 2 * rows**2
    told = np.cumsum(steps)
    counted, errors = np.cumsum(rows), told**0.5 / np.cumsum(rows)
    differences = np.cumsum(rows * [look.difference for look in looks]) / counted
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Satterthwaite's degrees of freedom of all errors together; a boundary keeps its probability under their distribution.
        degrees = np.fmax(told**2 / np.cumsum(steps**2 / [look.degrees for look in looks]), 1.0)
        heights = student.isf(norm.sf(enough(steps)), degrees)
        needed = np.where(told > 0, required + heights * errors, np.inf)
    proved = bool((differences >= needed).any())
    return Gathered(
        difference=float(differences[-1]),
        error=float(errors[-1]),
        needed=float(needed[-1]),
        proved=proved,
        over=False,
        degrees=float(degrees[-1]),
    )


def spent(share: float, alpha: float) -> float:
    """How much of the error may be spent when a share of the patience has passed: little at first, all of it at the end."""
    return float(2 * norm.sf(norm.isf(alpha / 2) / min(share, 1.0) ** 0.5))


def boundaries(steps: np.ndarray, shares: Sequence[float], alpha: float) -> np.ndarray:
    """How many standard errors a sum must be above 0 at each look; infinite where none are enough.

    The distribution of the sums that were not proved is carried from look to look on a grid (Armitage, McPherson and Rowe,
    Repeated significance tests on accumulating data, JRSS A 1969).

    Args:
        steps: the variance that each of k looks adds, shape (k,). shares: of the patience at each, not decreasing.
    """
    found = np.full(len(steps), np.inf)
    sums, before = _Sums(steps.sum()), 0.0
    for look, (added, share) in enumerate(zip(steps, shares, strict=True)):
        sums.add(added)
        spend = spent(share, alpha) - before
        if spend < _NEVER or not steps[: look + 1].any():
            continue
        height = sums.height_of(spend)
        found[look] = height / steps[: look + 1].sum() ** 0.5
        sums.cut(height)
        before += spend
    return found


def chance(steps: np.ndarray, shares: Sequence[float], alpha: float, drift: float) -> float:
    """The probability that a sum passes its boundaries at any look, when each step's mean is ``drift`` times its variance."""
    sums = _Sums(steps.sum())
    heights = boundaries(steps, shares, alpha) * np.cumsum(steps) ** 0.5
    for added, height in zip(steps, heights, strict=True):
        sums.add(added, drift * added)
        sums.cut(height)
    return float(np.clip(1 - sums.mass.sum(), 0.0, 1.0))


class _Sums:
    """The distribution of a sum that started at 0, in cells of a grid; what was cut off is in none.

    Args:
        variance: of the sum at its last look, above 0.
    """

    def __init__(self, variance: float) -> None:
        self.step = float(np.sqrt(variance)) / _STEPS
        self.edges = (np.arange(2 * _REACH * _STEPS + 2) - _REACH * _STEPS - 0.5) * self.step
        self.mass = np.zeros(len(self.edges) - 1)
        self.mass[_REACH * _STEPS] = 1.0

    def add(self, variance: float, mean: float = 0.0) -> None:
        """One normal step."""
        if variance > 0:
            kernel = np.diff(norm.cdf((self.edges - mean) / variance**0.5))
            self.mass = np.maximum(fftconvolve(self.mass, kernel, mode="same"), 0.0)

    def height_of(self, probability: float) -> float:
        """Above which height so much of the distribution is; within a cell it is even."""
        above = np.append(np.cumsum(self.mass[::-1])[::-1], 0.0)  # from each edge on
        cell = int(np.count_nonzero(above > probability)) - 1
        return float(self.edges[cell + 1] - self.step * (probability - above[cell + 1]) / self.mass[cell])

    def cut(self, height: float) -> None:
        """Take away what is above a height."""
        self.mass *= np.clip((height - self.edges[:-1]) / self.step, 0.0, 1.0)
