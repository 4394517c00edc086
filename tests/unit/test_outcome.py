"""How a run ended, from what is in the store: also of one that broke on its way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from builders import make_run
from contender.documents import Plan, Trial, TrialResult
from contender.outcome import champion_summary, failed_outcome, trial_counts
from contender.store.base import write_document
from contender.store.ledger import Evidence, Ledger

if TYPE_CHECKING:
    from contender.store.local import LocalStore

AT = datetime(2026, 3, 2, 3, tzinfo=UTC)
RUN = make_run()


@pytest.fixture
def swept(store: LocalStore) -> LocalStore:
    """A store with a plan of three trials: one complete, one failed, one not recorded; one of them reused."""
    trials = [Trial(key=key, estimator="pkg.A", params={}, seed=0) for key in "abc"]
    write_document(store, RUN.key("plan.json"), Plan(trials=tuple(trials), shards=(), reused=1))
    complete = TrialResult(trial=trials[0], status="complete", mean=0.5, seconds=1, cpu_seconds=1, started=AT)
    failed = TrialResult(trial=trials[1], status="failed", error="boom", seconds=1, cpu_seconds=1, started=AT)
    for result in (complete, failed):
        write_document(store, f"churn/trials/{result.trial.key}.json", result)
    return store


def test_trials_are_counted_by_how_they_ended(swept: LocalStore) -> None:
    assert trial_counts(RUN, swept) == {"planned": 3, "completed": 1, "failed": 1, "reused": 1}


def test_without_a_plan_there_is_nothing_to_count(store: LocalStore) -> None:
    assert trial_counts(RUN, store) == {}


def test_a_run_that_broke_before_it_was_frozen_has_an_outcome(store: LocalStore) -> None:
    found = failed_outcome(store, "churn", "r1", None)
    assert (found.state, found.sentence, found.as_of, found.decision, found.trials) == (
        "failed",
        "failed",
        None,
        None,
        {},
    )


def test_a_run_that_broke_in_its_sweep_shows_its_trials(swept: LocalStore) -> None:
    found = failed_outcome(swept, "churn", RUN.id, RUN)
    assert (found.state, found.as_of, found.trials["completed"]) == ("failed", RUN.as_of, 1)


def test_a_champion_is_summed_up_with_its_evidence(store: LocalStore) -> None:
    assert champion_summary(None) is None
    entry = Ledger(store, "churn").append(
        kind="promotion", version="3", release=None, run_id="r1", as_of=AT, at=AT, by="ada", reason="better",
        evidence=Evidence(metric="roc_auc", value=0.8),
    )  # fmt: skip
    summary = {"version": "3", "run_id": "r1", "metric": "roc_auc", "value": 0.8, "since": "2026-03-02T03:00:00+00:00"}
    assert champion_summary(entry) == summary
