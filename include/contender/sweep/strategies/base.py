"""What strategies share: points of the search space, what came of earlier ones, and the contract.

Contract: ``propose`` is a pure function of candidates, seed and history. The same arguments give the same points in the
same order, in any process. Round n + 1 is proposed from a history of n rounds. How many rounds there are, the YAML says.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import Field

from contender.canonical import canonical_json
from contender.frozen import Frozen
from contender.sweep.space import Params

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contender.sweep.space import CandidateSpec

MAX_TRIALS = 1_000


class Point(Frozen):
    """One candidate's parameters, by value.

    Attributes:
        candidate: which of the spec's candidates, from 0.
        share: how much of what its trial may cost it gets, above 0 and at most 1 (see ``contender.sweep.space.at_share``).
    """

    candidate: int
    params: Params
    share: float = Field(1.0, gt=0, le=1)

    @property
    def key(self) -> bytes:
        """What another point has, too, when it is the same one, whatever its share."""
        return canonical_json([self.candidate, self.params])


class Tried(Frozen):
    """A point and its mean score, greater is better; None when its trial failed or the budget cut it."""

    point: Point
    value: float | None


class History(Frozen):
    """What a round is proposed from.

    Attributes:
        warm: the best point of each candidate in an earlier run, to start from.
        rounds: what came of each earlier round's points, in the order they were proposed.
    """

    warm: tuple[Point, ...] = ()
    rounds: tuple[tuple[Tried, ...], ...] = ()


class Strategy(Frozen):
    """What every strategy can be asked."""

    if TYPE_CHECKING:  # a setting of some, 1 for others; pydantic takes no field in the place of a base's property

        @property
        def rounds(self) -> int:
            """How many rounds of trials there are, each planned from the ones before."""

    def check(self, candidates: Sequence[CandidateSpec]) -> None:
        """Structure only, at parse.

        Raises:
            ValueError: it cannot search such a space; here: a candidate has settings that this strategy does not use.
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
    """How many distinct parameter sets a space (see ``distributions``) has; infinite with a distribution in it."""
    return math.prod(len(values) if isinstance(values, list) else math.inf for values in space.values())


def shares(trials: int, sizes: Sequence[float]) -> list[int]:
    """Trials per candidate: one at a time in turn, passing over whoever's space is exhausted."""
    given = [0] * len(sizes)
    while sum(given) < trials:
        open_ones = [i for i, most in enumerate(sizes) if given[i] < most]
        if not open_ones:
            break
        given[min(open_ones, key=lambda i: (given[i], i))] += 1
    return given


def plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """NumPy scalars as Python's own, so that a parameter has one JSON form."""
    return {name: value.item() if hasattr(value, "item") else value for name, value in sorted(params.items())}
