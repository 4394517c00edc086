"""Independent draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from contender.documents.sweep import History, Point
from contender.sweep.space import CandidateSpec, distributions
from contender.sweep.strategies.base import MAX_TRIALS, Strategy, plain, shares, size

if TYPE_CHECKING:
    from collections.abc import Sequence


class RandomStrategy(Strategy):
    """Independent draws, the trials shared evenly among the candidates; a candidate without ranges is tried once."""

    kind: Literal["random"] = "random"
    rounds: ClassVar[int] = 1
    trials: int = Field(20, ge=1, le=MAX_TRIALS, description="How many trials in all")

    def check(self, candidates: Sequence[CandidateSpec]) -> None:
        """Structure only, at parse.

        Raises:
            ValueError: fewer trials than candidates.
        """
        super().check(candidates)
        check_covered(self.trials, candidates, "strategy random")

    def sizes(self, candidates: Sequence[CandidateSpec]) -> list[int]:
        """``trials``, or fewer when every space is exhausted."""
        return [sum(shares(self.trials, [size(distributions(c.params)) for c in candidates]))]

    def propose(self, candidates: Sequence[CandidateSpec], seed: int, history: History) -> list[Point]:
        """``trials`` draws (fewer when every space is exhausted), candidate by candidate."""
        return draws(candidates, self.trials, seed, history.warm)


def check_covered(trials: int, candidates: Sequence[CandidateSpec], what: str) -> None:
    """See that there is at least one trial for each candidate.

    Raises:
        ValueError: fewer trials than candidates.
    """
    if trials < len(candidates):
        msg = f"{what}: {trials} trials cannot cover {len(candidates)} candidates; raise trials"
        raise ValueError(msg)


def draws(candidates: Sequence[CandidateSpec], trials: int, seed: int, warm: Sequence[Point]) -> list[Point]:
    """Distinct draws, shared evenly among the candidates. A candidate's warm points come first and replace its last
    draws.
    """
    import warnings

    from sklearn.model_selection import ParameterSampler

    spaces = [distributions(candidate.params) for candidate in candidates]
    found: list[Point] = []
    for number, share in enumerate(shares(trials, [size(space) for space in spaces])):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a space smaller than its share would be a bug in shares
            drawn = [plain(draw) for draw in ParameterSampler(spaces[number], share, random_state=seed)]
        first = [Point(candidate=number, params=plain(point.params)) for point in warm if point.candidate == number]
        points = [*first, *(Point(candidate=number, params=params) for params in drawn)]
        found += [*{point.key: point for point in points}.values()][:share]
    return found
