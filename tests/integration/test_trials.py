"""Trials in MLflow: each exactly once, whoever was killed, woke up, or got no answer."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from builders import LOGISTIC, make_result, make_run
from contender.tracking import runs, sqlite
from contender.tracking.runs import Tracking
from contender.tracking.trials import ERROR, TRIAL

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from contender.backends import Backends
    from contender.documents.run import Run
    from contender.documents.sweep import TrialResult

pytestmark = pytest.mark.integration


@pytest.fixture
def tracking(backends: Backends) -> Tracking:
    return backends.tracking


def all_runs(tracking: Tracking, pipeline: str = "churn") -> list[MlflowRun]:
    return list(tracking.client.search_runs([tracking.experiment(pipeline)]))


def trials_of(tracking: Tracking) -> list[MlflowRun]:
    return [one for one in all_runs(tracking) if TRIAL in one.data.tags]


def shown(tracking: Tracking) -> list[tuple[str, str]]:
    """Key and status of every trial that is not deleted."""
    return sorted((one.data.tags[TRIAL], one.info.status) for one in trials_of(tracking))


def test_a_trial_is_a_child_with_its_parameters_and_numbers(tracking: Tracking) -> None:
    run = make_run()
    parent = tracking.run_id(run)
    found = tracking.client.get_run(tracking.record_trial(run, parent, make_result(C=0.5, penalty=None)))
    assert found.info.status == "FINISHED"
    assert found.info.start_time == datetime(2026, 3, 2, 4, tzinfo=UTC).timestamp() * 1_000
    assert found.info.end_time - found.info.start_time == 1_500
    assert found.data.tags["mlflow.parentRunId"] == parent
    assert found.data.tags[TRIAL] == "a" * 64
    assert found.data.params == {"estimator": LOGISTIC, "seed": "3", "C": "0.5", "penalty": "None"}
    assert found.data.metrics == {
        "cv_roc_auc": 0.7,
        "cv_roc_auc_std": 0.1,
        "fold_roc_auc": 0.8,
        "seconds": 1.5,
        "fit_seconds": 1.0,
        "cpu_seconds": 1.25,
        "peak_memory_mb": 250.0,
        "curve/loss": 0.25,
    }
    for name, expected in {"fold_roc_auc": [(0, 0.6), (1, 0.8)], "curve/loss": [(10, 0.5), (20, 0.25)]}.items():
        history = tracking.client.get_metric_history(found.info.run_id, name)
        assert [(metric.step, metric.value) for metric in history] == expected


def test_a_trial_says_whose_it_is_and_what_it_depends_on(tracking: Tracking) -> None:
    run = make_run()
    tags = tracking.client.get_run(tracking.record_trial(run, tracking.run_id(run), make_result())).data.tags
    assert tags["mlflow.runName"] == "LogisticRegression aaaaaaaa"
    assert tags["mlflow.user"] == "tests"
    assert tags["contender.snapshot"] == "s" * 16
    assert tags["contender.code"] == run.code.fingerprint[:16]
    assert tags.get("mlflow.source.git.commit") == run.code.commit
    versions = json.loads(tags["contender.versions"])
    assert versions == {"python": run.code.python, **run.code.versions, "lock": run.code.lock}


def test_a_failed_trial_is_failed_with_its_reason_and_without_scores(tracking: Tracking) -> None:
    run = make_run()
    reason = "ValueError: " + "x" * 20_000
    found = tracking.client.get_run(tracking.record_trial(run, tracking.run_id(run), make_result(error=reason)))
    assert found.info.status == "FAILED"
    assert found.data.tags[ERROR] == found.data.tags["mlflow.note.content"] == reason[:5_000]
    assert not [name for name in found.data.metrics if "roc_auc" in name]


def test_a_trial_on_a_part_of_folds_and_rows_says_so(tracking: Tracking) -> None:
    run = make_run()
    part = make_result()
    part = part.model_copy(update={"trial": part.trial.model_copy(update={"folds": 2, "share": 0.25})})
    found = tracking.client.get_run(tracking.record_trial(run, tracking.run_id(run), part))
    assert (found.data.params["folds"], found.data.params["share"]) == ("2", "0.25")


def test_a_very_long_parameter_is_cut_and_not_an_error(tracking: Tracking) -> None:
    run = make_run()
    run_id = tracking.record_trial(run, tracking.run_id(run), make_result(words=["w" * 100] * 100))
    assert len(tracking.client.get_run(run_id).data.params["words"]) == 6_000


def test_more_parameters_than_mlflow_takes_at_once_are_all_there_before_it_is_complete(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    parent = tracking.run_id(run)
    endless = make_result(**{f"p{number}": number for number in range(150)})
    there: list[int] = []
    end = tracking.client.set_terminated

    def watched(run_id: str, *how: Any) -> None:
        there.append(len(tracking.client.get_run(run_id).data.params))
        end(run_id, *how)

    monkeypatch.setattr(tracking.client, "set_terminated", watched)
    tracking.record_trial(run, parent, endless)
    assert there == [152]


def test_trials_that_mlflow_shows_are_not_shown_again(tracking: Tracking) -> None:
    run = make_run()
    parent = tracking.run_id(run)
    results = [make_result("a" * 64), make_result("b" * 64, error="ValueError: no")]
    for one in results:
        tracking.record_trial(run, parent, one)
    assert tracking.show_trials(run, results) == 0
    assert shown(tracking) == [("a" * 64, "FINISHED"), ("b" * 64, "FAILED")]


def test_trials_that_mlflow_lacks_are_shown_from_the_store(tracking: Tracking) -> None:
    run = make_run()
    results = [make_result("a" * 64), make_result("b" * 64, error="ValueError: no")]
    tracking.record_trial(run, tracking.run_id(run), results[0])
    assert tracking.show_trials(run, results) == 1
    assert tracking.show_trials(run, results) == 0
    assert shown(tracking) == [("a" * 64, "FINISHED"), ("b" * 64, "FAILED")]


def test_a_reused_trial_is_the_other_runs_and_not_shown_here(tracking: Tracking) -> None:
    run = make_run()
    assert tracking.show_trials(run, [make_result(run_id="r0")]) == 0
    assert all_runs(tracking) == []


@pytest.mark.parametrize("call", ["log_batch", "set_terminated"])
def test_a_trial_whose_task_was_killed_between_two_calls_is_finished_and_not_made_twice(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    run = make_run()
    killed_in(tracking, monkeypatch, call, run)
    [(_, status)] = shown(tracking)
    assert status == "RUNNING"
    assert tracking.show_trials(run, [make_result()]) == 1
    assert shown(tracking) == [("a" * 64, "FINISHED")]
    [child] = [one for one in all_runs(tracking) if TRIAL in one.data.tags]
    assert child.data.metrics["cv_roc_auc"] == 0.7


def killed_in(tracking: Tracking, monkeypatch: pytest.MonkeyPatch, call: str, run: Run) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tracking.client, call, killed)
        with pytest.raises(KeyboardInterrupt):
            tracking.record_trial(run, tracking.run_id(run), make_result())


def test_of_a_trial_that_two_tasks_showed_one_stays(tracking: Tracking) -> None:
    run = make_run()
    parent = tracking.run_id(run)
    both = {tracking.record_trial(run, parent, make_result()) for _ in range(2)}
    assert tracking.show_trials(run, [make_result()]) == 0
    assert shown(tracking) == [("a" * 64, "FINISHED")]
    gone = [one for one in both if tracking.client.get_run(one).info.lifecycle_stage == "deleted"]
    assert gone == [max(both)]


def test_what_is_left_of_a_trial_that_is_complete_is_ended_and_put_away(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    killed_in(tracking, monkeypatch, "log_batch", run)
    left = next(one.info.run_id for one in all_runs(tracking) if TRIAL in one.data.tags)
    tracking.record_trial(run, tracking.run_id(run), make_result())
    assert tracking.show_trials(run, [make_result()]) == 0
    assert shown(tracking) == [("a" * 64, "FINISHED")]
    info = tracking.client.get_run(left).info
    assert (info.status, info.lifecycle_stage) == ("KILLED", "deleted")


def test_another_runs_trials_are_left_alone(tracking: Tracking) -> None:
    run, other = make_run(), make_run(run_id="r2")
    theirs = tracking.record_trial(other, tracking.run_id(other), make_result(run_id="r2"))
    assert tracking.show_trials(run, [make_result()]) == 1
    assert tracking.client.get_run(theirs).info.lifecycle_stage == "active"
    assert len(shown(tracking)) == 2


def test_trials_that_are_more_than_a_page_are_found_page_by_page(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "PAGE", 10)
    run = make_run()
    parent = tracking.run_id(run)
    results = [make_result(f"{number:064d}") for number in range(25)]
    for one in results[:-1]:
        tracking.record_trial(run, parent, one)
    questions: list[Any] = []
    search_runs = tracking.client.search_runs

    def counted(*query: Any, **options: Any) -> Any:
        questions.append(query)
        return search_runs(*query, **options)

    monkeypatch.setattr(tracking.client, "search_runs", counted)
    assert tracking.show_trials(run, results) == 1
    assert len(questions) == 1 + 3  # the run, and its trials
    assert tracking.show_trials(run, results) == 0


def test_a_task_that_wakes_up_after_another_has_finished_its_trial_changes_nothing(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had created the run and slept; the other finished that run, and both write the same."""
    run = make_run()
    awake = tracking.client.log_batch

    def asleep(*batch: Any, **parts: Any) -> None:
        monkeypatch.setattr(tracking.client, "log_batch", awake)
        assert Tracking(tracking.uri).show_trials(run, [make_result()]) == 1
        awake(*batch, **parts)

    monkeypatch.setattr(tracking.client, "log_batch", asleep)
    tracking.record_trial(run, tracking.run_id(run), make_result())
    assert shown(tracking) == [("a" * 64, "FINISHED")]


def test_a_task_that_wakes_up_after_its_trial_was_shown_by_another_gets_that_one(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had created a run, but a second complete one was there: its own was put away, and it cannot write to it."""
    run = make_run()
    parent = tracking.run_id(run)
    awake, others = tracking.client.log_batch, []

    def asleep(*batch: Any, **parts: Any) -> None:
        monkeypatch.setattr(tracking.client, "log_batch", awake)
        other = Tracking(tracking.uri)
        others.append(other.record_trial(run, parent, make_result()))
        assert other.show_trials(run, [make_result()]) == 0
        awake(*batch, **parts)

    monkeypatch.setattr(tracking.client, "log_batch", asleep)
    assert [tracking.record_trial(run, parent, make_result())] == others
    assert shown(tracking) == [("a" * 64, "FINISHED")]


def test_another_trial_of_the_same_parameters_is_not_this_one(tracking: Tracking) -> None:
    """A param is never logged a second time with another value: what differs in anything has another key."""
    run = make_run()
    results = [make_result("a" * 64, C=1), make_result("b" * 64, C=2)]
    assert tracking.show_trials(run, results) == 2
    assert tracking.show_trials(run, results) == 0
    assert {one.data.params["C"] for one in all_runs(tracking) if TRIAL in one.data.tags} == {"1", "2"}


def test_two_that_show_the_same_trial_at_the_same_moment_show_it_once(tracking: Tracking) -> None:
    """Both write parameters, numbers and tags of one run; the database lets one of them through, and both are content."""
    run = make_run()
    parent = tracking.run_id(run)
    for number in range(12):
        result = make_result(f"{number:064d}", **{f"p{n}": n for n in range(20)})
        run_id = tracking._create(run, parent, result)
        both = threading.Barrier(2)

        def show(run_id: str = run_id, result: TrialResult = result, both: threading.Barrier = both) -> None:
            mine = Tracking(tracking.uri)
            mine.client.get_run(run_id)
            both.wait()
            mine._fill(run, run_id, result)

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(show) for _ in range(2)]:
                done.result()
        data = tracking.client.get_run(run_id).data
        assert (len(data.params), data.metrics["cv_roc_auc"]) == (22, 0.7)
    assert [status for _, status in shown(tracking)] == ["FINISHED"] * 12


def test_every_number_is_in_its_own_trial_whichever_thread_recorded_it(tracking: Tracking) -> None:
    run = make_run()
    parent = tracking.run_id(run)
    results = [make_result(f"{number:064d}", C=number) for number in range(40)]
    results = [one.model_copy(update={"mean": float(number)}) for number, one in enumerate(results)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: tracking.record_trial(run, parent, one), results))
    found = {one.data.tags[TRIAL]: one.data for one in all_runs(tracking) if TRIAL in one.data.tags}
    assert len(found) == 40
    for number, one in enumerate(results):
        data = found[one.trial.key]
        assert (data.params["C"], data.metrics["cv_roc_auc"]) == (str(number), float(number))


def in_processes(*arguments: object) -> str:
    """What ``trialwriters`` says."""
    script = Path(__file__).parents[1] / "support" / "trialwriters.py"
    done = subprocess.run([sys.executable, script, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout


def test_eight_processes_that_write_at_once_lose_nothing_and_see_no_lock(tracking: Tracking) -> None:
    run = make_run()
    tracking.run_id(run)
    assert int(in_processes("together", tracking.uri, 8, 10)) >= 0
    assert len(shown(tracking)) == 80
    assert {status for _, status in shown(tracking)} == {"FINISHED"}


def test_whoever_is_killed_at_whatever_moment_each_trial_is_there_once_in_the_end(tracking: Tracking) -> None:
    run = make_run()
    tracking.run_id(run)
    in_processes("killed", tracking.uri, 8, 100, 7)
    before = shown(tracking)
    results = [make_result(key, C=int(key[2:])) for key in {one.data.tags[TRIAL] for one in trials_of(tracking)}]
    assert before
    mended = tracking.show_trials(run, results)
    assert mended == sum(one != (one[0], "FINISHED") for one in before)
    assert [status for _, status in shown(tracking)] == ["FINISHED"] * len(results)
    assert tracking.show_trials(run, results) == 0


def test_children_that_a_recording_process_forks_do_not_disturb_it(tracking: Tracking) -> None:
    run = make_run()
    tracking.run_id(run)
    in_processes("forked", tracking.uri, 6)
    assert len(shown(tracking)) == 6
    path = sqlite.path_of(tracking.uri)
    assert path is not None
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_lock_that_is_held_for_longer_than_mlflow_waits_is_waited_for(
    tracking: Tracking, request: pytest.FixtureRequest
) -> None:
    def impatient(*executed: Any) -> tuple[str, Any]:
        _, _, statement, parameters, *_ = executed
        return statement.replace("busy_timeout = 20000", "busy_timeout = 2000"), parameters

    event.listen(Engine, "before_cursor_execute", impatient, retval=True)
    request.addfinalizer(lambda: event.remove(Engine, "before_cursor_execute", impatient))
    run = make_run()
    parent = tracking.run_id(run)
    path = sqlite.path_of(tracking.uri)
    assert path is not None
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(4, other.rollback).start()
        began = time.monotonic()
        tracking.record_trial(run, parent, make_result())
        assert time.monotonic() - began > 3
    assert tracking.retries >= 1
    assert shown(tracking) == [("a" * 64, "FINISHED")]
