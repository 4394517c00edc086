"""Statistical power: how often a gate would prove a true gain of a given size on a given number of rows."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contender.documents.scoreboard import Comparison


def power(comparison: Comparison, gain: float, *, rows: int | None = None) -> float:
    """The probability that a true gain is found by ``beats`` with policy ``superior`` and margin 0.

    The normal approximation of a one-sided test (Chow, Shao and Wang, Sample Size Calculations in Clinical Research,
    2008, section 3.1), with the standard error read from the comparison's interval.

    Args:
        gain: the true difference, in the metric's unit.
        rows: how many the gate will have; default: as many as the comparison had. The error shrinks with their root.
    """
    normal = NormalDist()
    error = (comparison.high - comparison.low) / (2 * normal.inv_cdf((1 + comparison.confidence) / 2))
    if rows is not None:
        error *= (comparison.rows / rows) ** 0.5
    if error <= 0:  # the two models never differed: any gain would show
        return 1.0
    return normal.cdf(gain / error - normal.inv_cdf((1 + comparison.confidence) / 2))


def in_weeks(probability: float) -> str:
    """A probability per weekly run in words: ``in about 1 week of 3``."""
    if probability > 0.9:
        return "in nearly every week"
    if probability > 0.6:
        return f"in about {round(probability * 10)} weeks of 10"
    if probability < 0.1:
        return "in fewer than 1 week of 10"
    return f"in about 1 week of {round(1 / probability)}"
