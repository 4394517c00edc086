"""Statistics: exact where they say so, the same every time, and without an id."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contender.documents.columns import LEVELS
from contender.profile.statistics import NAMED, SAMPLE, statistics

if TYPE_CHECKING:
    from contender.documents.columns import ColumnStatistics


def only(values: list[object] | np.ndarray | pa.Array, kind: pa.DataType | None = None) -> ColumnStatistics:
    """The statistics of a table of one column."""
    [found] = statistics(pa.table({"x": pa.array(values, kind)}))
    return found


def test_numbers_have_exact_moments_ends_and_missing_cells() -> None:
    found = only([3.0, None, 1.0, 8.5])
    assert (found.nulls, found.infinite, found.distinct) == (1, 0, 3)
    assert (found.knots[0], found.knots[LEVELS.index(0.5)], found.knots[-1]) == (1.0, 3.0, 8.5)
    assert found.mean == pytest.approx(12.5 / 3)
    assert found.std == pytest.approx(np.std([3, 1, 8.5]))
    assert found.fractional == pytest.approx(1 / 3)
    assert len(found.knots) == len(LEVELS)


def test_infinite_cells_are_counted_and_in_nothing_else() -> None:
    found = only([1.0, math.inf, 3.0, -math.inf, None])
    assert (found.infinite, found.nulls, found.mean, found.knots[0], found.knots[-1]) == (2, 1, 2.0, 1.0, 3.0)


def test_a_column_of_nothing_but_infinity_or_nothing_has_no_figures() -> None:
    assert only([math.inf, -math.inf]).model_dump(exclude_defaults=True) == {"name": "x", "nulls": 0, "infinite": 2}
    assert only([None, None], pa.float64()).model_dump(exclude_defaults=True) == {"name": "x", "nulls": 2}
    assert only([], pa.float64()).model_dump(exclude_defaults=True) == {"name": "x", "nulls": 0}


def test_a_mean_or_deviation_beyond_a_float_is_none() -> None:
    found = only([1.7e308, 1.7e308, -1.7e308])
    assert found.std is None
    assert found.knots[-1] == 1.7e308


def test_few_texts_truth_values_and_whole_numbers_are_counted_by_name_most_frequent_first() -> None:
    assert only(["b"] * 30 + ["a"] * 60, pa.large_string()).counts == {"a": 60, "b": 30}
    assert only([True] * 3 + [False] * 5 + [None]).counts == {"false": 5, "true": 3}
    assert only([1] * 10 + [-2] * 20).counts == {"-2": 20, "1": 10}
    assert only([1.0] * 10 + [2.0] * 20).counts == {"2": 20, "1": 10}
    assert only([1.0] * 10 + [2.5] * 20).counts == {}


def test_equally_frequent_values_stand_in_order_of_their_names() -> None:
    assert list(only(["b", "c", "a"] * 10, pa.large_string()).counts) == ["a", "b", "c"]


def test_of_many_categories_the_most_frequent_are_named_and_the_rest_are_one_number() -> None:
    texts = [f"c{number:03}" for number in range(250) for _ in range(10 + number)]
    found = only(texts, pa.large_string())
    assert found.distinct == 250
    assert len(found.counts) == NAMED
    assert sum(found.counts.values()) + found.other == len(texts)
    assert min(found.counts.values()) == 10 + 250 - NAMED


def test_a_text_that_hardly_repeats_may_be_an_id_and_is_not_in_the_document() -> None:
    found = only([f"customer-{number}" for number in range(5_000)], pa.large_string())
    assert found.model_dump(exclude_defaults=True) == {"name": "x", "nulls": 0}
    rare = only([f"customer-{number // 2}" for number in range(500)], pa.large_string())
    assert (rare.distinct, rare.counts) == (250, {})


@pytest.mark.parametrize("personal", ["canary@example.com", "+49 1701234567", "4111111111111111"])
def test_a_text_like_an_address_or_a_phone_number_is_counted_and_not_named(personal: str) -> None:
    found = only(["100000-200000"] * 50 + [personal] * 30 + ["2026-01-31"] * 20, pa.large_string())
    assert found.counts == {"100000-200000": 50, "2026-01-31": 20}
    assert (found.distinct, found.other) == (3, 30)


def test_of_the_id_only_missing_cells_are_counted() -> None:
    [found] = statistics(pa.table({"id": pa.array([7, 8, None])}), id_="id")
    assert found.model_dump(exclude_defaults=True) == {"name": "id", "nulls": 1}


def test_long_texts_that_begin_alike_are_one_name() -> None:
    found = only(["x" * 70 + "1"] * 20 + ["x" * 70 + "2"] * 20, pa.large_string())
    assert found.counts == {"x" * 60: 40}
    assert found.other == 0


def test_moments_are_seconds_since_1970() -> None:
    when = [datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)]
    found = only([moment.replace(tzinfo=None) for moment in when], pa.timestamp("us"))
    assert (found.knots[0], found.knots[-1]) == (when[0].timestamp(), when[1].timestamp())


def test_a_large_table_is_exact_at_its_ends_and_close_between_them() -> None:
    random = np.random.default_rng(0)
    values = np.sort(random.lognormal(3, 1, 5 * SAMPLE))  # sorted: a sample that is not spread would show
    found = only(values)
    ranks = np.searchsorted(values, found.knots) / len(values)
    assert np.abs(ranks - np.array(LEVELS)).max() < 0.005
    assert (found.knots[0], found.knots[-1]) == (values[0], values[-1])
    assert found.mean == pytest.approx(values.mean())
    assert found.distinct is None


def test_the_sample_meets_every_hour_of_a_day() -> None:
    hours = np.arange(24 * SAMPLE) % 24  # one row in 24 is looked at
    found = only(np.where(hours == 5, 0.5, hours + 0.25))
    assert found.knots[0] == 0.25
    near_noon = np.searchsorted(found.knots, 12.25) / len(LEVELS)
    assert near_noon == pytest.approx(0.5, abs=0.02)


def test_a_rare_category_of_a_large_table_is_counted_exactly() -> None:
    texts = np.array(["a", "b"])[np.arange(3 * SAMPLE) % 2].astype(object)
    texts[17] = "c"
    assert only(texts.tolist(), pa.large_string()).counts == {"a": 150_000, "b": 149_999, "c": 1}


@given(st.lists(st.one_of(st.none(), st.floats(width=64)), max_size=30))
def test_any_numbers_have_statistics_that_are_valid_json(values: list[float | None]) -> None:
    cells = [
        None if value is None or math.isnan(value) else value for value in values
    ]  # as the canonical form has them
    found = only(cells, pa.float64())
    finite = [cell for cell in cells if cell is not None and math.isfinite(cell)]
    assert type(found).model_validate_json(found.model_dump_json()) == found
    assert found.nulls + found.infinite + len(finite) == len(cells)
    assert (found.knots[0], found.knots[-1]) == (min(finite), max(finite)) if finite else found.knots == ()
    assert list(found.knots) == sorted(found.knots)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_any_whole_numbers_have_statistics(values: list[int]) -> None:
    found = only(values)
    assert (found.knots[0], found.knots[-1]) == (float(min(values)), float(max(values)))
    assert found.distinct == len(set(values))
