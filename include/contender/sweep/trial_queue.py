"""The queue of a round: each training task takes the next trial that no other task has taken.

So no task is left with all the slow trials, whatever the forecast said. A task claims a trial by a document that is put
into the store if absent; a task that is retried goes on with the trials that it had claimed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from contender.documents.sweep import Claim, Lost, TrialResult
from contender.store.base import put_document_if_absent, read_document, require_document, write_document
from contender.sweep.results import lost_key, record_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contender.documents.run import Run
    from contender.documents.sweep import Plan, Trial
    from contender.store.base import ArtifactStore

# What a mapped task costs Airflow beside its work: 0.2 to 0.5 s were measured, in a worker that has imported.
TASK_SECONDS = 0.5
# Tries of a training task. Of a trial that took the others along, the last one lets go.
TASK_TRIES = 4
_SPARE = 2  # trials per task that no task takes ahead: the first that is free fits them


def in_order(plan: Plan) -> list[Trial]:
    """The trials that need a fit, the longest (as expected) first, so that the tasks end at about the same time."""
    fresh = (trial for trial in plan.trials if trial.key not in plan.reused)
    return sorted(fresh, key=lambda trial: -plan.seconds.get(trial.label, 0.0) * trial.work)


def tasks_for(trials: int, seconds: float, most: int) -> int:
    """How many training tasks: as many as may run side by side, while a task costs Airflow at most a tenth of its work.

    Args:
        trials: how many need a fit.
        seconds: their expected time in all.
        most: how many tasks may run side by side.
    """
    return max(1, min(most, trials, int(seconds / (10 * TASK_SECONDS))))


class Queue:
    """The trials that one training task runs: first those that an earlier try of it took and did not record, then the
    next ones that no task has taken.

    Attributes:
        round: the number of its round.
        taken: all that it took, now or in an earlier try, in the order of ``in_order``.
    """

    def __init__(self, run: Run, plan: Plan, store: ArtifactStore, task: int) -> None:
        self._run, self.round, self._store, self._claim = run, plan.round, store, Claim(task=task)
        self._trials = in_order(plan)
        claimed = self._claimed()
        self.taken = [
            trial
            for trial in self._trials
            if trial.key in claimed and require_document(store, self._key(trial), Claim) == self._claim
        ]
        self._left, self._spare = len(self._trials), _SPARE * plan.tasks
        self._next = self._take()
        self._reserved: Trial | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Trial:
        trial, self._reserved = self._reserved, None
        return next(self._next) if trial is None else trial

    def reserve(self) -> None:
        """Take the next trial ahead, so that no core waits for the store. The last ``_SPARE`` per task are left alone:
        another task may be free to begin them sooner.
        """
        if self._reserved is None and self._left > self._spare:
            self._reserved = next(self._next, None)

    def unrecorded(self) -> tuple[str, ...]:
        """Keys of the round's trials without a record, sorted."""
        return tuple(sorted(trial.key for trial in self._trials if not self._recorded(trial)))

    def _take(self) -> Iterator[Trial]:
        yield from [trial for trial in self.taken if not self._recorded(trial) and self._may_begin_again(trial)]
        claimed = self._claimed()
        for place, trial in enumerate(self._trials):
            self._left = len(self._trials) - place
            if trial.key in claimed:
                continue
            if put_document_if_absent(self._store, self._key(trial), self._claim):
                self.taken.append(trial)
                yield trial
            else:  # another task is ahead: see how far, instead of asking for each
                claimed = self._claimed()

    def _claimed(self) -> set[str]:
        folder = self._run.round_key(self.round, "claims")
        return {name.removesuffix(".json") for name in self._store.children(folder)}

    def _key(self, trial: Trial) -> str:
        return self._run.round_key(self.round, f"claims/{trial.key}.json")

    def _recorded(self, trial: Trial) -> bool:
        return record_of(self._run, self._store, trial.key) is not None

    def _may_begin_again(self, trial: Trial) -> bool:
        """Whether a trial that this task began in an earlier try is begun once more. One that takes its task with it would
        otherwise use up all tries; it is then accounted for as lost, and a later attempt begins to count anew.
        """
        key = lost_key(self._run, self.round, trial.key)
        known = read_document(self._store, key, Lost) or Lost()
        again = known.deaths < TASK_TRIES - 2  # the first try, which is not counted here, and those before the last
        if again:
            known = known.model_copy(update={"deaths": known.deaths + 1})
        else:
            died = TrialResult(
                trial=trial,
                status="failed",
                seconds=0.0,
                cpu_seconds=0.0,
                started=datetime.now(UTC),
                error=f"its training task ended while it ran, {known.deaths + 1} times; out of memory, or a lost worker",
                run_id=self._run.id,
                code=self._run.code,
                machine=True,
                attempts=known.deaths + 1 + (known.result.attempts if known.result else 0),
            )
            known = Lost(result=died)
        write_document(self._store, key, known)
        return again
