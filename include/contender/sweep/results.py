"""The records of trials: where they live, and the account that none is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from contender.documents import Plan, Run, ShardReport, TrialResult
from contender.errors import BackendError, DataRejected
from contender.store.base import read_document, require_document

if TYPE_CHECKING:
    from contender.store.base import ArtifactStore


def result_key(run: Run, key: str) -> str:
    """Where a trial's record lives: below the pipeline, so that a later run finds it."""
    return f"{run.pipeline}/trials/{key}.json"


class Sweep(NamedTuple):
    """What came of a run's trials, in the order they were planned.

    Attributes:
        results: of those that were trained as the candidate will be: one of them wins.
        rungs: of those that were only trained in part, to see who is worth more.
        untried: keys of the trials that the budget cut.
    """

    results: list[TrialResult]
    rungs: list[TrialResult]
    untried: tuple[str, ...]


def plans(run: Run, store: ArtifactStore) -> list[Plan]:
    """The plans of the rounds that were planned so far."""
    found = (
        read_document(store, run.round_key(number, "plan.json"), Plan)
        for number in range(1, run.spec.sweep.strategy.rounds + 1)
    )
    return [plan for plan in found if plan is not None]


def complete_results(run: Run, store: ArtifactStore) -> Sweep:
    """The record of every planned trial, and which ones the budget left untried.

    Raises:
        BackendError: a planned trial has neither a record nor an excuse.
        DataRejected: every trial failed; the message names the distinct reasons.
    """
    numbers = range(1, run.spec.sweep.strategy.rounds + 1)
    planned = [require_document(store, run.round_key(number, "plan.json"), Plan) for number in numbers]
    rounds = [round_results(run, plan, store) for plan in planned]
    found = Sweep(
        results=[one for plan, (done, _) in zip(planned, rounds, strict=True) if plan.may_win for one in done],
        rungs=[one for plan, (done, _) in zip(planned, rounds, strict=True) if not plan.may_win for one in done],
        untried=tuple(key for _, cut in rounds for key in cut),
    )
    if not any(result.status == "complete" for result in found.results):
        raise nothing_completed(found.results)
    return found


def round_results(run: Run, plan: Plan, store: ArtifactStore) -> tuple[list[TrialResult], tuple[str, ...]]:
    """The record of every trial of a round, in the plan's order, and the keys that the budget left untried.

    Raises:
        BackendError: a planned trial has neither a record nor an excuse.
    """
    excused: set[str] = set()
    for shard in range(plan.shards):
        report = read_document(store, run.round_key(plan.round, f"shards/{shard}.json"), ShardReport)
        excused.update(report.untried if report is not None else ())
    results, untried, missing = [], [], []
    for trial in plan.trials:
        result = read_document(store, result_key(run, trial.key), TrialResult)
        if result is not None:
            # An earlier run's record has its numbers, but this run's plan says which trials are the baseline's.
            results.append(result.model_copy(update={"trial": trial}))
        elif trial.key in excused:
            untried.append(trial.key)
        else:
            missing.append(trial.key[:12])
    if missing:
        msg = (
            f"{len(missing)} of {len(plan.trials)} planned trials have no record ({', '.join(missing[:5])}); "
            "clear the train tasks to run them"
        )
        raise BackendError(msg)
    return results, tuple(sorted(untried))


def nothing_completed(results: list[TrialResult]) -> DataRejected:
    """What to say when there is no trial to choose from: the distinct reasons."""
    reasons = sorted({result.error or "no reason given" for result in results if result.status == "failed"})
    why = "; ".join(reasons[:5]) or "the budget ended before the first one; raise sweep.budget"
    return DataRejected(f"sweep: none of {len(results) or 'the'} trials completed: {why}")


def best(results: list[TrialResult], *, baseline: bool | None = None) -> TrialResult | None:
    """The complete trial with the greatest mean score; of equals the one with the smallest key.

    Args:
        baseline: only baseline trials (True), only others (False), or all.
    """
    complete = [
        result
        for result in results
        if result.mean is not None and (baseline is None or result.trial.baseline == baseline)
    ]
    return min(complete, key=lambda result: (-(result.mean or 0.0), result.trial.key), default=None)
