"""MLflow as the view for people: every run, trial, model and version once, however often a task was killed."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any
from unittest import mock

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities.logged_model_status import LoggedModelStatus
from mlflow.exceptions import MlflowException

from builders import LOGISTIC, make_result, make_run
from contender.documents.data import Snapshot
from contender.documents.decision import Decision
from contender.documents.release import Recipe, TrainedOn
from contender.documents.scoreboard import Comparison, Scoreboard, Scorecard, Verdict
from contender.documents.sweep import Trial
from contender.dtypes import TEXT
from contender.errors import BackendError
from contender.sweep.model import build_model
from contender.tracking import models
from contender.tracking.runs import RUN, Tracking
from contender.usercode import own_code

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.entities import Run as MlflowRun

    from contender.backends import Backends

pytestmark = pytest.mark.integration


@pytest.fixture
def tracking(backends: Backends) -> Tracking:
    return backends.tracking


def all_runs(tracking: Tracking, pipeline: str = "churn") -> list[MlflowRun]:
    return list(tracking.client.search_runs([tracking.experiment(pipeline)]))


def fitted() -> tuple[Any, pd.DataFrame]:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=120), "plan": pd.Series(["a", "b"] * 60, dtype=TEXT)})
    frame["late"] = pd.Series([None] * 110 + ["seen"] * 10, dtype=TEXT)  # all missing in the sample
    frame["seen"] = pd.Series(pd.date_range("2026-01-01", periods=120)).astype("datetime64[us]")
    frame.loc[3, "x"] = None
    return build_model(LOGISTIC, {}, 0).fit(frame, (frame["x"].fillna(0) > 0).astype(int)), frame


def test_an_experiment_is_made_once_and_keeps_its_artifacts_beside_the_database(
    tracking: Tracking, tmp_path: Path
) -> None:
    first = tracking.experiment("churn")
    assert Tracking(tracking.uri).experiment("churn") == first
    location = tracking.client.get_experiment(first).artifact_location
    assert location == (tmp_path / "artifacts" / "churn").as_uri()


def test_a_deleted_experiment_says_how_to_get_it_back(tracking: Tracking) -> None:
    tracking.client.delete_experiment(tracking.experiment("churn"))
    with pytest.raises(BackendError, match=r"MLflow: the experiment churn was deleted; restore it"):
        tracking.run_id(make_run())


def test_a_run_is_opened_once(tracking: Tracking) -> None:
    run = make_run(reason="the quarter ends")
    first = tracking.run_id(run)
    assert Tracking(tracking.uri).run_id(run) == first
    [found] = all_runs(tracking)
    assert found.data.tags[RUN] == "r1"
    assert found.data.tags["mlflow.runName"] == "2026-03-02 r1"
    assert found.data.tags["mlflow.note.content"] == "the quarter ends"
    assert found.data.tags["contender.by"] == "tests"


def test_a_task_that_slept_just_before_it_opened_the_run_opens_no_second_one(tracking: Tracking) -> None:
    run, opened, create = make_run(), [], MlflowClient.create_run

    def woken(*args: Any, **kwargs: Any) -> Any:
        opened.append(create(*args, **kwargs).info.run_id)  # by another task, with the same tags
        time.sleep(0.002)  # MLflow counts milliseconds
        return create(*args, **kwargs)

    with mock.patch.object(MlflowClient, "create_run", woken):
        assert tracking.run_id(run) == opened[0]
    assert [one.info.run_id for one in all_runs(tracking)] == opened
    twin = {name: value for name, value in all_runs(tracking)[0].data.tags.items() if name.startswith("contender.")}
    tracking.client.create_run(
        tracking.experiment("churn"), tags=twin
    )  # of a task that was killed before it looked again
    tracking.close_run(run, "FINISHED")
    assert [(one.info.run_id, one.info.status) for one in all_runs(tracking)] == [(opened[0], "FINISHED")]


def test_two_installations_on_one_mlflow_may_have_runs_of_one_name(tracking: Tracking) -> None:
    one, other, old = (make_run().model_copy(update={"store": store}) for store in ("a" * 32, "b" * 32, ""))
    before = tracking.run_id(old)  # version 0.1.0 names no installation
    ids = [Tracking(tracking.uri).run_id(run) for run in (one, other, old)]
    assert ids[2] == before
    assert len(set(ids)) == 3
    assert [Tracking(tracking.uri).run_id(run) for run in (one, other, old)] == ids


def test_runs_of_two_pipelines_may_have_one_name(tracking: Tracking) -> None:
    one, other = (tracking.run_id(make_run(name=name)) for name in ("churn", "fraud"))
    assert one != other


def test_the_snapshot_is_the_runs_dataset_once(tracking: Tracking) -> None:
    run = make_run()
    snapshot = Snapshot(id="f" * 64, rows=10, columns=(), unlabelled=2, sources=())
    for _ in range(2):
        tracking.describe_data(run, snapshot, snapshot.id)
    [dataset] = tracking.client.get_run(tracking.run_id(run)).inputs.dataset_inputs
    assert dataset.dataset.digest == "f" * 36
    assert "data.parquet" in dataset.dataset.source


def test_the_sweeps_numbers_are_on_the_runs_page_and_the_last_ones_count(tracking: Tracking) -> None:
    run = make_run()
    tracking.describe_sweep(run, {"trials_reused": 3, "sweep_seconds": math.nan})
    time.sleep(0.002)
    tracking.describe_sweep(run, {"trials_reused": 2})
    assert tracking.client.get_run(tracking.run_id(run)).data.metrics == {"trials_reused": 2}


def decision(value: float = 0.75) -> Decision:
    seen = TrainedOn(columns={"id": "float64"}, salt="churn", gate=0.2)
    trial = Trial(key="t", estimator=LOGISTIC, params={"C": 0.5}, seed=3)
    recipe = Recipe(key="k", trial=trial, snapshot="s", quarantine="q", rows="train_rows", trained_on=seen)
    card = Scorecard(contestant="candidate", estimator="LogisticRegression", rows=9, metrics={"roc_auc": value})
    verdict = Verdict(gate="roc_auc >= 0.5", status="passed", reason="r" * 9_000)
    met = Comparison(
        opponent="champion", metric="roc_auc", rows=5, candidate=0.5, other=0.25,
        difference=0.25, low=0.0, high=0.5, confidence=0.9,
    )  # fmt: skip
    board = Scoreboard(metric="roc_auc", cards=(card,), comparisons=(met,))
    return Decision(
        run_id="r1", outcome="promote", sentence="promote: it", recipe=recipe, verdicts=(verdict,), board=board
    )


def test_a_decision_is_on_the_runs_page_and_may_be_recorded_again(tracking: Tracking, tmp_path: Path) -> None:
    run = make_run()
    report = tmp_path / "report.html"
    report.write_text("<p>so it is</p>")
    for _ in range(2):
        tracking.record_decision(run, decision(), report)
    found = tracking.client.get_run(tracking.run_id(run))
    assert found.data.tags["contender.decision"] == "promote"
    assert found.data.tags["mlflow.note.content"] == "promote: it"
    assert found.data.tags["contender.gate.0"].startswith("passed: rrr")
    assert found.data.metrics == {
        "candidate_roc_auc": 0.75,
        "against_champion/candidate_roc_auc": 0.5,
        "against_champion/champion_roc_auc": 0.25,
        "against_champion/difference_roc_auc": 0.25,
    }
    assert [one.path for one in tracking.client.list_artifacts(found.info.run_id)] == ["report.html"]


def test_closing_ends_the_run_and_what_was_left_open(tracking: Tracking) -> None:
    run, other = make_run(), make_run(run_id="r2")
    parent, running = tracking.run_id(run), tracking.run_id(other)
    done = tracking.record_trial(run, parent, make_result())
    left = tracking.client.create_run(tracking.experiment("churn"), tags={"mlflow.parentRunId": parent}).info.run_id
    tracking.close_run(run, "FAILED")
    tracking.close_run(run, "FINISHED")  # it was mended and cleared
    statuses = {one.info.run_id: one.info.status for one in all_runs(tracking)}
    assert statuses == {parent: "FINISHED", done: "FINISHED", left: "KILLED", running: "RUNNING"}


def test_a_link_is_given_only_when_something_serves_it(tracking: Tracking) -> None:
    assert tracking.run_url("churn", "r") is None
    served = Tracking(tracking.uri, "http://localhost:5000/")
    page = f"http://localhost:5000/#/experiments/{served.experiment('churn')}/runs/r"
    assert served.run_url("churn", "r") == f"{page}?workflowType=machine_learning"
    report = "/artifacts/report.html"
    assert served.run_url("churn", "r", report) == f"{page}{report}?workflowType=machine_learning"


def logged(tracking: Tracking, into: Path, *, run_id: str = "r1", recipe: str = "k") -> str:
    model, frame = fitted()
    run = make_run(run_id=run_id)
    return models.log_model(
        tracking,
        run,
        model,
        recipe=recipe,
        code=own_code(LOGISTIC),
        sample=frame.head(100),
        into=into / run_id / recipe,
        keep=lambda _: None,
    )


def test_the_files_of_a_logged_model_are_those_on_disk(tracking: Tracking, tmp_path: Path) -> None:
    models.fetch_logged(tracking, logged(tracking, tmp_path / "a"), tmp_path / "b")
    one, other = (
        {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "a" / "r1" / "k", tmp_path / "b")
    )
    other.pop("registered_model_meta", None)
    assert one == other
    assert {"MLmodel", "model.pkl", "requirements.txt"} <= set(one)


def test_another_run_or_recipe_is_another_model(tracking: Tracking, tmp_path: Path) -> None:
    made = [
        logged(tracking, tmp_path),
        logged(tracking, tmp_path, run_id="r2"),
        logged(tracking, tmp_path, recipe="k2"),
    ]
    assert len(set(made)) == 3


def test_a_model_whose_upload_was_interrupted_is_finished_and_not_made_twice(
    tracking: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tracking.client, "log_model_artifacts", killed)
        with pytest.raises(KeyboardInterrupt):
            logged(tracking, tmp_path / "a")
    model_id = logged(tracking, tmp_path / "b")
    [found] = tracking.client.search_logged_models([tracking.experiment("churn")])
    assert (found.model_id, found.status) == (model_id, LoggedModelStatus.READY)


def test_a_logged_model_knows_what_it_needs_and_takes(tracking: Tracking, tmp_path: Path) -> None:
    """Also columns that are missing in the whole sample: they are text that may be missing."""
    model_id = logged(tracking, tmp_path)
    folder = tmp_path / "r1" / "k"
    needed = (folder / "requirements.txt").read_text().splitlines()
    assert all("==" in line for line in needed)
    assert {line.partition("==")[0] for line in needed} >= {"scikit-learn", "skrub", "numpy", "pandas", "mlflow"}
    loaded = mlflow.pyfunc.load_model(f"models:/{model_id}")
    _, frame = fitted()
    assert loaded.predict(frame).shape == (120, 2)
    inputs = loaded.metadata.signature.inputs
    assert {column.name: column.type.name for column in inputs} == {
        "x": "double",
        "plan": "string",
        "late": "string",
        "seen": "datetime",
    }
    with pytest.raises(MlflowException, match="missing inputs \\['plan'\\]"):
        loaded.predict(frame.drop(columns="plan"))


def registered(tracking: Tracking, model_id: str, release: str = "h", **parts: Any) -> str:
    return models.register(
        tracking, "churn", model_id, **{"release": release, "tags": {}, "description": "why"} | parts
    )


def test_a_release_has_one_version(tracking: Tracking, tmp_path: Path) -> None:
    model_id = logged(tracking, tmp_path)
    made = [registered(tracking, model_id, "h", tags={RUN: "r1"}) for _ in range(2)]
    assert made == ["1", "1"]
    assert registered(tracking, logged(tracking, tmp_path, run_id="r2"), "h2") == "2"
    version = tracking.client.get_model_version("churn", "1")
    assert version.tags == {RUN: "r1", "contender.release": "h"}
    assert version.description == "why"


def test_the_alias_points_at_a_version(tracking: Tracking, tmp_path: Path) -> None:
    assert models.champion_alias(tracking, "churn") is None
    registered(tracking, logged(tracking, tmp_path))
    assert models.champion_alias(tracking, "churn") is None
    models.set_champion_alias(tracking, "churn", "1")
    assert models.champion_alias(tracking, "churn") == "1"


def test_a_version_is_fetched_as_it_was_logged(tracking: Tracking, tmp_path: Path) -> None:
    registered(tracking, logged(tracking, tmp_path))
    (tmp_path / "fetched").mkdir()
    folder = models.fetch_version(tracking, "churn", "1", tmp_path / "fetched")
    logged_files = {path.name: path.read_bytes() for path in (tmp_path / "r1" / "k").rglob("*") if path.is_file()}
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.name in logged_files} == logged_files
    assert models.load_sklearn(folder).predict_proba(fitted()[1]).shape == (120, 2)


def test_requirements_name_the_estimators_own_library() -> None:
    assert any(line.startswith("scipy==") for line in models.requirements(own_code(LOGISTIC)))
    assert any(line.startswith("narwhals==") for line in models.requirements(own_code("narwhals.SomeModel")))


@pytest.mark.parametrize("name", ["v1", "latest", "champion"])
def test_a_pipeline_may_have_the_name_of_an_alias_that_mlflow_reserves(tracking: Tracking, name: str) -> None:
    """What MLflow keeps for itself are aliases, and those are no setting."""
    tracking.client.create_registered_model(name)
    version = str(tracking.client.create_model_version(name, source="/nowhere").version)
    models.set_champion_alias(tracking, name, version)
    assert models.champion_alias(tracking, name) == version
