"""The base of declared and stored values, and durations."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contender.frozen import Duration, Frozen, PositiveDuration, format_duration, parse_duration

HUNDRED_YEARS = 36_525 * 86_400


class Value(Frozen):
    number: float = 0.0
    longest: Duration = timedelta(0)
    budget: PositiveDuration = timedelta(hours=1)


@given(st.integers(0, HUNDRED_YEARS).map(lambda seconds: timedelta(seconds=seconds)))
def test_a_duration_reads_back_as_it_was_written(span: timedelta) -> None:
    assert parse_duration(format_duration(span)) == span
    assert Value.model_validate_json(Value(longest=span).model_dump_json(), strict=True).longest == span


@pytest.mark.parametrize(
    ("text", "seconds"), [("1w", 604_800), ("28d", 2_419_200), ("1d12h", 129_600), ("20m", 1_200), ("0s", 0)]
)
def test_a_duration_is_written_in_units(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    ["", "28", "d", "1.5h", "-1d", "1h1d", "1 d", "PT20M", "٣d", "1d\n", "9" * 5_000 + "d", 20, 0.5, True, None],
)
def test_what_is_no_duration_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match=r"got .*, expected a duration such as 365d, 12h, 20m or 1d12h") as caught:
        parse_duration(value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["36526d", "99999999999999999999d"])
def test_a_duration_has_an_end(text: str) -> None:
    with pytest.raises(ValueError, match=f"got '{text}', expected at most 36525d"):
        parse_duration(text)


@pytest.mark.parametrize("span", [timedelta(0), timedelta(seconds=-1), "0s"])
def test_a_positive_duration_is_longer_than_nothing(span: object) -> None:
    with pytest.raises(ValidationError, match="longer than nothing"):
        Value(budget=span)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_is_finite(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Value(number=number)


def test_a_value_cannot_be_changed_or_extended() -> None:
    value = Value(number=1.0)
    with pytest.raises(ValidationError, match="frozen"):
        value.number = 2.0
    with pytest.raises(ValidationError, match="Extra inputs"):
        Value(nubmer=1.0)
