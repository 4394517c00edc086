"""Every combination, and how many of them there may be."""

from __future__ import annotations

from typing import Any

import pytest

from contender.documents.sweep import History
from contender.sweep.space import CandidateSpec
from contender.sweep.strategies import GridStrategy

GRID = GridStrategy(kind="grid")


def candidate(name: str, **params: Any) -> CandidateSpec:
    return CandidateSpec.model_validate({"estimator": f"pkg.{name}", "params": params})


def test_a_grid_is_every_combination_in_the_order_of_the_file() -> None:
    candidates = [candidate("B", x={"choice": [1, 2]}, y={"choice": ["a", "b"]}, z=0), candidate("A")]
    assert [(point.candidate, point.params) for point in GRID.propose(candidates, 5, History())] == [
        (0, {"x": 1, "y": "a", "z": 0}),
        (0, {"x": 1, "y": "b", "z": 0}),
        (0, {"x": 2, "y": "a", "z": 0}),
        (0, {"x": 2, "y": "b", "z": 0}),
        (1, {}),
    ]
    assert GRID.sizes(candidates) == [5]


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
