"""Optuna's TPE, a batch at a time: it finds what draws do not, and leaves nothing behind."""

from __future__ import annotations

import logging
import math
import statistics
import warnings
from collections.abc import Callable
from typing import Any

import optuna
import pytest

from contender.documents.sweep import History, Point, Tried
from contender.sweep.space import CandidateSpec
from contender.sweep.strategies import RandomStrategy, TpeStrategy


def candidate(name: str = "A", **params: Any) -> CandidateSpec:
    return CandidateSpec.model_validate({"estimator": f"pkg.{name}", "params": params})


BOWL = [
    candidate("A", x={"uniform": [0, 1]}, y={"log_uniform": [0.001, 100]}, k={"choice": [[1, 2], None, "a"]}),
    candidate("B", n={"int_uniform": [1, 50]}),
]


def bowl(point: Point) -> float:
    """At most 1, at x = 0.3, y = 1 and k = None of the first candidate; the second is worse throughout."""
    params = point.params
    if point.candidate == 1:
        return 0.2 - params["n"] / 100
    far = (params["x"] - 0.3) ** 2 + math.log10(params["y"]) ** 2 / 10 + (params["k"] is not None) / 5
    return float(1 - far)


def played(
    strategy: Any, candidates: list[CandidateSpec], score: Callable[[Point], float | None], seed: int
) -> History:
    history = History()
    for _ in range(strategy.rounds):
        points = strategy.propose(candidates, seed, history)
        history = History(rounds=(*history.rounds, tuple(Tried(point=one, value=score(one)) for one in points)))
    return history


def tpe(**settings: int) -> TpeStrategy:
    return TpeStrategy(kind="tpe", **settings)


@pytest.mark.slow
def test_it_comes_closer_to_the_optimum_than_as_many_draws() -> None:
    best = {
        strategy.kind: statistics.median(
            max(one.value or 0.0 for done in played(strategy, BOWL, bowl, seed).rounds for one in done)
            for seed in range(9)
        )
        for strategy in (tpe(), RandomStrategy(trials=60))
    }
    assert 1 - best["tpe"] < (1 - best["random"]) / 2


def test_the_better_candidate_gets_more_trials() -> None:
    first, *_, last = played(tpe(), BOWL, bowl, 0).rounds
    assert sum(one.point.candidate == 0 for one in first) == 6
    assert sum(one.point.candidate == 0 for one in last) > 9


def test_the_first_round_draws_like_random() -> None:
    assert tpe(trials=30, rounds=3).propose(BOWL, 4, History()) == RandomStrategy(trials=10).propose(BOWL, 4, History())


def test_trials_are_shared_evenly_among_the_rounds() -> None:
    assert tpe(trials=22, rounds=4).sizes(BOWL) == [6, 6, 5, 5]
    assert [len(done) for done in played(tpe(trials=22, rounds=4), BOWL, bowl, 0).rounds] == [6, 6, 5, 5]


def test_a_small_space_is_tried_whole_once_and_then_nothing_more() -> None:
    small = [candidate("A", x={"choice": [1, True, 1.0, None]}, y={"int_uniform": [0, 3]}), candidate("B")]
    rounds = played(tpe(trials=40, rounds=4), small, lambda point: float(point.candidate), 0).rounds
    assert [len(done) for done in rounds] == tpe(trials=40, rounds=4).sizes(small) == [10, 7, 0, 0]
    assert len({one.point.key for done in rounds for one in done}) == 17


def test_where_trials_fail_it_goes_on_with_the_others() -> None:
    history = played(tpe(), BOWL, lambda point: None if point.params.get("k") == "a" else bowl(point), 1)
    assert max(one.value or 0.0 for done in history.rounds for one in done) > 0.95


def test_another_seed_and_another_round_ask_for_something_else() -> None:
    history = History(rounds=played(tpe(), BOWL, bowl, 0).rounds[:1])
    again = History(rounds=(*history.rounds, ()))
    asked = [tpe().propose(BOWL, seed, past) for seed, past in ((0, history), (1, history), (0, again))]
    assert len({tuple(point.key for point in points) for points in asked}) == 3


def test_a_first_round_that_covers_no_candidate_or_a_round_without_trials_is_refused() -> None:
    with pytest.raises(ValueError, match="strategy tpe: in the first of 5 rounds: 1 trials cannot cover 2 candidates"):
        tpe(trials=5).check(BOWL)
    with pytest.raises(ValueError, match="strategy tpe: 4 trials are too few for 5 rounds; raise trials"):
        tpe(trials=4).check(BOWL[:1])


def test_optuna_says_nothing_and_is_left_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    try:
        before, filters = logging.getLogger("optuna").handlers[:], warnings.filters[:]
        played(tpe(trials=20), BOWL, bowl, 0)
        assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
        assert logging.getLogger("optuna").handlers == before
        assert warnings.filters == filters
    finally:
        optuna.logging.set_verbosity(optuna.logging.INFO)
    assert capfd.readouterr() == ("", "")
