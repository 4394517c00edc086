"""A trial's tags, parameters and numbers as MLflow shows them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import LOGISTIC, make_run
from contender.documents.sweep import Trial, TrialResult
from contender.tracking import trials

RUN = make_run()
ANY = st.floats(allow_nan=True, allow_infinity=True)


def result(**parts: Any) -> TrialResult:
    known = {"trial": Trial(key="k" * 64, estimator=LOGISTIC, params={}, seed=1), "status": "complete", "seconds": 1.5}
    started = datetime(2026, 3, 2, tzinfo=UTC)
    return TrialResult.model_validate(known | {"cpu_seconds": 1.0, "started": started} | parts)


@given(
    scores=st.lists(ANY, max_size=5),
    mean=st.none() | ANY,
    seconds=ANY,
    curve=st.lists(st.tuples(st.integers(0, 100), ANY), max_size=5),
)
def test_only_finite_numbers_are_shown_and_each_is_the_records(
    scores: list[float], mean: float | None, seconds: float, curve: list[tuple[int, float]]
) -> None:
    numbers = {"scores": tuple(scores), "mean": mean, "fit_seconds": seconds, "curves": {"loss": tuple(curve)}}
    made = result().model_copy(update=numbers)  # a document itself refuses what is not finite
    shown = trials.metrics(RUN, made)
    assert all(math.isfinite(metric.value) for metric in shown)
    finite = [(step, value) for step, value in enumerate(scores) if math.isfinite(value)]
    assert [(one.step, one.value) for one in shown if one.key == "fold_roc_auc"] == finite
    finite = [(step, value) for step, value in curve if math.isfinite(value)]
    assert [(one.step, one.value) for one in shown if one.key == "curve/loss"] == finite


def test_a_trial_is_shown_the_same_every_time() -> None:
    made = result(scores=(0.1, 0.2), mean=0.15, std=0.05, curves={"loss": ((1, 0.5),)})
    assert trials.tags(RUN, "p", made) == trials.tags(RUN, "p", made)
    assert [vars(one) for one in trials.metrics(RUN, made)] == [vars(one) for one in trials.metrics(RUN, made)]


def test_a_curves_name_never_hides_another_number() -> None:
    shown = trials.metrics(RUN, result(curves={"seconds": ((1, 9.0),)}))
    assert {(one.key, one.value) for one in shown} >= {("seconds", 1.5), ("curve/seconds", 9.0)}


@pytest.mark.parametrize("length", [0, 1, 2, 19, 20, 21, 100, 1_234])
def test_a_long_curve_is_shown_by_few_of_its_points_the_first_and_the_last_included(length: int) -> None:
    curve = tuple((step, float(step)) for step in range(1, length + 1))
    shown = [(one.step, one.value) for one in trials.metrics(RUN, result(curves={"loss": curve})) if "loss" in one.key]
    assert len(shown) == min(length, 20)
    assert sorted(set(shown)) == shown
    assert set(shown) <= set(curve)
    assert (shown[:1], shown[-1:]) == (list(curve[:1]), list(curve[-1:]))


def test_a_scorer_of_the_users_own_is_shown_by_its_last_name() -> None:
    run = make_run(sweep={"metric": "mypkg.metrics.profit"})
    assert {one.key for one in trials.metrics(run, result(scores=(1.0,), mean=1.0, std=0.0))} >= {
        "cv_profit",
        "fold_profit",
    }


def test_a_record_that_does_not_say_its_code_has_the_runs() -> None:
    assert trials.tags(RUN, "p", result())["contender.code"] == RUN.code.fingerprint[:16]
    other = RUN.code.model_copy(update={"fingerprint": "f" * 64})
    assert trials.tags(RUN, "p", result(code=other))["contender.code"] == "f" * 16


@pytest.mark.parametrize(("status", "shown"), [("complete", "FINISHED"), ("failed", "FAILED")])
def test_its_end_is_when_it_ended_and_not_when_it_was_shown(status: str, shown: str) -> None:
    made = result(status=status)
    started, ended = trials.interval(made)
    assert ended - started == 1_500
    assert trials.status(made) == shown
