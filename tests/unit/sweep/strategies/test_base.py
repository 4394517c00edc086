"""Points and what is shared among strategies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from contender.documents.sweep import Point
from contender.sweep.strategies.base import plain, shares, size


def test_a_point_is_the_same_whatever_its_share() -> None:
    point = Point(candidate=1, params={"b": 2, "a": (1, 2)})
    assert point.key == Point(candidate=1, params={"a": [1, 2], "b": 2}, share=0.5).key
    others = [{"b": 2.0, "a": (1, 2)}, {"b": 2}, {"b": True, "a": (1, 2)}]
    assert len({point.key, *(Point(candidate=1, params=params).key for params in others)}) == 4
    assert point.key != Point(candidate=0, params=point.params).key


def test_a_tuple_is_one_again_after_json() -> None:
    point = Point(candidate=0, params={"a": (1, 2), "b": "x"})
    assert Point.model_validate_json(point.model_dump_json()) == point


@pytest.mark.parametrize("share", [0, -0.1, 1.1])
def test_a_share_is_above_nothing_and_at_most_all(share: float) -> None:
    with pytest.raises(ValidationError, match="share"):
        Point(candidate=0, params={}, share=share)


def test_shares_are_even_and_pass_over_exhausted_spaces() -> None:
    assert shares(8, [math.inf] * 3) == [3, 3, 2]
    assert shares(12, [1, 2, math.inf]) == [1, 2, 9]
    assert shares(12, [1, 2, 3]) == [1, 2, 3]


def test_a_space_is_as_large_as_its_combinations() -> None:
    assert size({}) == 1
    assert size({"a": [1, 2], "b": [3, 4, 5], "c": [6]}) == 6
    assert size({"a": [1, 2], "b": object()}) == math.inf


def test_a_parameter_is_a_plain_python_value() -> None:
    made = plain({"b": np.float64(0.5), "a": np.int64(3), "c": np.bool_(True), "d": None})
    assert [(name, type(value)) for name, value in made.items()] == [
        ("a", int),
        ("b", float),
        ("c", bool),
        ("d", type(None)),
    ]
