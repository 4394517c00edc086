"""What the machine did to a trial is no result of it: whoever comes next tries it again, and every run accounts for it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from builders import LOGISTIC
from contender import pipeline
from contender.backends import Backends
from contender.documents.run import Run
from contender.documents.sweep import TaskReport
from contender.errors import BackendError, DataRejected
from contender.store.base import write_document
from contender.sweep.results import complete_results, result_key, result_of
from contender.tracking.trials import TRIAL
from steps import runs, step, through, timed

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here", "no_report")]


def starving(lake: Path, until: Path, run_id: str = "r1", how: str = "kill", **beside: Any) -> Run:
    params = {"until": {"choice": [str(until)]}, "how": {"choice": [how]}}
    others = [beside] if beside else []
    sweep = {"candidates": [*others, {"estimator": "estimators.Starves", "params": params}]}
    gates = [{"kind": "threshold", "metric": "roc_auc", "min": 0.5}]
    return timed(lake, run_id, sweep=sweep, gates=gates)


def shown(backends: Backends) -> list[str]:
    return sorted(run.info.status for run in runs(backends) if TRIAL in run.data.tags)


@pytest.mark.parametrize("how", ["kill", "told"])
def test_a_run_whose_trials_the_machine_ended_is_mended_by_memory_and_a_clear(
    backends: Backends, lake: Path, tmp_path: Path, how: str
) -> None:
    run = starving(lake, tmp_path / "memory", how=how)
    through(run, backends, "train")
    with pytest.raises(
        BackendError, match=r"none of 1 trials completed: .*emory.*Next: clear the train tasks, or start a"
    ):
        step("challenge", run, backends)
    assert shown(backends) == ["FAILED"]
    (tmp_path / "memory").touch()
    [report] = step("train", run, backends)
    assert (report.done, report.failed) == (1, 0)
    assert shown(backends) == ["FINISHED"]
    assert step("challenge", run, backends).outcome == "promote"


def test_the_next_run_of_the_same_rows_tries_again_what_the_machine_ended(
    backends: Backends, lake: Path, tmp_path: Path
) -> None:
    first = starving(lake, tmp_path / "memory", estimator=LOGISTIC, baseline=True)
    with pytest.raises(BackendError, match="no trial but the baseline's completed: its process was killed by SIGKILL"):
        through(first, backends, "challenge")
    [baseline, lost] = complete_results(first, backends.store).results
    assert (baseline.status, lost.status, lost.lost, lost.attempts) == ("complete", "failed", True, 2)
    (tmp_path / "memory").touch()
    second = starving(lake, tmp_path / "memory", "r2", estimator=LOGISTIC, baseline=True)
    assert through(second, backends, "plan").reused == (baseline.trial.key,)
    step("train", second, backends)
    assert [one.status for one in complete_results(second, backends.store).results] == ["complete"] * 2
    assert [one.status for one in complete_results(first, backends.store).results] == ["complete"] * 2


def test_attempts_are_counted_and_a_failure_of_the_estimator_is_kept(
    backends: Backends, lake: Path, tmp_path: Path
) -> None:
    run = starving(lake, tmp_path / "memory", estimator=LOGISTIC, params={"C": {"choice": [-1.0]}})
    through(run, backends, "train")
    step("train", run, backends)
    with pytest.raises(BackendError, match="none of 2 trials"):
        complete_results(run, backends.store)
    [plan] = [pipeline.plan(run, backends, cores=1)]
    own, lost = (result_of(run, backends.store, 1, trial.key) for trial in plan.trials)
    assert own is not None
    assert lost is not None
    assert (own.lost, own.attempts) == (False, 1)
    assert (lost.lost, lost.attempts) == (True, 4)
    assert [backends.store.exists(result_key(run, trial.key)) for trial in plan.trials] == [True, False]


def test_a_killed_trial_that_version_0_1_0_recorded_is_tried_again(
    backends: Backends, lake: Path, tmp_path: Path
) -> None:
    run = starving(lake, tmp_path / "memory")
    through(run, backends, "train")
    [trial] = pipeline.plan(run, backends, cores=1).trials
    lost = result_of(run, backends.store, 1, trial.key)
    assert lost is not None
    write_document(backends.store, result_key(run, trial.key), lost.model_copy(update={"machine": None}))
    (tmp_path / "memory").touch()
    assert through(starving(lake, tmp_path / "memory", "r2"), backends, "plan").reused == ()
    step("train", run, backends)
    assert [one.status for one in complete_results(run, backends.store).results] == ["complete"]


def test_a_trial_that_takes_its_training_task_along_is_left_alone_in_the_end(
    backends: Backends, lake: Path, tmp_path: Path
) -> None:
    """The kernel may kill the task instead of its child. The tries of the task go to it, but not all of them."""
    run = starving(lake, tmp_path / "memory", "r1", "task", estimator=LOGISTIC)
    (tmp_path / "memory").touch()
    through(run, backends, "plan")  # it fits one of each kind
    (tmp_path / "memory").unlink()

    def train() -> int:
        pid = os.fork()
        if not pid:
            try:
                pipeline.train(run, backends, task=0)
            finally:
                os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert [train() for _ in range(4)] == [-signal.SIGKILL] * 3 + [0]
    done, lost = complete_results(run, backends.store).results
    assert (done.status, lost.lost) == ("complete", True)
    assert lost.error == "its training task ended while it ran, 3 times; out of memory, or a lost worker"
    (tmp_path / "memory").touch()
    assert train() == 0
    assert [one.status for one in complete_results(run, backends.store).results] == ["complete"] * 2


def test_trials_that_the_budget_cut_are_fitted_when_train_is_cleared_and_are_in_the_new_set(
    backends: Backends, lake: Path, tmp_path: Path
) -> None:
    (tmp_path / "memory").touch()
    run = starving(lake, tmp_path / "memory", estimator=LOGISTIC)
    through(run, backends, "plan")
    [trial, other] = pipeline.plan(run, backends, cores=1).trials
    cut = TaskReport(index=0, done=0, failed=0, untried=tuple(sorted((trial.key, other.key))))
    write_document(backends.store, run.round_key(1, "shards/0.json"), cut)
    with pytest.raises(DataRejected, match="the budget ended before the others"):
        complete_results(run, backends.store)
    step("train", run, backends)
    found = complete_results(run, backends.store)
    assert ([one.status for one in found.results], found.untried) == (["complete"] * 2, ())
