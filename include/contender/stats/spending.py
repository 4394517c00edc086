"""Repeated looks at one challenger: evidence adds up, and all looks together err as often as one test would.

Each look is at rows that no look before it saw, so that what has been gathered is a sum with independent steps. How much
of the error may be spent by when is Lan and DeMets' function after O'Brien and Fleming (Discrete sequential boundaries for
clinical trials, Biometrika 1983), in calendar time: by the share of the patience that has passed, however many looks there
were and whatever they brought (Lan and DeMets, Group sequential procedures: calendar versus information time, Statistics in
Medicine 1989). Neither SciPy nor a kept library of the lock's has these boundaries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.signal import fftconvolve
from scipy.stats import norm

from contender.stats.clusters import as_normal

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEPS = 200  # of the grid, in one standard deviation of all that was gathered
_REACH = 8  # standard deviations on either side
_NEVER = 1e-12  # less than this of an error cannot be told from rounding


class Look(NamedTuple):
    """A comparison on rows of its own.

    Attributes:
        difference, error: with its standard error, above 0 unless the two models never differed.
        share: of the patience that has passed, above 0; from 1 on the last look.
        degrees: the error's degrees of freedom.
    """

    difference: float
    error: float
    share: float
    degrees: float = float("inf")


class Gathered(NamedTuple):
    """What all looks say together.

    Attributes:
        difference, error: the estimate that weights each look by its information, and its standard error.
        needed: the difference that would be enough at this look; infinite while none would.
        proved: whether it was reached, at this look or before.
        over: whether the patience has passed.
    """

    difference: float
    error: float
    needed: float
    proved: bool
    over: bool


def gathered(looks: Sequence[Look], *, required: float = 0.0, alpha: float = 0.05) -> Gathered:
    """Whether the true difference is shown to be above ``required``, by all looks so far.

    Args:
        looks: in the order of time, at least one. One whose error is 0 says nothing: the models were the same.
        alpha: the probability that any of the looks proves it when the difference is ``required``.
    """
    over = looks[-1].share >= 1
    told = [look for look in looks if look.error > 0]
    if not told:
        return Gathered(0.0, 0.0, float("inf"), proved=False, over=over)
    information = np.array([1 / as_normal(look.error, look.degrees) ** 2 for look in told])
    total = np.cumsum(information)
    estimates = np.cumsum(information * [look.difference for look in told]) / total
    errors = total**-0.5
    enough = required + boundaries(information, [look.share for look in told], alpha) * errors
    return Gathered(
        float(estimates[-1]), float(errors[-1]), float(enough[-1]), proved=bool((estimates >= enough).any()), over=over
    )


def spent(share: float, alpha: float) -> float:
    """How much of the error may be spent when a share of the patience has passed: little at first, all of it at the end."""
    return float(2 * norm.sf(norm.isf(alpha / 2) / min(share, 1.0) ** 0.5))


def boundaries(information: np.ndarray, shares: Sequence[float], alpha: float) -> np.ndarray:
    """How many standard errors the estimate must be above 0 at each look; infinite where none are enough.

    The distribution of what was gathered without being proved, carried from look to look on a grid (Armitage, McPherson and
    Rowe, Repeated significance tests on accumulating data, JRSS A 1969).

    Args:
        information: what each of k looks adds, shape (k,), above 0. shares: of the patience at each, not decreasing.
    """
    step = np.sqrt(information.sum()) / _STEPS
    edges = (np.arange(2 * _REACH * _STEPS + 2) - _REACH * _STEPS - 0.5) * step
    mass = (np.abs(edges[:-1] + step / 2) < step / 2).astype(float)  # all of it at 0
    found = np.full(len(information), np.inf)
    before = 0.0
    for look, (added, share) in enumerate(zip(information, shares, strict=True)):
        mass = np.maximum(fftconvolve(mass, np.diff(norm.cdf(edges / added**0.5)), mode="same"), 0.0)
        until = spent(share, alpha)
        if until - before < _NEVER:
            continue
        above = np.cumsum(mass[::-1])[::-1]  # the probability from each cell's lower edge on
        cell = int(np.count_nonzero(above > until - before)) - 1
        inside = (until - before - above[cell + 1]) / mass[cell]  # the part of the cell that is beyond
        found[look] = (edges[cell + 1] - inside * step) / information[: look + 1].sum() ** 0.5
        mass[cell + 1 :] = 0.0
        mass[cell] *= 1 - inside
        before = until
    return found
