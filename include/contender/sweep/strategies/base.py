"""The contract of a strategy, and what strategies share.

``propose`` is a pure function of candidates, seed and history: the same arguments give the same points in the same
order, in any process. Round n + 1 is proposed from a history of n rounds. The YAML fixes the number of rounds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from contender.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contender.documents.sweep import History, Point
    from contender.sweep.space import CandidateSpec

MAX_TRIALS = 1_000


class Strategy(Frozen):
    """Which trials are tried, round by round."""

    if TYPE_CHECKING:  # a field of some members, 1 for others; pydantic refuses a field that overrides a property

        @property
        def rounds(self) -> int:
            """How many rounds of trials there are, each planned from the ones before."""

    def check(self, candidates: Sequence[CandidateSpec]) -> None:
        """Structure only, at parse.

        Raises:
            ValueError: it cannot search such a space; here: a candidate has a setting that this strategy does not use.
        """
        named = next((one for one in candidates if one.resource is not None), None)
        if named is not None:
            msg = f"{named.label}: resource {named.resource} is for strategy halving; remove it, or use halving"
            raise ValueError(msg)

    def sizes(self, candidates: Sequence[CandidateSpec]) -> list[int]:
        """The most trials that each round can have."""
        raise NotImplementedError

    def may_win(self, number: int) -> bool:
        """Whether a trial of this round (from 1) is trained as the candidate will be, so that it can win."""
        return 1 <= number <= self.rounds

    def propose(self, candidates: Sequence[CandidateSpec], seed: int, history: History) -> list[Point]:
        """The next round's points."""
        raise NotImplementedError


def size(space: Mapping[str, Any]) -> float:
    """The number of distinct parameter sets of a space (see ``distributions``); infinite with a distribution in it."""
    return math.prod(len(values) if isinstance(values, list) else math.inf for values in space.values())


def shares(trials: int, sizes: Sequence[float]) -> list[int]:
    """Trials per candidate, dealt one at a time in turn; a candidate whose space is exhausted is passed over."""
    given = [0] * len(sizes)
    while sum(given) < trials:
        open_ones = [i for i, most in enumerate(sizes) if given[i] < most]
        if not open_ones:
            break
        given[min(open_ones, key=lambda i: (given[i], i))] += 1
    return given


def plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters sorted by name, NumPy scalars as Python's own, so that they have one JSON form."""
    return {name: value.item() if hasattr(value, "item") else value for name, value in sorted(params.items())}
