"""A number that means missing is asked about; the highest value of a scale and an amount are not taken for one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contender.draft.asking import Talk
from contender.draft.sentinels import in_typed_source, numeric_sentinels, outlying

RANDOM = np.random.default_rng(0)
SENSORS = {
    "CO": RANDOM.gamma(2, 1, 900).round(1),
    "NOx": RANDOM.gamma(2, 120, 900).round(),
    "T": RANDOM.normal(18, 9, 900).round(1),
    "RH": RANDOM.uniform(9, 89, 900).round(1),
}


def spelt(values: np.ndarray) -> Counter[str]:
    return Counter(f"{value:g}" for value in values)


def broken(values: np.ndarray, value: float, share: float) -> np.ndarray:
    return np.where(np.arange(len(values)) < share * len(values), value, values)


def missing_of(columns: dict[str, np.ndarray], talk: Talk | None = None) -> tuple[set[str], list[str]]:
    talk = talk or Talk()
    return numeric_sentinels({name: spelt(values) for name, values in columns.items()}, 900, ".", talk), talk.seen


@pytest.mark.parametrize("share", [0.18, 0.5, 0.9])
def test_the_number_of_a_broken_sensor_means_missing_in_all_its_columns(share: float) -> None:
    missing, seen = missing_of({name: broken(values, -200, share) for name, values in SENSORS.items()})
    assert missing == {"-200"}
    assert any(f"'CO' is -200 in {share:.1%} of the rows, far from all others." in sentence for sentence in seen)


@pytest.mark.parametrize("name", SENSORS)
def test_each_column_says_so_alone(name: str) -> None:
    assert missing_of({name: broken(SENSORS[name], -200, 0.2)})[0] == {"-200"}


def test_a_number_of_another_column_stays_one() -> None:
    columns = {"CO": broken(SENSORS["CO"], -200, 0.2), "balance": np.arange(-450.0, 450)}
    missing, seen = missing_of(columns)
    assert missing == set()
    assert "-200 stays a number in ['CO']: in ['balance'] it is one, and a file has one meaning" in seen


def gains(top: float = 99_999) -> np.ndarray:
    """Capital gains: mostly none, a long tail, and a code for all that is higher."""
    tail = RANDOM.lognormal(8.5, 0.8, 100).round().clip(100, 41_310)
    return np.concatenate([np.zeros(780), tail, [41_310.0], np.full(19, top)])


def test_the_highest_code_of_a_scale_is_asked_about_and_not_taken_as_missing() -> None:
    missing, seen = missing_of({"gain": gains()})
    assert missing == set()
    assert any("'gain' is 99999 in 2.1% of the rows" in sentence and sentence.endswith("? no") for sentence in seen)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.concatenate([np.arange(100), [999] * 3]), {999: True}),
        (np.concatenate([np.arange(100), [999] * 2]), {}),
        (np.concatenate([np.arange(100), [-1] * 50]), {}),
        (np.concatenate([np.linspace(0, 1, 100), [-1] * 50]), {}),
        (np.concatenate([np.linspace(20, 50, 100), [-1] * 50]), {-1: True}),
        (np.concatenate([np.arange(1950, 2020), [0] * 9]), {0: False}),
        (np.concatenate([np.arange(100), [777] * 5, [888] * 5]), {777: True, 888: True}),
        (np.concatenate([np.arange(100), [-999] * 5, [9999] * 5]), {-999: True, 9999: True}),
        (np.concatenate([np.arange(9), [-999] * 5]), {}),
    ],
)
def test_which_numbers_lie_far_outside_all_others(values: np.ndarray, found: dict[float, bool]) -> None:
    assert outlying(Counter(values.astype(float).tolist())) == found


def test_a_source_that_has_types_must_say_null_itself() -> None:
    table = pa.table(
        {"CO": broken(SENSORS["CO"], -200, 0.2), "n": np.arange(900), "text": ["a"] * 900, "gain": gains()}
    )
    [told] = in_typed_source(table)
    assert told == (
        "'CO' is -200 in 20.0% of the rows, far from all others: if it means missing, have the source say null "
        "(in SQL nullif(CO, -200))"
    )


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=10, max_size=60, unique=True),
    st.floats(1e5, 1e9) | st.floats(-1e9, -1e5),
    st.integers(5, 1_000),
)
def test_any_number_that_repeats_far_away_is_found_and_nothing_else(
    others: list[float], value: float, count: int
) -> None:
    assert outlying(Counter({**dict.fromkeys(others, 1), value: count})) == {value: True}
    assert outlying(Counter(dict.fromkeys(others, 1))) == {}
