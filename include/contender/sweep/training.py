"""The loop of a training task: one trial after the other in a worker process, each recorded while the next one runs."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from contender.data.rows import load_rows
from contender.documents.data import Snapshot
from contender.documents.sweep import Lost, TrialResult
from contender.store.base import put_document_if_absent, read_document, require_document, write_document
from contender.sweep.results import lost_key, record_of, result_key
from contender.sweep.usage import Share
from contender.sweep.worker import Worker, evaluator_of

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.documents.run import Run
    from contender.sweep.trial_queue import Queue

_SHOWING = 0.01  # share of the time for MLflow while trials run: short trials would lose a tenth of a core to it


class Recorder:
    """Puts results into the store, and shows MLflow those whose first record is from this task."""

    def __init__(self, run: Run, number: int, backends: Backends, done: list[TrialResult]) -> None:
        self._run, self._round, self._backends, self._done = run, number, backends, done
        self._snapshot = require_document(backends.store, run.key("snapshot.json"), Snapshot).id
        self._parent = backends.tracking.run_id(run)
        self._unseen: deque[TrialResult] = deque()
        self._showing = Share(_SHOWING)

    def record(self, result: TrialResult) -> None:
        """Put a result into the store unless the trial has a record: the first one stays.

        What the machine did is kept beside the run alone; it is no record of the trial.
        """
        known = result.model_copy(update={"run_id": self._run.id, "snapshot": self._snapshot, "code": self._run.code})
        if self._keep_lost(known) if known.lost else self._keep(known):
            self._done.append(known)
            self._unseen.append(known)

    def _keep(self, known: TrialResult) -> bool:
        store, key = self._backends.store, result_key(self._run, known.trial.key)
        if put_document_if_absent(store, key, known):
            return True
        if record_of(self._run, store, known.trial.key) is not None:
            return False
        write_document(store, key, known)  # in place of one of version 0.1.0 that is no record
        return True

    def _keep_lost(self, known: TrialResult) -> bool:
        store, key = self._backends.store, lost_key(self._run, self._round, known.trial.key)
        if record_of(self._run, store, known.trial.key) is not None:
            return False
        before = read_document(store, key, Lost)
        first = 0 if before is None or before.result is None else before.result.attempts
        write_document(store, key, Lost(result=known.model_copy(update={"attempts": first + known.attempts})))
        return True

    def show_some(self) -> None:
        """Show MLflow results while trials run, as long as its share of the time is not used up."""
        while self._unseen and self._showing.left:
            with self._showing:
                self._show()

    def show_rest(self) -> None:
        """Show MLflow all results that are left."""
        while self._unseen:
            self._show()

    def _show(self) -> None:
        self._backends.tracking.record_trial(self._run, self._parent, self._unseen.popleft())


def run_trials(run: Run, backends: Backends, queue: Queue, done: list[TrialResult]) -> tuple[str, ...]:
    """Run what the queue hands out until it is empty or the round's time is over.

    Args:
        done: gets the results that this task put into the store.

    Returns:
        Keys of the round's trials without a record, when the time is over; else none.
    """
    deadline = time.monotonic() + run.spec.sweep.round_budget.total_seconds()
    recorder = Recorder(run, queue.round, backends, done)
    ended: TrialResult | None = None
    cut = False
    with Worker(evaluator_of(load_rows(run, backends.store))) as worker:
        for trial in queue:
            cut = time.monotonic() >= deadline
            if cut:
                break
            worker.start(trial)
            if ended is not None:  # recorded only now, so that the worker does not wait for the store
                recorder.record(ended)
            queue.reserve()
            recorder.show_some()
            ended = worker.wait(deadline)
            cut = ended is None
            if cut:
                break
    if ended is not None:
        recorder.record(ended)
    recorder.show_rest()
    return queue.unrecorded() if cut else ()
