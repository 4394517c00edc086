"""The records of trials: where they are stored, which are missing, and which is best."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from contender.documents.run import Run
from contender.documents.sweep import Lost, Plan, TaskReport, TrialResult
from contender.errors import BackendError, DataRejected
from contender.store.base import read_document, require_document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contender.store.base import ArtifactStore


TRY_AGAIN = "clear the train tasks, or start a new run, with more memory for a worker or a lower sweep.parallelism"


def result_key(run: Run, key: str) -> str:
    """The store key of a trial's record: below the pipeline, not the run, so that a later run finds it."""
    return f"{run.pipeline}/trials/{key}.json"


def lost_key(run: Run, number: int, key: str) -> str:
    """The store key of what a run knows of a trial that its machine ended."""
    return run.round_key(number, f"lost/{key}.json")


def record_of(run: Run, store: ArtifactStore, key: str) -> TrialResult | None:
    """A trial's record. One that version 0.1.0 wrote of a trial that its machine had ended is none."""
    found = read_document(store, result_key(run, key), TrialResult)
    return None if found is None or found.lost else found


def result_of(run: Run, store: ArtifactStore, number: int, key: str) -> TrialResult | None:
    """How a trial ended in a round of this run: its record, else that its machine ended it; None when it was not tried."""
    found = read_document(store, result_key(run, key), TrialResult)
    if found is None or found.lost:
        lost = read_document(store, lost_key(run, number, key), Lost)
        found = found if lost is None or lost.result is None else lost.result
    return found


def report_key(run: Run, number: int, task: int) -> str:
    """The store key of a training task's report. Version 0.1.0 named the folder ``shards``."""
    return run.round_key(number, f"shards/{task}.json")


def is_reused(run: Run, result: TrialResult) -> bool:
    """Whether another run recorded the trial."""
    return result.run_id != run.id


class Round(NamedTuple):
    """The results of a round's trials, in the order they were planned.

    Attributes:
        untried: keys of the trials without a record that a task reported as cut by the budget.
        missing: keys of the other trials without a record; none in a finished round.
    """

    plan: Plan
    results: list[TrialResult]
    untried: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def own(self, run: Run) -> list[TrialResult]:
        """The results that this run recorded itself."""
        return [result for result in self.results if not is_reused(run, result)]

    def counts(self, run: Run) -> dict[str, int]:
        """Numbers of trials: planned, completed, failed, cut by the budget, and recorded by another run."""
        completed = sum(result.status == "complete" for result in self.results)
        return {
            "planned": len(self.plan.trials),
            "completed": completed,
            "failed": len(self.results) - completed,
            "untried": len(self.untried),
            "reused": len(self.results) - len(self.own(run)),
        }


class Sweep(NamedTuple):
    """The results of a run's trials, round by round."""

    rounds: list[Round]

    @property
    def results(self) -> list[TrialResult]:
        """The results of the rounds whose trials can win, trained as the candidate will be."""
        return [result for one in self.rounds if one.plan.may_win for result in one.results]

    @property
    def rungs(self) -> list[TrialResult]:
        """The results of the other rounds, whose trials were trained in part to rank them."""
        return [result for one in self.rounds if not one.plan.may_win for result in one.results]

    @property
    def recorded(self) -> list[TrialResult]:
        """All results, in the order of the rounds."""
        return [result for one in self.rounds for result in one.results]

    @property
    def untried(self) -> tuple[str, ...]:
        """Keys of the trials that the budget cut."""
        return tuple(key for one in self.rounds for key in one.untried)

    def counts(self, run: Run) -> dict[str, int]:
        """The sums of ``Round.counts``; empty before the first round."""
        counted = [one.counts(run) for one in self.rounds]
        return {name: sum(one[name] for one in counted) for name in (counted[0] if counted else ())}


def plans(run: Run, store: ArtifactStore) -> list[Plan]:
    """The plans that exist so far, in the order of the rounds."""
    found = (
        read_document(store, run.round_key(number, "plan.json"), Plan)
        for number in range(1, run.spec.sweep.strategy.rounds + 1)
    )
    return [plan for plan in found if plan is not None]


def sweep_so_far(run: Run, store: ArtifactStore) -> Sweep:
    """The rounds that were planned so far, with the records that exist."""
    return Sweep([_round_so_far(run, plan, store) for plan in plans(run, store)])


def complete_results(run: Run, store: ArtifactStore) -> Sweep:
    """The record of every planned trial, and which trials the budget cut.

    Raises:
        BackendError: a planned trial has no record, and no task reported it as cut.
        BackendError: or no trial completed, and the machine ended some.
        DataRejected: every trial failed; the message names the distinct reasons.
    """
    numbers = range(1, run.spec.sweep.strategy.rounds + 1)
    planned = [require_document(store, run.round_key(number, "plan.json"), Plan) for number in numbers]
    found = Sweep([finished_round(run, plan, store) for plan in planned])
    if not any(result.status == "complete" for result in found.results):
        raise nothing_completed(found)
    return found


def finished_round(run: Run, plan: Plan, store: ArtifactStore) -> Round:
    """The result of every trial of a round.

    Raises:
        BackendError: a planned trial has no record, and no task reported it as cut.
    """
    found = _round_so_far(run, plan, store)
    if found.missing:
        named = ", ".join(key[:12] for key in found.missing[:5])
        msg = (
            f"{len(found.missing)} of {len(plan.trials)} planned trials have no record ({named}); "
            "clear the train tasks to run them"
        )
        raise BackendError(msg)
    return found


def _round_so_far(run: Run, plan: Plan, store: ArtifactStore) -> Round:
    cut: set[str] = set()
    for task in range(plan.tasks):
        report = read_document(store, report_key(run, plan.round, task), TaskReport)
        cut.update(report.untried if report is not None else ())
    results, left = [], []
    for trial in plan.trials:
        result = result_of(run, store, plan.round, trial.key)
        if result is None:
            left.append(trial.key)
        else:
            # The numbers may be an earlier run's, but this run's plan says which trials are the baseline's.
            results.append(result.model_copy(update={"trial": trial}))
    untried = tuple(sorted(key for key in left if key in cut))
    return Round(plan, results, untried, missing=tuple(key for key in left if key not in cut))


def nothing_completed(sweep: Sweep) -> BackendError | DataRejected:
    """The error when no trial completed, with the reasons in the last round that had trials."""
    last = [one for one in sweep.rounds if one.plan.trials][-1]
    why = sorted({result.error or "no reason given" for result in last.results if result.status == "failed"})[:5]
    if last.untried:
        why.append("the budget ended before the others; raise sweep.budget")
    where = f" of round {last.plan.round}" if last.plan.round > 1 or not last.plan.may_win else ""
    return no_result(f"none of {len(last.plan.trials)} trials{where} completed: {'; '.join(why)}", last.results)


def no_result(message: str, results: Iterable[TrialResult]) -> BackendError | DataRejected:
    """The error for a sweep without a model that can be judged; where the machine ended trials, it is not the data's."""
    if any(result.lost for result in results):
        return BackendError(f"sweep: {message}. Next: {TRY_AGAIN}")
    return DataRejected(f"sweep: {message}")


def ranked(results: Iterable[TrialResult]) -> list[TrialResult]:
    """The complete trials, greatest mean score first; of equals the smallest key first."""
    complete = (result for result in results if result.mean is not None)
    return sorted(complete, key=lambda result: (-(result.mean or 0.0), result.trial.key))


def best(results: Iterable[TrialResult], *, baseline: bool | None = None) -> TrialResult | None:
    """The first of the ``ranked`` trials: of the baseline's (True), of all others (False), or of all."""
    return next((one for one in ranked(results) if baseline is None or one.trial.baseline == baseline), None)
