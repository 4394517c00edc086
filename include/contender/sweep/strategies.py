"""The strategy family: which trials are tried.

Contract: ``propose`` is a pure function of candidates and seed (later members: of the history of earlier rounds too).
The same arguments give the same trials in the same order, in any process. It raises ConfigError when it has none.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from contender.frozen import Frozen
from contender.sweep.space import CandidateSpec, Choice, IntUniform, LogUniform, Uniform, distributions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_TRIALS = 1_000


class GridStrategy(Frozen):
    """Every combination of every candidate's choices."""

    kind: Literal["grid"]

    def check(self, candidates: Sequence[CandidateSpec]) -> None:
        """Structure only, at parse.

        Raises:
            ValueError: a continuous parameter, or more combinations than one run may try.
        """
        total = 0
        for candidate in candidates:
            for name, value in candidate.params.items():
                if isinstance(value, Uniform | LogUniform | IntUniform):
                    msg = (
                        f"strategy grid needs choices, but {candidate.label}.{name} is a range; "
                        "use {choice: [...]} or random"
                    )
                    raise ValueError(msg)  # noqa: TRY004 - pydantic turns it into a located error
            total += math.prod(len(value.choice) for value in candidate.params.values() if isinstance(value, Choice))
        if total > MAX_TRIALS:
            msg = f"the grid has {total} combinations, at most {MAX_TRIALS} are allowed; use strategy random"
            raise ValueError(msg)

    def propose(self, candidates: Sequence[CandidateSpec], seed: int) -> list[tuple[CandidateSpec, dict[str, Any]]]:
        """All combinations, each with its candidate, in the order of the YAML."""
        del seed  # a grid has no chance in it
        from sklearn.model_selection import ParameterGrid

        return [(c, dict(params)) for c in candidates for params in ParameterGrid(distributions(c.params))]


class RandomStrategy(Frozen):
    """Independent draws, the trials shared evenly among the candidates; a candidate without ranges is tried once."""

    kind: Literal["random"] = "random"
    trials: int = Field(20, ge=1, le=MAX_TRIALS, description="How many trials in all")

    def check(self, candidates: Sequence[CandidateSpec]) -> None:
        """Structure only, at parse.

        Raises:
            ValueError: fewer trials than candidates.
        """
        if self.trials < len(candidates):
            msg = f"strategy random: {self.trials} trials cannot cover {len(candidates)} candidates; raise trials"
            raise ValueError(msg)

    def propose(self, candidates: Sequence[CandidateSpec], seed: int) -> list[tuple[CandidateSpec, dict[str, Any]]]:
        """``trials`` draws (fewer when every space is exhausted), each with its candidate."""
        import warnings

        from sklearn.model_selection import ParameterSampler

        sizes = [_size(distributions(candidate.params)) for candidate in candidates]
        shares = _shares(self.trials, sizes)
        proposed: list[tuple[CandidateSpec, dict[str, Any]]] = []
        for candidate, share in zip(candidates, shares, strict=True):
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a space smaller than its share would be a bug in _shares
                draws = list(ParameterSampler(distributions(candidate.params), share, random_state=seed))
            proposed += [(candidate, _plain(draw)) for draw in draws]
        return proposed


def _size(space: Mapping[str, Any]) -> float:
    """How many distinct parameter sets a space has; infinite with a distribution in it."""
    return math.prod(len(values) if isinstance(values, list) else math.inf for values in space.values())


def _shares(trials: int, sizes: Sequence[float]) -> list[int]:
    """Trials per candidate: one at a time in turn, passing over whoever's space is exhausted."""
    shares = [0] * len(sizes)
    while sum(shares) < trials:
        open_ones = [i for i, size in enumerate(sizes) if shares[i] < size]
        if not open_ones:
            break
        shares[min(open_ones, key=lambda i: (shares[i], i))] += 1
    return shares


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """NumPy scalars as Python's own, so that a parameter has one JSON form."""
    return {name: value.item() if hasattr(value, "item") else value for name, value in sorted(params.items())}


AnyStrategy = Annotated[GridStrategy | RandomStrategy, Field(discriminator="kind")]
