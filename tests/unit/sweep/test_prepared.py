"""Prepared folds are shared by trials and never take more than their room."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from contender.dtypes import TEXT
from contender.sweep.prepared import Prepared, size_of


def block(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(size, dtype="int8"), np.zeros(0)


def walk(prepared: Prepared, kind: str, *sizes: int) -> int:
    """A trial's walk through the folds of a kind; how many were made anew."""
    made = []

    def make(size: int) -> Any:
        made.append(size)
        return block(size)

    for fold, size in enumerate(sizes):
        train, _ = prepared.get(kind, fold, lambda size=size: make(size))
        assert train.nbytes == size
    return len(made)


def test_equal_preparation_of_a_fold_is_made_once() -> None:
    prepared = Prepared(room=100)
    assert [walk(prepared, "a", 10, 20, 30) for _ in range(3)] == [3, 0, 0]


def test_a_new_kind_makes_room_by_the_kind_that_was_not_used_for_longest() -> None:
    prepared = Prepared(room=100)
    walk(prepared, "a", 20, 20)
    walk(prepared, "b", 20, 20)
    walk(prepared, "a", 20, 20)
    assert walk(prepared, "c", 20, 20) == 2
    assert prepared.size == 80
    assert [walk(prepared, "a", 20, 20), walk(prepared, "b", 20, 20)] == [0, 2]


def test_of_a_kind_that_does_not_fit_as_many_folds_stay_as_do() -> None:
    prepared = Prepared(room=100)
    assert [walk(prepared, "a", 40, 40, 40, 40, 40) for _ in range(3)] == [5, 3, 3]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 60)), max_size=60))
def test_no_more_than_its_room_is_ever_held(asked: list[tuple[str, int, int]]) -> None:
    prepared = Prepared(room=100)
    for kind, fold, size in asked:
        prepared.get(kind, fold, lambda size=size: block(size))
        assert prepared.size <= 100


@pytest.mark.parametrize(
    ("part", "least"),
    [
        (np.zeros((100, 3)), 2_400),
        (pd.DataFrame({"x": np.zeros(100), "s": pd.Series(["long text"] * 100, dtype=TEXT)}), 1_600),
        (scipy.sparse.csr_matrix(np.eye(100)), 1_600),
    ],
)
def test_the_size_of_a_part_is_that_of_its_numbers(part: Any, least: int) -> None:
    assert least <= size_of(part) <= 3 * least
