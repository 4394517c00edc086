"""How a column's values differ: units and lost decimals are shouted, categories named, the rest in quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import make_snapshot
from contender.documents.change import Change
from contender.profile.changes import changes

ROWS = 5_000


def told(before: Any, after: Any) -> list[Change]:
    """What changed from one array to the other."""
    one, other = (make_snapshot(pa.table({"x": cells})) for cells in (before, after))
    return list(changes(one, other))


def only(before: Any, after: Any) -> Change:
    [found] = told(before, after)
    return found


def charges(seed: int = 0) -> np.ndarray:
    """Monthly charges: 18 to 119, in cents."""
    return np.round(np.random.default_rng(seed).triangular(18, 70, 119, size=ROWS), 2)


def without_points(values: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """The values as in a file that lost the decimal points of some of them."""
    lost = np.random.default_rng(seed).random(len(values)) < share
    return np.where(lost, [float(f"{value:g}".replace(".", "")) for value in values], values)


def text(*values: str, times: int = 1_000) -> pa.Array:
    return pa.array([value for value in values for _ in range(times)], pa.large_string())


def test_lost_decimal_points_are_shouted_whether_all_rows_lost_them_or_some() -> None:
    for share in (1.0, 0.5, 0.1, 0.02):
        found = only(charges(), without_points(charges(1), share))
        assert found.kind == "scale"
        assert found.loud
        assert found.words.startswith("decimal points lost?"), share


def test_decimal_points_that_are_back_are_told_too() -> None:
    found = only(without_points(charges(1), 0.5), charges())
    assert found.words.startswith("decimal points back?")


def test_an_integer_column_of_lost_points_is_the_same_news_beside_its_type() -> None:
    cents = np.round(charges(1) * 100).astype("int64")
    scale, kind = told(charges(), cents)
    assert (scale.kind, kind.kind) == ("scale", "type")
    assert scale.words.startswith("decimal points lost? About 100 times what it was: median 6,")


@pytest.mark.parametrize(
    ("factor", "words"),
    [(60, "59 times"), (1 / 60, "1/61 of"), (1_000, "1,000 times"), (1 / 1_000, "1/1,000 of")],
)
def test_other_units_are_shouted_with_their_factor(factor: float, words: str) -> None:
    found = only(np.random.default_rng(0).gamma(3, 7, ROWS), np.random.default_rng(1).gamma(3, 7, ROWS) * factor)
    assert (found.kind, found.loud) == ("scale", True)
    assert found.words.startswith(f"other units? About {words} what it was: median ")


@pytest.mark.parametrize("sentinel", [-999, 999, 99_999])
def test_nines_that_may_stand_for_missing_are_asked_about(sentinel: int) -> None:
    after = charges(1)
    after[:520] = sentinel
    found = only(charges(), after)
    end = "19 is the smallest" if sentinel < 0 else "117.5 is the largest"
    words = f"does {sentinel} stand for missing? 10 % of the values are {sentinel}; {end} before"
    assert (found.kind, found.words, found.loud) == ("scale", words, True)
    assert only(after, charges()).words == words.replace(" are ", " were ").replace("before", "now")


def test_a_single_row_of_nines_does_not_stand_for_missing() -> None:
    after = charges(1)
    after[0] = 999
    assert told(charges(), after) == []


def test_a_code_of_nines_is_asked_about_too() -> None:
    random = np.random.default_rng(0)
    before, after = random.choice([1, 2], size=ROWS), random.choice([1, 2, 99], size=ROWS)
    assert only(before, after).words.startswith("does 99 stand for missing? 33 %")


def test_growth_is_no_change_of_units() -> None:
    found = only(charges(), charges(1) * 1.7)
    assert found.kind == "distribution"
    assert found.words == (
        "61.3 % of the rows are elsewhere: median 117.4, 69.14 before; 49 % are above 117.5, the largest before"
    )


def test_rounding_is_told_as_what_it_is() -> None:
    found = only(charges(), np.round(charges(1)))
    assert (found.kind, found.loud) == ("precision", False)
    assert found.words.startswith("0 % of the values have decimals, 9")


def test_values_beyond_the_earlier_range_are_told_though_the_rest_is_as_it_was() -> None:
    after = charges(1)
    after[:200] = 150.55
    found = only(charges(), after)
    assert (found.kind, found.loud) == ("range", False)
    assert found.words.startswith("4 % are above 117.5")
    assert only(after, charges()).words.startswith("none is above 117.5, 4 % were before")


def test_a_quantile_tells_where_the_rows_went() -> None:
    warm, cold = (np.random.default_rng(seed).normal(mean, 4, ROWS) for seed, mean in ((0, 20), (1, 14)))
    found = only(cold, warm)
    assert found.kind == "distribution"
    assert found.words.startswith("55.2 % of the rows are elsewhere: median 19.89, 13.89 before; ")
    wide = np.random.default_rng(2).normal(20, 9, ROWS)
    assert ": lowest 5 % up to 4.989, 13.5 before; " in only(warm, wide).words


def test_new_and_gone_categories_are_named_with_their_rows() -> None:
    found = told(text("north", "south", "east"), text("north", "south", "west"))
    assert [(change.kind, change.words) for change in found] == [
        ("lost_category", "gone: 'east' (1,000 rows)"),
        ("new_category", "new: 'west' (1,000 rows)"),
    ]


def test_of_many_new_categories_three_are_named() -> None:
    found = only(text("a"), text("a", "b", "c", "d", "e", "f", times=200))
    assert found.words == "new: 'b' (200 rows), 'c' (200 rows), 'd' (200 rows), 2 more"


def test_a_category_of_few_rows_comes_and_goes() -> None:
    rare = pa.concat_arrays([text("north", "south"), text("nroth", times=9)])
    assert told(text("north", "south"), rare) == []


def test_other_shares_of_the_same_categories_name_those_that_moved_most() -> None:
    before = pa.concat_arrays([text("month", times=550), text("year", times=250), text("two years", times=200)])
    after = pa.concat_arrays([text("month", times=300), text("year", times=500), text("two years", times=200)])
    assert (
        only(before, after).words
        == "'month' 30 %, 55 % before; 'year' 50 %, 25 % before; 'two years' 20 %, 20 % before"
    )


def test_a_column_of_few_values_that_became_many_is_loud_and_shows_none_of_them() -> None:
    keys = pa.array([f"key-{number}" for number in range(4_000)], pa.large_string())
    found = only(text("a", "b", "c", "d"), keys)
    assert (found.words, found.loud) == ("over 1,000 different values, 4 before", True)
    assert only(keys, text("a", "b", "c", "d")).words == "4 different values, over 1,000 before"


def test_more_rows_alone_may_have_more_values() -> None:
    few = pa.array([f"city-{number % 15}" for number in range(200)], pa.large_string())
    more = pa.array([f"city-{number % 900}" for number in range(5_000)], pa.large_string())
    assert [change.kind for change in told(few, more)] == ["volume"]


def test_codes_are_compared_as_names() -> None:
    random = np.random.default_rng(0)
    before, after = random.choice([1, 2], size=ROWS), random.choice([1, 2, 9], size=ROWS)
    assert only(before, after).words.startswith("new: '9' (1,")


def test_constants_that_differ_are_elsewhere() -> None:
    assert only(np.full(ROWS, 2.5), np.full(ROWS, 3.5)).kind == "distribution"
    assert told(np.full(ROWS, 2.5), np.full(ROWS, 2.5)) == []
    assert [change.kind for change in told(np.zeros(ROWS), np.full(ROWS, 0.5))] == ["distribution", "precision"]


@given(*[st.lists(st.floats(allow_nan=False), min_size=1, max_size=5)] * 2, st.sampled_from([None, "x"]))
def test_any_numbers_at_all_are_compared_in_bounded_words(
    before: list[float], after: list[float], target: str | None
) -> None:
    one, other = (make_snapshot(pa.table({"x": cells * 40})) for cells in (before, after))
    for change in changes(one, other, target=target):
        assert len(change.sentence) < 300
        assert 0 < change.weight <= 1
