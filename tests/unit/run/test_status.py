"""What `contender status` reads from the store: champion, last run, next run, and how far a sweep is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from builders import make_run
from contender.documents.cost import Cost, Costs
from contender.documents.outcome import Outcome
from contender.documents.scoreboard import Verdict
from contender.documents.sweep import Plan, Trial, TrialResult
from contender.errors import BackendError, ConfigError
from contender.run.outcome import failed_outcome
from contender.run.status import Progress, pipelines, progress, status
from contender.store.base import require_document, write_document
from contender.store.ledger import Evidence, Ledger

if TYPE_CHECKING:
    from contender.documents.run import Run
    from contender.store.local import LocalStore

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
SPENT = Cost(cpu_seconds=12.5, seconds=8, peak_memory=410_000_000, money=0.2, currency="EUR")
COSTS = Costs(run=SPENT, sweep=SPENT, saved=SPENT)


def stored(store: LocalStore, run: Run, state: str | None = None) -> Run:
    write_document(store, run.key("run.json"), run)
    if state is not None:
        verdict = Verdict(
            gate="roc_auc >= 0.5", status="passed", reason="roc_auc 0.8 on 90 rows", observed=0.8, required=0.5
        )
        outcome = Outcome(
            run_id=run.id,
            pipeline=run.pipeline,
            state=state,
            decision="promote",
            verdicts=(verdict,),
            trials={"planned": 3},
            cost=COSTS,
        )  # type: ignore[arg-type]
        write_document(store, run.key("outcome.json"), outcome)
    return run


def crowned(store: LocalStore, version: str) -> None:
    ledger = Ledger(store, "churn")
    ledger.append(
        kind="promotion", version=version, release="r" * 64, run_id=f"run{version}", as_of=NOW, at=NOW, by="tests",
        reason="better", evidence=Evidence(metric="roc_auc", value=0.8), expected=ledger.champion(),
    )  # fmt: skip


def planned(store: LocalStore, run: Run, *statuses: str | None) -> list[str]:
    trials = [Trial(key=f"{n}" * 64, estimator="a.B", params={}, seed=0) for n in range(len(statuses))]
    write_document(store, run.round_key(1, "plan.json"), Plan(trials=tuple(trials), tasks=1))
    for trial, state in zip(trials, statuses, strict=True):
        if state is not None:
            result = TrialResult(trial=trial, status=state, seconds=1, cpu_seconds=1, started=NOW)  # type: ignore[arg-type]
            write_document(store, f"churn/trials/{trial.key}.json", result)
    return [trial.key for trial in trials]


def test_an_empty_store_has_no_pipelines(store: LocalStore) -> None:
    assert status(store) == {"pipelines": []}


def test_a_run_that_has_not_passed_validation_is_told_by_its_newest_attempt(store: LocalStore) -> None:
    stored(store, make_run(run_id="old"), "success")
    for attempt, schedule in ((1, None), (2, "0 6 * * *")):
        run = make_run(run_id="new", schedule=schedule)
        stored(store, run.model_copy(update={"attempt": attempt, "started": NOW}))
    [told] = status(store, now=NOW)["pipelines"]
    assert (told["last_run"]["run_id"], told["last_run"]["state"]) == ("new", "running")
    assert told["next_run"] == "2026-03-05T06:00:00+00:00"
    write_document(store, "churn/runs/new/outcome.json", failed_outcome(store, "churn", "new", run, ["validate"]))
    assert status(store, now=NOW)["pipelines"][0]["last_run"]["sentence"].startswith("failed in validate")


def test_a_pipeline_shows_champion_last_run_and_next_run(store: LocalStore) -> None:
    stored(store, make_run(run_id="old"), "failed")
    last = make_run(run_id="new").model_copy(update={"started": NOW - timedelta(hours=1)})
    stored(store, last, "success")
    crowned(store, "1")
    assert status(store, now=NOW) == {
        "pipelines": [
            {
                "name": "churn",
                "champion": {"version": "1", "run_id": "run1", "metric": "roc_auc", "value": 0.8, "since": NOW.isoformat()},
                "last_run": {
                    "run_id": "new",
                    "state": "success",
                    "decision": "promote",
                    "sentence": "",
                    "verdicts": [
                        {"gate": "roc_auc >= 0.5", "status": "passed", "reason": "roc_auc 0.8 on 90 rows", "observed": 0.8, "required": 0.5, "excused": False}
                    ],
                    "trials": {"planned": 3},
                    "cost": COSTS.model_dump(),
                },
                "next_run": "2026-03-09T03:00:00+00:00",
            }
        ]
    }  # fmt: skip


def test_a_champion_that_was_adopted_before_any_run_is_shown(store: LocalStore) -> None:
    crowned(store, "7")
    [shown] = status(store, "churn", now=NOW)["pipelines"]
    assert (shown["champion"]["version"], shown["last_run"], shown["next_run"]) == ("7", None, None)


def test_a_run_without_an_outcome_is_running_until_its_deadline(store: LocalStore) -> None:
    run = stored(store, make_run(run_id="r1"))
    [shown] = status(store, now=run.started + timedelta(hours=1))["pipelines"]
    assert shown["last_run"] == {
        "run_id": "r1", "state": "running", "decision": None, "sentence": "", "verdicts": [], "trials": {}, "cost": None,
    }  # fmt: skip
    assert shown["champion"] is None
    [shown] = status(store, now=run.started + timedelta(days=3))["pipelines"]
    assert shown["last_run"]["state"] == "unknown"
    words = "it began 3d ago, its deadline was 6h, and it has no end on record; ask Airflow"
    assert shown["last_run"]["sentence"] == words


@pytest.mark.parametrize(
    ("recorded", "theirs", "state", "words"),
    [
        (None, "running", "running", ""),
        (None, "queued", "running", ""),
        (None, "failed", "failed", "no end on record, and Airflow has it as failed: the store was away"),
        (None, "success", "failed", "Airflow has it as success"),
        (None, "deleted", "failed", "Airflow has no such run: it was deleted there"),
        (None, "stopped", "stopped", "it was cut short, for no Airflow runs here"),
        ("success", "success", "success", ""),
        ("failed", "running", "running", "runs again; before: told"),
        ("success", "failed", "success", "told (Airflow has it as failed: it was marked so after its end)"),
        ("failed", "deleted", "failed", "told"),
        ("failed", "stopped", "failed", "told"),
        ("failed", None, "failed", "told"),
    ],
)
def test_what_airflow_says_of_a_run_is_what_is_true(
    store: LocalStore, recorded: str | None, theirs: str | None, state: str, words: str
) -> None:
    run = stored(store, make_run(run_id="r1"), recorded)
    if recorded is not None:
        told = require_document(store, run.key("outcome.json"), Outcome).model_copy(update={"sentence": "told"})
        write_document(store, run.key("outcome.json"), told)
    [shown] = status(store, now=run.started + timedelta(days=3), asked=lambda *_: theirs)["pipelines"]
    assert shown["last_run"]["state"] == state
    assert words in shown["last_run"]["sentence"]


def test_a_pipeline_that_runs_by_hand_has_no_next_run(store: LocalStore) -> None:
    stored(store, make_run(schedule=None))
    assert status(store, now=NOW)["pipelines"][0]["next_run"] is None


def test_a_pipeline_can_be_asked_for_by_name(store: LocalStore) -> None:
    stored(store, make_run())
    stored(store, make_run(name="other"))
    assert [shown["name"] for shown in status(store)["pipelines"]] == ["churn", "other"]
    assert [shown["name"] for shown in status(store, "other")["pipelines"]] == ["other"]
    with pytest.raises(ConfigError, match=r"^pipeline 'chrn' never ran here\. Did you mean 'churn'\?$"):
        status(store, "chrn")


def test_what_lies_beside_the_pipelines_is_no_pipeline(store: LocalStore) -> None:
    stored(store, make_run())
    (store.root / ".gitignore").write_text("*")
    (store.root / "notes.txt").write_text("hello")
    (store.root / "a folder").mkdir()
    assert pipelines(store) == ["churn"]


def test_a_broken_run_is_named(store: LocalStore) -> None:
    store.write("churn/runs/r1/run.json", b"{")
    with pytest.raises(BackendError, match=r"churn/runs/r1/run.json: was changed or cut"):
        status(store)


def test_progress_counts_the_trials_that_are_recorded(store: LocalStore) -> None:
    run = stored(store, make_run(run_id="r1"))
    assert progress(store, "churn", "r1") is None
    planned(store, run, "complete", "failed", None)
    assert progress(store, "churn", "r1") == Progress(planned=3, done=2)
