"""A child process that runs trials, so that one can be stopped in the middle, or die, without its training task.

On Linux it is forked and sees the parent's rows without a copy; it dies with its parent. Nothing here fits in the parent:
a process that has used OpenMP's threads must not fork.
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

from contender.documents import TrialResult
from contender.owncode import import_path
from contender.sweep.trial import Evaluator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from contender.data.rows import Rows
    from contender.documents import Trial

_PR_SET_PDEATHSIG = 1
_COLLECTIONS = 700, 10, 10  # Python's own thresholds
_PROBE_ROWS, _PROBE_SECONDS = 2_000, 20.0
_TRIES = 2  # the system kills whoever is biggest when memory is short: once may have been another's fault


def evaluator_of(rows: Rows) -> Evaluator:
    """What scores the trials of a run on its folds."""
    sweep = rows.split.sweep
    return Evaluator(
        features=rows.features.iloc[sweep],
        target=rows.target[sweep],
        folds=rows.folds,
        metric=rows.run.spec.sweep.metric,
        classification=rows.run.spec.data.classification,
    )


def probe_seconds(evaluator: Evaluator, trials: Sequence[Trial]) -> dict[str, float]:
    """About how many seconds trials take, by model label: one short fit of each on few rows of one fold."""
    rows = len(evaluator.folds[-1][0])
    probing = replace(evaluator, folds=evaluator.folds[-1:])
    found = {}
    with Worker(probing) as worker:
        for trial in trials:
            share = min(1.0, _PROBE_ROWS / rows)
            worker.start(trial.model_copy(update={"share": share * trial.share, "scored": ()}))
            result = worker.wait(time.monotonic() + _PROBE_SECONDS)
            took = _PROBE_SECONDS if result is None else result.seconds
            found[trial.label] = took / share * ((trial.folds or len(evaluator.folds)) - len(trial.scored))
    return found


class Worker:
    """Runs one trial at a time. ``start`` returns at once, ``wait`` has the result."""

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
        """Begin a trial; the one before has ended."""
        self._trial, self._began, self._started = trial, time.monotonic(), datetime.now(UTC)
        self._send()

    def wait(self, deadline: float) -> TrialResult | None:
        """The trial's result, or None when the deadline (as ``time.monotonic`` counts) came first and ended it.

        A process that dies is replaced and the trial begun again; when that dies too, the trial has failed.
        """
        for left in reversed(range(_TRIES)):
            with suppress(EOFError, ConnectionResetError):
                if not self._connection.poll(max(0.0, deadline - time.monotonic())):
                    self._stop()
                    return None
                result: TrialResult = self._connection.recv()
                return result
            died = self._died()
            if left:
                self._send()
        return TrialResult(
            trial=self._trial,
            status="failed",
            seconds=time.monotonic() - self._began,
            cpu_seconds=0.0,
            started=self._started,
            error=f"its process {died}, {_TRIES} times; out of memory, or a crash in compiled code",
        )

    def _send(self) -> None:
        if self._child is None:
            self._connection, theirs = self._context.Pipe()
            child = self._context.Process(  # type: ignore[attr-defined]
                target=_serve, args=(theirs, self._evaluator, os.getpid()), name="trial"
            )
            # A task of Celery is a daemon, and those may have no children, lest they be left behind. Ours is not.
            multiprocessing.current_process().daemon = False
            child.start()
            self._child = child
            theirs.close()
        with suppress(BrokenPipeError):  # died while idle; wait sees it
            self._connection.send(self._trial)

    def _died(self) -> str:
        child = self._child
        assert child is not None  # noqa: S101 - there was one to wait for
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
    """Trials in, results out, until the other end is closed."""
    _die_with(parent)
    if sys.platform != "win32":
        # Airflow ends a task with its process group, and a trial that died of that would seem to have crashed.
        os.setpgid(0, 0)
    for number in (signal.SIGTERM, signal.SIGINT):  # the parent's handlers are the parent's business
        signal.signal(number, signal.SIG_DFL)
    gc.set_threshold(*_COLLECTIONS)  # whoever imported much may have raised them, and models are cycles full of arrays
    gc.freeze()  # what came from the parent is not looked through again
    # Python keeps its frames in chunks. Forked deep in a task's stack, the calls of a loop may fall on the end of one, so
    # that the next is mapped and unmapped each time: a tenth of a fit. A thread begins a stack of its own.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_answer, connection, evaluator).result()


def _answer(connection: Connection, evaluator: Evaluator) -> None:
    seen: set[str] = set()
    with suppress(EOFError):
        while True:
            trial = connection.recv()
            new = trial.estimator not in seen
            if new:  # what it imports may bring threads of its own
                seen.add(trial.estimator)
                with suppress(Exception):  # the trial itself will say so
                    import_path(trial.estimator, "sweep.candidates", kind="class", fits=lambda _: True)
                threadpool_limits(1)  # tasks side by side use the cores; and one thread adds up in one order
            connection.send(evaluator.run(trial))
            gc.collect()  # few objects hold much: by itself Python lets them pile up
            if new:
                gc.freeze()  # modules and prepared rows, which stay


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if sys.platform != "win32" and os.getppid() != parent:  # it died before it could be said
        os._exit(1)
