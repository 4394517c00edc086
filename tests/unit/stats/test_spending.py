"""Repeated looks: all of them together err as seldom as one test, and find nearly as much."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from contender.stats.spending import Look, boundaries, gathered, spent

WEEKS = 26
SHARES = [(week + 1) / WEEKS for week in range(WEEKS)]


def test_the_boundaries_are_those_of_the_published_program() -> None:
    """One-sided 5 %, four equal looks: as SeqBounds.jl prints them, after the Fortran program of Reboussin et al. (2000)."""
    found = boundaries(np.ones(4), [0.25, 0.5, 0.75, 1.0], 0.05)
    assert found == pytest.approx([3.74955, 2.53993, 2.01604, 1.72014], abs=2e-4)


def test_one_look_at_the_end_is_one_test() -> None:
    assert boundaries(np.array([7.0]), [1.0], 0.05)[0] == pytest.approx(norm.isf(0.05), abs=1e-4)


def proved(drift: float, information: np.ndarray, shares: list[float]) -> float:
    """How often a sum with independent steps passes its boundaries, in 20,000 paths; ``drift`` in errors at the end."""
    steps = np.random.default_rng(0).normal(size=(20_000, len(information))) * information**0.5
    steps += drift * information / information.sum() ** 0.5
    heights = np.cumsum(steps, axis=1) / np.cumsum(information) ** 0.5
    return float((heights >= boundaries(information, shares, 0.05)).any(axis=1).mean())


@pytest.mark.parametrize(
    ("information", "shares"),
    [
        (np.ones(WEEKS), SHARES),
        (np.random.default_rng(1).lognormal(0, 1.5, WEEKS), SHARES),  # weeks that bring much and little
        (np.array([1.0, 1e-7, 3.0]), [0.3, 0.3, 1.0]),  # a look that brings nothing, at the same time
        (np.ones(2), [0.1, 1.0]),  # a pause of months
    ],
)
def test_equal_models_are_told_apart_in_one_of_twenty_campaigns(information: np.ndarray, shares: list[float]) -> None:
    """20,000 paths: a standard error of .15 %."""
    assert proved(0.0, information, shares) == pytest.approx(0.05, abs=0.005)


def test_a_gain_is_found_nearly_as_often_as_by_one_test_at_the_end() -> None:
    """One test on all the rows finds a gain of 2.494 errors in 80.2 %; with a tenth more rows no less is found."""
    gain = norm.isf(0.05) + norm.ppf(0.802)
    assert proved(gain, np.ones(WEEKS), SHARES) == pytest.approx(0.779, abs=0.01)
    assert proved(gain * 1.1**0.5, np.ones(WEEKS), SHARES) > 0.802


def test_little_is_spent_early_and_all_of_it_at_the_end() -> None:
    assert spent(0.25, 0.05) < 1e-4
    assert spent(1.0, 0.05) == spent(1.4, 0.05) == pytest.approx(0.05)


def test_looks_are_weighted_by_their_rows() -> None:
    found = gathered([Look(0.02, 0.01, 400, share=0.5), Look(0.05, 0.02, 100)])
    assert found.difference == pytest.approx((0.02 * 4 + 0.05) / 5)
    assert found.error == pytest.approx((0.01**2 * 16 + 0.02**2) ** 0.5 / 5)
    assert found.needed == pytest.approx(found.error * boundaries(np.array([16.0, 4.0]), [0.5, 1.0], 0.05)[1], rel=1e-3)
    assert found.proved
    assert found.over


def test_a_look_too_early_proves_nothing_however_good_it_seems() -> None:
    found = gathered([Look(0.03, 0.01, 100, share=1 / 52)])
    assert (found.proved, found.over, found.needed) == (False, False, math.inf)


def test_what_was_proved_stays_proved() -> None:
    assert gathered([Look(0.08, 0.01, 100, share=0.5), Look(-0.08, 0.01, 100)]).proved


def test_a_margin_is_what_must_be_exceeded() -> None:
    looks = [Look(0.02, 0.01, 100)]
    assert gathered(looks).proved
    assert not gathered(looks, required=0.01).proved
    assert gathered([Look(-0.002, 0.001, 100)], required=-0.005).proved


def test_models_that_never_differed_prove_nothing() -> None:
    none = gathered([Look(0.0, 0.0, 100, share=0.5)])
    assert (none.difference, none.error, none.needed, none.proved, none.over) == (0.0, 0.0, math.inf, False, False)
    found = gathered([Look(0.0, 0.0, 100, share=0.5), Look(0.03, 0.01, 100)])
    assert (found.difference, found.error, found.proved) == (0.015, 0.005, True)


def test_an_error_of_few_degrees_counts_as_a_larger_one() -> None:
    sure, unsure = (gathered([Look(0.0178, 0.01, 100, degrees)]) for degrees in (math.inf, 9))
    assert sure.proved
    assert not unsure.proved
    assert unsure.needed == pytest.approx(0.01 * 1.8331, rel=1e-3)  # the t quantile of 9 degrees of freedom
