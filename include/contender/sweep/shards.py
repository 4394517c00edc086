"""Packing: which training task runs which trials. Packing never changes a result, only who waits for whom."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from contender.documents import Shard, Trial

if TYPE_CHECKING:
    from collections.abc import Sequence


def pack(trials: Sequence[Trial], tasks: int) -> tuple[Shard, ...]:
    """Deal the trials to at most ``tasks`` shards, kind by kind, so that each gets a like share of the slow ones."""
    count = max(1, min(tasks, len(trials)))
    order = sorted(range(len(trials)), key=lambda place: (trials[place].estimator, place))
    hands = [[trials[place] for place in order[start::count]] for start in range(count)]
    return tuple(
        Shard(index=index, label=_label(hand, index, count), trials=tuple(trial.key for trial in hand))
        for index, hand in enumerate(hands)
    )


def _label(hand: Sequence[Trial], index: int, count: int) -> str:
    kinds = Counter(trial.label for trial in hand)
    named = ", ".join(f"{kind} x{number}" for kind, number in sorted(kinds.items()))
    return f"{index + 1}/{count}: {named}" if named else f"{index + 1}/{count}: nothing left to train"
