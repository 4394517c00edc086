"""The seven steps in plain Python on a real MLflow database: decided once, done once, whatever is killed or run again."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pandas as pd
import pyarrow.compute as pc
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pyarrow import csv

from builders import AS_OF, LOGISTIC, TIMED, TREE, make_run, make_table, write_parquet
from contender import pipeline
from contender import release as releases
from contender.backends import Backends
from contender.documents import Decision, Outcome, Plan, ShardReport, TrialResult
from contender.errors import BackendError, ConfigError, Conflict, DataRejected, DataUnavailable
from contender.judge import compare
from contender.store.base import read_document, require_document, write_document
from contender.store.ledger import Ledger
from contender.sweep.results import complete_results
from contender.tracking import models
from contender.tracking.runs import RUN, TRIAL, is_complete
from life import decided

if TYPE_CHECKING:
    from collections.abc import Callable

    from contender.documents import Run

pytestmark = pytest.mark.integration

LATER = AS_OF + timedelta(days=21)
GATES: list[dict[str, Any]] = [
    {"kind": "threshold", "metric": "roc_auc", "min": 0.5},
    {"kind": "beats", "opponent": "champion", "policy": "unless_worse", "margin": 0.5, "min_rows": 20},
]
STEPS = ("snapshot", "validate", "plan", "train", "challenge", "promote", "announce")


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Ninety days of customers, until three weeks after AS_OF."""
    write_parquet(tmp_path / "lake" / "a.parquet", make_table(900, until=LATER, days=90))
    return tmp_path / "lake"


@pytest.fixture(autouse=True)
def _in_this_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify for real, but here: a fresh process takes seconds, and tests/integration/test_release.py starts some."""
    if "fresh_process" not in request.fixturenames:
        monkeypatch.setattr(releases, "verify_version", releases.check_version)


@pytest.fixture
def fresh_process() -> None:
    """Ask for this to verify as in production."""


@pytest.fixture(autouse=True)
def _quickly(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing and resampling take seconds, too, and have tests of their own."""
    if "fresh_process" not in request.fixturenames:
        monkeypatch.setattr(pipeline, "render", lambda _run, decision, *_: f"<p>{decision.sentence}</p>")
        monkeypatch.setattr(compare, "DRAWS", 20)


def timed(lake: Path, run_id: str = "r1", **parts: Any) -> Run:
    return make_run(
        lake, run_id=run_id, **{"data": TIMED, "split": {"gate": "14d", "folds": 2}, "gates": GATES} | parts
    )


def step(name: str, run: Run, backends: Backends) -> Any:
    if name == "plan":
        return pipeline.plan(run, backends, cores=2)
    if name == "train":
        shards = require_document(backends.store, run.round_key(1, "plan.json"), Plan).shards
        return [pipeline.train(run, backends, shard=shard) for shard in range(shards)]
    return getattr(pipeline, name)(run, backends)


def through(run: Run, backends: Backends, last: str = "announce") -> Any:
    """All steps up to the last one; what it returned."""
    result = None
    for name in STEPS[: STEPS.index(last) + 1]:
        result = step(name, run, backends)
    return result


def entries(backends: Backends) -> list[tuple[str, str | None]]:
    return [(entry.kind, entry.version) for entry in Ledger(backends.store, "churn").entries()]


def versions(backends: Backends) -> list[str]:
    return sorted(str(version.version) for version in backends.tracking.client.search_model_versions("name = 'churn'"))


def champion(backends: Backends) -> str | None:
    return models.champion_alias(backends.tracking, "churn")


def runs(backends: Backends) -> list[Any]:
    return list(backends.tracking.client.search_runs([backends.tracking.experiment("churn")]))


def everything(backends: Backends) -> dict[str, Any]:
    """All that exists: what a step that has happened must leave as it is."""
    client = backends.tracking.client
    return {
        "store": {key: backends.store.read(key) for key in backends.store.keys("churn")},
        "runs": {run.info.run_id: (run.info.status, run.data.metrics, run.data.params, run.data.tags) for run in runs(backends)},
        "models": sorted(model.model_id for model in client.search_logged_models([backends.tracking.experiment("churn")])),
        "versions": versions(backends),
        "champion": champion(backends),
    }  # fmt: skip


def test_a_first_run_makes_a_first_champion(backends: Backends, lake: Path, fresh_process: None) -> None:
    run = timed(lake, reason="the beginning")
    outcome: Outcome = through(run, backends)
    assert outcome.state == "success"
    assert outcome.decision == "promote"
    assert outcome.sentence.startswith("promote: DecisionTreeClassifier is the first champion")
    assert outcome.trials == {"planned": 3, "completed": 3, "failed": 0, "untried": 0, "reused": 0}
    assert outcome.champion
    assert outcome.champion["version"] == "1"
    [entry] = Ledger(backends.store, "churn").entries()
    assert (entry.kind, entry.version, entry.run_id, entry.by) == ("promotion", "1", "r1", "tests")
    assert (entry.reason, entry.as_of) == ("the beginning", AS_OF)
    assert entry.release == releases.manifest_hash(backends, "churn", "r1")
    assert versions(backends) == ["1"]
    assert champion(backends) == "1"
    assert Counter(found.info.status for found in runs(backends)) == {"FINISHED": 4}
    trials = [found.data.tags[TRIAL] for found in runs(backends) if TRIAL in found.data.tags and is_complete(found)]
    assert len(set(trials)) == len(trials) == 3
    page = backends.store.read(run.key("report.html")).decode()
    assert "DecisionTreeClassifier" in page


def test_a_champion_is_served_by_plain_mlflow(backends: Backends, lake: Path) -> None:
    through(timed(lake), backends)
    mlflow.set_tracking_uri(backends.tracking.uri)
    served = mlflow.pyfunc.load_model("models:/churn@champion")
    rows = make_table(10, seed=9).to_pandas()[["noise", "region", "x"]]
    says = served.predict(rows)
    assert says.shape == (10, 2)
    assert says.sum(axis=1) == pytest.approx(1)
    assert served.predict(rows[["x", "region", "noise"]]) == pytest.approx(says)
    release = releases.read_release(backends, "churn", "r1")
    assert says == pytest.approx(releases.load_release(backends, release).predict_proba(rows))
    with pytest.raises(MlflowException, match="missing inputs"):
        served.predict(rows[["x"]])


def test_a_regression_serves_numbers(backends: Backends, tmp_path: Path) -> None:
    table = make_table(400)
    table = table.set_column(table.column_names.index("y"), "y", pc.add(table["x"], pc.sin(table["noise"])))
    candidates = [{"estimator": "sklearn.linear_model.Ridge", "params": {"alpha": {"choice": [1, 10]}}}]
    run = make_run(
        write_parquet(tmp_path / "a.parquet", table),
        data={"positive": None, "exclude": ["at"]},
        sweep={"metric": "neg_mean_absolute_error", "candidates": candidates},
        gates=[{"kind": "beats", "opponent": "trivial", "min_rows": 20}],
    )
    assert through(run, backends).decision == "promote"
    mlflow.set_tracking_uri(backends.tracking.uri)
    rows = table.to_pandas()[["noise", "region", "x"]]
    assert mlflow.pyfunc.load_model("models:/churn@champion").predict(rows).shape == (400,)


def test_the_same_as_of_again_keeps_the_same_model(backends: Backends, lake: Path) -> None:
    through(timed(lake), backends)
    outcome = through(timed(lake, "r2"), backends)
    assert outcome.decision == "keep"
    assert outcome.sentence.startswith("keep (same model): version 1 was made by this recipe")
    assert outcome.trials == {"planned": 3, "completed": 3, "failed": 0, "untried": 0, "reused": 3}
    assert {verdict.status for verdict in outcome.verdicts} == {"not_applicable"}
    assert versions(backends) == ["1"]
    assert entries(backends) == [("promotion", "1"), ("keep", "1")]
    assert sum(TRIAL in found.data.tags and is_complete(found) for found in runs(backends)) == 3


def test_a_later_run_is_judged_against_the_champion_on_rows_it_never_saw(backends: Backends, lake: Path) -> None:
    through(timed(lake), backends)
    run = timed(lake, "r2", as_of=LATER)
    outcome = through(run, backends)
    decision = decided(run, backends)
    comparison = decision.board.comparison("champion", "roc_auc")
    assert comparison is not None
    frame = make_table(900, until=LATER, days=90).to_pandas()
    gate = frame["at"] >= pd.Timestamp(LATER - timedelta(days=14)).tz_localize(None)
    assert comparison.rows == gate.sum()  # the champion's training ended a week before the gate begins
    assert decision.champion == 1
    assert outcome.decision == "promote"
    assert outcome.previous_champion
    assert outcome.previous_champion["version"] == "1"
    assert entries(backends) == [("promotion", "1"), ("promotion", "2")]
    assert champion(backends) == "2"


def test_a_week_later_only_the_new_week_counts(backends: Backends, lake: Path) -> None:
    through(timed(lake), backends)
    run = timed(lake, "r2", as_of=AS_OF + timedelta(days=7))
    through(run, backends, "challenge")
    comparison = decided(run, backends).board.comparison("champion", "roc_auc")
    assert comparison is not None
    frame = make_table(900, until=LATER, days=90).to_pandas()
    start, end = (pd.Timestamp(moment).tz_localize(None) for moment in (AS_OF, AS_OF + timedelta(days=7)))
    assert comparison.rows == ((frame["at"] >= start) & (frame["at"] < end)).sum()


def test_a_champion_that_cannot_predict_today_leaves_the_gate_undecided(backends: Backends, lake: Path) -> None:
    through(timed(lake), backends)
    write_parquet(lake / "a.parquet", make_table(900, until=LATER, days=90).drop_columns(["noise"]))
    with pytest.raises(
        DataRejected, match=r"no column 'noise' in the source; the pipeline's contract, .*data\.exclude"
    ):
        through(timed(lake, "r2", as_of=LATER), backends)
    assert champion(backends) == "1"
    outcome = through(timed(lake, "r3", as_of=LATER, data={**TIMED, "exclude": ["noise"]}), backends)
    assert outcome.decision == "undecided"
    assert "version 1 cannot predict on today's data: the columns ['noise'] that the model needs" in outcome.sentence
    assert champion(backends) == "1"


def test_what_is_set_aside_and_what_is_not_used_is_part_of_the_outcome(backends: Backends, tmp_path: Path) -> None:
    table = make_table(300)
    lake = tmp_path / "cells"
    lake.mkdir()
    spec = {"data": {"source": {"kind": "csv", "uri": str(lake / "a.csv"), "types": {"x": "number"}}}}
    csv.write_csv(table, lake / "a.csv")
    assert through(make_run(lake, gates=GATES[:1], **spec), backends).attention == ()
    lines = (lake / "a.csv").read_text().splitlines()
    place = lines[0].replace('"', "").split(",").index("x")
    lines[7] = ",".join("many" if number == place else cell for number, cell in enumerate(lines[7].split(",")))
    (lake / "a.csv").write_text("\n".join([lines[0] + ",extra", *(f"{line},1" for line in lines[1:])]))
    quarantine = {"quarantine": {"max_share": 0.1}}
    first, second = through(make_run(lake, run_id="r2", gates=GATES[:1], **spec, **quarantine), backends).attention
    assert first == "1 of 300 rows are set aside (x is not a number: 1, the first at a.csv:8)"
    assert second == "not in the contract, so not used: extra"
    with pytest.raises(
        DataRejected, match=r"quarantine: 1 of 300 rows .* x is not a number: 1 rows, the first at a\.csv:8"
    ):
        through(make_run(lake, run_id="r3", gates=GATES[:1], **spec), backends)


def test_an_as_of_in_the_champions_past_is_evaluation_only(backends: Backends, lake: Path) -> None:
    through(timed(lake, as_of=LATER), backends)
    before = entries(backends)
    outcome = through(timed(lake, "r2"), backends)
    assert (outcome.decision, outcome.evaluation_only) == ("keep", True)
    assert outcome.sentence.startswith("keep: evaluation only (as_of 2026-03-02 is before the champion's 2026-03-23)")
    assert entries(backends) == before
    assert versions(backends) == ["1"]


def test_a_run_that_may_not_promote_evaluates_only(backends: Backends, lake: Path) -> None:
    outcome = through(timed(lake, promote=False), backends)
    assert (outcome.decision, outcome.evaluation_only) == ("keep", True)
    assert "promote: false" in outcome.sentence
    assert entries(backends) == []
    assert versions(backends) == []
    assert champion(backends) is None


def test_a_no_is_kept_in_the_ledger(backends: Backends, lake: Path) -> None:
    gates = [{"kind": "threshold", "metric": "roc_auc", "min": 0.999}]
    outcome = through(timed(lake, gates=gates), backends)
    assert outcome.decision == "keep"
    assert outcome.sentence.startswith("keep: there is still no champion; roc_auc >= 0.999: roc_auc 0.")
    assert entries(backends) == [("keep", None)]
    assert versions(backends) == []


def test_every_step_run_again_returns_the_same_and_adds_nothing(backends: Backends, lake: Path) -> None:
    run = timed(lake, expectations=[{"expect_column_values_to_not_be_null": {"column": "x"}}])
    first: dict[str, Any] = {}
    for name in STEPS:
        first[name] = step(name, run, backends)
        before = everything(backends)
        assert step(name, run, backends) == first[name]
        assert everything(backends) == before, name
    before = everything(backends)
    for name in STEPS:
        assert step(name, run, backends) == first[name]
    assert everything(backends) == before


def killed_in(body: Callable[[], None]) -> None:
    """Run the body in a process of its own that is gone, as with kill -9, when it calls ``die``."""
    child = os.fork()
    if not child:
        try:
            body()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9, "the process did not come to the point where it should die"


def die(*_: Any, **__: Any) -> None:
    os._exit(9)


def die_on_call(number: int, function: Callable[..., Any]) -> Callable[..., Any]:
    calls = iter(range(1, 1_000))

    def counted(*arguments: Any, **named: Any) -> Any:
        if next(calls) == number:
            die()
        return function(*arguments, **named)

    return counted


def die_at_key(end: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """In place of a store's write: gone before the key that ends so is written."""

    def watched(store: Any, key: str, content: bytes) -> Any:
        if key.endswith(end):
            die()
        return function(store, key, content)

    return watched


def store_without(end: str) -> Callable[[pytest.MonkeyPatch], None]:
    from contender.store.local import LocalStore

    return lambda patch: patch.setattr(LocalStore, "write", die_at_key(end, LocalStore.write))


def put_without(folder: str, number: int) -> Callable[[pytest.MonkeyPatch], None]:
    """Gone before the ``number``-th key in such a folder is put."""
    from contender.store.local import LocalStore

    put, calls = LocalStore.put_if_absent, iter(range(1, 1_000))

    def watched(store: Any, key: str, content: bytes) -> bool:
        if f"/{folder}/" in key and next(calls) == number:
            die()
        return put(store, key, content)

    return lambda patch: patch.setattr(LocalStore, "put_if_absent", watched)


def mlflow_at(name: str, number: int = 1) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(MlflowClient, name, die_on_call(number, getattr(MlflowClient, name)))


def at(module: Any, name: str) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(module, name, die)


POINTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "snapshot written, not named": store_without("snapshot.json"),
    "MLflow run opened, dataset not shown": mlflow_at("log_inputs"),
    "plan not written": store_without("rounds/1/plan.json"),
    "second trial not taken": put_without("claims", 2),
    "second trial tried, not in the store": put_without("trials", 2),
    "second trial in the store, not in MLflow": mlflow_at("create_run", 3),
    "second trial's MLflow run opened, empty": mlflow_at("log_batch", 2),
    "second trial in MLflow, not ended": mlflow_at("set_terminated", 2),
    "shard report not written": store_without("rounds/1/shards/0.json"),
    "model announced to MLflow, not uploaded": mlflow_at("log_model_artifacts"),
    "model uploaded, not finalized": mlflow_at("finalize_logged_model"),
    "model logged, not in the store": at(releases, "golden_parquet"),
    "model in the store, not signed": store_without("manifest.sig"),
    "release signed, no manifest": store_without("manifest.json"),
    "release complete, no report": at(pipeline, "render"),
    "decision shown in MLflow, not written": store_without("decision.json"),
    "registered name made, no version": mlflow_at("create_model_version"),
    "version registered, not verified": at(releases, "verify_version"),
    "version verified, not in the ledger": at(Ledger, "append"),
    "in the ledger, alias not set": at(pipeline, "project_alias"),
    "alias set, run not closed": mlflow_at("set_terminated", 4),
    "run closed, outcome not written": store_without("outcome.json"),
}


@pytest.mark.parametrize("point", POINTS)
def test_whatever_is_killed_when_it_is_run_again_everything_exists_once(
    backends: Backends, lake: Path, point: str
) -> None:
    run = timed(lake)

    def first_attempt() -> None:
        POINTS[point](pytest.MonkeyPatch())
        through(run, backends)

    killed_in(first_attempt)
    outcome = through(run, backends)
    assert outcome.decision == "promote"
    assert outcome.trials == {"planned": 3, "completed": 3, "failed": 0, "untried": 0, "reused": 0}
    assert versions(backends) == ["1"]
    assert champion(backends) == "1"
    assert entries(backends) == [("promotion", "1")]
    assert Ledger(backends.store, "churn").verify() == 1
    shown = [found for found in runs(backends) if TRIAL in found.data.tags]
    complete = Counter(found.data.tags[TRIAL] for found in shown if is_complete(found))
    assert set(complete.values()) == {1}
    assert len(complete) == 3
    assert {found.info.status for found in shown} <= {"FINISHED", "KILLED"}
    [parent] = [found for found in runs(backends) if RUN in found.data.tags]
    assert parent.info.status == "FINISHED"
    assert len(parent.inputs.dataset_inputs) == 1
    [model] = backends.tracking.client.search_logged_models([backends.tracking.experiment("churn")])
    assert model.model_id == decided(run, backends).model
    assert set(complete) == {result.trial.key for result in results(run, backends)}
    releases.check_version(backends, "churn", "r1", "1")


def results(run: Run, backends: Backends) -> list[TrialResult]:
    trials = require_document(backends.store, run.round_key(1, "plan.json"), Plan).trials
    return [require_document(backends.store, f"churn/trials/{trial.key}.json", TrialResult) for trial in trials]


def test_a_run_that_was_killed_decides_as_if_it_had_not_been(backends: Backends, lake: Path) -> None:
    """The same winner with the same numbers, bit for bit."""
    split = {"gate": "14d", "folds": 2, "salt": "both"}
    whole, broken = (timed(lake, name=name, split=split) for name in ("whole", "broken"))

    def first_attempt() -> None:
        POINTS["second trial tried, not in the store"](pytest.MonkeyPatch())
        through(broken, backends)

    killed_in(first_attempt)
    for run in (whole, broken):
        through(run, backends, "challenge")
    one, other = (decided(run, backends) for run in (whole, broken))
    assert one.board == other.board
    assert one.recipe.trial == other.recipe.trial


def test_teardown_ends_what_a_killed_run_left_open(backends: Backends, lake: Path) -> None:
    run = timed(lake)

    def first_attempt() -> None:
        POINTS["second trial's MLflow run opened, empty"](pytest.MonkeyPatch())
        write_document(backends.store, run.key("run.json"), run)
        through(run, backends)

    killed_in(first_attempt)
    outcome = pipeline.close(backends, "churn", "r1")
    assert (outcome.state, outcome.decision, outcome.sentence) == ("failed", None, "failed")
    recorded = outcome.trials.pop("completed")
    assert recorded in (2, 3)  # the third before MLflow was shown the second, if there was no time for that
    assert outcome.trials == {"planned": 3, "failed": 0, "untried": 0, "reused": 0}
    assert Counter(found.info.status for found in runs(backends)) == {"FAILED": 1, "FINISHED": recorded}


def test_teardown_leaves_a_run_that_ended_well_alone(backends: Backends, lake: Path) -> None:
    run = timed(lake)
    write_document(backends.store, run.key("run.json"), run)
    outcome = through(run, backends)
    before = everything(backends)
    assert pipeline.close(backends, "churn", "r1") == outcome
    assert everything(backends) == before


def test_a_run_that_mlflow_broke_is_recorded_as_failed_also_without_mlflow(
    backends: Backends, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = timed(lake)
    write_document(backends.store, run.key("run.json"), run)
    through(run, backends, "plan")

    def away(*_: object) -> None:
        raise BackendError("MLflow does not answer")

    monkeypatch.setattr(type(backends.tracking), "close_run", away)
    with pytest.raises(BackendError):
        pipeline.close(backends, "churn", "r1", failed=["train_0"])
    outcome = require_document(backends.store, "churn/runs/r1/outcome.json", Outcome)
    assert (outcome.state, outcome.sentence) == ("failed", "failed in train_0; see its log")


def test_a_step_of_a_good_run_that_fails_when_it_is_cleared_makes_the_run_failed(
    backends: Backends, lake: Path
) -> None:
    outcome = through(timed(lake), backends)
    assert pipeline.close(backends, "churn", "r1") == outcome
    again = pipeline.close(backends, "churn", "r1", failed=["announce"])
    assert (again.state, again.sentence, again.promoted) == (
        "failed",
        f"failed in announce; see its log (after it was decided: {outcome.sentence})",
        "1",
    )


def test_a_promotion_that_did_not_happen_is_not_announced(backends: Backends, lake: Path) -> None:
    """A killed task may be reported as a success."""
    run = timed(lake)
    through(run, backends, "challenge")
    with pytest.raises(
        BackendError, match=r"the decision was to promote, but no promotion is in the ledger; clear promote"
    ):
        pipeline.announce(run, backends)
    assert read_document(backends.store, run.key("outcome.json"), Outcome) is None


def test_a_step_without_its_predecessor_does_nothing(backends: Backends, lake: Path) -> None:
    run = timed(lake)
    for name in STEPS[1:]:
        with pytest.raises(KeyError, match="churn/runs/r1/"):
            step(name, run, backends)
    assert runs(backends) == []


def test_bad_data_stops_before_anything_is_trained(backends: Backends, lake: Path) -> None:
    run = timed(lake, expectations=[{"expect_column_values_to_be_between": {"column": "x", "max_value": 0}}])
    message = r"quarantine: \d+ of \d+ rows \(\d+\.\d%\) failed, quarantine\.max_share allows 0\.0%"
    for _ in range(2):
        with pytest.raises(DataRejected, match=message):
            through(run, backends)
    assert backends.store.exists(run.key("checks.json"))
    assert not backends.store.exists(run.key("quarantine.json"))
    with pytest.raises(KeyError):
        pipeline.plan(run, backends, cores=1)


def test_quarantined_rows_are_trained_on_by_nobody(backends: Backends, lake: Path) -> None:
    expectations = [{"expect_column_values_to_be_between": {"column": "x", "max_value": 1.5}}]
    run = timed(lake, expectations=expectations, quarantine={"max_share": 0.2})
    through(run, backends)
    frame = make_table(900, until=LATER, days=90).to_pandas()
    gate = frame["at"].between(
        pd.Timestamp(AS_OF - timedelta(days=14)).tz_localize(None),
        pd.Timestamp(AS_OF).tz_localize(None),
        inclusive="left",
    )
    [card] = [card for card in decided(run, backends).board.cards if card.contestant == "candidate"]
    assert card.rows == (gate & (frame["x"] <= 1.5)).sum()


def test_no_data_yet_can_be_tried_again_when_it_came(backends: Backends, tmp_path: Path) -> None:
    run = timed(tmp_path / "lake")
    with pytest.raises(DataUnavailable, match="no parquet file at"):
        pipeline.snapshot(run, backends)
    write_parquet(tmp_path / "lake" / "a.parquet", make_table(300))
    assert pipeline.snapshot(run, backends).rows == 300


def test_data_that_came_later_does_not_change_a_run_under_way(backends: Backends, lake: Path) -> None:
    run = timed(lake)
    first = pipeline.snapshot(run, backends)
    write_parquet(lake / "b.parquet", make_table(50, seed=5, first=10_000))
    assert pipeline.snapshot(run, backends) == first


def test_too_little_data_for_the_folds_stops_the_plan(backends: Backends, lake: Path) -> None:
    table = make_table(900, until=LATER, days=90)
    flat = table.set_column(table.column_names.index("at"), "at", table["at"].cast("date32"))
    write_parquet(lake / "a.parquet", flat)
    run = timed(lake, split={"gate": "56d", "folds": 5})
    with pytest.raises(DataRejected, match=r"split\.folds: 5 time-ordered folds need at least 6 distinct times, got 4"):
        through(run, backends, "plan")
    assert not backends.store.exists(run.round_key(1, "plan.json"))


def test_a_failed_trial_is_recorded_and_not_the_end(backends: Backends, lake: Path) -> None:
    candidates = [{"estimator": TREE, "params": {"max_depth": {"choice": [2, -1]}}}]
    outcome = through(timed(lake, sweep={"candidates": candidates}), backends)
    assert outcome.trials == {"planned": 2, "completed": 1, "failed": 1, "untried": 0, "reused": 0}
    assert outcome.decision == "promote"
    [failed] = [found for found in runs(backends) if found.info.status == "FAILED"]
    assert "max_depth" in failed.data.tags["contender.error"]


def test_when_every_trial_failed_the_run_says_why(backends: Backends, lake: Path) -> None:
    candidates = [{"estimator": TREE, "params": {"max_depth": {"choice": [-2, -1]}}}]
    with pytest.raises(
        DataRejected, match=r"sweep: none of 2 trials completed: InvalidParameterError: The 'max_depth'"
    ):
        through(timed(lake, sweep={"candidates": candidates}), backends)


def test_a_trial_without_a_record_stops_the_challenge(backends: Backends, lake: Path) -> None:
    run = timed(lake)
    through(run, backends, "train")
    backends.store.local(f"churn/trials/{results(run, backends)[0].trial.key}.json").unlink()
    with pytest.raises(BackendError, match=r"1 of 3 planned trials have no record \(.{12}\); clear the train tasks"):
        pipeline.challenge(run, backends)


def test_trials_that_the_budget_cut_are_named_and_tried_when_the_task_is_cleared(
    backends: Backends, lake: Path
) -> None:
    """Also the one that was under way: a short one is done, the one that takes a minute is stopped."""
    slow = {"estimator": "estimators.Slow", "params": {"seconds": {"choice": [0.01, 60.0]}}}
    run = timed(lake, sweep={"budget": "4s", "candidates": [{"estimator": LOGISTIC, "baseline": True}, slow]})
    through(run, backends, "plan")
    [report] = step("train", run, backends)
    assert isinstance(report, ShardReport)
    assert (report.done, len(report.untried)) == (1, 2)
    assert decided_by_what_is_there(run, backends).outcome == "promote"
    [again] = step("train", run, backends)
    assert (again.done, again.untried) == (1, report.untried)


def decided_by_what_is_there(run: Run, backends: Backends) -> Decision:
    decision: Decision = step("challenge", run, backends)
    assert len(complete_results(run, backends.store).untried) == 2
    return decision


def two_champions(backends: Backends, lake: Path) -> None:
    through(timed(lake), backends)
    through(timed(lake, "r2", as_of=LATER), backends)
    assert champion(backends) == "2"


def test_a_rollback_gives_the_title_back(backends: Backends, lake: Path) -> None:
    two_champions(backends, lake)
    entry = pipeline.rollback(backends, "churn", version="1", reason="complaints", by="ada")
    assert (entry.kind, entry.version, entry.reason, entry.by) == ("rollback", "1", "complaints", "ada")
    assert entry.release == releases.manifest_hash(backends, "churn", "r1")
    assert entries(backends) == [("promotion", "1"), ("promotion", "2"), ("rollback", "1")]
    assert champion(backends) == "1"
    assert Ledger(backends.store, "churn").verify() == 3


def test_a_model_that_lost_the_title_is_not_promoted_again(backends: Backends, lake: Path) -> None:
    two_champions(backends, lake)
    pipeline.rollback(backends, "churn", version="1", reason="complaints", by="ada")
    outcome = through(timed(lake, "r3", as_of=LATER), backends)
    assert outcome.decision == "keep"
    assert outcome.sentence.startswith("keep (same model as before): version 2 ")
    assert "lost the title on" in outcome.sentence
    assert "(rollback: complaints)" in outcome.sentence
    assert champion(backends) == "1"
    assert versions(backends) == ["1", "2"]


def test_the_other_way_round_is_a_rollback_too(backends: Backends, lake: Path) -> None:
    two_champions(backends, lake)
    pipeline.rollback(backends, "churn", version="1", reason="complaints", by="ada")
    pipeline.rollback(backends, "churn", version="2", reason="it was the data", by="ada")
    assert champion(backends) == "2"
    outcome = through(timed(lake, "r3", as_of=LATER), backends)
    assert outcome.sentence.startswith("keep (same model): version 2")


def test_a_rollback_that_makes_no_sense_is_refused(backends: Backends, lake: Path) -> None:
    two_champions(backends, lake)
    before = everything(backends)
    for version, reason, message in (
        ("7", "why not", r"churn: version '7' never served\. Allowed: 1, 2"),
        ("2", "why not", r"churn: version 2 is the champion already \(since 20"),
        ("1", " ", r"rollback: give a reason; it stays in the ledger"),
    ):
        with pytest.raises(ConfigError, match=message):
            pipeline.rollback(backends, "churn", version=version, reason=reason, by="ada")
    assert everything(backends) == before


def test_a_rollback_to_a_release_that_was_changed_is_refused(backends: Backends, lake: Path) -> None:
    two_champions(backends, lake)
    path = backends.store.local("churn/releases/r1/manifest.json")
    path.write_bytes(path.read_bytes().replace(b"churn", b"other"))
    with pytest.raises(BackendError, match="the release of version 1 is not the one that the ledger names"):
        pipeline.rollback(backends, "churn", version="1", reason="complaints", by="ada")
    assert champion(backends) == "2"


def test_a_champions_release_that_was_replaced_is_not_the_one_that_is_judged(backends: Backends, lake: Path) -> None:
    through(timed(lake), backends)
    path = backends.store.local("churn/releases/r1/model/model.pkl")
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(BackendError, match=r"release of run r1: model\.pkl is missing or was changed"):
        through(timed(lake, "r2", as_of=LATER), backends)


def foreign_version(backends: Backends) -> str:
    """A version that somebody registered by hand, as champion."""
    client = backends.tracking.client
    if champion(backends) is None:
        client.create_registered_model("churn")
    run_id = client.create_run(client.create_experiment("by hand")).info.run_id
    version = str(client.create_model_version("churn", source=f"runs:/{run_id}/model", run_id=run_id).version)
    client.set_registered_model_alias("churn", "champion", version)
    return version


def test_an_alias_that_somebody_else_set_is_never_moved(backends: Backends, lake: Path) -> None:
    theirs = foreign_version(backends)
    run = timed(lake)
    message = (
        r"churn: somebody else set the alias champion \(to version 1\); Contender does not move it\. "
        r"To let that version defend its title: contender adopt churn --version 1\. Or remove the alias"
    )
    with pytest.raises(Conflict, match=message):
        through(run, backends)
    assert champion(backends) == theirs
    assert versions(backends) == [theirs]
    assert entries(backends) == []
    backends.tracking.client.delete_registered_model_alias("churn", "champion")
    assert pipeline.promote(run, backends) is not None
    assert champion(backends) == "2"


def test_an_alias_that_was_moved_to_a_strangers_version_is_not_moved_back(backends: Backends, lake: Path) -> None:
    through(timed(lake), backends)
    theirs = foreign_version(backends)
    before = entries(backends)
    with pytest.raises(Conflict, match="somebody else set the alias"):
        through(timed(lake, "r2", as_of=LATER), backends)
    assert champion(backends) == theirs
    assert entries(backends) == before


def test_an_alias_that_is_gone_or_behind_is_set_again(backends: Backends, lake: Path) -> None:
    two_champions(backends, lake)
    backends.tracking.client.delete_registered_model_alias("churn", "champion")
    through(timed(lake, "r3", as_of=LATER), backends)
    assert champion(backends) == "2"
    backends.tracking.client.set_registered_model_alias("churn", "champion", "1")
    through(timed(lake, "r4", as_of=LATER), backends)
    assert champion(backends) == "2"


def test_of_two_runs_that_promote_at_once_one_wins(
    backends: Backends, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contenders = [timed(lake, "a"), timed(lake, "b", as_of=AS_OF + timedelta(days=7))]
    for run in contenders:
        through(run, backends, "challenge")
        assert decided(run, backends).outcome == "promote"
    both_verified = threading.Barrier(2, timeout=60)
    verify = releases.verify_version

    def together(*arguments: Any) -> None:
        verify(*arguments)
        both_verified.wait()

    monkeypatch.setattr(releases, "verify_version", together)

    def attempt(run: Run) -> str | Conflict:
        own = Backends.connect(
            store=str(backends.store.root),  # type: ignore[attr-defined]
            tracking_uri=backends.tracking.uri,
            signing_key=str(backends.signing_key),
        )
        try:
            entry = pipeline.promote(run, own)
        except Conflict as error:
            return error
        assert entry is not None
        return str(entry.version)

    with ThreadPoolExecutor(2) as threads:
        ended = list(threads.map(attempt, contenders))
    [loser] = [one for one in ended if isinstance(one, Conflict)]
    [winner] = [one for one in ended if isinstance(one, str)]
    assert "the champion changed while this was decided" in str(loser)
    assert "start a new run" in str(loser)
    assert entries(backends) == [("promotion", winner)]
    assert champion(backends) == winner


def test_a_task_and_its_lost_twin_promote_once(backends: Backends, lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task whose heartbeat was lost may still be running when its retry begins."""
    run = timed(lake)
    through(run, backends, "challenge")
    client = backends.tracking.client
    client.create_registered_model("churn")
    both_found_nothing, create = threading.Barrier(2, timeout=60), MlflowClient.create_model_version

    def together(*arguments: Any, **named: Any) -> Any:
        both_found_nothing.wait()
        return create(*arguments, **named)

    monkeypatch.setattr(MlflowClient, "create_model_version", together)
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(lambda _: pipeline.promote(run, backends), range(2))
    assert one == other
    assert entries(backends) == [("promotion", "1")]
    assert champion(backends) == "1"


def test_a_decision_that_was_overtaken_stays_a_conflict(backends: Backends, lake: Path) -> None:
    slow, fast = timed(lake, "slow"), timed(lake, "fast", as_of=AS_OF + timedelta(days=7))
    through(slow, backends, "challenge")
    through(fast, backends)
    for _ in range(2):
        with pytest.raises(Conflict, match="expected version None, found 1"):
            pipeline.promote(slow, backends)
    assert champion(backends) == "1"
    assert entries(backends) == [("promotion", "1")]


def test_a_keep_in_between_is_no_conflict(backends: Backends, lake: Path) -> None:
    run, other = timed(lake), timed(lake, "r2", gates=[{"kind": "threshold", "metric": "roc_auc", "min": 0.999}])
    through(run, backends, "challenge")
    through(other, backends)
    pipeline.promote(run, backends)
    assert entries(backends) == [("keep", None), ("promotion", "1")]


def test_without_a_time_column_a_champion_is_judged_on_the_rows_it_was_held_out_from(
    backends: Backends, tmp_path: Path
) -> None:
    lake = tmp_path / "customers"
    write_parquet(lake / "1.parquet", make_table(300).drop_columns(["at"]))
    gates: list[dict[str, Any]] = [GATES[0], {**GATES[1], "min_rows": 5}]
    first = make_run(lake, gates=gates)
    assert through(first, backends).decision == "promote"
    write_parquet(lake / "2.parquet", make_table(300, seed=1, first=300).drop_columns(["at"]))
    second = make_run(lake, run_id="r2", gates=gates, split={"salt": "another", "gate": 0.5})
    through(second, backends, "challenge")
    board = decided(second, backends).board
    [candidate] = [card for card in board.cards if card.contestant == "candidate"]
    comparison = board.comparison("champion", "roc_auc")
    assert comparison is not None
    assert 0 < comparison.rows < candidate.rows / 2


def test_no_value_of_the_data_is_in_a_document_a_report_or_mlflow(backends: Backends, lake: Path) -> None:
    canary = "canary@example.com"
    table = make_table(900, until=LATER, days=90)
    mail = [canary if n % 40 == 0 else "" for n in range(900)]
    write_parquet(lake / "a.parquet", table.append_column("mail", [mail]))
    expectations = [
        {"expect_column_values_to_be_in_set": {"column": "mail", "value_set": [""]}},
        {"expect_column_distinct_values_to_be_in_set": {"column": "mail", "value_set": [""], "severity": "warning"}},
    ]
    through(timed(lake, expectations=expectations, quarantine={"max_share": 0.2}), backends)
    documents = [key for key in backends.store.keys("churn") if key.endswith((".json", ".html", "MLmodel", ".yaml"))]
    assert len(documents) > 8
    assert [key for key in documents if canary.encode() in backends.store.read(key)] == []
    quarantined = json.loads(backends.store.read("churn/runs/r1/quarantine.json"))
    assert len(quarantined["rows"]) > 5
    database = Path(backends.tracking.uri.removeprefix("sqlite:///"))
    assert canary.encode() not in database.read_bytes()


def test_a_wrong_declaration_stops_the_first_step(backends: Backends, lake: Path) -> None:
    run = timed(lake, sweep={"candidates": [{"estimator": LOGISTIC, "params": {"CC": 1}}]})
    with pytest.raises(ConfigError, match=r"sweep\.candidates\.0\.params\.CC"):
        pipeline.snapshot(run, backends)
    assert [key for key in backends.store.keys("churn") if "/usage/" not in key] == []
