"""The records of trials: where they live, and the account that none is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from contender.documents import Plan, Run, ShardReport, TrialResult
from contender.errors import BackendError, DataRejected
from contender.store.base import read_document, require_document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contender.store.base import ArtifactStore


def result_key(run: Run, key: str) -> str:
    """Where a trial's record lives: below the pipeline, so that a later run finds it."""
    return f"{run.pipeline}/trials/{key}.json"


def is_reused(run: Run, result: TrialResult) -> bool:
    """Whether another run had done the trial."""
    return result.run_id != run.id


class Round(NamedTuple):
    """What came of a round's trials, in the order they were planned.

    Attributes:
        untried: keys of the trials that the budget cut.
        missing: keys of those that have neither a record nor an excuse; of a finished round none.
    """

    plan: Plan
    results: list[TrialResult]
    untried: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def own(self, run: Run) -> list[TrialResult]:
        """Those that this run did itself."""
        return [result for result in self.results if not is_reused(run, result)]

    def counts(self, run: Run) -> dict[str, int]:
        """Trials: planned, completed, failed, cut by the budget, and how many of them another run had done."""
        completed = sum(result.status == "complete" for result in self.results)
        return {
            "planned": len(self.plan.trials),
            "completed": completed,
            "failed": len(self.results) - completed,
            "untried": len(self.untried),
            "reused": len(self.results) - len(self.own(run)),
        }


class Sweep(NamedTuple):
    """What came of a run's trials, round by round."""

    rounds: list[Round]

    @property
    def results(self) -> list[TrialResult]:
        """Of those that were trained as the candidate will be: one of them wins."""
        return [result for one in self.rounds if one.plan.may_win for result in one.results]

    @property
    def rungs(self) -> list[TrialResult]:
        """Of those that were only trained in part, to see who is worth more."""
        return [result for one in self.rounds if not one.plan.may_win for result in one.results]

    @property
    def untried(self) -> tuple[str, ...]:
        """Keys of the trials that the budget cut."""
        return tuple(key for one in self.rounds for key in one.untried)

    def counts(self, run: Run) -> dict[str, int]:
        """As ``Round.counts``, of all rounds; empty before there is one."""
        counted = [one.counts(run) for one in self.rounds]
        return {name: sum(one[name] for one in counted) for name in (counted[0] if counted else ())}


def plans(run: Run, store: ArtifactStore) -> list[Plan]:
    """The plans of the rounds that were planned so far."""
    found = (
        read_document(store, run.round_key(number, "plan.json"), Plan)
        for number in range(1, run.spec.sweep.strategy.rounds + 1)
    )
    return [plan for plan in found if plan is not None]


def sweep_so_far(run: Run, store: ArtifactStore) -> Sweep:
    """The rounds that were planned so far, and what there is of them."""
    return Sweep([_round(run, plan, store) for plan in plans(run, store)])


def complete_results(run: Run, store: ArtifactStore) -> Sweep:
    """The record of every planned trial, and which ones the budget left untried.

    Raises:
        BackendError: a planned trial has neither a record nor an excuse.
        DataRejected: every trial failed; the message names the distinct reasons.
    """
    numbers = range(1, run.spec.sweep.strategy.rounds + 1)
    planned = [require_document(store, run.round_key(number, "plan.json"), Plan) for number in numbers]
    found = Sweep([finished_round(run, plan, store) for plan in planned])
    if not any(result.status == "complete" for result in found.results):
        raise nothing_completed(found)
    return found


def finished_round(run: Run, plan: Plan, store: ArtifactStore) -> Round:
    """What came of every trial of a round.

    Raises:
        BackendError: a planned trial has neither a record nor an excuse.
    """
    found = _round(run, plan, store)
    if found.missing:
        named = ", ".join(key[:12] for key in found.missing[:5])
        msg = (
            f"{len(found.missing)} of {len(plan.trials)} planned trials have no record ({named}); "
            "clear the train tasks to run them"
        )
        raise BackendError(msg)
    return found


def _round(run: Run, plan: Plan, store: ArtifactStore) -> Round:
    excused: set[str] = set()
    for shard in range(plan.shards):
        report = read_document(store, run.round_key(plan.round, f"shards/{shard}.json"), ShardReport)
        excused.update(report.untried if report is not None else ())
    results, left = [], []
    for trial in plan.trials:
        result = read_document(store, result_key(run, trial.key), TrialResult)
        if result is None:
            left.append(trial.key)
        else:
            # An earlier run's record has its numbers, but this run's plan says which trials are the baseline's.
            results.append(result.model_copy(update={"trial": trial}))
    untried = tuple(sorted(key for key in left if key in excused))
    return Round(plan, results, untried, missing=tuple(key for key in left if key not in excused))


def nothing_completed(sweep: Sweep) -> DataRejected:
    """What to say when there is no trial to choose from: why, in the last round that had trials."""
    last = [one for one in sweep.rounds if one.plan.trials][-1]
    why = sorted({result.error or "no reason given" for result in last.results if result.status == "failed"})[:5]
    if last.untried:
        why.append("the budget ended before the others; raise sweep.budget")
    where = f" of round {last.plan.round}" if last.plan.round > 1 or not last.plan.may_win else ""
    return DataRejected(f"sweep: none of {len(last.plan.trials)} trials{where} completed: {'; '.join(why)}")


def best(results: Sequence[TrialResult], *, baseline: bool | None = None) -> TrialResult | None:
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
