"""From an import path and parameters to an unfitted model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from builders import LOGISTIC, TREE
from contender.errors import ConfigError
from contender.sweep.model import build_model, check_params, estimator_class

if TYPE_CHECKING:
    from pathlib import Path

FOREST = "sklearn.ensemble.RandomForestClassifier"


def test_a_class_is_found_by_its_path() -> None:
    assert estimator_class(LOGISTIC).__name__ == "LogisticRegression"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("sklearn.linear_modell.Ridge", r"here: cannot import 'sklearn\.linear_modell\.Ridge': No module named"),
        ("no_such_library.Model", r"here: cannot import 'no_such_library\.Model': No module named 'no_such_library'"),
        ("sklearn.linear_model.LogisticRegresion", r"has no class .* Did you mean 'LogisticRegression'\?"),
        ("sklearn.linear_model.ridge_regression", r"here: sklearn\.linear_model has no class 'ridge_regression'\."),
        ("sklearn.preprocessing.StandardScaler", r"is no estimator \(it needs fit, predict and get_params\)"),
        ("sklearn.multiclass.OneVsRestClassifier", r"cannot be made without arguments .*'estimator'"),
    ],
)
def test_what_is_no_estimator_is_refused_where_it_stands(path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_params(path, {}, "here")
    assert str(caught.value).startswith("here: ")


def test_a_module_that_breaks_when_imported_is_the_users_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_models.py").write_text("raise RuntimeError('no licence found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot import 'broken_models\.Model': RuntimeError: no licence found"):
        estimator_class("broken_models.Model")
    assert "broken_models" not in sys.modules


def test_an_unknown_parameter_gets_a_suggestion() -> None:
    message = r"here\.params\.max_dept: DecisionTreeClassifier has no such parameter\. Did you mean 'max_depth'\?"
    with pytest.raises(ConfigError, match=message):
        check_params(TREE, {"max_dept": 2}, "here")


@pytest.mark.parametrize("path", [LOGISTIC, TREE, FOREST, "sklearn.ensemble.HistGradientBoostingClassifier"])
def test_everything_random_in_a_model_hangs_on_the_seed(path: str) -> None:
    settings = build_model(path, {}, 7).get_params(deep=True)
    random = {name: value for name, value in settings.items() if name.rpartition("__")[2] == "random_state"}
    assert len(random) >= 2
    assert set(random.values()) == {7}


def test_what_the_parameters_say_stays() -> None:
    model = build_model(FOREST, {"random_state": 3, "n_jobs": 2, "max_depth": 4}, 7)
    assert {name: model[-1].get_params()[name] for name in ("random_state", "n_jobs", "max_depth")} == {
        "random_state": 3,
        "n_jobs": 2,
        "max_depth": 4,
    }


class AllCores(ClassifierMixin, BaseEstimator):
    """Takes every core unless told otherwise, as XGBoost and LightGBM do."""

    def __init__(self, n_jobs: int | None = None) -> None:
        self.n_jobs = n_jobs

    def fit(self, x: Any, y: Any) -> Any: ...

    predict = fit


def test_a_model_uses_one_core_because_shards_run_side_by_side() -> None:
    path = f"{__name__}.AllCores"
    assert build_model(path, {}, 7)[-1].n_jobs == 1
    assert build_model(path, {"n_jobs": 2}, 7)[-1].n_jobs == 2


def test_scikit_learn_is_left_with_its_own_one_core() -> None:
    """It warns of an ``n_jobs`` that some of its estimators have no use for."""
    assert build_model(LOGISTIC, {}, 7)[-1].n_jobs is None


def test_two_models_share_nothing() -> None:
    one, other = (build_model(LOGISTIC, {"C": 2.0}, 0) for _ in range(2))
    assert all(a is not b for (_, a), (_, b) in zip(one.steps, other.steps, strict=True))


def test_parameters_reach_into_a_nested_estimator() -> None:
    params: dict[str, Any] = {"n_estimators": 3, "max_samples": 0.5}
    assert build_model("sklearn.ensemble.BaggingClassifier", params, 0)[-1].n_estimators == 3
