"""Which trials are tried: how many, of whom, and never one twice. What holds for every strategy is in the contracts."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contender.canonical import content_key
from contender.sweep.space import CandidateSpec
from contender.sweep.strategies import GridStrategy, RandomStrategy

GRID = GridStrategy(kind="grid")


def candidate(name: str, **params: Any) -> CandidateSpec:
    return CandidateSpec.model_validate({"estimator": f"pkg.{name}", "params": params})


def count(proposed: list[tuple[CandidateSpec, dict[str, Any]]]) -> dict[str, int]:
    return dict(Counter(candidate.label for candidate, _ in proposed))


def test_a_grid_is_every_combination_in_the_order_of_the_file() -> None:
    candidates = [candidate("B", x={"choice": [1, 2]}, y={"choice": ["a", "b"]}, z=0), candidate("A")]
    assert [(c.label, params) for c, params in GRID.propose(candidates, seed=5)] == [
        ("B", {"x": 1, "y": "a", "z": 0}),
        ("B", {"x": 1, "y": "b", "z": 0}),
        ("B", {"x": 2, "y": "a", "z": 0}),
        ("B", {"x": 2, "y": "b", "z": 0}),
        ("A", {}),
    ]


def test_a_grid_refuses_a_range() -> None:
    with pytest.raises(
        ValueError, match=r"strategy grid needs choices, but A\.x is a range; use \{choice: \[\.\.\.\]\}"
    ):
        GRID.check([candidate("A", x={"uniform": [0, 1]})])


def test_a_grid_has_at_most_a_thousand_combinations() -> None:
    hundred = {"choice": [*range(100)]}
    GRID.check([candidate("A", x=hundred, y={"choice": [*range(10)]})])
    with pytest.raises(
        ValueError, match="the grid has 1001 combinations, at most 1000 are allowed; use strategy random"
    ):
        GRID.check([candidate("A", x=hundred, y={"choice": [*range(10)]}), candidate("B")])
    with pytest.raises(ValueError, match="the grid has 1000000 combinations"):
        GRID.check([candidate("A", x=hundred, y=hundred, z=hundred)])


def test_random_trials_are_shared_evenly_and_the_first_ones_get_the_rest() -> None:
    wide = {"uniform": [0, 1]}
    proposed = RandomStrategy(trials=8).propose([candidate(name, x=wide) for name in "ABC"], seed=0)
    assert count(proposed) == {"A": 3, "B": 3, "C": 2}


def test_what_one_candidate_has_no_room_for_goes_to_the_others() -> None:
    candidates = [candidate("A"), candidate("B", x={"choice": [1, 2]}), candidate("C", x={"uniform": [0, 1]})]
    assert count(RandomStrategy(trials=12).propose(candidates, seed=0)) == {"A": 1, "B": 2, "C": 9}


def test_an_exhausted_space_is_tried_once_and_whole() -> None:
    candidates = [candidate("A", x={"choice": [1, 2, 3]}, y={"int_uniform": [0, 4]})]
    proposed = RandomStrategy(trials=100).propose(candidates, seed=0)
    assert {(params["x"], params["y"]) for _, params in proposed} == {(x, y) for x in (1, 2, 3) for y in range(5)}
    assert len(proposed) == 15


def test_integers_are_never_drawn_twice() -> None:
    proposed = RandomStrategy(trials=20).propose([candidate("A", x={"int_uniform": [1, 30]})], seed=0)
    assert len({params["x"] for _, params in proposed}) == 20


def test_another_seed_tries_something_else() -> None:
    candidates = [candidate("A", x={"uniform": [0, 1]})]
    drawn = [RandomStrategy(trials=5).propose(candidates, seed) for seed in (0, 1)]
    assert drawn[0] != drawn[1]


def test_a_parameter_is_a_plain_python_value() -> None:
    ranges = {
        "f": {"uniform": [0, 1]},
        "l": {"log_uniform": [1, 9]},
        "i": {"int_uniform": [0, 5_000]},
        "c": {"choice": [True, None]},
    }
    for _, params in RandomStrategy(trials=10).propose([candidate("A", **ranges)], seed=0):
        assert type(params["f"]) is type(params["l"]) is float
        assert type(params["i"]) is int
        assert params["c"] in (True, None)


def test_fewer_trials_than_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match="2 trials cannot cover 3 candidates; raise trials"):
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
    proposed = RandomStrategy(trials=trials).propose(candidates, seed)
    room = sum(math.prod(map(size, space.values())) for space in spaces)
    assert len(proposed) == min(trials, room)
    assert set(count(proposed)) == {c.label for c in candidates}
    assert len({content_key([c.label, params]) for c, params in proposed}) == len(proposed)


def size(parameter: Any) -> float:
    match parameter:
        case {"choice": values}:
            return len(values)
        case {"int_uniform": [low, high]}:
            return high - low + 1
        case {"uniform": _}:
            return math.inf
    return 1
