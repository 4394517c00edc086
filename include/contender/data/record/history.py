"""The snapshots that a pipeline has on record, and what changed since the one that its champion was made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from contender.data.record.change import Change
from contender.data.record.changes import changes
from contender.documents import Run, Snapshot, run_key
from contender.errors import ConfigError, one_line
from contender.store.base import read_document

if TYPE_CHECKING:
    from contender.store.base import ArtifactStore
    from contender.store.ledger import LedgerEntry

_CANDIDATES = 10
_SHORT = 12
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Kept:
    """A snapshot on record: its document as it was first written, and the runs that read it, sorted."""

    pipeline: str
    snapshot: Snapshot
    runs: tuple[str, ...]


def snapshots(store: ArtifactStore, pipeline: str) -> list[Kept]:
    """All snapshots of a pipeline, oldest ``as_of`` first."""
    documents: dict[str, Snapshot] = {}
    runs: dict[str, list[str]] = {}
    for run_id in store.children(f"{pipeline}/runs"):
        taken = read_document(store, run_key(pipeline, run_id, "snapshot.json"), Snapshot)
        if taken is not None:
            runs.setdefault(taken.id, []).append(run_id)
            documents[taken.id] = min(taken, documents.get(taken.id, taken), key=_age)
    for name in store.children(f"{pipeline}/snapshots"):
        beside = read_document(store, f"{pipeline}/snapshots/{name}/snapshot.json", Snapshot)
        if beside is not None:
            documents[beside.id] = beside
    ordered = sorted(documents.values(), key=lambda taken: (_age(taken), taken.id))
    return [Kept(pipeline, taken, tuple(runs.get(taken.id, ()))) for taken in ordered]


def _age(taken: Snapshot) -> datetime:
    return taken.as_of or _LONG_AGO


def find(store: ArtifactStore, beginning: str) -> list[Kept]:
    """The snapshot whose id begins so, once for each pipeline that has it.

    Raises:
        ConfigError: there is none, or there are several.
    """
    places = [(name, id_) for name in store.children("") for id_ in store.children(f"{name}/snapshots")]
    meant = sorted({id_ for _, id_ in places if id_.startswith(beginning.strip().lower())})
    if not meant:
        msg = f"no snapshot '{one_line(beginning)}' here; `contender data list PIPELINE` shows those there are"
        raise ConfigError(msg)
    if len(meant) > 1:
        shown = ", ".join(id_[: max(_SHORT, len(beginning) + 4)] for id_ in meant[:_CANDIDATES])
        more = f" and {len(meant) - _CANDIDATES} more" if len(meant) > _CANDIDATES else ""
        msg = f"'{one_line(beginning)}' is the beginning of {len(meant)} snapshots: {shown}{more}; give more of the id"
        raise ConfigError(msg)
    having = sorted({name for name, id_ in places if id_ == meant[0]})
    found = [kept for name in having for kept in snapshots(store, name) if kept.snapshot.id == meant[0]]
    if not found:
        msg = f"{store.url(f'{having[0]}/snapshots/{meant[0]}')}: no document says what this snapshot is; restore it"
        raise ConfigError(msg)
    return found


def compare(store: ArtifactStore, before: Kept, after: Kept) -> tuple[Change, ...]:
    """What changed between two snapshots on record; what the target is says a run that read the second."""
    runs = (read_document(store, run_key(after.pipeline, run_id, "run.json"), Run) for run_id in after.runs)
    run = next(filter(None, runs), None)
    return changes(before.snapshot, after.snapshot) if run is None else _changes(run, before.snapshot, after.snapshot)


def since_champion(
    run: Run, store: ArtifactStore, champion: LedgerEntry | None, taken: Snapshot
) -> tuple[str | None, tuple[Change, ...]]:
    """The id of the snapshot that the champion was made from, and what is different in this run's.

    Without a champion, and of one that somebody else made, there is no such snapshot, and no change.
    """
    if champion is None or champion.run_id is None:
        return None, ()
    before = read_document(store, run_key(run.pipeline, champion.run_id, "snapshot.json"), Snapshot)
    return (None, ()) if before is None else (before.id, _changes(run, before, taken))


def _changes(run: Run, before: Snapshot, after: Snapshot) -> tuple[Change, ...]:
    data = run.spec.data
    return changes(before, after, target=data.target, positive=data.positive)
