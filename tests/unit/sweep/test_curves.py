"""Learning curves: what an estimator kept, its score by stage, and that nothing depends on them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import ClassifierMixin
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from contender.sweep import curves as module
from contender.sweep.curves import POINTS, STAGES, curves

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(120, 3))
NUMBERS = ROWS[:, 0] + RANDOM.normal(size=120)
CLASSES = (NUMBERS > 0).astype(int)


@pytest.fixture(autouse=True)
def _at_leisure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine leaves no curve out."""
    monkeypatch.setattr(module, "_LEAST_SECONDS", 60.0)


def learned(model: Any, metric: str = "", *, seconds: float = 1.0) -> dict[str, Any]:
    """The curves of a model that is fitted on two thirds of the rows."""
    target = CLASSES if hasattr(model, "predict_proba") else NUMBERS
    metric = metric or ("roc_auc" if target is CLASSES else "r2")
    model.fit(ROWS[:80], target[:80])
    return curves(model, ROWS[80:], target[80:], metric, seconds=seconds)


@pytest.mark.parametrize(
    ("model", "metric"),
    [
        (GradientBoostingClassifier(n_estimators=30), "roc_auc"),
        (GradientBoostingClassifier(n_estimators=300, n_iter_no_change=3), "neg_log_loss"),
        (GradientBoostingRegressor(n_estimators=30), "r2"),
        (HistGradientBoostingClassifier(max_iter=30), "neg_brier_score"),
        (HistGradientBoostingRegressor(early_stopping=True), "neg_mean_absolute_error"),
        (AdaBoostClassifier(n_estimators=7), "accuracy"),
        (AdaBoostRegressor(n_estimators=30), "r2"),
        (make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=30)), "roc_auc"),
    ],
)
def test_the_score_after_the_last_stage_is_that_of_the_model(model: Any, metric: str) -> None:
    curve = learned(model, metric)["test_score"]
    target = CLASSES if hasattr(model, "predict_proba") else NUMBERS
    assert curve[-1][1] == pytest.approx(get_scorer(metric)(model, ROWS[80:], target[80:]), abs=1e-9)
    steps = [step for step, _ in curve]
    assert steps[0] == 1
    assert steps == sorted(set(steps))
    assert len(steps) <= STAGES


def test_a_network_keeps_its_loss_and_with_early_stopping_its_validation_score() -> None:
    network = MLPClassifier(early_stopping=True, n_iter_no_change=3, random_state=0)
    found = learned(network)
    assert set(found) == {"loss", "validation_score"}
    assert found["loss"] == tuple(enumerate(network.loss_curve_, 1))
    assert found["validation_score"] == tuple(enumerate(network.validation_scores_, 1))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_long_curve_is_thinned_evenly_between_its_ends() -> None:
    network = MLPRegressor(max_iter=333, tol=0.0, n_iter_no_change=1000, random_state=0)
    curve = learned(network)["loss"]
    assert len(curve) == POINTS
    assert curve[0] == (1, network.loss_curve_[0])
    assert curve[-1] == (333, network.loss_curve_[-1])
    assert {b - a for (a, _), (b, _) in itertools.pairwise(curve)} == {3, 4}


def test_gradient_boosting_keeps_its_training_loss_from_the_first_stage_on() -> None:
    model = GradientBoostingRegressor(n_estimators=5)
    assert learned(model)["train_score"] == tuple(enumerate(model.train_score_, 1))


@pytest.mark.slow
def test_histogram_boosting_keeps_its_scores_with_early_stopping_and_from_before_the_first_stage() -> None:
    model = HistGradientBoostingClassifier(early_stopping=True, random_state=0)
    found = learned(model)
    assert found["train_score"][0] == (0, model.train_score_[0])
    assert found["validation_score"][-1] == (model.n_iter_, model.validation_score_[-1])
    assert set(learned(HistGradientBoostingClassifier(early_stopping=False))) == {"test_score"}


def test_what_learns_in_one_go_has_no_curve() -> None:
    assert learned(LogisticRegression()) == {}


@pytest.mark.parametrize("stages", [5, 90])
@pytest.mark.parametrize(
    ("path", "metric"),
    [
        ("lightgbm.LGBMClassifier", "roc_auc"),
        ("lightgbm.LGBMRegressor", "r2"),
        ("xgboost.XGBClassifier", "neg_log_loss"),
        ("xgboost.XGBRegressor", "neg_mean_absolute_error"),
    ],
)
def test_boosting_libraries_are_asked_for_their_stages_and_the_last_scores_as_the_model(
    path: str, metric: str, stages: int
) -> None:
    library, _, name = path.partition(".")
    quiet = {"n_estimators": stages, "verbosity": -1 if library == "lightgbm" else 0, "n_jobs": 1}
    model = getattr(pytest.importorskip(library), name)(**quiet)
    found = learned(model, metric)
    assert set(found) == {"test_score"}
    steps = [step for step, _ in found["test_score"]]
    assert (steps[0], steps[-1], len(steps)) == (1, stages, min(stages, STAGES))
    target = CLASSES if hasattr(model, "predict_proba") else NUMBERS
    assert found["test_score"][-1][1] == pytest.approx(get_scorer(metric)(model, ROWS[80:], target[80:]), abs=1e-6)
    assert len({value for _, value in found["test_score"]}) > 1 or stages == 5  # stumps of 80 rows may rank alike


def test_stages_that_take_more_than_a_tenth_of_fitting_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_SECONDS", 0.0)
    model = GradientBoostingClassifier(n_estimators=100)
    assert set(learned(model, seconds=1e-9)) == {"train_score"}
    assert set(learned(model, seconds=600.0)) == {"train_score", "test_score"}


class Stubborn(ClassifierMixin):
    """Has every curve there is, and gives none."""

    n_iter_ = 3
    loss_curve_ = None
    validation_scores_ = ("no", "numbers")

    @property
    def train_score_(self) -> Any:
        msg = "ask later"
        raise RuntimeError(msg)

    @property
    def validation_score_(self) -> tuple[float, ...]:
        return (math.nan, 0.5, math.inf, -math.inf, 0.75)

    def predict_proba(self, x: Any) -> Any: ...

    def staged_predict_proba(self, x: Any) -> Any:
        yield np.full((len(x), 2), 0.5)
        raise MemoryError


def test_a_curve_that_cannot_be_had_is_left_out_and_a_point_that_is_no_number_too() -> None:
    found = curves(Stubborn(), ROWS, CLASSES, "roc_auc", seconds=1.0)
    assert found == {"validation_score": ((1, 0.5), (4, 0.75))}


def test_a_stage_without_a_finite_score_is_left_out() -> None:
    found = curves(AdaBoostClassifier().fit(ROWS, CLASSES), ROWS, np.ones_like(CLASSES), "roc_auc", seconds=1.0)
    assert found == {}


@given(st.lists(st.floats(), max_size=400))
def test_every_curve_is_bounded_finite_and_in_order_and_keeps_its_ends(values: list[float]) -> None:
    curve = module._finite(enumerate(values))
    finite = [(step, value) for step, value in enumerate(values) if math.isfinite(value)]
    assert len(curve) == min(len(finite), POINTS)
    assert list(curve) == sorted(set(curve) & set(finite))
    assert list(curve[:1] + curve[-1:]) == finite[:1] + finite[-1:]
