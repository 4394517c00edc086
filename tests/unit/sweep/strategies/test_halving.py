"""Successive halving: which trials go on to the next round, and with what share."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contender.documents.sweep import History, Point, Tried
from contender.sweep.space import CandidateSpec
from contender.sweep.strategies import HalvingStrategy

Score = Callable[[Point], float | None]


def candidate(name: str = "A", *, baseline: bool = False, **params: Any) -> CandidateSpec:
    return CandidateSpec.model_validate({"estimator": f"pkg.{name}", "params": params, "baseline": baseline})


WIDE = candidate("A", x={"uniform": [0, 1]})
BASELINE = candidate("B", baseline=True, x={"uniform": [0, 1]})


def halving(**settings: int) -> HalvingStrategy:
    return HalvingStrategy(kind="halving", **settings)


def played(strategy: HalvingStrategy, candidates: list[CandidateSpec], score: Score) -> list[list[Tried]]:
    rounds: list[list[Tried]] = []
    for _ in range(strategy.rounds):
        points = strategy.propose(candidates, 0, History(rounds=tuple(map(tuple, rounds))))
        rounds.append([Tried(point=point, value=score(point)) for point in points])
    return rounds


def x_of(point: Point) -> float:
    return float(point.params["x"])


def test_sixty_trials_become_twenty_become_seven_on_three_times_as_much_each() -> None:
    rounds = played(halving(), [WIDE], x_of)
    assert [len(tried) for tried in rounds] == halving().sizes([WIDE]) == [60, 20, 7]
    assert [{one.point.share for one in tried} for tried in rounds] == [{1 / 9}, {1 / 3}, {1.0}]


def test_the_best_go_on_best_first() -> None:
    first, second, last = (sorted(map(x_of, (one.point for one in tried))) for tried in played(halving(), [WIDE], x_of))
    assert second == first[-20:]
    assert last == first[-7:]
    rounds = played(halving(), [WIDE], x_of)
    assert [x_of(one.point) for one in rounds[-1]] == last[::-1]


def test_a_point_keeps_its_parameters_when_it_goes_on() -> None:
    first, second, last = ({one.point.key for one in tried} for tried in played(halving(), [WIDE], x_of))
    assert last < second < first


def test_what_failed_never_goes_on() -> None:
    rounds = played(halving(), [WIDE], lambda point: None if x_of(point) > 0.2 else x_of(point))
    complete = [one for one in rounds[0] if one.value is not None]
    assert 0 < len(complete) < 20
    assert [len(tried) for tried in rounds] == [60, len(complete), 7]


def test_a_round_in_which_all_failed_is_the_last_one_with_trials() -> None:
    assert [len(tried) for tried in played(halving(), [WIDE, BASELINE], lambda _: None)] == [60, 0, 0]


def test_of_equals_those_go_on_that_were_proposed_first() -> None:
    first, second, last = played(halving(), [WIDE], lambda _: 0.5)
    assert [one.point.key for one in second] == [one.point.key for one in first[:20]]
    assert [one.point.key for one in last] == [one.point.key for one in first[:7]]


def test_the_baselines_best_goes_on_besides_the_others_when_it_is_worse() -> None:
    rounds = played(halving(), [WIDE, BASELINE], lambda point: x_of(point) - point.candidate)
    assert [len(tried) for tried in rounds] == [60, 21, 8] == halving().sizes([WIDE, BASELINE])
    best = max(x_of(one.point) for one in rounds[0] if one.point.candidate == 1)
    for tried in rounds[1:]:
        assert [x_of(one.point) for one in tried if one.point.candidate == 1] == [best]


def test_the_best_of_the_others_goes_on_besides_a_baseline_that_is_better_than_all_of_them() -> None:
    rounds = played(halving(), [WIDE, BASELINE], lambda point: x_of(point) + point.candidate)
    assert [len(tried) for tried in rounds] == [60, 21, 8]
    best = max(x_of(one.point) for one in rounds[0] if one.point.candidate == 0)
    for tried in rounds[1:]:
        assert [x_of(one.point) for one in tried if one.point.candidate == 0] == [best]


def test_a_sides_best_that_is_among_the_best_takes_no_extra_place() -> None:
    rounds = played(halving(), [WIDE, BASELINE], x_of)
    assert [len(tried) for tried in rounds] == [60, 20, 7]
    assert {one.point.candidate for one in rounds[-1]} == {0, 1}


def test_an_earlier_runs_best_gets_a_share_like_all() -> None:
    warm = Point(candidate=0, params={"x": 0.25})
    first = halving(trials=9).propose([WIDE], 0, History(warm=(warm,)))
    assert first[0] == Point(candidate=0, params={"x": 0.25}, share=1 / 9)
    assert len(first) == 9


def test_a_small_space_is_halved_too() -> None:
    small = [candidate(x={"choice": [*range(5)]})]
    assert halving().sizes(small) == [5, 2, 1] == [len(tried) for tried in played(halving(), small, x_of)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trials": 8}, "8 trials are too few for 3 rounds by a factor of 3; give at least 9 trials, or fewer rounds"),
        ({"trials": 15, "rounds": 5, "factor": 2}, "give at least 16 trials"),
        ({"trials": 1}, "1 trials cannot cover 2 candidates"),
    ],
)
def test_too_few_trials_for_the_rounds_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        halving(**settings).check([WIDE, BASELINE])


@pytest.mark.parametrize(
    "settings", [{"trials": 9}, {"trials": 16, "rounds": 5, "factor": 2}, {"trials": 2, "rounds": 2, "factor": 2}]
)
def test_the_fewest_trials_still_halve_in_every_round(settings: dict[str, int]) -> None:
    strategy = halving(**settings)
    strategy.check([WIDE])
    sizes = strategy.sizes([WIDE])
    assert sizes[-1] == 1
    assert all(after < before for before, after in pairwise(sizes))


@settings(max_examples=60, deadline=None)
@given(
    trials=st.integers(1, 80),
    rounds=st.integers(2, 4),
    factor=st.integers(2, 4),
    values=st.lists(st.none() | st.floats(-1, 1), min_size=81, max_size=81),
)
def test_trials_that_go_on_are_no_worse_than_those_that_do_not(
    trials: int, rounds: int, factor: int, values: list[float | None]
) -> None:
    strategy, candidates = halving(trials=trials, rounds=rounds, factor=factor), [WIDE, BASELINE]
    try:
        strategy.check(candidates)
    except ValueError:
        return
    scores: dict[bytes, float | None] = {}
    done = played(strategy, candidates, lambda point: scores.setdefault(point.key, values[len(scores)]))
    for number, (before, after) in enumerate(pairwise(done), start=1):
        kept = {one.point.key for one in after}
        complete = [one for one in before if one.value is not None]
        regular = [one for one in complete if one.point.candidate == 0]
        assert kept <= {one.point.key for one in complete}
        stay = [one.value for one in regular if one.point.key in kept]
        leave = [one.value for one in regular if one.point.key not in kept]
        assert not stay or not leave or min(stay) >= max(leave)
        assert len(kept) >= min(math.ceil(trials / factor**number), len(complete))
        assert {one.point.candidate for one in after} == {one.point.candidate for one in complete}
