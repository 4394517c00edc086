"""The table of a backtest: every way on the same periods, the interval of a mean over weeks, and what is recommended."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from builders import AS_OF
from contender.backtest.replay import Backtest, Period, Replayed
from contender.backtest.table import summary
from contender.backtest.ways import Way

if TYPE_CHECKING:
    from contender.backtest.table import Line

NAN = float("nan")
WEEK = timedelta(days=7)


def way(name: str, skills: list[float], *, trained: int | None = None, **parts: Any) -> Replayed:
    """A chain whose replaced champions are not known unless ``before`` says how good they would have been."""
    before = parts.pop("before", [NAN] * len(skills))
    rule: Any = "never" if name == "never again" else "gates"
    fields: dict[str, Any] = {"promoted": (0,), "cpu_seconds": 60.0} | parts
    return Replayed(
        way=Way(name, rule, ()),
        periods=tuple(Period(*pair) for pair in zip(skills, before, strict=True)),
        trained=len(skills) if trained is None else trained,
        **fields,
    )


def backtest(*ways: Replayed, metric: str = "roc_auc") -> Backtest:
    starts = tuple(AS_OF + n * WEEK for n in range(len(ways[0].periods)))
    return Backtest("churn", metric, WEEK, starts, ways, {}, 0)


def lines(*ways: Replayed) -> dict[str, Line]:
    return {line.name: line for line in summary(backtest(*ways)).lines}


def noise(weeks: int = 40, *, mean: float = 0.8, spread: float = 0.02, seed: int = 0) -> list[float]:
    return list(np.random.default_rng(seed).normal(mean, spread, weeks))


def test_ways_are_compared_on_the_periods_in_which_each_had_something_to_serve() -> None:
    found = summary(backtest(way("a", [NAN, 0.8, 0.7, 0.9]), way("b", [0.1, 0.7, 0.7, NAN])))
    assert found.periods == 2
    assert [line.skill for line in found.lines] == pytest.approx([0.75, 0.7])
    assert [line.better for line in found.lines] == pytest.approx([0.0, -0.05])
    assert found.recommendation == "Too few periods (16 are needed) to recommend one"


def test_where_no_period_is_common_nothing_is_recommended() -> None:
    found = summary(backtest(way("a", [NAN, 0.8]), way("b", [0.1, NAN])))
    assert found.periods == 0
    assert found.recommendation.startswith("Nothing can be said")


def test_a_way_that_loses_little_and_trains_seldom_is_recommended() -> None:
    base = np.array(noise())
    often, seldom = way("often", list(base)), way("seldom", list(base + noise(mean=-0.0005, spread=0.01)), trained=10)
    poor = way("never again", list(base - 0.05), trained=1)
    found = summary(backtest(poor, often, seldom))
    assert found.recommendation.startswith("seldom: not shown worse than the best (often, 0.79")
    assert found.recommendation.endswith("; it trains 10 times instead of 40")


def test_where_a_model_that_never_changes_is_as_good_it_is_said_that_retraining_does_not_pay() -> None:
    base = np.array(noise())
    found = summary(
        backtest(way("never again", list(base + noise(mean=-0.001, spread=0.01)), trained=1), way("often", list(base)))
    )
    assert found.recommendation.startswith("never again: not shown worse")
    assert found.recommendation.endswith("These periods do not show that retraining pays")


def test_promotions_are_judged_by_what_they_replaced_until_the_next_one() -> None:
    one = way(
        "a",
        [0.8, 0.8, 0.7, 0.7, 0.9, 0.9],
        before=[NAN, 0.7, 0.9, 0.6, 0.95, NAN],
        promoted=(0, 1, 2, 4, 5),
    )
    line = lines(one)["a"]
    # At 1: +.1. At 2: -.2 and +.1, so worse. At 4: -.05, worse. At 5 nothing is known.
    assert (line.promoted, line.worse, line.unknown) == (4, 2, 1)


@pytest.mark.parametrize("kept", [0.0, 0.6])
def test_the_interval_holds_the_true_difference_also_when_weeks_resemble_each_other(kept: float) -> None:
    """Nominally 90 %; with an autocorrelation of .6, where a plain error would hold it in 58 %, it is 86."""
    random, held = np.random.default_rng(0), 0
    for _ in range(400):
        steps, drift = random.normal(size=52), np.zeros(52)
        for week in range(1, 52):
            drift[week] = kept * drift[week - 1] + steps[week]
        better = lines(way("a", list(0.9 + 0 * drift)), way("b", list(0.8 + 0.01 * drift)))["b"]
        held += better.low <= -0.1 <= better.high
    assert held / 400 > (0.87 if kept == 0 else 0.82)
