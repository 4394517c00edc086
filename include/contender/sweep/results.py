"""The records of trials: where they live, and the account that none is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contender.documents import Plan, Run, ShardReport, TrialResult
from contender.errors import BackendError, DataRejected
from contender.store.base import read_document, require_document

if TYPE_CHECKING:
    from contender.store.base import ArtifactStore


def result_key(run: Run, key: str) -> str:
    """Where a trial's record lives: below the pipeline, so that a later run finds it."""
    return f"{run.pipeline}/trials/{key}.json"


def complete_results(run: Run, store: ArtifactStore) -> tuple[list[TrialResult], tuple[str, ...]]:
    """The record of every planned trial, in the plan's order, and the keys that the budget left untried.

    Raises:
        BackendError: a planned trial has neither a record nor an excuse.
        DataRejected: every trial failed; the message names the distinct reasons.
    """
    plan = require_document(store, run.key("plan.json"), Plan)
    untried: set[str] = set()
    for shard in plan.shards:
        report = read_document(store, run.key(f"shards/{shard.index}.json"), ShardReport)
        untried.update(report.untried if report is not None else ())
    results, missing = [], []
    for trial in plan.trials:
        result = read_document(store, result_key(run, trial.key), TrialResult)
        if result is not None:
            # An earlier run's record has its numbers, but this run's plan says which trials are the baseline's.
            results.append(result.model_copy(update={"trial": trial}))
        elif trial.key not in untried:
            missing.append(trial.key[:12])
    if missing:
        msg = (
            f"{len(missing)} of {len(plan.trials)} planned trials have no record ({', '.join(missing[:5])}); "
            "clear the train tasks to run them"
        )
        raise BackendError(msg)
    if not any(result.status == "complete" for result in results):
        reasons = sorted({result.error or "no reason given" for result in results})
        why = "; ".join(reasons[:5]) or "the budget ended before the first one; raise sweep.budget"
        msg = f"sweep: none of {len(plan.trials)} trials completed: {why}"
        raise DataRejected(msg)
    return results, tuple(sorted(untried - {result.trial.key for result in results}))


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
