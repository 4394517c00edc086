"""Every combination of every candidate's choices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from contender.documents.sweep import History, Point
from contender.sweep.space import CandidateSpec, Choice, IntUniform, LogUniform, Uniform, distributions
from contender.sweep.strategies.base import MAX_TRIALS, Strategy

if TYPE_CHECKING:
    from collections.abc import Sequence


class GridStrategy(Strategy):
    """Every combination of every candidate's choices."""

    kind: Literal["grid"]
    rounds: ClassVar[int] = 1

    def check(self, candidates: Sequence[CandidateSpec]) -> None:
        """Structure only, at parse.

        Raises:
            ValueError: a continuous parameter, or more combinations than one run may try.
        """
        super().check(candidates)
        for candidate in candidates:
            for name, value in candidate.params.items():
                if isinstance(value, Uniform | LogUniform | IntUniform):
                    msg = (
                        f"strategy grid needs choices, but {candidate.label}.{name} is a range; "
                        "use {choice: [...]} or random"
                    )
                    raise ValueError(msg)  # noqa: TRY004 - pydantic turns it into a located error
        [total] = self.sizes(candidates)
        if total > MAX_TRIALS:
            msg = f"the grid has {total} combinations, at most {MAX_TRIALS} are allowed; use strategy random"
            raise ValueError(msg)

    def sizes(self, candidates: Sequence[CandidateSpec]) -> list[int]:
        """The number of combinations."""
        choices = [[value for value in c.params.values() if isinstance(value, Choice)] for c in candidates]
        return [sum(math.prod(len(choice.choice) for choice in one) for one in choices)]

    def propose(self, candidates: Sequence[CandidateSpec], seed: int, history: History) -> list[Point]:
        """All combinations in the order of the YAML. A grid needs neither seed nor history."""
        del seed, history
        from sklearn.model_selection import ParameterGrid

        return [
            Point(candidate=number, params=dict(params))
            for number, candidate in enumerate(candidates)
            for params in ParameterGrid(distributions(candidate.params))
        ]
