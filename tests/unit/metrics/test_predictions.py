"""Scores of stored predictions are those that scikit-learn gives a model, and a row's weight is its number of copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.svm import LinearSVC

from contender.errors import ConfigError
from contender.metrics.check import check_metric
from contender.metrics.predictions import Predictions
from ownpkg import importable, write_package

if TYPE_CHECKING:
    from pathlib import Path

CLASSIFICATION = [
    "roc_auc",
    "accuracy",
    "neg_log_loss",
    "average_precision",
    "f1",
    "balanced_accuracy",
    "neg_brier_score",
]
REGRESSION = ["r2", "neg_mean_squared_error", "neg_root_mean_squared_error", "neg_mean_absolute_error"]


def data(*, classification: bool, rows: int = 80) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, 2))
    y = x[:, 0] + random.normal(size=rows)
    return x, (y > 0).astype(int) if classification else y


@pytest.mark.parametrize("threshold", [None, 0.2])
@pytest.mark.parametrize("metric", CLASSIFICATION)
def test_a_classifiers_score_is_the_scorers(metric: str, threshold: float | None) -> None:
    """Also one with a threshold of its own: labels are the answers that it gives, not the larger probability."""
    x, y = data(classification=True)
    model = LogisticRegression().fit(x, y)
    if threshold is not None:
        model = FixedThresholdClassifier(model, threshold=threshold).fit(x, y)
    predicted = Predictions.of(model, x, classification=True)
    assert predicted.score(metric, y) == pytest.approx(get_scorer(metric)(model, x, y), abs=1e-12)


@pytest.mark.parametrize("metric", REGRESSION)
def test_a_regressions_score_is_the_scorers(metric: str) -> None:
    x, y = data(classification=False)
    model = LinearRegression().fit(x, y)
    predicted = Predictions.of(model, x, classification=False)
    assert predicted.score(metric, y) == pytest.approx(get_scorer(metric)(model, x, y), abs=1e-12)


def test_parts_that_were_predicted_by_several_models_are_one_again() -> None:
    x, y = data(classification=True)
    plain = LogisticRegression().fit(x, y)
    models = [plain, FixedThresholdClassifier(plain, threshold=0.2).fit(x, y)]
    where = [np.arange(1, 80, 2), np.arange(0, 80, 2)]
    parts = [(at, Predictions.of(one, x[at], classification=True)) for one, at in zip(models, where, strict=True)]
    joined = Predictions.joined(parts)
    for one, at in zip(models, where, strict=True):
        found = joined.on(at)
        assert found.score("f1", y[at]) == pytest.approx(get_scorer("f1")(one, x[at], y[at]))
        assert found.score("roc_auc", y[at]) == pytest.approx(get_scorer("roc_auc")(one, x[at], y[at]))
    assert Predictions.joined([(np.arange(40), parts[0][1])]).labels is None


def test_scores_against_numbers_worked_out_elsewhere() -> None:
    """Hanley and McNeil's reading of the area: of 2 x 2 pairs, three are in order. Log loss by hand."""
    says, is_so = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])
    predicted = Predictions(np.column_stack([1 - says, says]))
    assert predicted.scores(["roc_auc", "accuracy"], is_so) == ({"roc_auc": 0.75, "accuracy": 0.75}, {})
    assert predicted.score("neg_log_loss", is_so) == pytest.approx(np.log([0.9, 0.6, 0.35, 0.8]).mean())


@pytest.mark.parametrize(
    ("metric", "classification"),
    [*((metric, True) for metric in CLASSIFICATION), *((metric, False) for metric in REGRESSION)],
)
@given(counts=st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_a_weight_is_a_number_of_copies(metric: str, classification: bool, counts: list[int]) -> None:
    """What makes it right to give weights instead of leaving rows out."""
    x, y = data(classification=classification, rows=12)
    weights = np.array(counts, dtype=float)
    copies = np.repeat(np.arange(12), counts)
    if len(np.unique(y[copies])) < 2:
        return
    values = np.clip(0.5 + x[:, 0] / 6, 0.01, 0.99)
    predicted = Predictions(np.column_stack([1 - values, values]) if classification else values)
    copied = Predictions(predicted.values[copies])
    assert predicted.score(metric, y, weights) == pytest.approx(copied.score(metric, y[copies]), abs=1e-9)


def test_greater_is_better_for_every_metric() -> None:
    x, y = data(classification=True)
    good = Predictions.of(LogisticRegression().fit(x, y), x, classification=True)
    bad = Predictions(good.values[:, ::-1])
    assert all(good.score(metric, y) > bad.score(metric, y) for metric in CLASSIFICATION)


def test_a_classifier_without_probabilities_is_refused_by_name() -> None:
    x, y = data(classification=True)
    with pytest.raises(ConfigError, match=r"LinearSVC gives no probabilities \(predict_proba\), which judging needs"):
        Predictions.of(LinearSVC().fit(x, y), x, classification=True)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_predictions_that_are_not_finite_are_refused(value: float) -> None:
    class Model:
        def predict(self, x: Any) -> Any:
            return np.where(np.arange(len(x)) < 2, value, 1.0)

    with pytest.raises(ValueError, match="2 of 5 predictions are not finite"):
        Predictions.of(Model(), np.zeros((5, 1)), classification=False)


@pytest.mark.parametrize("name", ["roc_auc", "neg_log_loss", "f1"])
def test_a_known_metric_is_let_through(name: str) -> None:
    check_metric(name, "here", classification=True)


def test_an_unknown_metric_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"here: scikit-learn has no scorer 'roc_acu'\. Did you mean 'roc_auc'"):
        check_metric("roc_acu", "here", classification=True)


def test_a_word_unlike_any_metric_gets_the_usual_ones() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'roc_auc' or 'neg_log_loss' or 'r2'"):
        check_metric("zzz", "here", classification=True)


def test_scikit_learn_still_counts_a_rows_weight_as_we_do() -> None:
    assert metrics.roc_auc_score([0, 1, 1], [0.2, 0.1, 0.9], sample_weight=[1, 0, 1]) == 1.0


OWN = "mypkg.metrics.mine"
HEADER = "import numpy as np\nfrom sklearn.metrics import make_scorer, mean_absolute_error\n"


@pytest.mark.parametrize(
    ("code", "classification"),
    [
        ("mine = make_scorer(lambda y, p, sample_weight=None: np.average(y == p, weights=sample_weight))", True),
        ("mine = make_scorer(mean_absolute_error, greater_is_better=False)", False),
        ("mine = make_scorer(mean_absolute_error, greater_is_better=False, response_method='predict_proba')", True),
        ("def mine(model, X, y, sample_weight=None):\n    return np.average(model.predict_proba(X)[:, 1] * y, weights=sample_weight)", True),
        ("def mine(model, X, y, sample_weight=None):\n    w = 1 if sample_weight is None else sample_weight\n    return np.sum(w * -abs(model.predict(X) - y))", False),
        ("def mine(model, X, y, sample_weight=None):\n    return 0", True),
    ],
)  # fmt: skip
def test_a_scorer_of_the_users_own_is_let_through(tmp_path: Path, code: str, classification: bool) -> None:
    with importable(write_package(tmp_path, metrics=HEADER + code)):
        check_metric(OWN, "here", classification=classification)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("mine = 5", r"^here: mypkg\.metrics has no scorer 'mine'\."),
        ("def mine(y, p):\n    return 1.0", r"^here: mypkg\.metrics\.mine raised TypeError: .*; expected a scorer, as sklearn"),
        ("mine = make_scorer(lambda y, p: 1.0)", r"^here: mypkg\.metrics\.mine raised TypeError: .*sample_weight.*; expected a scorer"),
        ("def mine(model, X, y, sample_weight=None):\n    return X['amount'].sum()", r"not subscriptable .*; expected .* nothing else of X"),
        ("def mine(model, X, y, sample_weight=None):\n    return None", r"^here: mypkg\.metrics\.mine raised TypeError: float"),
        ("def mine(model, X, y, sample_weight=None):\n    return np.mean(model.predict(X) == y)", r"gives 0\.75 for weighted rows and 0\.\d+ for rows repeated as often; count each row sample_weight times"),
        ("mine = make_scorer(lambda y, p, sample_weight=None: np.average(y != p, weights=sample_weight))", r"gives 0 for right answers and 1 for wrong ones, but greater must be better"),
    ],
)  # fmt: skip
def test_a_scorer_that_would_decide_wrongly_is_refused(tmp_path: Path, code: str, message: str) -> None:
    """One that forgets the weights would give every comparison an interval of no width."""
    with importable(write_package(tmp_path, metrics=HEADER + code)), pytest.raises(ConfigError, match=message):
        check_metric(OWN, "here", classification=True)


def test_where_nothing_is_ranked_less_may_be_better(tmp_path: Path) -> None:
    code = "mine = make_scorer(lambda y, p, sample_weight=None: np.average(y != p, weights=sample_weight))"
    with importable(write_package(tmp_path, metrics=HEADER + code)):
        check_metric(OWN, "here", classification=True, ranks=False)
