"""A child process that runs trials, so that a trial can be stopped, or crash, without its training task.

On Linux the child is forked, shares the parent's rows without a copy, and dies with the parent. The parent fits
nothing: a process that has used OpenMP's threads must not fork.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from threadpoolctl import threadpool_limits

from contender.documents.sweep import TrialResult
from contender.sweep.trial import Evaluator
from contender.usercode import import_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from contender.data.rows import Rows
    from contender.documents.sweep import Trial

_PR_SET_PDEATHSIG = 1  # of Linux's prctl(2): the signal that a child gets when its parent dies
_COLLECTIONS = 700, 10, 10  # Python's own thresholds
_PROBE_ROWS, _PROBE_SECONDS = 2_000, 20.0
_TRIES = 2  # out of memory, the system kills the largest process: another one may have been the cause


def evaluator_of(rows: Rows) -> Evaluator:
    """The evaluator that scores the trials of a run on its folds."""
    sweep = rows.split.sweep
    return Evaluator(
        features=rows.features.iloc[sweep],
        target=rows.target[sweep],
        folds=rows.folds,
        metric=rows.run.spec.sweep.metric,
        classification=rows.run.spec.data.classification,
    )


def probe_seconds(evaluator: Evaluator, trials: Sequence[Trial]) -> dict[str, float]:
    """Estimated seconds of trials, by model label, from one short fit of each on few rows of the last fold."""
    rows = len(evaluator.folds[-1][0])
    probing = replace(evaluator, folds=evaluator.folds[-1:])
    found = {}
    with Worker(probing) as worker:
        for trial in trials:
            share = min(1.0, _PROBE_ROWS / rows)  # time is taken to grow with the rows
            worker.start(trial.model_copy(update={"share": share * trial.share, "scored": ()}))
            result = worker.wait(time.monotonic() + _PROBE_SECONDS)
            took = _PROBE_SECONDS if result is None else result.seconds
            found[trial.label] = took / share * ((trial.folds or len(evaluator.folds)) - len(trial.scored))
    return found


class Worker:
    """Runs one trial at a time in a child process. ``start`` returns at once, ``wait`` returns the result."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        self._child: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection
        self._trial: Trial

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def start(self, trial: Trial) -> None:
        """Begin a trial. The one before must have ended."""
        self._trial, self._began, self._started = trial, time.monotonic(), datetime.now(UTC)
        self._send()

    def wait(self, deadline: float) -> TrialResult | None:
        """The trial's result, or None when the deadline (of ``time.monotonic``) came first and the child was killed.

        A child that dies, or fails for want of memory and the like, is replaced and the trial begun again; when that one
        does so too, the trial is lost.
        """
        for left in reversed(range(_TRIES)):
            try:
                if not self._connection.poll(max(0.0, deadline - time.monotonic())):
                    self._stop()
                    return None
                result: TrialResult = self._connection.recv()
            except (EOFError, ConnectionResetError):
                result = self._died()
            if not result.lost:
                break
            self._stop()  # also after an error: what filled the memory goes with the process
            if left:
                self._send()
        return result.model_copy(update={"attempts": _TRIES - left})

    def _died(self) -> TrialResult:
        return TrialResult(
            trial=self._trial,
            status="failed",
            seconds=time.monotonic() - self._began,
            cpu_seconds=0.0,
            started=self._started,
            error=f"its process {self._reap()}, {_TRIES} times; out of memory, or a crash in compiled code",
            machine=True,
        )

    def _send(self) -> None:
        if self._child is None:
            self._connection, theirs = self._context.Pipe()
            child = self._context.Process(  # type: ignore[attr-defined]
                target=_serve, args=(theirs, self._evaluator, os.getpid()), name="trial"
            )
            # Celery's tasks are daemons, which Python allows no children: they could outlive it. This one cannot.
            multiprocessing.current_process().daemon = False
            child.start()
            self._child = child
            theirs.close()
        with suppress(BrokenPipeError):  # the child died while idle: wait handles it
            self._connection.send(self._trial)

    def _reap(self) -> str:
        """Join and close the dead child, and say how it died."""
        child = self._child
        assert child is not None  # noqa: S101 - wait had one
        child.join()
        code = child.exitcode or 0
        self._stop()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def _stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.join()
            self._child.close()
            self._connection.close()
            self._child = None


def _serve(connection: Connection, evaluator: Evaluator, parent: int) -> None:
    """The child's main: receives trials and sends results until the connection is closed."""
    _die_with(parent)
    if sys.platform != "win32":
        # Airflow signals a task's process group; a trial that died of that would count as crashed.
        os.setpgid(0, 0)
    for number in (signal.SIGTERM, signal.SIGINT):  # the parent's handlers must not run here
        signal.signal(number, signal.SIG_DFL)
    gc.set_threshold(*_COLLECTIONS)  # imports may have raised them, and models are reference cycles that hold arrays
    gc.freeze()  # objects of the parent stay: collections skip them, and their pages stay shared
    # Python keeps its frames in chunks. Deep in the stack of a task, a loop's calls may lie at the end of a chunk, so
    # that each call maps and unmaps the next one: a tenth of a fit was measured. A thread has a stack of its own.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_serve_trials, connection, evaluator).result()


def _serve_trials(connection: Connection, evaluator: Evaluator) -> None:
    seen: set[str] = set()
    with suppress(EOFError):
        while True:
            trial = connection.recv()
            new = trial.estimator not in seen
            if new:  # its imports may bring thread pools, so they come before the limit
                seen.add(trial.estimator)
                with suppress(Exception):  # the trial raises the same and records it
                    import_path(trial.estimator, "sweep.candidates", kind="class", fits=lambda _: True)
                threadpool_limits(1)  # tasks use the cores side by side; and one thread sums in one order
            connection.send(evaluator.run(trial))
            gc.collect()  # Python counts objects, not bytes: large arrays would pile up
            if new:
                gc.freeze()  # modules and prepared rows stay


def _die_with(parent: int) -> None:
    """End this process when its parent ends, on Linux by a signal from the kernel."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if sys.platform != "win32" and os.getppid() != parent:  # the parent died before the signal was set
        os._exit(1)
