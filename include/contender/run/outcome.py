"""Making a run's Outcome: of a decided run, of a failed run, and the notices that receivers get of it.

``announce`` and the teardown store it; ``contender run`` and ``contender status`` show it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contender.documents.outcome import Failure, Outcome
from contender.documents.run import Run, run_key
from contender.errors import ContenderError, DataUnavailable
from contender.metrics.plausible import too_good_candidate
from contender.run.costs import costs_of
from contender.spec.receivers import Kind, Notice
from contender.store.base import read_document, write_document
from contender.store.ledger import Ledger, LedgerEntry, shown_version
from contender.store.runs import Ended, inputs_of, put_end, standing_decision, standing_end, standing_run
from contender.sweep.results import sweep_so_far
from contender.words import metric_label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contender.backends import Backends
    from contender.documents.decision import Decision
    from contender.documents.scoreboard import Contestant
    from contender.store.base import ArtifactStore

# Limits of an outcome, which travels through XCom and is sent to receivers.
_MESSAGE = 500  # characters of a message or sentence
_REASONS = 5  # reasons of quarantined rows, and ignored columns, that are named
_ATTENTION = 10  # sentences in ``attention``


def outcome_of(run: Run, backends: Backends, decision: Decision, ledger: Ledger) -> Outcome:
    """The outcome of a run that came to a decision."""
    entries = ledger.entries()
    promoted, lost = _title_of(backends.store, ledger, run.id)
    sweep = sweep_so_far(run, backends.store)
    trials = sweep.counts(run)
    before = next((entry for entry in entries if entry.number == decision.champion), None)
    now = ledger.champion()
    return Outcome(
        run_id=run.id,
        pipeline=run.pipeline,
        state="success",
        as_of=run.as_of,
        decision=decision.outcome,
        sentence=decision.sentence + (f" ({truncation(trials)})" if sweep.untried else "") + lost,
        evaluation_only=decision.evaluation_only,
        promoted=promoted,
        metric=metric_label(decision.board.metric),
        candidate=_contestant_numbers(decision, "candidate"),
        baseline=_contestant_numbers(decision, "baseline"),
        champion=champion_summary(backends.store, now),
        previous_champion=None
        if before is None
        else {"version": before.version} | (_contestant_numbers(decision, "champion") or {}),
        verdicts=decision.verdicts,
        trials=trials,
        cost=costs_of(run, backends.store, sweep.rounds),
        attention=_attention(run, backends.store, decision),
        report=backends.store.url(run.key(decision.report)),
        mlflow_url=backends.tracking.run_url(run.pipeline, backends.tracking.run_id(run)),
    )


def failed_outcome(
    store: ArtifactStore, pipeline: str, run_id: str, run: Run | None, steps: Sequence[str] = ()
) -> Outcome:
    """The outcome of a run that failed, with the decision and the promotion that it made before.

    Args:
        steps: the steps that failed for good; their recorded failures are looked up.
    """
    decided = None if run is None else standing_decision(run, store)
    decision = None if decided is None else decided.decision
    failures = [recorded_failure(store, pipeline, run_id, step) for step in steps]
    spoken = (failure for failure in failures if failure is not None and failure.error)
    failure = next(spoken, Failure(step=steps[0]) if steps else None)
    sentence = _failure_sentence(failure)
    sweep = None if run is None else sweep_so_far(run, store)
    promoted, lost = _title_of(store, Ledger(store, pipeline), run_id)
    if decision is not None:
        sentence += f" (after it was decided: {decision.sentence}){lost}"
    return Outcome(
        run_id=run_id,
        pipeline=pipeline,
        state="failed",
        as_of=None if run is None else run.as_of,
        decision=None if decision is None else decision.outcome,
        sentence=sentence,
        failure=failure,
        promoted=promoted,
        verdicts=() if decision is None else decision.verdicts,
        trials={} if run is None or sweep is None else sweep.counts(run),
        cost=None if run is None or sweep is None else costs_of(run, store, sweep.rounds),
    )


def settle(
    store: ArtifactStore, pipeline: str, run_id: str, failed: Sequence[str] = (), *, seen: Ended | None = None
) -> Outcome:
    """The outcome of a run whose steps have all ended: what ``announce`` stored, else that it failed, which is stored.

    Args:
        failed: the steps that failed for good; they replace even the successful outcome of a run that was
            cleared later.
        seen: how the run had ended before it was asked which steps failed; absent: as it has by now. When it has ended
            again since, its new end stands.
    """
    number, outcome = seen or standing_end(store, pipeline, run_id)
    if outcome is None or outcome.state == "failed" or failed:
        run = standing_run(store, pipeline, run_id)
        again = failed_outcome(store, pipeline, run_id, run, failed)
        if again == outcome:  # as it was told to another receiver
            return again
        put_end(store, again, after=number)
        outcome = standing_end(store, pipeline, run_id).outcome or again
    return outcome


def record_failure(store: ArtifactStore, pipeline: str, run_id: str, step: str, error: Exception) -> None:
    """Store why a step failed, for the run's outcome.

    Only Contender's own messages are stored: a foreign error's message may contain values of the data.
    """
    message = " ".join(str(error).split())[:_MESSAGE] if isinstance(error, ContenderError) else ""
    failure = Failure(step=step, error=type(error).__name__, message=message)
    write_document(store, _failure_key(pipeline, run_id, step), failure)


def forget_failure(store: ArtifactStore, pipeline: str, run_id: str, step: str) -> None:
    """A step begins again: why an earlier try failed says nothing about this one, which may die without a word."""
    if store.exists(_failure_key(pipeline, run_id, step)):
        write_document(store, _failure_key(pipeline, run_id, step), Failure(step=step))


def recorded_failure(store: ArtifactStore, pipeline: str, run_id: str, step: str) -> Failure | None:
    """Why a step failed, as ``record_failure`` stored it; None when it was killed before, or did not fail."""
    return read_document(store, _failure_key(pipeline, run_id, step), Failure)


def notices_of(outcome: Outcome, url: str | None = None) -> list[Notice]:
    """The notices of an outcome, the most specific first: a receiver gets the first one that it asked for.

    Args:
        url: the link of the notices when MLflow has no page.
    """
    kinds: list[Kind] = ["decided"]
    if outcome.state == "failed":
        missing = outcome.failure is not None and outcome.failure.error == DataUnavailable.__name__
        kinds = ["no_data", "failed"] if missing else ["failed"]
    if outcome.promoted is not None:  # of a run that failed after its promotion, the failure comes first
        kinds.insert(0 if outcome.state == "success" else len(kinds), "promoted")
    return [
        Notice(
            kind=kind,
            pipeline=outcome.pipeline,
            run_id=outcome.run_id,
            sentence=outcome.sentence,
            version=outcome.promoted,
            url=outcome.mlflow_url or url,
        )
        for kind in kinds
    ]


def champion_summary(store: ArtifactStore, entry: LedgerEntry | None) -> dict[str, Any] | None:
    """The champion as ``contender status`` shows it."""
    if entry is None:
        return None
    return {
        "version": shown_version(store, entry),
        "run_id": entry.run_id,
        "metric": None if entry.evidence.metric is None else metric_label(entry.evidence.metric),
        "value": entry.evidence.value,
        "since": entry.at.isoformat(),
    }


def _attention(run: Run, store: ArtifactStore, decision: Decision) -> tuple[str, ...]:
    """Warnings: a score too good to be true, a gate that nobody passes, loud changes, quarantined rows, a split that is a matter of luck, ignored columns, suspected leaks."""
    from contender.data.checks.labels import warnings_of
    from contender.data.checks.quarantine import failing_rows
    from contender.data.checks.structure import unsure_split

    taken, quarantine = inputs_of(run, store)
    flattering = too_good_candidate(decision.board)
    said = [] if flattering is None else [f"the candidate's {flattering}"]
    said += [f"neither candidate nor champion passes {v.gate}: {v.reason}" for v in decision.verdicts if v.excused]
    said += [change.sentence for change in decision.changes if change.loud]
    if quarantine.rows:
        reasons = failing_rows(taken, quarantine).most_common(_REASONS)
        first = {odd.reason: odd.where for odd in taken.uncoerced}
        words = "; ".join(f"{reason}: {count:,}{first.get(reason, '')}" for reason, count in reasons)
        said.append(f"{len(quarantine.rows):,} of {taken.rows:,} rows are set aside ({words})")
        said += warnings_of(run, quarantine)
    said += unsure_split(quarantine)
    if taken.ignored:
        said.append(f"not in the contract, so not used: {', '.join(taken.ignored[:_REASONS])}")
    said += [f"a leak is suspected, policy {finding.policy}: {finding.words}" for finding in quarantine.findings]
    return tuple(" ".join(text.split())[:_MESSAGE] for text in said[:_ATTENTION])


def truncation(trials: Mapping[str, int]) -> str:
    """The words for a sweep that the budget cut short."""
    return f"truncated sweep: {trials['untried']:,} of {trials['planned']:,} trials untried"


def _failure_key(pipeline: str, run_id: str, step: str) -> str:
    return run_key(pipeline, run_id, f"failures/{step}.json")


def _failure_sentence(failure: Failure | None) -> str:
    if failure is None:
        return "ended before it was announced, although no step failed: it was marked by hand, or timed out as a whole"
    if not failure.error:
        return f"failed in {failure.step}, which left no reason: it was killed, or marked by hand; see its log"
    return f"failed in {failure.step}: {failure.error}" + (
        f": {failure.message}" if failure.message else "; see its log"
    )


def _title_of(store: ArtifactStore, ledger: Ledger, run_id: str) -> tuple[str | None, str]:
    """The version that this run promoted, as long as it holds the title; and, when it lost it since, words that say so."""
    champion = ledger.champion()
    own = next((one for one in ledger.entries() if one.kind == "promotion" and one.run_id == run_id), None)
    if own is None or champion is None:
        return None, ""
    version = shown_version(store, own)
    if champion.release == own.release:
        return version, ""
    lost = f" (version {version} lost the title since, on {champion.at:%Y-%m-%d}: {champion.kind}: {champion.reason})"
    return None, lost


def as_of_now(store: ArtifactStore, outcome: Outcome) -> Outcome:
    """The outcome with what the ledger says now of the version it promoted: a rollback may have come in between."""
    if outcome.promoted is None:
        return outcome
    promoted, lost = _title_of(store, Ledger(store, outcome.pipeline), outcome.run_id)
    return outcome.model_copy(update={"promoted": promoted, "sentence": outcome.sentence + lost})


def _contestant_numbers(decision: Decision, contestant: Contestant) -> dict[str, Any] | None:
    card = decision.board.card(contestant)
    if card is None:
        return None
    return {"estimator": card.estimator, "value": card.metrics.get(decision.board.metric), "rows": card.rows}
