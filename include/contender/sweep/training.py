"""The loop of a training task: one trial after the other in a worker process, each recorded while the next one runs."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from contender.data.rows import load_rows
from contender.documents.data import Snapshot
from contender.documents.sweep import TrialResult
from contender.store.base import put_document_if_absent, require_document
from contender.sweep.results import result_key
from contender.sweep.usage import Share
from contender.sweep.worker import Worker, evaluator_of

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.documents.run import Run
    from contender.sweep.trial_queue import Queue

_SHOWING = 0.01  # share of the time for MLflow while trials run: short trials would lose a tenth of a core to it


class Recorder:
    """Puts results into the store, and shows MLflow those whose first record is from this task."""

    def __init__(self, run: Run, backends: Backends, recorded: list[TrialResult]) -> None:
        self._run, self._backends, self._recorded = run, backends, recorded
        self._snapshot = require_document(backends.store, run.key("snapshot.json"), Snapshot).id
        self._parent = backends.tracking.run_id(run)
        self._unseen: deque[TrialResult] = deque()
        self._showing = Share(_SHOWING)

    def record(self, result: TrialResult) -> None:
        """Put a result into the store unless the trial has a record: the first one stays."""
        known = result.model_copy(update={"run_id": self._run.id, "snapshot": self._snapshot, "code": self._run.code})
        if put_document_if_absent(self._backends.store, result_key(self._run, known.trial.key), known):
            self._recorded.append(known)
            self._unseen.append(known)

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


def run_trials(run: Run, backends: Backends, queue: Queue, recorded: list[TrialResult]) -> tuple[str, ...]:
    """Run what the queue hands out until it is empty or the round's time is over.

    Args:
        recorded: gets the results that this task put into the store.

    Returns:
        Keys of the round's trials without a record, when the time is over; else none.
    """
    deadline = time.monotonic() + run.spec.sweep.round_budget.total_seconds()
    recorder = Recorder(run, backends, recorded)
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
