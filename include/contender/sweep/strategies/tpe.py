"""The Tree-structured Parzen Estimator, Optuna's; the one module that imports Optuna."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from contender.canonical import canonical_json
from contender.documents.sweep import History, Point
from contender.sweep.space import CandidateSpec, Choice, IntUniform, LogUniform, Uniform, distributions
from contender.sweep.strategies.base import MAX_TRIALS, Strategy, plain, shares, size
from contender.sweep.strategies.random_search import check_covered, draws

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import TrialState

_MOST_REPEATS = 10  # suggestions in a row that were tried already, before draws fill up the round
_WHICH = "candidate"


class TpeStrategy(Strategy):
    """Optuna's Tree-structured Parzen Estimator: the first round draws, each later one tries more where the best trials
    were. The candidate is a parameter like others, so that the better ones get more trials.
    """

    kind: Literal["tpe"]
    trials: int = Field(60, ge=1, le=MAX_TRIALS, description="How many trials in all, shared evenly among the rounds")
    rounds: int = Field(5, ge=2, le=20, description="How many rounds there are; each learns from the ones before")

    def check(self, candidates: Sequence[CandidateSpec]) -> None:
        """Structure only, at parse.

        Raises:
            ValueError: the first round has fewer trials than there are candidates, or a round has none.
        """
        super().check(candidates)
        check_covered(self._trials_per_round()[0], candidates, f"strategy tpe: in the first of {self.rounds} rounds")
        if self.trials < self.rounds:
            msg = f"strategy tpe: {self.trials} trials are too few for {self.rounds} rounds; raise trials"
            raise ValueError(msg)

    def sizes(self, candidates: Sequence[CandidateSpec]) -> list[int]:
        """An even share of ``trials``, until every space is exhausted."""
        left = sum(shares(self.trials, [size(distributions(c.params)) for c in candidates]))
        found = []
        for wanted in self._trials_per_round():
            found.append(min(wanted, left))
            left -= found[-1]
        return found

    def propose(self, candidates: Sequence[CandidateSpec], seed: int, history: History) -> list[Point]:
        """Draws in the first round; then points that the estimator suggests and that are untried.

        In a small space it suggests the same points again; draws fill up such a round.
        """
        number = len(history.rounds)
        wanted = self._trials_per_round()[number]
        if number == 0:
            return draws(candidates, wanted, seed, history.warm)
        import numpy as np

        generator = np.random.default_rng([seed, number])
        sampler_seed, draws_seed = (int(drawn) for drawn in generator.integers(2**31, size=2))
        tried = {one.point.key for done in history.rounds for one in done}
        suggested = _suggestions(candidates, history, wanted, sampler_seed)
        new = {point.key: point for point in draws(candidates, len(tried) + wanted, draws_seed, ())}
        others = [new[key] for key in sorted(new.keys() - tried - suggested.keys())]
        generator.shuffle(others)  # else the first candidates would get all places
        return [*suggested.values(), *others][:wanted]

    def _trials_per_round(self) -> list[int]:
        """Even parts of ``trials``; the first rounds get the remainder."""
        each, more = divmod(self.trials, self.rounds)
        return [each + (number < more) for number in range(self.rounds)]


def _suggestions(candidates: Sequence[CandidateSpec], history: History, wanted: int, seed: int) -> dict[bytes, Point]:
    """At most ``wanted`` untried points, by key, from a study of all that were tried.

    A suggested point becomes a running trial of the study. Optuna's constant liar keeps away from those, so that a
    batch does not consist of neighbours.
    """
    from optuna.trial import TrialState, create_trial

    spaces = [_space(candidates, number) for number in range(len(candidates))]
    with _study(seed) as study:

        def add(point: Point, state: TrialState, value: float | None = None) -> None:
            space = spaces[point.candidate]
            params = _encoded(point, candidates[point.candidate])
            study.add_trial(create_trial(params=params, distributions=space, state=state, value=value))

        for one in (one for done in history.rounds for one in done):
            add(one.point, TrialState.FAIL if one.value is None else TrialState.COMPLETE, one.value)
        found: dict[bytes, Point] = {}
        tried = {one.point.key for done in history.rounds for one in done}
        misses = 0
        while len(found) < wanted and misses < _MOST_REPEATS:
            trial = study.ask({name: distribution for space in spaces for name, distribution in space.items()})
            study.tell(trial, state=TrialState.FAIL)  # it has parameters of all candidates; the point below counts
            point = _decoded(trial.params, candidates)
            add(point, TrialState.RUNNING)
            new = point.key not in tried | found.keys()
            misses = 0 if new else misses + 1
            if new:
                found[point.key] = point
        return found


@contextmanager
def _study(seed: int) -> Iterator[Study]:
    """An empty study in memory. Optuna's log is silent inside the block and as before after it."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of ``group``
            sampler = optuna.samplers.TPESampler(n_startup_trials=1, seed=seed, multivariate=True, group=True)
        yield optuna.create_study(study_name="sweep", direction="maximize", sampler=sampler)
    finally:
        optuna.logging.set_verbosity(before)


def _space(candidates: Sequence[CandidateSpec], number: int) -> dict[str, BaseDistribution]:
    """Optuna's space of one candidate: the choice of the candidate, and its ranges under names with its number."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    space: dict[str, BaseDistribution] = {_WHICH: CategoricalDistribution(range(len(candidates)))}
    for name, declared in candidates[number].params.items():
        match declared:
            case Choice(choice=values):
                space[f"{number}.{name}"] = CategoricalDistribution(range(len(values)))
            case IntUniform(int_uniform=(first, last)):
                space[f"{number}.{name}"] = IntDistribution(first, last)
            case Uniform(uniform=(low, high)):
                space[f"{number}.{name}"] = FloatDistribution(low, high)
            case LogUniform(log_uniform=(low, high)):
                space[f"{number}.{name}"] = FloatDistribution(low, high, log=True)
    return space


def _encoded(point: Point, candidate: CandidateSpec) -> dict[str, Any]:
    """A point in Optuna's space: a choice by its place in the list (a value may be a tuple), constants left out."""
    params: dict[str, Any] = {_WHICH: point.candidate}
    for name, declared in candidate.params.items():
        value = point.params[name]
        if isinstance(declared, Choice):
            params[f"{point.candidate}.{name}"] = [*map(canonical_json, declared.choice)].index(canonical_json(value))
        elif isinstance(declared, IntUniform | Uniform | LogUniform):
            params[f"{point.candidate}.{name}"] = value
    return params


def _decoded(params: Mapping[str, Any], candidates: Sequence[CandidateSpec]) -> Point:
    """The point of the candidate that a suggestion of Optuna chose."""
    number = params[_WHICH]
    values: dict[str, Any] = {}
    for name, declared in candidates[number].params.items():
        if isinstance(declared, Choice):
            values[name] = declared.choice[params[f"{number}.{name}"]]
        else:
            values[name] = params.get(f"{number}.{name}", declared)
    return Point(candidate=number, params=plain(values))
