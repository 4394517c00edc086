"""The stored snapshots of a pipeline, and what changed since the one that its champion was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from contender.documents.change import Change
from contender.documents.data import Snapshot
from contender.errors import ConfigError, one_line
from contender.profile.changes import changes
from contender.store.base import read_document
from contender.store.runs import counted_document, snapshots_of, standing_run

if TYPE_CHECKING:
    from contender.documents.run import Run
    from contender.store.base import ArtifactStore
    from contender.store.ledger import LedgerEntry

_MOST_SHOWN = 10
_SHORT_ID = 12
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)  # for a document without as_of


@dataclass(frozen=True)
class StoredSnapshot:
    """A snapshot in the store: its document as first written, and the ids of the runs that read it, sorted."""

    pipeline: str
    snapshot: Snapshot
    runs: tuple[str, ...]


def snapshots(store: ArtifactStore, pipeline: str) -> list[StoredSnapshot]:
    """All snapshots of a pipeline, oldest ``as_of`` first."""
    documents: dict[str, Snapshot] = {}
    runs: dict[str, list[str]] = {}
    for run_id in store.children(f"{pipeline}/runs"):
        for taken in snapshots_of(store, pipeline, run_id):
            if run_id not in runs.setdefault(taken.id, []):
                runs[taken.id].append(run_id)
            documents[taken.id] = min(taken, documents.get(taken.id, taken), key=_as_of)
    for name in store.children(f"{pipeline}/snapshots"):
        beside = read_document(store, f"{pipeline}/snapshots/{name}/snapshot.json", Snapshot)
        if beside is not None:  # written with the rows, before any run's copy
            documents[beside.id] = beside
    ordered = sorted(documents.values(), key=lambda taken: (_as_of(taken), taken.id))
    return [StoredSnapshot(pipeline, taken, tuple(runs.get(taken.id, ()))) for taken in ordered]


def _as_of(taken: Snapshot) -> datetime:
    return taken.as_of or _LONG_AGO


def find(store: ArtifactStore, beginning: str) -> list[StoredSnapshot]:
    """The snapshot whose id begins with ``beginning``, once for each pipeline that has it.

    Raises:
        ConfigError: there is none, or there are several.
    """
    places = [(name, id_) for name in store.children("") for id_ in store.children(f"{name}/snapshots")]
    meant = sorted({id_ for _, id_ in places if id_.startswith(beginning.strip().lower())})
    if not meant:
        msg = f"no snapshot '{one_line(beginning)}' here; `contender data list PIPELINE` shows those there are"
        raise ConfigError(msg)
    if len(meant) > 1:
        shown = ", ".join(id_[: max(_SHORT_ID, len(beginning) + 4)] for id_ in meant[:_MOST_SHOWN])
        more = f" and {len(meant) - _MOST_SHOWN} more" if len(meant) > _MOST_SHOWN else ""
        msg = f"'{one_line(beginning)}' is the beginning of {len(meant)} snapshots: {shown}{more}; give more of the id"
        raise ConfigError(msg)
    having = sorted({name for name, id_ in places if id_ == meant[0]})
    found = [kept for name in having for kept in snapshots(store, name) if kept.snapshot.id == meant[0]]
    if not found:
        msg = f"{store.url(f'{having[0]}/snapshots/{meant[0]}')}: no document says what this snapshot is; restore it"
        raise ConfigError(msg)
    return found


def changes_between(store: ArtifactStore, before: StoredSnapshot, after: StoredSnapshot) -> tuple[Change, ...]:
    """What changed between two stored snapshots. A run that read the second says which column is the target."""
    runs = (standing_run(store, after.pipeline, run_id) for run_id in after.runs)
    run = next(filter(None, runs), None)
    return changes(before.snapshot, after.snapshot) if run is None else _changes(run, before.snapshot, after.snapshot)


def since_champion(
    run: Run, store: ArtifactStore, champion: LedgerEntry | None, taken: Snapshot
) -> tuple[str | None, tuple[Change, ...]]:
    """The id of the snapshot that the champion was trained on, and what is different in this run's.

    ``(None, ())`` without a champion, and for an adopted one, which has no snapshot here.
    """
    if champion is None or champion.run_id is None:
        return None, ()
    before = counted_document(store, run.pipeline, champion.run_id, "snapshot.json", Snapshot)
    return (None, ()) if before is None else (before.id, _changes(run, before, taken))


def _changes(run: Run, before: Snapshot, after: Snapshot) -> tuple[Change, ...]:
    data = run.spec.data
    return changes(before, after, target=data.target, positive=data.positive)
