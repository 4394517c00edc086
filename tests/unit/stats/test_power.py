"""The power of a gate, against a simulation."""

from __future__ import annotations

import numpy as np
import pytest

from contender.documents.scoreboard import Comparison
from contender.stats.power import in_weeks, power


def comparison(low: float, high: float, rows: int = 1_000) -> Comparison:
    return Comparison(
        opponent="champion",
        metric="roc_auc",
        rows=rows,
        candidate=0.8,
        other=0.8,
        difference=0.0,
        low=low,
        high=high,
        confidence=0.9,
    )


@pytest.mark.parametrize("gain", [0.0, 0.005, 0.01, 0.03])
def test_the_power_is_that_of_the_simulated_gate(gain: float) -> None:
    error = 0.006
    seen = np.random.default_rng(0).normal(gain, error, 200_000)
    passed = (seen - 1.6449 * error > 0).mean()
    assert power(comparison(-1.6449 * error, 1.6449 * error), gain) == pytest.approx(passed, abs=0.005)


def test_four_times_the_rows_halve_the_error() -> None:
    wide, narrow = comparison(-0.02, 0.02), comparison(-0.01, 0.01)
    assert power(wide, 0.01, rows=4_000) == pytest.approx(power(narrow, 0.01))


def test_models_that_never_differ_can_always_be_told_apart() -> None:
    assert power(comparison(0.0, 0.0), 0.01) == 1.0


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.95, "in nearly every week"),
        (0.7, "in about 7 weeks of 10"),
        (0.34, "in about 1 week of 3"),
        (0.05, "in fewer than 1 week of 10"),
    ],
)
def test_a_probability_is_said_in_weeks(probability: float, words: str) -> None:
    assert in_weeks(probability) == words
