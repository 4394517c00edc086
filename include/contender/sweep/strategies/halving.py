"""Successive halving: many trials on few folds, and all folds for the best of them only."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from contender.documents.sweep import History, Point
from contender.sweep.space import CandidateSpec, distributions
from contender.sweep.strategies.base import MAX_TRIALS, Strategy, shares, size
from contender.sweep.strategies.random_search import check_covered, draws

if TYPE_CHECKING:
    from collections.abc import Sequence


class HalvingStrategy(Strategy):
    """Successive halving (Jamieson & Talwalkar 2016): many trials on few folds, the best of them on ``factor`` times as
    many, and so on. The last round has all folds, and only its trials can win. The baseline's best trial and the best
    of the others always reach it.
    """

    kind: Literal["halving"]
    trials: int = Field(60, ge=1, le=MAX_TRIALS, description="How many trials the first round has")
    rounds: int = Field(3, ge=2, le=6, description="How many rounds there are")
    factor: int = Field(
        3,
        ge=2,
        le=10,
        description="One in so many trials goes on to the next round, which has so many times the folds",
    )

    def check(self, candidates: Sequence[CandidateSpec]) -> None:
        """Structure only, at parse.

        Raises:
            ValueError: fewer trials than candidates, or so few that a round would not halve anything.
        """
        check_covered(self.trials, candidates, "strategy halving")
        least = self.factor ** (self.rounds - 1)
        if self.trials < least:
            msg = (
                f"strategy halving: {self.trials} trials are too few for {self.rounds} rounds by a factor of {self.factor}; "
                f"give at least {least} trials, or fewer rounds"
            )
            raise ValueError(msg)

    def sizes(self, candidates: Sequence[CandidateSpec]) -> list[int]:
        """A ``factor``-th of the round before, plus a place for the best of the baseline or of the others."""
        first = sum(shares(self.trials, [size(distributions(c.params)) for c in candidates]))
        extra = len(candidates) > 1 and any(c.baseline for c in candidates)
        later = [min(first, self._survivors(first, number) + extra) for number in range(2, self.rounds + 1)]
        return [first, *later]

    def may_win(self, number: int) -> bool:
        """Only in the last round: earlier trials have a share of the folds."""
        return number == self.rounds

    def propose(self, candidates: Sequence[CandidateSpec], seed: int, history: History) -> list[Point]:
        """Draws in the first round, then the best points of the round before, best first; none when all failed."""
        number = len(history.rounds) + 1
        share = 1 / self.factor ** (self.rounds - number)
        if not history.rounds:
            return [with_share(point, share) for point in draws(candidates, self.trials, seed, history.warm)]
        recorded = [(tried.value, tried.point) for tried in history.rounds[-1] if tried.value is not None]
        ranked = [point for _, point in sorted(recorded, key=lambda one: -one[0])]  # equals stay in order
        kept = self._survivors(len(history.rounds[0]), number)
        sides = [candidates[point.candidate].baseline for point in ranked]
        # The best of the baseline and the best of the others reach the last round: the gates compare them.
        best = [sides.index(side) for side in (True, False) if side in sides]
        return [with_share(point, share) for place, point in enumerate(ranked) if place < kept or place in best]

    def _survivors(self, first: int, number: int) -> int:
        """How many of ``first`` points are left in a round (from 1)."""
        each: int = self.factor ** (number - 1)
        return math.ceil(first / each)


def with_share(point: Point, share: float) -> Point:
    """The same point at another share of its cost."""
    return Point(candidate=point.candidate, params=point.params, share=share)
