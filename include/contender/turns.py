"""Which runs may be under way at the same time, decided in the store without locks.

A slot is a numbered chain ``turns/<slot>/<number>.json``; each link is written put-if-absent, so of many that see a slot
free one gets it. A slot is free again when the run of its newest link has an outcome (which the teardown always writes)
or has taken more than twice its deadline. So nobody has to give a turn back, and no crash keeps one for ever. A run that
is cleared after its end waits for a free slot like any other, but has its outcome already: the others do not count it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from contender.canonical import sha256
from contender.documents import run_key
from contender.frozen import Frozen, PositiveDuration
from contender.store.base import put_document_if_absent, require_document

if TYPE_CHECKING:
    from contender.store.base import ArtifactStore

_FOLDER = "turns"


class Turn(Frozen):
    """A run's turn: since when, and after how long it should be over."""

    pipeline: str
    run_id: str
    at: datetime
    deadline: PositiveDuration


def stagger(name: str, window: timedelta) -> timedelta:
    """How long after its tick a pipeline starts: whole minutes below the window, always the same for a name."""
    minutes = max(1, int(window.total_seconds()) // 60)
    return timedelta(minutes=int(sha256(name.encode())[:12], 16) % minutes)


def take_turn(store: ArtifactStore, turn: Turn, slots: int) -> int | None:
    """The slot that the run has or now gets; None when other runs are under way in all of them.

    Args:
        slots: how many runs may be under way at a time; those in slots above it, of an earlier limit, do not count.

    Raises:
        BackendError: the store does not answer, or a link is unreadable.
    """
    heads = [_head(store, slot) for slot in range(slots)]
    for slot, (_, held) in enumerate(heads):
        ours = held is not None and (held.pipeline, held.run_id) == (turn.pipeline, turn.run_id)
        if held is not None and ours and not _over(store, held, turn.at):
            return slot
    for slot, (number, held) in enumerate(heads):
        if held is None or _over(store, held, turn.at):
            key = f"{_FOLDER}/{slot}/{number + 1:08d}.json"
            if put_document_if_absent(store, key, turn):
                return slot
    return None


def _head(store: ArtifactStore, slot: int) -> tuple[int, Turn | None]:
    """Number and content of a slot's newest link; 0 and None when nobody ever had it."""
    links = [name for name in store.children(f"{_FOLDER}/{slot}") if name.removesuffix(".json").isdigit()]
    if not links:
        return 0, None
    newest = max(links)
    return int(newest.removesuffix(".json")), require_document(store, f"{_FOLDER}/{slot}/{newest}", Turn)


def _over(store: ArtifactStore, held: Turn, now: datetime) -> bool:
    """Whether the run that got the turn has an outcome, or is given up."""
    return store.exists(run_key(held.pipeline, held.run_id, "outcome.json")) or now - held.at > 2 * held.deadline
