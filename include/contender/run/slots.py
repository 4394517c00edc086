"""Slots: a limit on how many runs are under way at the same time, kept in the store without locks.

A slot is a numbered chain ``turns/<slot>/<number>.json``. Each link is written put-if-absent, so of several runs that
see a free slot one gets it. A slot is free when the run of its newest link has an outcome (the teardown always writes
one) or has taken more than twice its deadline, so no run has to give its slot back and a crash cannot keep one. A run
that is cleared after its end waits for a slot too, but its old outcome makes that slot count as free.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from contender.canonical import sha256
from contender.documents.run import run_key
from contender.frozen import Frozen, PositiveDuration
from contender.store.base import put_document_if_absent, require_document

if TYPE_CHECKING:
    from contender.store.base import ArtifactStore

_FOLDER = "turns"  # the stored name of slots; stores of version 0.1.0 have it


class SlotHolder(Frozen):
    """The run that holds a slot: since when, and after how long it should have ended."""

    pipeline: str
    run_id: str
    at: datetime
    deadline: PositiveDuration


def stagger(name: str, window: timedelta) -> timedelta:
    """How long after its scheduled time a pipeline starts: whole minutes below the window, constant for a name."""
    minutes = max(1, int(window.total_seconds()) // 60)
    return timedelta(minutes=int(sha256(name.encode())[:12], 16) % minutes)


def take_slot(store: ArtifactStore, holder: SlotHolder, slots: int) -> int | None:
    """The slot that the run holds or now takes; None when other runs hold all slots.

    Args:
        holder: the run that asks; its ``at`` is the present time.
        slots: how many runs may be under way at a time; runs in higher slots, from an earlier limit, do not count.

    Raises:
        BackendError: the store does not answer, or a link is unreadable.
    """
    heads = [_head(store, slot) for slot in range(slots)]
    # First the slot that the run already holds: a sensor asks again after each pause, and a retry asks again, too.
    for slot, (_, held) in enumerate(heads):
        ours = held is not None and (held.pipeline, held.run_id) == (holder.pipeline, holder.run_id)
        if held is not None and ours and not _is_free(store, held, holder.at):
            return slot
    for slot, (number, held) in enumerate(heads):
        if held is None or _is_free(store, held, holder.at):
            key = f"{_FOLDER}/{slot}/{number + 1:08d}.json"
            if put_document_if_absent(store, key, holder):
                return slot
    return None


def _head(store: ArtifactStore, slot: int) -> tuple[int, SlotHolder | None]:
    """The number and content of a slot's newest link; 0 and None when no run ever held it."""
    links = [name for name in store.children(f"{_FOLDER}/{slot}") if name.removesuffix(".json").isdigit()]
    if not links:
        return 0, None
    newest = max(links)
    return int(newest.removesuffix(".json")), require_document(store, f"{_FOLDER}/{slot}/{newest}", SlotHolder)


def _is_free(store: ArtifactStore, held: SlotHolder, now: datetime) -> bool:
    """Whether the run that took the slot has an outcome, or is overdue by so much that it is given up."""
    return store.exists(run_key(held.pipeline, held.run_id, "outcome.json")) or now - held.at > 2 * held.deadline
