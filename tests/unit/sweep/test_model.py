"""From an import path and parameters to an unfitted model."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.metrics import roc_auc_score
from skrub import tabular_pipeline

from builders import LOGISTIC, TREE
from contender.dtypes import TEXT
from contender.errors import ConfigError
from contender.sweep.model import build_model, check_params
from ownpkg import importable, write_package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIGHTGBM = "lightgbm.LGBMClassifier"
FOREST = "sklearn.ensemble.RandomForestClassifier"


def test_a_class_is_found_by_its_path() -> None:
    assert type(check_params(LOGISTIC, {})).__name__ == "LogisticRegression"


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
        check_params("broken_models.Model", {})
    assert "broken_models" not in sys.modules


def test_an_unknown_parameter_gets_a_suggestion() -> None:
    message = r"here\.params\.max_dept: DecisionTreeClassifier has no such parameter\. Did you mean 'max_depth'\?"
    with pytest.raises(ConfigError, match=message):
        check_params(TREE, {"max_dept": 2}, "here")


@pytest.mark.parametrize("name", ["max_bin", "lambda_l1", "verbosity", "feature_fraction"])
def test_lightgbm_takes_all_its_parameters_and_no_others(name: str) -> None:
    """It lists some of them only."""
    pytest.importorskip("lightgbm")
    assert check_params(LIGHTGBM, {name: 1}).set_params(**{name: 1}).get_params()[name] == 1
    with pytest.raises(ConfigError, match=r"LGBMClassifier has no such parameter\. Did you mean 'max_bin'\?"):
        check_params(LIGHTGBM, {"max_bim": 1})


@pytest.mark.parametrize(
    "path", [LOGISTIC, TREE, FOREST, "sklearn.ensemble.HistGradientBoostingClassifier", "sklearn.svm.LinearSVC"]
)
def test_everything_random_in_a_model_depends_on_the_seed(path: str) -> None:
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


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    with importable(write_package(tmp_path)):
        yield tmp_path / "mypkg"


def test_a_pipeline_of_the_users_own_is_used_as_it_is(package: Path) -> None:
    params = {"model__C": 0.5, "features__power": 2.0}
    model = build_model("mypkg.models.build", params, 7, pipeline=True)
    assert [(name, type(step).__name__) for name, step in model.steps] == [
        ("features", "Squeezed"),
        ("model", "LogisticRegression"),
    ]
    assert (model[-1].C, model[0].power, model[-1].random_state) == (0.5, 2.0, 7)


def test_a_function_that_returns_an_estimator_gets_the_usual_preprocessing(package: Path) -> None:
    built = build_model("mypkg.models.bare", {"C": 0.5}, 7, pipeline=True)
    named = build_model(LOGISTIC, {"C": 0.5}, 7)
    assert str(built) == str(named)


def test_a_function_that_keeps_its_pipeline_gives_each_model_one_of_its_own(package: Path) -> None:
    (package / "models.py").write_text(
        "from sklearn.linear_model import LogisticRegression\nfrom sklearn.pipeline import make_pipeline\n"
        "KEPT = make_pipeline(LogisticRegression()).fit([[0.0], [1.0]], [0, 1])\ndef build():\n    return KEPT\n"
    )
    one, other = (build_model("mypkg.models.build", {"logisticregression__C": c}, 7, pipeline=True) for c in (1.0, 2.0))
    assert (one[-1].C, other[-1].C) == (1.0, 2.0)
    assert not hasattr(one[-1], "coef_")


class AllCores(ClassifierMixin, BaseEstimator):
    """Takes every core unless told otherwise, as XGBoost and LightGBM do."""

    def __init__(self, n_jobs: int | None = None) -> None:
        self.n_jobs = n_jobs

    def fit(self, x: Any, y: Any) -> Any: ...

    predict = fit


def test_a_model_uses_one_core_because_training_tasks_run_side_by_side() -> None:
    path = f"{__name__}.AllCores"
    assert build_model(path, {}, 7)[-1].n_jobs == 1
    assert build_model(path, {"n_jobs": 2}, 7)[-1].n_jobs == 2


def test_every_part_of_an_own_pipeline_uses_one_core(package: Path) -> None:
    (package / "models.py").write_text(
        "from sklearn.ensemble import BaggingClassifier\nfrom sklearn.pipeline import make_pipeline\n"
        f"from {__name__} import AllCores\n"
        "def build():\n    return make_pipeline(BaggingClassifier(AllCores()))\n"
    )
    model = build_model("mypkg.models.build", {}, 7, pipeline=True)
    assert (model[-1].n_jobs, model[-1].estimator.n_jobs) == (None, 1)


def test_scikit_learn_is_left_with_its_own_one_core() -> None:
    """It warns of an ``n_jobs`` that some of its estimators have no use for."""
    assert build_model(LOGISTIC, {}, 7)[-1].n_jobs is None


def test_two_models_share_nothing() -> None:
    one, other = (build_model(LOGISTIC, {"C": 2.0}, 0) for _ in range(2))
    assert all(a is not b for (_, a), (_, b) in zip(one.steps, other.steps, strict=True))


def test_parameters_reach_into_a_nested_estimator() -> None:
    params: dict[str, Any] = {"n_estimators": 3, "max_samples": 0.5}
    assert build_model("sklearn.ensemble.BaggingClassifier", params, 0)[-1].n_estimators == 3


SCORES_ONLY = [
    ("sklearn.svm.SVC", {"C": 0.5, "class_weight": "balanced"}),
    ("sklearn.svm.LinearSVC", {"C": 0.5}),
    ("sklearn.linear_model.RidgeClassifier", {"alpha": 0.5}),
    ("sklearn.linear_model.SGDClassifier", {"alpha": 0.5}),
]


@pytest.mark.parametrize(("path", "params"), SCORES_ONLY)
def test_a_classifier_that_only_gives_scores_is_calibrated(path: str, params: dict[str, Any]) -> None:
    """As by hand, with its own parameters, and behind the preprocessing that its kind needs."""
    model = build_model(path, params, 3)
    plain = check_params(path, params).set_params(**params)
    if "random_state" in plain.get_params():
        plain.set_params(random_state=3)
    assert repr(model[-1]) == repr(CalibratedClassifierCV(plain, ensemble=False))
    usual = tabular_pipeline(plain)[:-1]
    assert [type(step) for step in model[-1 - len(usual) : -1]] == [type(step) for step in usual]
    assert type(model[-2]).__name__ == "SquashingScaler"
    x, y = make_classification(120, random_state=0)
    by_hand = CalibratedClassifierCV(plain, method="sigmoid", cv=5, ensemble=False).fit(x, y)
    assert clone(model[-1]).fit(x, y).predict_proba(x) == pytest.approx(by_hand.predict_proba(x))


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (LOGISTIC, {}),
        ("sklearn.linear_model.SGDClassifier", {"loss": "log_loss"}),
        ("sklearn.svm.SVR", {}),
        ("sklearn.ensemble.IsolationForest", {}),
    ],
)
def test_only_classifiers_without_probabilities_are_calibrated(path: str, params: dict[str, Any]) -> None:
    assert type(build_model(path, params, 3)[-1]).__name__ == path.rpartition(".")[2]


def test_an_own_pipeline_is_not_calibrated(package: Path) -> None:
    """It is used as it is; its author can calibrate it."""
    (package / "models.py").write_text(
        "from sklearn.pipeline import make_pipeline\nfrom sklearn.svm import LinearSVC\n"
        "def build():\n    return make_pipeline(LinearSVC())\ndef bare():\n    return LinearSVC()\n"
    )
    assert not hasattr(build_model("mypkg.models.build", {}, 0, pipeline=True), "predict_proba")
    assert hasattr(build_model("mypkg.models.bare", {}, 0, pipeline=True), "predict_proba")


@pytest.mark.parametrize("path", [LIGHTGBM, "xgboost.XGBClassifier"])
def test_boosting_libraries_use_one_core_say_nothing_and_take_columns_of_any_name(
    path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(path.partition(".")[0])
    model = build_model(path, {"n_estimators": 5}, 3)
    assert (model[-1].n_jobs, model[-1].random_state) == (1, 3)
    ages = np.linspace(20, 80, 60)
    table = pd.DataFrame({"age [years]": ages, 'a "b": {<c>}': pd.Series(["x", "y"] * 30, dtype=TEXT)})
    assert model.fit(table, ages > 50).predict_proba(table).shape == (60, 2)
    assert capfd.readouterr() == ("", "")


def test_lightgbm_says_as_much_as_it_is_asked_to(package: Path) -> None:
    pytest.importorskip("lightgbm")
    assert build_model(LIGHTGBM, {"verbose": 1}, 3)[-1].get_params()["verbose"] == 1
    (package / "models.py").write_text(
        "from lightgbm import LGBMClassifier\nfrom sklearn.pipeline import make_pipeline\n"
        "def build():\n    return make_pipeline(LGBMClassifier())\n"
    )
    assert build_model("mypkg.models.build", {}, 0, pipeline=True)[-1].get_params()["verbosity"] == -1


TREES = "sklearn.ensemble.HistGradientBoostingClassifier"
SMALL: dict[str, dict[str, Any]] = {TREES: {"max_iter": 20}, FOREST: {"n_estimators": 20}}


def codes(levels: int, rows: int = 1_000, *, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Branch codes of three digits, each with a rate of its own, and the classes that follow from it."""
    random = np.random.default_rng(seed)
    branch = random.integers(0, levels, rows)
    target = random.random(rows) < 1 / (1 + np.exp(-2 * random.normal(size=levels)[branch]))
    table = {"branch": pd.Series([f"{one + 1:03}" for one in branch], dtype=TEXT), "x": random.normal(size=rows)}
    return pd.DataFrame(table), target.astype(int)


def auc_of(path: str, table: pd.DataFrame, target: np.ndarray) -> float:
    half = len(target) // 2
    model = build_model(path, SMALL.get(path, {}), 3).fit(table[:half], target[:half])
    return float(roc_auc_score(target[half:], model.predict_proba(table[half:])[:, 1]))


@pytest.mark.parametrize("path", [LOGISTIC, TREES, FOREST])
@given(levels=st.integers(3, 38), seed=st.integers(0, 9))
@settings(max_examples=3, deadline=None)
def test_codes_of_digits_are_names_like_codes_with_a_letter_in_front(path: str, levels: int, seed: int) -> None:
    table, target = codes(levels, seed=seed)
    lettered = table.assign(branch="b" + table["branch"])
    assert auc_of(path, table, target) == auc_of(path, lettered, target)


@pytest.mark.parametrize("path", [LOGISTIC, TREES])
def test_also_many_codes_of_digits_are_names(path: str) -> None:
    """Above forty they are encoded by their characters, of which the letter is one."""
    table, target = codes(50)
    found = auc_of(path, table, target)
    assert found > 0.7
    assert found == pytest.approx(auc_of(path, table.assign(branch="b" + table["branch"]), target), abs=0.05)


@pytest.mark.parametrize("path", [LOGISTIC, TREES])
@pytest.mark.parametrize("level", ["NA", "None", "nan", "?", "", "2026-01-01"])
def test_a_level_that_reads_like_nothing_is_a_level(path: str, level: str) -> None:
    """Beside rows without a value, and beside other levels that a parser would take."""
    random = np.random.default_rng(0)
    kinds = random.choice([level, "2026-02-02", None], 900)
    target = np.array([kind == level for kind in kinds]).astype(int)
    table = pd.DataFrame({"kind": pd.Series(kinds, dtype=TEXT), "x": random.normal(size=900)})
    assert auc_of(path, table, target) == 1.0


@pytest.mark.parametrize("path", [LOGISTIC, TREES])
def test_a_new_level_among_digits_leaves_the_others_as_they_are(path: str) -> None:
    table, target = codes(20)
    model = build_model(path, SMALL.get(path, {}), 3).fit(table, target)
    mixed = table.copy()
    mixed.loc[0, "branch"] = "12B"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the level that is new
        before, after = model.predict_proba(table)[:, 1], model.predict_proba(mixed)[:, 1]
    assert before[1:].tolist() == after[1:].tolist()
    assert np.isfinite(after[0])


def test_a_moment_at_the_end_of_time_is_later_than_all_others() -> None:
    """Also as MLflow passes it: a list, of which pandas 2 makes no timestamps."""
    moments = np.array(["0001-01-01", "1999-12-31", "2026-03-02", "9999-12-31"], "datetime64[us]")
    table = pd.DataFrame({"until": np.repeat(moments, 5), "x": np.arange(20.0)})
    model = build_model(TREES, {}, 3).fit(table, np.arange(20) % 2)
    seconds = model[:-1].transform(table)["until_total_seconds"]
    assert seconds.is_monotonic_increasing
    assert seconds.nunique() == 4
    served = table.assign(until=pd.Series(list(table["until"])))
    assert model.predict_proba(served).tolist() == model.predict_proba(table).tolist()


def test_preprocessing_of_equal_settings_is_recognised_so_that_trials_share_it() -> None:
    one, other = (build_model(TREES, {"learning_rate": rate}, 3)[:-1] for rate in (0.1, 0.2))
    assert joblib.hash(one) == joblib.hash(other)
