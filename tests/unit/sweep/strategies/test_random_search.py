"""Independent draws: how many per candidate, and never one twice. What holds for every strategy is in the contracts."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contender.documents.sweep import History, Point
from contender.sweep.space import CandidateSpec
from contender.sweep.strategies import RandomStrategy


def candidate(name: str = "A", **params: Any) -> CandidateSpec:
    return CandidateSpec.model_validate({"estimator": f"pkg.{name}", "params": params})


def draw(trials: int, *candidates: CandidateSpec, seed: int = 0, warm: tuple[Point, ...] = ()) -> list[Point]:
    return RandomStrategy(trials=trials).propose(candidates, seed, History(warm=warm))


def count(proposed: list[Point]) -> dict[int, int]:
    return dict(Counter(point.candidate for point in proposed))


def test_random_trials_are_shared_evenly_and_the_first_ones_get_the_rest() -> None:
    assert count(draw(8, *(candidate(name, x={"uniform": [0, 1]}) for name in "ABC"))) == {0: 3, 1: 3, 2: 2}


def test_what_one_candidate_has_no_room_for_goes_to_the_others() -> None:
    candidates = [candidate("A"), candidate("B", x={"choice": [1, 2]}), candidate("C", x={"uniform": [0, 1]})]
    assert count(draw(12, *candidates)) == {0: 1, 1: 2, 2: 9}


def test_an_exhausted_space_is_tried_once_and_whole() -> None:
    proposed = draw(100, candidate(x={"choice": [1, 2, 3]}, y={"int_uniform": [0, 4]}))
    assert {(p.params["x"], p.params["y"]) for p in proposed} == {(x, y) for x in (1, 2, 3) for y in range(5)}
    assert len(proposed) == 15


def test_integers_are_never_drawn_twice() -> None:
    assert len({point.params["x"] for point in draw(20, candidate(x={"int_uniform": [1, 30]}))}) == 20


def test_another_seed_tries_something_else() -> None:
    wide = candidate(x={"uniform": [0, 1]})
    assert draw(5, wide, seed=0) != draw(5, wide, seed=1)


def test_a_parameter_is_a_plain_python_value() -> None:
    ranges = {
        "f": {"uniform": [0, 1]},
        "l": {"log_uniform": [1, 9]},
        "i": {"int_uniform": [0, 5_000]},
        "c": {"choice": [True, None]},
    }
    for point in draw(10, candidate(**ranges)):
        assert type(point.params["f"]) is type(point.params["l"]) is float
        assert type(point.params["i"]) is int
        assert point.params["c"] in (True, None)


def test_a_warm_point_takes_the_place_of_its_candidates_last_draw() -> None:
    candidates = [candidate("A", x={"uniform": [0, 1]}), candidate("B", x={"uniform": [0, 1]})]
    warm = Point(candidate=1, params={"x": 0.25})
    cold = draw(6, *candidates)
    assert draw(6, *candidates, warm=(warm,)) == [*cold[:3], warm, *cold[3:5]]


def test_a_warm_point_that_is_drawn_again_is_one_point() -> None:
    candidates = [candidate("A", x={"choice": [1, True, 1.0]})]
    warm = Point(candidate=0, params={"x": True})
    proposed = draw(9, *candidates, warm=(warm,))
    assert proposed[0] == warm
    assert sorted(repr(point.params["x"]) for point in proposed) == ["1", "1.0", "True"]


def test_fewer_trials_than_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match="strategy random: 2 trials cannot cover 3 candidates; raise trials"):
        RandomStrategy(trials=2).check([candidate(name) for name in "ABC"])


RANGES = st.one_of(
    st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True).map(lambda values: {"choice": values}),
    st.integers(1, 6).map(lambda span: {"int_uniform": [0, span]}),
    st.just({"uniform": [0, 1]}),
    st.integers(),
)


@settings(max_examples=40)
@given(
    st.lists(st.dictionaries(st.sampled_from("xyz"), RANGES), min_size=1, max_size=3),
    st.integers(3, 30),
    st.integers(0, 99),
)
def test_random_trials_are_as_many_as_asked_or_as_there_are(
    spaces: list[dict[str, Any]], trials: int, seed: int
) -> None:
    candidates = [candidate(f"C{n}", **space) for n, space in enumerate(spaces)]
    proposed = draw(trials, *candidates, seed=seed)
    room = sum(math.prod(map(size, space.values())) for space in spaces)
    assert len(proposed) == min(trials, room)
    assert set(count(proposed)) == set(range(len(candidates)))
    assert len({point.key for point in proposed}) == len(proposed)


def size(parameter: Any) -> float:
    match parameter:
        case {"choice": values}:
            return len(values)
        case {"int_uniform": [low, high]}:
            return high - low + 1
        case {"uniform": _}:
            return math.inf
    return 1
