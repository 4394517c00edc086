"""Looks without an end: they may go on for years, and equal models are still seldom told apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import norm

from contender.stats.eprocess import anytime
from contender.stats.spending import Look


def growth(height: float, reached: float) -> float:
    """The bet by numerical integration over the half-normal mixture, at a sum ``height`` errors above 0."""
    spread = np.linspace(0, 12, 200_001)
    bets = np.exp(spread * height * reached**0.5 - spread**2 * reached / 2) * 2 * norm.pdf(spread)
    return float(bets.sum() * (spread[1] - spread[0]))


def test_what_is_needed_multiplies_the_stake_by_twenty() -> None:
    needed = anytime([Look(0.0, 0.1, 10)] * 7).needed / (0.1 / 7**0.5)
    assert growth(needed, 0.6 * 7) == pytest.approx(20, rel=1e-3)


@pytest.mark.parametrize(("drift", "least", "most"), [(0.0, 0.0, 0.02), (2.494, 0.47, 0.53)])
def test_equal_models_are_seldom_told_apart_and_half_of_the_gains_are_found_in_half_a_year(
    drift: float, least: float, most: float
) -> None:
    """10,000 campaigns of 26 looks; one test at their end would find this gain in 80 %."""
    steps = np.random.default_rng(0).normal(drift / 26**0.5, 1, size=(10_000, 26))
    needed = [anytime([Look(0.0, 1.0, 1)] * (look + 1)).needed for look in range(26)]
    means = np.cumsum(steps, axis=1) / np.arange(1, 27)
    assert least <= (means >= needed).any(axis=1).mean() <= most


def test_it_needs_more_than_one_test_and_is_never_over() -> None:
    found = anytime([Look(0.02, 0.01, 100)])
    assert (found.proved, found.over) == (False, False)
    assert anytime([Look(0.04, 0.01, 100)]).proved
    assert not anytime([Look(0.04, 0.01, 100)], required=0.02).proved


def test_models_that_never_differed_prove_nothing() -> None:
    none = anytime([Look(0.0, 0.0, 100)])
    assert (none.difference, none.error, none.needed, none.proved, none.over) == (0.0, 0.0, math.inf, False, False)
    assert anytime([Look(0.0, 0.0, 100), Look(0.09, 0.01, 100)]).proved


def test_an_error_of_few_degrees_counts_as_a_larger_one() -> None:
    sure, unsure = (anytime([Look(0.03, 0.01, 100, degrees)]) for degrees in (math.inf, 9))
    assert ndtr(-sure.needed / 0.01) < 0.01
    assert unsure.needed > 1.2 * sure.needed
