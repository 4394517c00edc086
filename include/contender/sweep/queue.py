"""The trials of a round, handed out one by one: every training task takes the next that nobody has.

So no task waits for another that was dealt the slow ones, and packing needs no forecast to be fair. Who took a trial is
put into the store if absent; a task that is tried again goes on with what it had taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from contender.documents import Claim
from contender.store.base import put_document_if_absent, require_document
from contender.sweep.results import result_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contender.documents import Plan, Run, Trial
    from contender.store.base import ArtifactStore

TASK_SECONDS = (
    0.5  # what a mapped task costs Airflow beside its work: measured 0.2 to 0.5 s, in a worker that has imported
)

_SPARE = 2  # trials for each task that are left for whoever is free first


def in_order(plan: Plan) -> list[Trial]:
    """The trials that need a fit, those that are expected to take longest first: what is left at the end is short."""
    fresh = (trial for trial in plan.trials if trial.key not in plan.reused)
    return sorted(fresh, key=lambda trial: -plan.seconds.get(trial.label, 0.0) * trial.work)


def tasks_for(trials: int, seconds: float, most: int) -> int:
    """How many training tasks: as many as may run side by side, but no task whose own cost is over a tenth of its work.

    Args:
        trials: that need a fit.
        seconds: what they are expected to take together.
        most: tasks that may run side by side.
    """
    return max(1, min(most, trials, int(seconds / (10 * TASK_SECONDS))))


class Queue:
    """The trials one training task runs: first those without a record that an earlier try of it took, then the next that
    nobody has.

    Attributes:
        taken: all that it took, now or in an earlier try, in the order of the plan.
    """

    def __init__(self, run: Run, plan: Plan, store: ArtifactStore, shard: int) -> None:
        self._run, self._round, self._store, self._claim = run, plan.round, store, Claim(shard=shard)
        self._trials = in_order(plan)
        claimed = self._claimed()
        self.taken = [
            trial
            for trial in self._trials
            if trial.key in claimed and require_document(store, self._key(trial), Claim) == self._claim
        ]
        self._left, self._spare = len(self._trials), _SPARE * plan.shards
        self._next = self._take()
        self._reserved: Trial | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Trial:
        trial, self._reserved = self._reserved, None
        return next(self._next) if trial is None else trial

    def reserve(self) -> None:
        """Take the next trial before it is asked for, so that no core waits for the store. Of the last ones none is taken
        that another task could begin sooner.
        """
        if self._reserved is None and self._left > self._spare:
            self._reserved = next(self._next, None)

    def unrecorded(self) -> tuple[str, ...]:
        """Keys of the round's trials that nobody has recorded."""
        return tuple(sorted(trial.key for trial in self._trials if not self._recorded(trial)))

    def _take(self) -> Iterator[Trial]:
        yield from [trial for trial in self.taken if not self._recorded(trial)]
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
        folder = self._run.round_key(self._round, "claims")
        return {name.removesuffix(".json") for name in self._store.children(folder)}

    def _key(self, trial: Trial) -> str:
        return self._run.round_key(self._round, f"claims/{trial.key}.json")

    def _recorded(self, trial: Trial) -> bool:
        return self._store.exists(result_key(self._run, trial.key))
