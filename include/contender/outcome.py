"""How a run ended, in plain values: what ``announce`` returns and ``contender run`` and ``status`` show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contender.documents import Decision, Outcome, Plan, Run, TrialResult, run_key
from contender.judge.scorecard import metric_label
from contender.store.base import read_document, require_document
from contender.store.ledger import Ledger, LedgerEntry
from contender.sweep.results import result_key

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.judge.scorecard import Contestant
    from contender.store.base import ArtifactStore


def outcome_of(run: Run, backends: Backends, decision: Decision) -> Outcome:
    """The outcome of a run that was decided."""
    entries = Ledger(backends.store, run.pipeline).entries()
    before = next((entry for entry in entries if entry.number == decision.champion), None)
    now = next((entry for entry in reversed(entries) if entry.kind != "keep"), None)
    return Outcome(
        run_id=run.id,
        pipeline=run.pipeline,
        state="success",
        as_of=run.as_of,
        decision=decision.outcome,
        sentence=decision.sentence,
        evaluation_only=decision.evaluation_only,
        metric=metric_label(decision.board.metric),
        candidate=_numbers(decision, "candidate"),
        baseline=_numbers(decision, "baseline"),
        champion=champion_summary(now),
        previous_champion=None
        if before is None
        else {"version": before.version} | (_numbers(decision, "champion") or {}),
        verdicts=decision.verdicts,
        trials=trial_counts(run, backends.store),
        report=backends.store.url(run.key("report.html")),
        mlflow_url=backends.tracking.run_url(run.pipeline, backends.tracking.open_run(run)),
    )


def failed_outcome(store: ArtifactStore, pipeline: str, run_id: str, run: Run | None) -> Outcome:
    """The outcome of a run that did not get to its end, with whatever was decided before it broke."""
    decision = read_document(store, run_key(pipeline, run_id, "decision.json"), Decision)
    return Outcome(
        run_id=run_id,
        pipeline=pipeline,
        state="failed",
        as_of=None if run is None else run.as_of,
        decision=None if decision is None else decision.outcome,
        sentence="failed" if decision is None else f"failed after it was decided: {decision.sentence}",
        verdicts=() if decision is None else decision.verdicts,
        trials={} if run is None else trial_counts(run, store),
    )


def champion_summary(entry: LedgerEntry | None) -> dict[str, Any] | None:
    """The champion as status shows it."""
    if entry is None:
        return None
    return {
        "version": entry.version,
        "run_id": entry.run_id,
        "metric": None if entry.evidence.metric is None else metric_label(entry.evidence.metric),
        "value": entry.evidence.value,
        "since": entry.at.isoformat(),
    }


def trial_counts(run: Run, store: ArtifactStore) -> dict[str, int]:
    """Trials of the run: planned, completed, failed, and how many of them another run had done."""
    plan = read_document(store, run.key("plan.json"), Plan)
    if plan is None:
        return {}
    keys = [result_key(run, trial.key) for trial in plan.trials]
    results = [require_document(store, key, TrialResult) for key in keys if store.exists(key)]
    completed = sum(result.status == "complete" for result in results)
    return {
        "planned": len(keys),
        "completed": completed,
        "failed": len(results) - completed,
        "reused": plan.reused,
    }


def _numbers(decision: Decision, contestant: Contestant) -> dict[str, Any] | None:
    card = decision.board.card(contestant)
    if card is None:
        return None
    return {"estimator": card.estimator, "value": card.metrics.get(decision.board.metric), "rows": card.rows}
