"""Steps that are killed, run again or cleared: everything exists once, and a run that did not end is closed."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mlflow import MlflowClient

from contender import pipeline
from contender.backends import Backends
from contender.documents.outcome import Outcome
from contender.errors import BackendError
from contender.release import bundle as releases
from contender.release import title, verify
from contender.store.base import require_document, write_document
from contender.store.ledger import Ledger
from contender.tracking.runs import RUN, TRIAL, is_complete
from life import decided
from steps import STEPS, champion, entries, everything, results, runs, step, through, timed, versions

if TYPE_CHECKING:
    from collections.abc import Callable


pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here", "no_report")]


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

    def kill(patch: pytest.MonkeyPatch) -> None:
        for name in ("write", "put_if_absent"):
            patch.setattr(LocalStore, name, die_at_key(end, getattr(LocalStore, name)))

    return kill


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


UNTIL_TRAINED: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "snapshot written, not named": store_without("runs/r1/snapshot.json"),
    "validated, not counted": store_without("runs/r1/run.json"),
    "counted, contract not frozen": store_without("contract.json"),
    "MLflow run opened, dataset not shown": mlflow_at("log_inputs"),
    "plan not written": store_without("rounds/1/plan.json"),
    "second trial not taken": put_without("claims", 2),
    "second trial tried, not in the store": put_without("trials", 2),
    "second trial in the store, not in MLflow": mlflow_at("create_run", 3),
    "second trial's MLflow run opened, empty": mlflow_at("log_batch", 2),
    "second trial in MLflow, not ended": mlflow_at("set_terminated", 2),
    "report of a training task not written": store_without("rounds/1/shards/0.json"),
}
WHEN_TRAINED: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "model announced to MLflow, not uploaded": mlflow_at("log_model_artifacts"),
    "model uploaded, not finalized": mlflow_at("finalize_logged_model"),
    "model logged, not in the store": at(releases, "golden_parquet"),
    "model in the store, not signed": store_without("manifest.sig"),
    "release signed, no manifest": store_without("manifest.json"),
    "release complete, no report": at(pipeline, "render"),
    "decision not written": store_without("decisions/1.json"),
    "decision written, not shown in MLflow": at(pipeline, "_show_decision"),
}
WHEN_DECIDED: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "registered name made, no version": mlflow_at("create_model_version"),
    "version registered, not verified": at(verify, "verify_version"),
    "version verified, not in the ledger": at(Ledger, "append"),
    "in the ledger, alias not set": at(title, "project_alias"),
    "alias set, run not closed": mlflow_at("set_terminated"),
    "run closed, outcome not written": store_without("outcome.json"),
}
POINTS = UNTIL_TRAINED | WHEN_TRAINED | WHEN_DECIDED


@pytest.mark.parametrize("point", POINTS)
def test_whatever_is_killed_when_it_is_run_again_everything_exists_once(
    request: pytest.FixtureRequest, lake: Path, point: str
) -> None:
    """In a home where the steps before have been done already."""
    stage = "backends" if point in UNTIL_TRAINED else "trained" if point in WHEN_TRAINED else "will_promote"
    backends: Backends = request.getfixturevalue(stage)
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
    verify.check_version(backends, "churn", "r1", "1")


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
    assert (outcome.state, outcome.decision) == ("failed", None)
    assert outcome.sentence.startswith("ended before it was announced")
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
    assert (outcome.state, outcome.sentence) == (
        "failed",
        "failed in train_0, which left no reason: it was killed, or marked by hand; see its log",
    )


def test_a_step_of_a_good_run_that_fails_when_it_is_cleared_makes_the_run_failed(one: Backends, lake: Path) -> None:
    outcome = pipeline.announce(timed(lake), one)
    assert pipeline.close(one, "churn", "r1") == outcome
    again = pipeline.close(one, "churn", "r1", failed=["announce"])
    assert (again.state, again.promoted) == ("failed", "1")
    assert again.sentence.startswith("failed in announce, which left no reason")
    assert again.sentence.endswith(f"; see its log (after it was decided: {outcome.sentence})")
