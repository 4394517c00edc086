"""Distances: zero for what chance explains, the true size for the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contender.documents.columns import LEVELS
from contender.profile.distance import distance, distance_by_chance, outside, share_shift, surprising, variation


def knots(values: np.ndarray) -> np.ndarray:
    return np.quantile(values, LEVELS, method="inverted_cdf")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((0, 7_000), (1, 7_001)),  # a first missing cell
        ((0, 1_000_000), (11, 1_000_000)),
        ((500, 1_000), (550, 1_000)),  # three standard errors
        ((265_000, 1_000_000), (270_000, 1_000_000)),  # certain, and not worth a line
        ((0, 0), (5, 5)),
    ],
)
def test_a_share_that_moved_by_chance_or_by_little_did_not_move(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    assert share_shift(before, after) == 0
    assert share_shift(after, before) == 0


@given(st.integers(0, 5_000), st.integers(0, 5_000))
def test_a_share_moves_back_as_far_as_it_moved(before: int, after: int) -> None:
    moved = share_shift((before, 5_000), (after, 5_000))
    assert share_shift((after, 5_000), (before, 5_000)) == -moved
    assert moved * (after - before) >= 0
    assert abs(moved) <= 1


def test_from_nothing_to_everything_is_one() -> None:
    assert share_shift((0, 10_000), (10_000, 10_000)) == pytest.approx(1, abs=0.01)


def test_the_distance_is_kolmogorovs_up_to_what_the_knots_leave_open() -> None:
    from scipy.stats import ks_2samp

    random = np.random.default_rng(0)
    for make in (random.normal, random.exponential, random.standard_cauchy, lambda size: random.poisson(2, size)):
        one, other = make(size=3_000) * 1.3 + 0.2, make(size=2_000)
        assert distance(knots(one), knots(other)) == pytest.approx(ks_2samp(one, other).statistic, abs=0.02)


def test_constants_are_apart_or_they_are_not() -> None:
    five, six = np.full(len(LEVELS), 5.0), np.full(len(LEVELS), 6.0)
    assert distance(five, five) == 0
    assert distance(five, six) == distance(six, five) == 1


@given(st.integers(0, 2**32 - 1), st.sampled_from([50, 300, 2_000]))
def test_samples_of_one_distribution_are_not_apart(seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    one, other = random.lognormal(size=rows), random.lognormal(size=rows)
    assert distance(knots(one), knots(other)) < distance_by_chance(rows, rows)


def test_rows_outside_count_only_when_they_are_too_many_for_chance() -> None:
    before, rows = np.linspace(0, 1, len(LEVELS)), 10_000
    beyond = np.where(np.array(LEVELS) > 0.95, 7.0, before)
    assert outside(beyond, before, rows, rows) == (0.0, pytest.approx(0.04))
    assert outside(-beyond[::-1], -before[::-1], rows, rows) == (pytest.approx(0.04), 0.0)
    assert outside(beyond, before, 100, 100) == (0.0, 0.0)
    outlier = np.append(before[:-1], 1e9)  # one row, however far
    assert outside(outlier, before, rows, rows) == (0.0, 0.0)


def test_the_heaviest_of_tails_has_new_records_by_chance_only() -> None:
    random = np.random.default_rng(3)
    samples = [knots(random.pareto(0.7, size=5_000)) for _ in range(300)]
    pairs = zip(samples[::2], samples[1::2], strict=True)
    assert sum(any(outside(one, other, 5_000, 5_000)) for one, other in pairs) == 0


def test_rows_of_a_new_kind_surprise_when_dealing_them_out_would_not_do_it() -> None:
    assert not surprising(13, 5_000, 5_000)
    assert surprising(15, 5_000, 5_000)
    assert surprising(3, 100, 5_000)  # a small new snapshot has what a large one never had


def test_values_vary_as_much_as_rows_changed_sides() -> None:
    assert variation({"a": 600, "b": 400}, {"a": 300, "b": 700}) == pytest.approx(0.3)
    assert variation({"a": 600, "b": 400}, {"a": 590, "b": 410}) == 0
    assert variation({"a": 600}, {"b": 400}) == variation({}, {"b": 400}) == 0
    assert variation({"a": 6, "b": 4}, {"a": 3, "b": 7}) == 0  # so few rows


def test_values_of_which_hardly_any_row_stayed_do_not_vary() -> None:
    assert variation({"a": 50, "b": 50, "c": 9_900}, {"a": 99, "b": 1, "d": 9_900}) == 0
