"""What a policy costs, against simulated years."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from contender.stats.budget import detectable, error_for, looks_to_prove, promoted, rows_missing, used
from contender.stats.spending import Gathered, boundaries

LOOKS, ERROR = 13, 0.01
SHARES = [(look + 1) / LOOKS for look in range(LOOKS)]


def years(gain: float) -> float:
    """How many of 5,000 simulated years of four challengers promote one, ``superior`` with margin 0."""
    steps = np.random.default_rng(0).normal(gain / ERROR, 1, size=(5_000, 4, LOOKS))
    heights = np.cumsum(steps, axis=2) / np.arange(1, LOOKS + 1) ** 0.5
    return float((heights >= boundaries(np.ones(LOOKS), SHARES, 0.05)).any(axis=(1, 2)).mean())


@pytest.mark.parametrize("gain", [-0.005, 0.0, 0.003, 0.006])
def test_the_years_promotions_are_those_of_simulated_years(gain: float) -> None:
    assert promoted("superior", gain, error=ERROR, looks=LOOKS) == pytest.approx(years(gain), abs=0.02)


def test_without_evidence_an_equal_model_is_promoted_every_other_week() -> None:
    assert promoted("unless_worse", 0.0, error=ERROR, looks=1, year=1) == pytest.approx(0.5)
    assert promoted("unless_worse", 0.0, error=ERROR, looks=1) > 0.999
    assert promoted("unless_worse", -0.005, margin=0.005, error=ERROR, looks=1, year=1) == pytest.approx(0.5)


def test_a_model_that_is_worse_by_the_margin_is_as_rare_as_an_equal_one_without() -> None:
    equal = promoted("superior", 0.0, error=ERROR, looks=LOOKS)
    assert promoted("non_inferior", -0.005, margin=0.005, error=ERROR, looks=LOOKS) == pytest.approx(equal)
    assert promoted("superior", 0.005, margin=0.005, error=ERROR, looks=LOOKS) == pytest.approx(equal)
    assert promoted("superior", -1.0, error=ERROR, looks=LOOKS) == 0.0


def test_what_can_be_found_is_a_little_more_than_one_test_on_all_the_rows_finds() -> None:
    one_test = (norm.isf(0.05) + norm.isf(0.2)) * ERROR / LOOKS**0.5
    found = detectable(error=ERROR, looks=LOOKS)
    assert one_test < found < 1.1**0.5 * one_test
    assert detectable(error=ERROR, looks=1) == pytest.approx((norm.isf(0.05) + norm.isf(0.2)) * ERROR, rel=1e-2)


def test_an_undecided_challenger_knows_how_many_rows_are_missing() -> None:
    """Half as far as one test needs: four times the rows."""
    undecided = Gathered(0.01, 0.02 / norm.isf(0.05), 0.02, proved=False, over=False)
    assert rows_missing(undecided, 1_000) in (2_999, 3_000, 3_001)
    assert rows_missing(undecided, 1_000, required=0.01) is None
    assert rows_missing(undecided._replace(proved=True), 1_000) == 0


@given(st.lists(st.floats(0.01, 1.0) | st.none(), max_size=80), st.floats(0.01, 2.0))
def test_the_challengers_of_a_year_never_use_up_more_than_its_budget(ends: list[float | None], per_year: float) -> None:
    """However many there are, and after whatever share of their patience each of them ends."""
    charged = 0.0
    for share in ends:
        error = error_for(per_year, charged)
        assert 0 < error <= 0.05
        charged += used(error, share)
    assert charged < per_year


def test_the_first_challengers_have_the_whole_error_of_one() -> None:
    charged, errors = 0.0, []
    for _ in range(6):
        errors.append(error_for(0.25, charged))
        charged += used(errors[-1], 1.0)
    assert errors == pytest.approx([0.05, 0.05, 0.05, 0.05, 0.025, 0.0125])


def test_a_challenger_that_ends_early_has_used_up_next_to_nothing() -> None:
    assert used(0.05, 1 / 13) < 1e-8
    assert used(0.05, 0.5) == pytest.approx(0.0056, abs=1e-4)
    assert used(0.05, 1.0) == pytest.approx(0.05)
    assert used(0.05, None) == 0.05


def test_a_gain_is_proved_after_as_many_looks_as_in_simulated_campaigns() -> None:
    steps = np.random.default_rng(1).normal(0.006 / ERROR, 1, size=(20_000, LOOKS))
    heights = np.cumsum(steps, axis=1) / np.arange(1, LOOKS + 1) ** 0.5
    proved = (heights >= boundaries(np.ones(LOOKS), SHARES, 0.05)).cumsum(axis=1).astype(bool).mean(axis=0)
    expected = int(np.argmax(proved >= 0.5)) + 1
    assert looks_to_prove(0.006, error=ERROR, looks=LOOKS) in (expected - 1, expected, expected + 1)
    assert looks_to_prove(0.001, error=ERROR, looks=LOOKS) is None
    assert looks_to_prove(1.0, error=ERROR, looks=LOOKS) == 1
