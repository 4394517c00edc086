"""What every search strategy keeps, over all its rounds. Members are taken from the union; a new one adds its forms."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from contender.canonical import canonical_json
from contender.documents.sweep import History, Point, Tried
from contender.sweep.space import CandidateSpec, in_space
from contender.sweep.strategies import MAX_TRIALS, AnyStrategy

FORMS: list[dict[str, Any]] = [
    {"kind": "grid"},
    {"kind": "random"},
    {"kind": "random", "trials": 9},
    {"kind": "random", "trials": 500},
    {"kind": "halving"},
    {"kind": "halving", "trials": 9},
    {"kind": "halving", "trials": 40, "rounds": 4, "factor": 2},
    {"kind": "tpe"},
    {"kind": "tpe", "trials": 22, "rounds": 3},
]
STRATEGIES: list[Any] = [TypeAdapter(AnyStrategy).validate_python(form) for form in FORMS]
each_strategy = pytest.mark.parametrize("strategy", STRATEGIES, ids=[repr(strategy) for strategy in STRATEGIES])

CHOICES: list[dict[str, Any]] = [
    {
        "estimator": "pkg.A",
        "params": {"fixed": 1, "word": {"choice": ["a", "b"]}, "pair": {"choice": [[1, 2], [3, 4]]}},
    },
    {"estimator": "pkg.B", "params": {"depth": {"choice": [1, 1.0, True]}, "flag": {"choice": [True, False, None]}}},
    {"estimator": "pkg.A", "baseline": True},
]
RANGES: list[dict[str, Any]] = [*CHOICES, {"estimator": "pkg.C", "params": {
    "f": {"uniform": [0, 1]}, "l": {"log_uniform": [0.01, 10]}, "i": {"int_uniform": [0, 10_000]}, "k": {"int_uniform": [1, 9]},
}}]  # fmt: skip


def candidates_for(strategy: Any, forms: list[dict[str, Any]] = RANGES) -> list[CandidateSpec]:
    """With ranges unless the strategy refuses them."""
    every = [CandidateSpec.model_validate_json(json.dumps(form)) for form in forms]
    try:
        strategy.check(every)
    except ValueError:
        return every[:-1]
    return every


def score(point: Point) -> float | None:
    """A number between 0 and 1, better where more was drawn, the same for the same point; one in eight fails."""
    digest = hashlib.sha256(point.key + repr(point.share).encode()).digest()
    drawn = [value for value in point.params.values() if isinstance(value, float)]
    return None if digest[0] < 32 else (sum(drawn) % 1) / 2 + digest[1] / 512


def played(
    strategy: Any, candidates: list[CandidateSpec], seed: int, scored: Any = score, warm: tuple[Point, ...] = ()
) -> History:
    """All rounds, as a run goes through them."""
    history = History(warm=warm)
    for _ in range(strategy.rounds):
        points = strategy.propose(candidates, seed, history)
        done = tuple(Tried(point=point, value=scored(point)) for point in points)
        history = History(warm=warm, rounds=(*history.rounds, done))
    return history


def points_of(history: History) -> list[list[Point]]:
    return [[tried.point for tried in done] for done in history.rounds]


def test_every_member_is_here() -> None:
    assert {type(strategy) for strategy in STRATEGIES} == set(get_args(get_args(AnyStrategy)[0]))


@each_strategy
def test_a_strategy_is_pure(strategy: Any) -> None:
    candidates = candidates_for(strategy)
    history = played(strategy, candidates, 3)
    before = canonical_json([[one.model_dump(mode="json") for one in candidates], history.model_dump(mode="json")])
    assert played(strategy, candidates, 3) == history
    after = canonical_json([[one.model_dump(mode="json") for one in candidates], history.model_dump(mode="json")])
    assert after == before


@each_strategy
def test_a_strategy_has_one_size_for_each_round_and_keeps_to_it(strategy: Any) -> None:
    candidates = candidates_for(strategy)
    rounds, sizes = points_of(played(strategy, candidates, 0)), strategy.sizes(candidates)
    assert len(sizes) == strategy.rounds
    assert len(rounds[0]) == sizes[0] == min(getattr(strategy, "trials", 14), sizes[0])
    assert all(len(points) <= size <= MAX_TRIALS for points, size in zip(rounds, sizes, strict=True))


@each_strategy
@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_a_strategy_starts_with_every_candidate_and_tries_nothing_twice_at_one_share(strategy: Any, seed: int) -> None:
    candidates = candidates_for(strategy)
    rounds = points_of(played(strategy, candidates, seed))
    assert {point.candidate for point in rounds[0]} == set(range(len(candidates)))
    tried = [(point.key, point.share) for points in rounds for point in points]
    assert len(set(tried)) == len(tried)


@each_strategy
def test_a_point_is_in_the_space_of_its_candidate(strategy: Any) -> None:
    candidates = candidates_for(strategy)
    for points in points_of(played(strategy, candidates, 5)):
        assert all(in_space(candidates[point.candidate], point.params) for point in points)


@each_strategy
def test_only_a_round_on_everything_can_win_and_the_last_one_can(strategy: Any) -> None:
    rounds = points_of(played(strategy, candidates_for(strategy), 5))
    for number, points in enumerate(rounds, start=1):
        assert {point.share == 1 for point in points} == {strategy.may_win(number)}
    assert strategy.may_win(strategy.rounds)
    assert not strategy.may_win(0)
    assert not strategy.may_win(strategy.rounds + 1)


@each_strategy
def test_the_baseline_can_win_whatever_else_there_is(strategy: Any) -> None:
    candidates = candidates_for(strategy)
    rounds = points_of(played(strategy, candidates, 5, lambda point: float(point.candidate != 2)))
    assert any(
        candidates[point.candidate].baseline
        for number, points in enumerate(rounds, start=1)
        if strategy.may_win(number)
        for point in points
    )


@each_strategy
def test_an_earlier_runs_best_points_are_tried_first(strategy: Any) -> None:
    candidates = candidates_for(strategy)
    warm = tuple({point.candidate: point for point in strategy.propose(candidates, 99, History())}.values())
    [first, *_] = points_of(played(strategy, candidates, 0, warm=warm))
    assert {point.key for point in warm} <= {point.key for point in first}
    assert len(first) == strategy.sizes(candidates)[0]


@each_strategy
def test_a_history_read_from_json_proposes_the_same(strategy: Any) -> None:
    candidates = candidates_for(strategy)
    history = played(strategy, candidates, 7)
    for number in range(strategy.rounds):
        before = History(rounds=history.rounds[:number])
        read = History.model_validate_json(before.model_dump_json(), strict=True)
        assert read == before
        assert strategy.propose(candidates, 7, read) == points_of(history)[number]


@each_strategy
def test_a_sweep_in_which_all_fails_is_planned_to_its_end(strategy: Any) -> None:
    candidates = candidates_for(strategy)
    failed = points_of(played(strategy, candidates, 0, lambda _: None))
    assert all(len(points) <= size for points, size in zip(failed, strategy.sizes(candidates), strict=True))


@each_strategy
def test_what_a_strategy_does_not_use_it_refuses(strategy: Any) -> None:
    named = [CandidateSpec.model_validate({"estimator": "pkg.A", "params": {"n": 100}, "resource": "n"})]
    if strategy.kind == "halving":
        strategy.check(named)
    else:
        with pytest.raises(ValueError, match="A: resource n is for strategy halving; remove it, or use halving"):
            strategy.check(named)


PARAMETERS = st.one_of(
    st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True).map(lambda values: {"choice": values}),
    st.integers(1, 6).map(lambda span: {"int_uniform": [0, span]}),
    st.just({"uniform": [0, 1]}),
    st.integers(),
)


@pytest.mark.slow
@each_strategy
@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from("xyz"), PARAMETERS), min_size=1, max_size=3),
    st.integers(0, 99),
    st.booleans(),
)
def test_any_space_is_searched_within_its_bounds_and_its_size(
    strategy: Any, spaces: list[dict[str, Any]], seed: int, baseline: bool
) -> None:
    candidates = [
        CandidateSpec.model_validate({"estimator": f"p.C{n}", "params": space, "baseline": baseline and n == 0})
        for n, space in enumerate(spaces)
    ]
    try:
        strategy.check(candidates)
    except ValueError:
        return  # ranges, for a grid
    history = played(strategy, candidates, seed)
    tried = [(point.key, point.share) for points in points_of(history) for point in points]
    assert len(set(tried)) == len(tried)
    sizes = strategy.sizes(candidates)
    assert all(len(done) <= size for done, size in zip(history.rounds, sizes, strict=True))
    assert all(in_space(candidates[point.candidate], point.params) for points in points_of(history) for point in points)


ELSEWHERE = """
import json, sys
from pydantic import TypeAdapter
from contender.sweep.space import CandidateSpec
from contender.sweep.strategies import AnyStrategy, History
answers = []
for strategy, forms, histories in json.load(sys.stdin):
    strategy = TypeAdapter(AnyStrategy).validate_python(strategy)
    candidates = [CandidateSpec.model_validate_json(json.dumps(form)) for form in forms]
    rounds = [strategy.propose(candidates, 11, History.model_validate_json(text)) for text in histories]
    answers.append([[point.model_dump(mode="json") for point in points] for points in rounds])
print(json.dumps(answers))
"""


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_another_process_proposes_the_same_points(hash_seed: str) -> None:
    asked, expected = [], []
    for strategy in STRATEGIES:
        candidates = candidates_for(strategy)
        history = played(strategy, candidates, 11)
        before = [History(rounds=history.rounds[:number]).model_dump_json() for number in range(strategy.rounds)]
        asked.append([strategy.model_dump(mode="json"), [c.model_dump(mode="json") for c in candidates], before])
        expected.append([[point.model_dump(mode="json") for point in points] for points in points_of(history)])
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    assert canonical_json(json.loads(done.stdout)) == canonical_json(expected)
