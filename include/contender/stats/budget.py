"""What a policy costs on the rows at hand: how often it promotes which model, what it can find, and what it still needs.

All on the normal approximation, from one look's standard error: a plan, not a verdict.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from contender.stats.spending import chance, spent

if TYPE_CHECKING:
    from contender.stats.spending import Gathered

Policy = Literal["superior", "non_inferior", "unless_worse"]
ALPHA = 0.05  # a challenger at most


def error_for(per_year: float, charged: float) -> float:
    """The error that a new challenger may spend, so that no year's challengers have more than ``per_year`` together.

    It is never nothing, so that a year of many challengers asks for more evidence, and no week waits for the next year.

    Args:
        charged: what the challengers of the past year have used up (``used``).
    """
    return min(ALPHA, max(per_year - charged, 0.0) / 2)


def used(error: float, share: float | None) -> float:
    """What a challenger has used up of its error when it ends after a share of its patience; all of it without patience."""
    return error if share is None else spent(share, error)


def promoted(
    policy: Policy, gain: float, *, error: float, looks: int, margin: float = 0.0, alpha: float = ALPHA, year: int = 52
) -> float:
    """The probability that a year promotes a model whose true difference from the champion is ``gain``.

    Args:
        error: the standard error of one look, above 0; every look is on rows of its own.
        looks: in the patience with one challenger; without evidence each look is a test of its own.
        year: the looks in a year.
    """
    if policy == "unless_worse":
        return float(1 - norm.cdf(-(gain + margin) / error) ** year)
    required = margin if policy == "superior" else -margin
    return float(1 - (1 - _found(gain - required, error, looks, alpha)) ** (year / looks))


def looks_to_prove(gain: float, *, error: float, looks: int, alpha: float = ALPHA, power: float = 0.5) -> int | None:
    """After how many looks a true difference, beyond what a policy requires, is proved with probability ``power``.

    None when it is not within the patience of ``looks``.
    """
    shares = [(look + 1) / looks for look in range(looks)]
    drift = gain / error
    return next((k for k in range(1, looks + 1) if chance(np.ones(k), shares[:k], alpha, drift) >= power), None)


def detectable(*, error: float, looks: int, alpha: float = ALPHA, power: float = 0.8) -> float:
    """The true difference, beyond what a policy requires, that one challenger proves with probability ``power``."""
    one = error / looks**0.5  # of all looks together
    return float(brentq(lambda gain: _found(gain, error, looks, alpha) - power, 0.0, 10 * one, xtol=1e-3 * one))


def rows_missing(gathered: Gathered, rows: int, *, required: float = 0.0, alpha: float = ALPHA) -> int | None:
    """How many more rows would prove a difference that stays what it seems, as one test; None when it is too small."""
    beyond = gathered.difference - required
    if gathered.proved or beyond <= 0:
        return 0 if gathered.proved else None
    return max(0, math.ceil(rows * (float(norm.isf(alpha)) * gathered.error / beyond) ** 2) - rows)


def _found(gain: float, error: float, looks: int, alpha: float) -> float:
    shares = [(look + 1) / looks for look in range(looks)]
    drift = gain / error
    if drift * looks**0.5 < -5:  # far below, of which the grid has no room
        return 0.0
    return chance(np.ones(looks), shares, alpha, drift)
