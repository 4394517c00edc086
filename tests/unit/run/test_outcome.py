"""Outcomes of decided and failed runs, made of what is in the store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from builders import make_run, make_snapshot
from contender.data.checks.quarantine import examine
from contender.documents.decision import Decision
from contender.documents.outcome import Failure, Outcome
from contender.documents.scoreboard import Scoreboard
from contender.documents.sweep import Plan, Trial, TrialResult
from contender.errors import ConfigError, DataUnavailable
from contender.run import outcome
from contender.run.outcome import (
    champion_summary,
    failed_outcome,
    forget_failure,
    notices_of,
    record_failure,
    recorded_failure,
    settle,
    truncation,
)
from contender.store.base import write_document
from contender.store.ledger import Evidence, Ledger, LedgerEntry, show_version
from contender.store.runs import put_end, standing_end

if TYPE_CHECKING:
    from contender.store.local import LocalStore

AT = datetime(2026, 3, 2, 3, tzinfo=UTC)
BY_HAND = "ended before it was announced, although no step failed: it was marked by hand, or timed out as a whole"
KILLED = "failed in train_0, which left no reason: it was killed, or marked by hand; see its log"
RUN = make_run()


@pytest.fixture
def swept(store: LocalStore) -> LocalStore:
    """A store with a plan of three trials: one complete, one failed, one not recorded; one of them reused."""
    trials = [Trial(key=key, estimator="pkg.A", params={}, seed=0) for key in "abc"]
    write_document(store, RUN.round_key(1, "plan.json"), Plan(trials=tuple(trials), tasks=1, reused=("a",)))
    cost: Any = {"seconds": 1, "cpu_seconds": 1, "started": AT}
    complete = TrialResult(trial=trials[0], status="complete", mean=0.5, run_id="earlier", **cost)
    failed = TrialResult(trial=trials[1], status="failed", error="boom", run_id=RUN.id, **cost)
    for result in (complete, failed):
        write_document(store, f"churn/trials/{result.trial.key}.json", result)
    return store


def test_a_split_that_is_a_matter_of_luck_is_on_the_terminal_of_the_run(store: LocalStore) -> None:
    run = make_run(data={"id": None, "min_rows": 2})
    table = pa.table(
        {"x": [1.0] * 300 + [float(n) for n in range(700)], "y": pa.array(["yes", "no"] * 500, pa.large_string())}
    )
    snapshot = make_snapshot(table)
    quarantine = examine(run.spec, snapshot, table.to_pandas())
    write_document(store, run.key("snapshot.json"), snapshot)
    write_document(store, run.key("quarantine.json"), quarantine)
    board = Scoreboard(metric="roc_auc", cards=(), comparisons=())
    [said] = outcome._attention(run, store, Decision.model_construct(board=board, changes=(), verdicts=()))
    assert said.startswith("one combination of features is in 30% of the rows, all on one side of the split")


def test_a_truncated_sweep_is_called_that() -> None:
    assert truncation({"planned": 1_060, "untried": 12}) == "truncated sweep: 12 of 1,060 trials untried"


def test_a_run_that_broke_before_it_was_frozen_has_an_outcome(store: LocalStore) -> None:
    found = failed_outcome(store, "churn", "r1", None)
    assert (found.state, found.sentence, found.as_of, found.decision, found.trials) == (
        "failed",
        BY_HAND,
        None,
        None,
        {},
    )


def test_a_run_that_broke_in_its_sweep_shows_its_trials_and_what_they_cost(swept: LocalStore) -> None:
    found = failed_outcome(swept, "churn", RUN.id, RUN)
    assert (found.state, found.as_of) == ("failed", RUN.as_of)
    assert found.trials == {"planned": 3, "completed": 1, "failed": 1, "untried": 0, "reused": 1}
    assert found.cost is not None
    assert (found.cost.run.cpu_seconds, found.cost.saved.cpu_seconds) == (1, 1)


def test_a_run_that_broke_before_its_sweep_has_no_trials(store: LocalStore) -> None:
    found = failed_outcome(store, "churn", RUN.id, RUN)
    assert found.trials == {}
    assert found.cost is not None


def test_a_step_that_failed_is_named_with_what_it_said(store: LocalStore) -> None:
    error = ConfigError("p.yaml:3: data.uri: no\n  file " + "x" * 900)
    record_failure(store, "churn", "r1", "snapshot", error)
    found = failed_outcome(store, "churn", "r1", None, ["snapshot"])
    assert found.sentence.startswith("failed in snapshot: ConfigError: p.yaml:3: data.uri: no file xxx")
    assert len(found.sentence) == len("failed in snapshot: ConfigError: ") + 500
    assert failed_outcome(store, "churn", "r1", None).sentence == BY_HAND


def test_a_message_that_is_not_ours_may_hold_data_and_is_left_in_the_log(store: LocalStore) -> None:
    record_failure(store, "churn", "r1", "train_0", ValueError("could not convert string to float: 'Miller'"))
    found = failed_outcome(store, "churn", "r1", None, ["train_0"])
    assert found.sentence == "failed in train_0: ValueError; see its log"


def test_a_step_that_was_killed_is_named_and_one_that_could_speak_comes_first(store: LocalStore) -> None:
    assert failed_outcome(store, "churn", "r1", None, ["train_0"]).sentence == KILLED
    record_failure(store, "churn", "r1", "train_1", ValueError())
    found = failed_outcome(store, "churn", "r1", None, ["train_0", "train_1"])
    assert found.failure == Failure(step="train_1", error="ValueError")
    forget_failure(store, "churn", "r1", "train_1")  # it began again, and died
    assert failed_outcome(store, "churn", "r1", None, ["train_1"]).sentence == KILLED.replace("train_0", "train_1")
    forget_failure(store, "churn", "r1", "train_2")
    assert recorded_failure(store, "churn", "r1", "train_2") is None


def test_steps_that_are_done_have_an_outcome_also_when_nothing_stored_one(store: LocalStore) -> None:
    failed = settle(store, "churn", "r1", ["train_0"])
    assert failed.sentence == KILLED
    assert settle(store, "churn", "r1", ["train_1"]).sentence == KILLED.replace("train_0", "train_1")
    good = failed.model_copy(update={"state": "success", "sentence": "keep"})
    seen = standing_end(store, "churn", "r1")
    assert put_end(store, good, after=seen.number)
    assert settle(store, "churn", "r1") == good
    assert settle(store, "churn", "r1", ["train_0"], seen=seen) == good  # asked before the run was mended
    assert settle(store, "churn", "r1", ["train_0"]) == failed
    assert standing_end(store, "churn", "r1") == (4, failed)
    assert settle(store, "churn", "r1", ["train_0"]) == failed  # as the next receiver is told
    assert standing_end(store, "churn", "r1").number == 4


def test_a_run_that_broke_after_its_promotion_says_which_version_it_promoted(store: LocalStore) -> None:
    promoted(store, "r1")
    assert failed_outcome(store, "churn", "r1", None, ["announce"]).promoted == "3"
    assert failed_outcome(store, "churn", "r2", None, ["announce"]).promoted is None


@pytest.mark.parametrize(
    ("parts", "kinds"),
    [
        ({"state": "success", "decision": "keep"}, ["decided"]),
        ({"state": "success", "decision": "promote", "promoted": "3"}, ["promoted", "decided"]),
        ({"state": "failed"}, ["failed"]),
        ({"state": "failed", "failure": Failure(step="promote", error="Conflict")}, ["failed"]),
        ({"state": "failed", "failure": Failure(step="snapshot", error=DataUnavailable.__name__)}, ["no_data", "failed"]),
        ({"state": "failed", "failure": Failure(step="announce"), "promoted": "3"}, ["failed", "promoted"]),
    ],
)  # fmt: skip
def test_notices_of_an_outcome_begin_with_the_most_specific(parts: dict[str, Any], kinds: list[str]) -> None:
    outcome = Outcome(run_id="r1", pipeline="churn", sentence="so it is", **parts)
    notices = notices_of(outcome, "http://airflow")
    assert [notice.kind for notice in notices] == kinds
    assert {(notice.sentence, notice.version, notice.url) for notice in notices} == {
        ("so it is", outcome.promoted, "http://airflow")
    }
    shown = outcome.model_copy(update={"mlflow_url": "http://mlflow"})
    assert notices_of(shown, "http://airflow")[0].url == "http://mlflow"


def promoted(store: LocalStore, run_id: str) -> LedgerEntry:
    return Ledger(store, "churn").append(
        kind="promotion", version="3", release=None, run_id=run_id, as_of=AT, at=AT, by="ada", reason="better",
        evidence=Evidence(metric="roc_auc", value=0.8),
    )  # fmt: skip


def test_a_champion_is_summed_up_with_its_evidence(store: LocalStore) -> None:
    assert champion_summary(store, None) is None
    entry = promoted(store, "r1")
    summary = {"version": "3", "run_id": "r1", "metric": "roc_auc", "value": 0.8, "since": "2026-03-02T03:00:00+00:00"}
    assert champion_summary(store, entry) == summary
    show_version(store, entry, "4")  # somebody deleted version 3 in MLflow, and the release was registered again
    assert champion_summary(store, entry) == summary | {"version": "4"}
