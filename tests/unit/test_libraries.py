"""A spec against the libraries: what it names must be there, before anything is read or trained."""

from __future__ import annotations

from typing import Any

import pytest

from builders import LOGISTIC, TREE, make_spec
from contender.errors import ConfigError
from contender.libraries import check_libraries


def sweep(metric: str = "roc_auc", *candidates: dict[str, Any]) -> dict[str, Any]:
    return {"metric": metric, "candidates": list(candidates) or [{"estimator": LOGISTIC}]}


def test_a_spec_whose_names_are_all_there_is_fine() -> None:
    check_libraries(make_spec(expectations=[{"expect_column_values_to_not_be_null": {"column": "x"}}]))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"sweep": sweep("roc_acu")}, r"^sweep\.metric: scikit-learn has no scorer 'roc_acu'. Did you mean 'roc_auc'"),
        (
            {"gates": [{"kind": "threshold", "metric": "accurracy", "min": 0.5}]},
            r"^gates\.0\.metric: scikit-learn has no scorer 'accurracy'. Did you mean 'accuracy'",
        ),
        ({"sweep": sweep("roc_auc", {"estimator": "sklearn.tree.Tre"})}, r"^sweep\.candidates\.0: .* has no class 'Tre'"),
        (
            {"sweep": sweep("roc_auc", {"estimator": LOGISTIC}, {"estimator": TREE, "params": {"depth": 2}})},
            r"^sweep\.candidates\.1\.params\.depth: DecisionTreeClassifier has no such parameter",
        ),
        ({"expectations": [{"expect_nothing": {}}]}, r"^expectations\.0: unknown expectation 'expect_nothing'"),
    ],
    ids=["metric", "gate", "estimator", "parameter", "expectation"],
)  # fmt: skip
def test_what_is_not_there_is_named_where_it_stands(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_libraries(make_spec(**parts))


@pytest.mark.parametrize(
    ("metric", "positive"),
    [
        ("roc_auc", None),
        ("accuracy", None),
        ("neg_mean_gamma_deviance", "yes"),
        ("f1_samples", "yes"),
        ("neg_max_error", None),
        ("adjusted_rand_score", "yes"),
        ("positive_likelihood_ratio", "yes"),
    ],
)
def test_a_metric_that_cannot_judge_this_kind_of_target_is_refused_at_once(metric: str, positive: str | None) -> None:
    """Not after the sweep, when the contest asks for it with row weights."""
    kind = "classification" if positive else "regression"
    candidate = {"estimator": LOGISTIC if positive else "sklearn.linear_model.Ridge"}
    spec = make_spec(data={"positive": positive}, sweep=sweep(metric, candidate))
    with pytest.raises(ConfigError, match=rf"^sweep\.metric: {metric} cannot judge a {kind} with weighted rows: \w+"):
        check_libraries(spec)


@pytest.mark.parametrize(
    ("metric", "positive"),
    [
        ("neg_log_loss", "yes"),
        ("average_precision", "yes"),
        ("neg_brier_score", "yes"),
        ("balanced_accuracy", "yes"),
        ("f1", "yes"),
        ("r2", None),
        ("neg_root_mean_squared_error", None),
        ("neg_mean_gamma_deviance", None),
        ("neg_mean_absolute_percentage_error", None),
    ],
)
def test_a_metric_that_can_judge_is_let_through(metric: str, positive: str | None) -> None:
    candidate = {"estimator": LOGISTIC if positive else "sklearn.linear_model.Ridge"}
    gates = [{"kind": "threshold", "metric": metric, "min": -1.0}]
    check_libraries(make_spec(data={"positive": positive}, sweep=sweep(metric, candidate), gates=gates))


def test_a_classifier_without_probabilities_is_refused_before_it_is_trained() -> None:
    spec = make_spec(sweep=sweep("roc_auc", {"estimator": LOGISTIC}, {"estimator": "sklearn.svm.LinearSVC"}))
    with pytest.raises(ConfigError, match=r"^sweep\.candidates\.1: LinearSVC gives no probabilities \(predict_proba\)"):
        check_libraries(spec)


def test_a_classifier_that_gives_probabilities_with_its_parameters_is_fine() -> None:
    path = "sklearn.linear_model.SGDClassifier"
    check_libraries(make_spec(sweep=sweep("roc_auc", {"estimator": path, "params": {"loss": "log_loss"}})))
    with pytest.raises(ConfigError, match="SGDClassifier gives no probabilities"):
        check_libraries(make_spec(sweep=sweep("roc_auc", {"estimator": path})))
