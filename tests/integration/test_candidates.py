"""The candidates that people name first are trained on a mixed table and serve, by nothing but their import path."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml

from builders import make_run
from contender.dtypes import TEXT
from contender.release import verify
from contender.sweep.model import check_params
from contender.sweep.results import complete_results
from contender.sweep.space import CandidateSpec
from documentation import blocks
from life import decided, live
from ownpkg import importable, write_package
from steps import released

if TYPE_CHECKING:
    from pathlib import Path

    from contender.backends import Backends
    from contender.documents.run import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("no_report")]

CLASSIFIERS: list[tuple[str, dict[str, Any]]] = [
    ("sklearn.linear_model.LogisticRegression", {"class_weight": "balanced"}),
    ("sklearn.ensemble.RandomForestClassifier", {"n_estimators": 20}),
    ("sklearn.ensemble.GradientBoostingClassifier", {"n_estimators": 20}),
    ("sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 20}),
    ("sklearn.neural_network.MLPClassifier", {"early_stopping": True}),
    ("sklearn.svm.SVC", {"class_weight": "balanced"}),
    ("sklearn.svm.LinearSVC", {"C": 0.01}),
    ("sklearn.neighbors.KNeighborsClassifier", {}),
    ("sklearn.linear_model.RidgeClassifier", {}),
    ("sklearn.linear_model.SGDClassifier", {"loss": "hinge"}),
    ("lightgbm.LGBMClassifier", {"n_estimators": 20, "min_data_in_leaf": 5}),
    ("xgboost.XGBClassifier", {"n_estimators": 20}),
]
REGRESSORS: list[tuple[str, dict[str, Any]]] = [
    ("sklearn.linear_model.LinearRegression", {}),
    ("sklearn.linear_model.Ridge", {"alpha": 3.0}),
    ("sklearn.ensemble.RandomForestRegressor", {"n_estimators": 20}),
    ("sklearn.ensemble.GradientBoostingRegressor", {"n_estimators": 20}),
    ("sklearn.ensemble.HistGradientBoostingRegressor", {"max_iter": 20}),
    ("sklearn.neural_network.MLPRegressor", {"early_stopping": True}),
    ("sklearn.svm.SVR", {}),
    ("sklearn.neighbors.KNeighborsRegressor", {}),
    ("lightgbm.LGBMRegressor", {"n_estimators": 20}),
    ("xgboost.XGBRegressor", {"n_estimators": 20}),
]
FRESH = ("lightgbm.LGBMClassifier", "xgboost.XGBRegressor")
# Those of scikit-learn that say the same with the same methods: one sweep has them all, and its best serves.
ALIKE = tuple(
    f"sklearn.{name}"
    for name in (
        *("linear_model.LogisticRegression", "linear_model.LinearRegression", "linear_model.Ridge", "svm.SVR"),
        *("ensemble.RandomForestClassifier", "ensemble.GradientBoostingClassifier", "neighbors.KNeighborsClassifier"),
        *("ensemble.RandomForestRegressor", "ensemble.GradientBoostingRegressor", "neighbors.KNeighborsRegressor"),
        *("neural_network.MLPClassifier", "neural_network.MLPRegressor"),
    )
)


def apart(listed: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    return [one for one in listed if one[0] not in ALIKE]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbers with gaps, few and many texts with gaps, moments, and columns with names that some libraries refuse."""
    random, rows = np.random.default_rng(0), 320
    frame = pd.DataFrame(
        {
            "id": np.arange(rows),
            "age [years]": random.normal(size=rows),
            "gaps": np.where(random.random(rows) < 0.2, np.nan, random.normal(size=rows) * 1e4),
            "region": pd.Series(random.choice(["north", "south", "east"], rows), dtype=TEXT),
            "note": pd.Series([f"note {n * 7919 % 60} about {n % 7}" for n in range(rows)], dtype=TEXT),
            "seen": pd.to_datetime("2026-01-01") + pd.to_timedelta(random.integers(0, 10_000, rows), unit="m"),
        }
    )
    frame.loc[::9, "region"] = None
    frame["amount"] = 3 * frame["age [years]"] + random.normal(size=rows)
    frame["y"] = np.where(frame["amount"] > 1.5, "yes", "no")
    path = tmp_path_factory.mktemp("lake") / "a.parquet"
    frame.to_parquet(path)
    return path.parent


def a_run(lake: Path, *candidates: dict[str, Any], classification: bool = True) -> Run:
    metric, target = ("roc_auc", "y") if classification else ("r2", "amount")
    other = "amount" if classification else "y"
    return make_run(
        lake,
        data={"target": target, "positive": "yes" if classification else None, "exclude": [other]},
        sweep={"metric": metric, "candidates": candidates},
        gates=[{"kind": "threshold", "metric": metric, "min": 0.1}],
    )


def serves(run: Run, backends: Backends, lake: Path, *, fresh: bool) -> Any:
    """What the champion says of the first rows, as MLflow loads it; shape (5, ...).

    Verified for real, but in a fresh process only when asked to: that takes seconds.
    """
    with pytest.MonkeyPatch.context() as patch:
        if not fresh:
            patch.setattr(verify, "verify_version", verify.check_version)
        outcome = live(run, backends)
    assert (outcome.state, outcome.promoted) == ("success", "1"), outcome.sentence
    mlflow.set_tracking_uri(backends.tracking.uri)
    model = mlflow.pyfunc.load_model("models:/churn@champion")
    rows = pd.read_parquet(lake / "a.parquet").head(5).drop(columns=["id", "amount", "y"])
    return np.asarray(model.predict(rows.astype({"seen": "datetime64[us]"})))


@pytest.mark.parametrize(("estimator", "params"), apart(CLASSIFIERS))
def test_a_classifier_takes_the_title_and_serves_probabilities(
    backends: Backends, lake: Path, estimator: str, params: dict[str, Any]
) -> None:
    pytest.importorskip(estimator.partition(".")[0])
    run = a_run(lake, {"estimator": estimator, "params": params})
    answer = serves(run, backends, lake, fresh=estimator in FRESH)
    assert answer.shape == (5, 2)
    assert answer.sum(axis=1) == pytest.approx(np.ones(5))


@pytest.mark.parametrize(("estimator", "params"), apart(REGRESSORS))
def test_a_regressor_takes_the_title_and_serves_numbers(
    backends: Backends, lake: Path, estimator: str, params: dict[str, Any]
) -> None:
    pytest.importorskip(estimator.partition(".")[0])
    run = a_run(lake, {"estimator": estimator, "params": params}, classification=False)
    assert np.isfinite(serves(run, backends, lake, fresh=estimator in FRESH)).all()


@pytest.mark.parametrize(("listed", "classification"), [(CLASSIFIERS, True), (REGRESSORS, False)])
def test_those_that_are_alike_are_all_scored_and_the_best_serves(
    backends: Backends, lake: Path, listed: list[tuple[str, dict[str, Any]]], classification: bool
) -> None:
    named = [{"estimator": estimator, "params": params} for estimator, params in listed if estimator in ALIKE]
    run = a_run(lake, *named, classification=classification)
    assert np.isfinite(serves(run, backends, lake, fresh=False)).all()
    results = complete_results(run, backends.store).results
    assert len(named) == len(results) > 4
    assert {result.status for result in results} == {"complete"}


def test_the_documented_candidates_are_these_and_their_parameters_are_known() -> None:
    *lists, smote = [yaml.safe_load(block)["sweep"]["candidates"] for block in blocks("candidates.md", "yaml")]
    documented = [
        [CandidateSpec.model_validate_json(json.dumps(one), strict=True) for one in listed] for listed in lists
    ]
    for listed, tested in zip(documented, (CLASSIFIERS, REGRESSORS), strict=True):
        assert {one.path for one in listed} == {path for path, _ in tested}
        for one in listed:
            check_params(one.path, one.params)
    assert smote[0]["pipeline"] == "mypkg.models.build"


def test_oversampling_enters_as_a_pipeline_and_serves_without_the_package(
    backends: Backends, lake: Path, tmp_path: Path
) -> None:
    """As documented. The refitted model is released with what it needs."""
    pytest.importorskip("imblearn")
    params = {"smote__k_neighbors": {"choice": [3, 5]}, "logisticregression__C": 0.5}
    run = a_run(lake, {"pipeline": "mypkg.models.build", "params": params})
    with importable(write_package(tmp_path / "code", models="\n".join(blocks("candidates.md", "python")))):
        answer = serves(run, backends, lake, fresh=True)
    assert answer.shape == (5, 2)
    assert decided(run, backends).recipe.trial.params["smote__k_neighbors"] in (3, 5)
    needed = backends.store.read(released("model/requirements.txt", backends)).decode()
    assert f"imbalanced-learn=={version('imbalanced-learn')}" in needed.splitlines()
