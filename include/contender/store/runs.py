"""The documents of a run that count: the attempt that validation named, the decision that stands, and how the run ended.

An attempt is what one execution of ``snapshot`` froze and read. It writes below ``runs/<run id>/attempts/<number>/`` and
nowhere else. ``validate`` names the attempt that counts by putting ``runs/<run id>/run.json`` if absent; all later steps
read only that. So a task that was believed dead and wakes up writes where nobody reads. Runs of version 0.1.0 have no
attempts: their documents are all below ``runs/<run id>/``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from contender.documents.data import Quarantine, Snapshot
from contender.documents.decision import Decision
from contender.documents.outcome import Outcome
from contender.documents.release import release_key
from contender.documents.run import Run, run_key
from contender.errors import BackendError, Conflict
from contender.store.base import Document, put_document_if_absent, read_document, require_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contender.store.base import ArtifactStore
    from contender.store.ledger import Ledger, LedgerEntry

_logger = logging.getLogger(__name__)

CHECKS, REPORT = "checks.html", "report.html"  # the pages of a run, as MLflow shows them
_ATTEMPTS, _DECISIONS, _OUTCOMES = "attempts", "decisions", "outcomes"


class Inputs(NamedTuple):
    """What the steps after ``validate`` work on: a snapshot, and the quarantine of just that snapshot."""

    snapshot: Snapshot
    quarantine: Quarantine

    def check(self, run: Run, what: str, snapshot: str, quarantine: str) -> None:
        """Check that what another step left was made from these rows.

        Raises:
            Conflict: it was made from others.
        """
        if (snapshot, quarantine) != (self.snapshot.id, self.quarantine.id):
            msg = (
                f"run {run.id}: its {what} was made from other rows (snapshot {snapshot[:12]}, quarantine "
                f"{quarantine[:12]}) than those that were validated (snapshot {self.snapshot.id[:12]}, quarantine "
                f"{self.quarantine.id[:12]}); nothing is done with it. Trigger a new run"
            )
            raise Conflict(msg)


def counted_run(store: ArtifactStore, pipeline: str, run_id: str) -> Run | None:
    """The run as ``validate`` named it, or as version 0.1.0 froze it; None before that."""
    return read_document(store, run_key(pipeline, run_id, "run.json"), Run)


def validated_run(store: ArtifactStore, pipeline: str, run_id: str) -> Run:
    """The same, for the steps that come after ``validate``.

    Raises:
        BackendError: no attempt of the run has passed validation.
    """
    run = counted_run(store, pipeline, run_id)
    if run is None:
        raise BackendError(f"run {run_id} of {pipeline}: no attempt has passed validate; clear snapshot")
    return run


def attempts(store: ArtifactStore, pipeline: str, run_id: str) -> list[Run]:
    """All attempts of a run, the oldest first; none of a run of version 0.1.0."""
    found = (
        read_document(store, run_key(pipeline, run_id, f"{_ATTEMPTS}/{number}/run.json"), Run)
        for number in attempt_numbers(store, pipeline, run_id)
    )
    return [run for run in found if run is not None]


def attempt_numbers(store: ArtifactStore, pipeline: str, run_id: str) -> list[int]:
    """The numbers of the attempts that were begun, in order."""
    names = store.children(run_key(pipeline, run_id, _ATTEMPTS))
    return sorted(int(name) for name in names if name.isdigit())


def standing_run(store: ArtifactStore, pipeline: str, run_id: str) -> Run | None:
    """The run as it stands: as it counts, else its newest attempt; None when it was never frozen."""
    return counted_run(store, pipeline, run_id) or next(reversed(attempts(store, pipeline, run_id)), None)


def run_to_validate(store: ArtifactStore, pipeline: str, run_id: str) -> Run:
    """The run as it counts, else its newest attempt that has a snapshot.

    Raises:
        BackendError: there is none.
    """
    counted = counted_run(store, pipeline, run_id)
    if counted is not None:
        return counted
    for run in reversed(attempts(store, pipeline, run_id)):
        if store.exists(run.key("snapshot.json")):
            return run
    raise BackendError(f"run {run_id} of {pipeline}: no attempt has a snapshot; clear snapshot")


def let_count(run: Run, store: ArtifactStore) -> Run:
    """Let this attempt be the one that counts, unless another one does; the one that counts."""
    put_document_if_absent(store, run_key(run.pipeline, run.id, "run.json"), run)
    return validated_run(store, run.pipeline, run.id)


def snapshots_of(store: ArtifactStore, pipeline: str, run_id: str) -> list[Snapshot]:
    """Every snapshot that a run took: that of version 0.1.0, or those of its attempts, the oldest first."""
    plain = read_document(store, run_key(pipeline, run_id, "snapshot.json"), Snapshot)
    keys = (f"{_ATTEMPTS}/{number}/snapshot.json" for number in attempt_numbers(store, pipeline, run_id))
    found = (read_document(store, run_key(pipeline, run_id, key), Snapshot) for key in keys)
    return [taken for taken in (plain, *found) if taken is not None]


def counted_document(
    store: ArtifactStore, pipeline: str, run_id: str, name: str, model: type[Document]
) -> Document | None:
    """A document of another run that counts; None when there is none, as of an adopted model's run."""
    run = counted_run(store, pipeline, run_id)
    return None if run is None else read_document(store, run.key(name), model)


def shown_as(run: Run, page: str) -> str:
    """The name of a page in MLflow, where all attempts have one place: the checks of a later attempt have its number."""
    return f"checks_{run.attempt}.html" if page == CHECKS and run.attempt not in (None, 1) else page


def has_page(run: Run, store: ArtifactStore, page: str) -> bool:
    """Whether a run has one of its pages by now."""
    return store.exists(run.key(page)) or (page == REPORT and bool(store.children(run.key(_DECISIONS))))


def inputs_of(run: Run, store: ArtifactStore) -> Inputs:
    """The run's snapshot and quarantine, which must belong together, and to the attempt that counts.

    Raises:
        KeyError: ``validate`` has not passed.
        Conflict: they do not.
    """
    counted = counted_run(store, run.pipeline, run.id)
    if counted is not None and counted.attempt != run.attempt:
        msg = f"run {run.id}: attempt {run.attempt} does not count; validate passed attempt {counted.attempt}. Go on with that"
        raise Conflict(msg)
    snapshot = require_document(store, run.key("snapshot.json"), Snapshot)
    quarantine = require_document(store, run.key("quarantine.json"), Quarantine)
    if quarantine.snapshot != snapshot.id:
        msg = (
            f"run {run.id}: its snapshot {snapshot.id[:12]} is not the one that was validated "
            f"({quarantine.snapshot[:12]}); nothing is trained on it. Trigger a new run"
        )
        raise Conflict(msg)
    return Inputs(snapshot, quarantine)


class Decided(NamedTuple):
    """The decision of a run that stands: the newest. ``number`` is 0 in version 0.1.0, which had one."""

    number: int
    key: str
    decision: Decision


def standing_decision(run: Run, store: ArtifactStore) -> Decided | None:
    """The run's newest decision; None before the first."""
    names = (name.removesuffix(".json") for name in store.children(run.key(_DECISIONS)))
    number = max((int(name) for name in names if name.isdigit()), default=0)
    key = run.key(f"{_DECISIONS}/{number}.json" if number else "decision.json")
    decision = read_document(store, key, Decision)
    return None if decision is None else Decided(number, key, decision)


def put_decision(run: Run, store: ArtifactStore, number: int, decision: Decision) -> Decided:
    """Put a decision under a number that was free when it was begun; the one that stands.

    So a challenge that was believed dead, and ends after another has decided, changes nothing.
    """
    put_document_if_absent(store, run.key(f"{_DECISIONS}/{number}.json"), decision)
    return require_decision(run, store)


def require_decision(run: Run, store: ArtifactStore) -> Decided:
    """The run's newest decision.

    Raises:
        BackendError: there is none.
    """
    found = standing_decision(run, store)
    if found is None:
        raise BackendError(f"run {run.id} of {run.pipeline}: nothing was decided; clear challenge")
    return found


def decided_before(run: Run, ledger: Ledger) -> Iterator[LedgerEntry]:
    """The ledger's entries of the runs that decided with an earlier ``as_of``, the newest ``as_of`` first.

    One of the same ``as_of`` does not count: a run that is repeated must come to the same.
    """
    found = [
        (one.as_of, one.number, one)
        for one in ledger.entries()
        if one.kind in ("promotion", "keep") and one.run_id is not None and one.as_of is not None
    ]
    for as_of, _, entry in sorted(found, key=lambda one: one[:2], reverse=True):
        if as_of < run.as_of:
            yield entry


def decisions_before(run: Run, store: ArtifactStore, ledger: Ledger) -> Iterator[Decision]:
    """Their decisions, in the same order, without those that were deleted. What is unreadable is told and passed over."""
    for entry in decided_before(run, ledger):
        try:
            before = counted_run(store, run.pipeline, str(entry.run_id))
            found = None if before is None else standing_decision(before, store)
        except BackendError as error:
            _logger.warning("what was seen by run %s does not count: %s", entry.run_id, error)
            continue
        if found is not None:
            yield found.decision


class Ended(NamedTuple):
    """How a run ended last. ``number`` counts its ends: 0 before the first, more than 1 of a run that was cleared."""

    number: int
    outcome: Outcome | None


def standing_end(store: ArtifactStore, pipeline: str, run_id: str) -> Ended:
    """The run's newest end."""
    names = store.children(run_key(pipeline, run_id, _OUTCOMES))
    number = max((int(name.removesuffix(".json")) for name in names), default=1)
    outcome = read_document(store, _outcome_key(pipeline, run_id, number), Outcome)
    return Ended(0, None) if outcome is None else Ended(number, outcome)


def put_end(store: ArtifactStore, outcome: Outcome, *, after: int) -> bool:
    """Put how the run ended; False when it has ended again since the end of this number was the newest.

    So a task that was believed dead cannot write over what became of the run while it slept.
    """
    return put_document_if_absent(store, _outcome_key(outcome.pipeline, outcome.run_id, after + 1), outcome)


def _outcome_key(pipeline: str, run_id: str, number: int) -> str:
    return run_key(pipeline, run_id, "outcome.json" if number == 1 else f"{_OUTCOMES}/{number}.json")


def release_place(store: ArtifactStore, pipeline: str, run_id: str) -> str:
    """The folder of a run's release below the pipeline's releases, as its decision names it.

    Where no decision does, it is the only one that is whole, else the run's id (adopted models, version 0.1.0).
    """
    run = counted_run(store, pipeline, run_id)
    found = None if run is None else standing_decision(run, store)
    if found is not None:
        return found.decision.release or run_id
    places = [f"{run_id}/{name}" for name in store.children(release_key(pipeline, run_id, "").rstrip("/"))]
    whole = [place for place in places if store.exists(release_key(pipeline, place, "manifest.json"))]
    return whole[0] if len(whole) == 1 else run_id
