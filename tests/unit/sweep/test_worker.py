"""A trial's own process: stopped in the middle when time is over, replaced when it dies, gone with its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import psutil
import pytest
import sklearn.linear_model  # noqa: F401
import skrub  # noqa: F401 - here, so that not every child has to
from threadpoolctl import threadpool_info

from builders import LOGISTIC
from contender.documents.sweep import Trial
from contender.sweep.trial import Evaluator
from contender.sweep.worker import Worker, probe_seconds

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = np.random.default_rng(0)
X = pd.DataFrame({"x": RANDOM.normal(size=200), "z": RANDOM.normal(size=200)})
Y = (X["x"].to_numpy() + RANDOM.normal(size=200) > 0).astype(int)
HALVES = [(np.arange(100), np.arange(100, 200)), (np.arange(100, 200), np.arange(100))]
FOREVER = 60.0


@pytest.fixture
def evaluator() -> Evaluator:
    return Evaluator(features=X, target=Y, folds=HALVES, metric="roc_auc", classification=True)


def trial(estimator: str = LOGISTIC, **params: Any) -> Trial:
    return Trial(key=f"{estimator}-{params}", estimator=estimator, params=params, seed=0)


def later(seconds: float = FOREVER) -> float:
    return time.monotonic() + seconds


def test_a_trial_in_a_child_has_the_numbers_it_has_in_the_parent(evaluator: Evaluator) -> None:
    with Worker(evaluator) as worker:
        for one in (trial(), trial(C=0.01), trial("sklearn.tree.DecisionTreeClassifier", max_depth=2)):
            worker.start(one)
            found = worker.wait(later())
            assert found is not None
            assert (found.trial, found.scores) == (one, evaluator.run(one).scores)


def test_one_child_runs_all_the_trials_and_is_gone_afterwards(evaluator: Evaluator) -> None:
    me = psutil.Process()
    before = set(me.children())
    with Worker(evaluator) as worker:
        seen = set()
        for number in range(3):
            worker.start(trial(C=1.0 + number))
            worker.wait(later())
            seen |= {child.pid for child in me.children() if child not in before}
        assert len(seen) == 1
    assert not any(psutil.pid_exists(pid) for pid in seen)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only there it is forked")
def test_however_deep_in_a_stack_it_was_forked_a_call_costs_a_trial_no_memory(evaluator: Evaluator) -> None:
    """Where the frames of a caller and a callee lie in two of Python's chunks, each call maps one and unmaps it."""

    def pages(depth: int) -> int:
        if depth:
            return pages(depth - 1)
        with Worker(evaluator) as worker:
            worker.start(trial("estimators.Calls"))
            found = worker.wait(later())
        assert found is not None
        assert found.error is not None
        return int(found.error.removeprefix("ConfigError: "))

    assert max(pages(depth) for depth in range(0, 150, 10)) < 1_000


def test_what_ends_the_processes_of_a_task_leaves_the_trial_to_the_task(evaluator: Evaluator) -> None:
    """Airflow's SIGTERM goes to a task's process group: a trial that died of it would be begun again, or count as crashed."""

    def task() -> int:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, lambda *_: None)
        with Worker(evaluator) as worker:
            worker.start(trial())
            worker.wait(later())
            [child] = psutil.Process().children()
            worker.start(trial("estimators.Slow", seconds=0.5))
            time.sleep(0.2)
            os.killpg(0, signal.SIGTERM)
            found = worker.wait(later())
            return 0 if found and found.error is None and psutil.Process().children() == [child] else 1

    pid = os.fork()
    if not pid:
        with suppress(BaseException):
            os._exit(task())
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_task_of_celery_runs_trials_although_it_is_a_daemon(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiprocessing.current_process(), "daemon", True)
    with Worker(evaluator) as worker:
        worker.start(trial())
        assert worker.wait(later()) is not None


def test_a_trial_is_stopped_in_the_middle_when_the_time_is_over(evaluator: Evaluator) -> None:
    with Worker(evaluator) as worker:
        worker.start(trial("estimators.Slow", seconds=FOREVER))
        began = time.monotonic()
        assert worker.wait(later(0.3)) is None
        assert time.monotonic() - began < FOREVER / 2
        worker.start(trial())
        assert worker.wait(later()) is not None


def test_a_trial_whose_process_is_killed_is_begun_again(evaluator: Evaluator, tmp_path: Path) -> None:
    with Worker(evaluator) as worker:
        worker.start(trial("estimators.Crashes", once=str(tmp_path / "crashed")))
        found = worker.wait(later())
    assert found is not None
    assert (found.status, found.scores) == ("complete", evaluator.run(trial()).scores)


def test_a_trial_that_kills_its_process_again_has_failed_and_the_next_one_runs(evaluator: Evaluator) -> None:
    with Worker(evaluator) as worker:
        worker.start(trial("estimators.Crashes"))
        failed = worker.wait(later())
        worker.start(trial())
        after = worker.wait(later())
    assert failed is not None
    assert failed.status == "failed"
    assert failed.error == ("its process was killed by SIGKILL, 2 times; out of memory, or a crash in compiled code")
    assert after is not None
    assert after.status == "complete"


@pytest.mark.parametrize("how", ["kill", "told"])
def test_what_the_machine_did_is_begun_twice_and_is_no_result_of_the_trial(evaluator: Evaluator, how: str) -> None:
    with Worker(evaluator) as worker:
        worker.start(trial("estimators.Starves", how=how))
        found = worker.wait(later())
    assert found is not None
    assert (found.status, found.lost, found.attempts) == ("failed", True, 2)


def test_what_the_estimator_did_is_its_result_and_not_begun_again(evaluator: Evaluator) -> None:
    with Worker(evaluator) as worker:
        worker.start(trial(C=-1.0))
        found = worker.wait(later())
    assert found is not None
    assert (found.status, found.lost, found.attempts) == ("failed", False, 1)


def test_a_child_that_dies_between_two_trials_is_replaced(evaluator: Evaluator) -> None:
    with Worker(evaluator) as worker:
        worker.start(trial())
        worker.wait(later())
        [forked] = multiprocessing.active_children()
        child = psutil.Process(forked.pid)
        child.kill()
        while child.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        worker.start(trial(C=2.0))
        found = worker.wait(later())
    assert found is not None
    assert found.status == "complete"


def test_a_child_uses_one_thread_whatever_it_imports(evaluator: Evaluator) -> None:
    class Spy(Evaluator):
        def run(self, trial: Trial) -> Any:
            result = super().run(trial)
            threads = max(pool["num_threads"] for pool in threadpool_info())
            return result.model_copy(update={"error": f"{threads} threads"})

    spying = Spy(features=X, target=Y, folds=HALVES, metric="roc_auc", classification=True)
    with Worker(spying) as worker:
        worker.start(trial("sklearn.ensemble.HistGradientBoostingClassifier", max_iter=2))
        found = worker.wait(later())
    assert found is not None
    assert found.error == "1 threads"


ORPHANED = """
import os, signal, sys, time
import numpy as np, pandas as pd
from contender.documents.sweep import Trial
from contender.sweep.trial import Evaluator
from contender.sweep.worker import Worker
X, y = pd.DataFrame({"x": np.arange(40.0)}), np.arange(40) % 2
folds = [(np.arange(20), np.arange(20, 40))]
worker = Worker(Evaluator(features=X, target=y, folds=folds, metric="roc_auc", classification=True))
worker.start(Trial(key="k", estimator="estimators.Slow", params={"seconds": 60}, seed=0))
print(worker._child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_child_dies_with_its_parent() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHANED], capture_output=True, text=True, check=False,
                          env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid = int(done.stdout)
    deadline = later(10)
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_probe_says_about_how_long_a_trial_takes(evaluator: Evaluator) -> None:
    found = probe_seconds(evaluator, [trial("estimators.Slow", seconds=0.2), trial()])
    assert 0.4 <= found["Slow"] < 4  # two folds
    assert 0 < found["LogisticRegression"] < found["Slow"]
    half = trial("estimators.Slow", seconds=0.2).model_copy(update={"folds": 1})
    assert 0.2 <= probe_seconds(evaluator, [half])["Slow"] < found["Slow"]
    rest = trial("estimators.Slow", seconds=0.2).model_copy(update={"scored": (0.5,)})
    assert 0.2 <= probe_seconds(evaluator, [rest])["Slow"] < found["Slow"]
