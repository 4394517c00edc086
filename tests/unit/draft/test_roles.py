"""Which column is what, from what the user said and from what the columns look like."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from contender.data.sources import ParquetSource
from contender.draft.asking import Talk
from contender.draft.odd import settle
from contender.draft.reading import Reading
from contender.draft.roles import Asked, Roles, decide
from contender.errors import ConfigError, DataRejected

N = 120
START = datetime(2026, 1, 1)


def columns() -> dict[str, list[Any]]:
    return {
        "customer_id": [f"c{n:04d}" for n in range(N)],
        "x": [float(n % 17) for n in range(N)],
        "plan": [("basic", "plus")[n % 2] for n in range(N)],
        "y": [("no", "yes")[n % 3 == 0] for n in range(N)],
    }


def roles(asked: dict[str, Any] | None = None, answer: str | None = None, **more: list[Any]) -> tuple[Roles, list[str]]:
    table = pa.table(columns() | more)
    reading = Reading(ParquetSource(kind="parquet", uri="/nowhere"), table, {})
    talk = Talk() if answer is None else Talk(lambda _question, answers, safer: answer if answer in answers else safer)
    return decide(reading, Asked(**{"target": "y", **(asked or {})}), talk), talk.seen


def days(step: int = 1) -> list[datetime]:
    return [START + timedelta(days=n * step) for n in range(N)]


def test_a_plain_table_needs_no_question() -> None:
    found, _ = roles()
    assert found == Roles(target="y", positive="yes", id="customer_id")


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        (["No", "Yes"], "Yes"),
        (["0", "1"], "1"),
        (["n", "y"], "y"),
        (["False", "True"], "True"),
        (["good", "bad"], "bad"),
        (["-1", "1"], "1"),
        (["0.0", "1.0"], "1.0"),
        (["N", "Y"], "Y"),
        (["F", "T"], "T"),
    ],
)
def test_the_positive_class_is_the_one_that_says_yes(values: list[str], positive: str) -> None:
    assert roles(y=[values[n % 2] for n in range(N)])[0].positive == positive


@pytest.mark.parametrize("kind", [pa.int64(), pa.int8(), pa.float64(), pa.bool_()])
def test_zero_and_one_are_classes_in_any_type(kind: pa.DataType) -> None:
    positive = roles(y=pa.array([n % 2 for n in range(N)]).cast(kind))[0].positive  # type: ignore[arg-type]
    assert positive == ("true" if kind == pa.bool_() else "1")


def test_two_classes_that_do_not_say_yes_are_asked_for_and_the_rarer_one_is_safer() -> None:
    classes = ["cat" if n % 4 else "dog" for n in range(N)]
    assert roles(y=classes)[0].positive == "dog"
    assert roles(y=classes, answer="cat")[0].positive == "cat"


@pytest.mark.parametrize(("one", "two"), [("1", "2"), ("1.0", "3.0"), ("y", "z"), ("t", "u"), ("1", "x"), ("1", "10")])
def test_a_short_spelling_says_yes_only_beside_its_no(one: str, two: str) -> None:
    classes = [two if n % 4 == 0 else one for n in range(N)]
    found, seen = roles(y=classes)
    assert found.positive == two  # the rarer one
    assert f"Which value of 'y' counts as positive? {two}" in seen
    assert roles(y=classes, answer=one)[0].positive == one


def test_numbers_are_regression() -> None:
    found, seen = roles({"target": "x"})
    assert found.positive is None
    assert "the target 'x' is a number: regression" in seen


def test_a_few_whole_numbers_may_be_classes() -> None:
    grades = [n % 5 for n in range(N)]
    assert roles({"target": "grade"}, grade=grades)[0].positive is None
    with pytest.raises(DataRejected, match="'grade' has 5 classes; Contender judges two classes or a number"):
        roles({"target": "grade"}, grade=grades, answer="classes")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a"] * N, "'y' takes 1 value in 120 rows"),
        ([f"v{n % 5}" for n in range(N)], "holds 5 different texts"),
        (days(), "expected a column of two classes or of numbers"),
    ],
)
def test_a_target_that_cannot_be_judged_is_refused(values: list[Any], message: str) -> None:
    with pytest.raises(DataRejected, match=message):
        roles(y=values)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"target": "Y"}, "--target: no column 'Y' in the data. Did you mean 'y'?"),
        ({"id": "customer"}, "--id: no column 'customer' in the data. Did you mean 'customer_id'?"),
        ({"time": "when"}, "--time: no column 'when' in the data"),
        ({"time": "plan"}, "--time: 'plan' is string, not a date"),
    ],
)
def test_a_column_that_is_not_there_gets_a_suggestion(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        roles(asked)


def test_the_earliest_of_several_moments_is_the_time() -> None:
    later = [moment + timedelta(hours=1) for moment in days()]
    assert roles(dropoff=later, pickup=days())[0].time == "pickup"
    assert roles(dropoff=later, pickup=days(), answer="dropoff")[0].time == "dropoff"


@pytest.mark.parametrize("name", ["date_of_birth", "dob"])
def test_a_birthday_is_not_when_a_row_was_observed(name: str) -> None:
    assert roles(**{name: days()})[0].time is None


def test_the_minutes_between_two_moments_can_be_the_target() -> None:
    ends = [moment + timedelta(minutes=n) for n, moment in enumerate(days())]
    found, _ = roles({"target": "dropoff - pickup"}, pickup=days(), dropoff=ends)
    assert (found.target, found.derive) == ("duration_minutes", {"duration_minutes": ("pickup", "dropoff")})
    assert found.time == "pickup"
    assert found.exclude["dropoff"] == "is known only when the target is"


def test_an_entity_with_several_rows_is_an_id() -> None:
    found, seen = roles(customer_id=[f"c{n // 3}" for n in range(N)])
    assert found.id == "customer_id"
    assert "'customer_id' is the id: 40 of them, 3.0 rows each; all rows of one stay together" in seen


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("row", list(range(5, N + 5)), "numbers the rows"),
        ("same", ["a"] * N, "has one value in all rows"),
        ("nothing", pa.nulls(N), "is empty"),
        ("hash", [f"{n * 7919:x}-{n}" for n in range(N)], "is different in nearly every row, like an id"),
    ],
)
def test_a_column_without_use_is_left_out_with_its_reason(name: str, values: list[Any], reason: str) -> None:
    found, seen = roles(**{name: values})
    assert found.exclude == {name: reason}
    assert f"'{name}' is left out: it {reason}" in seen


def test_prose_is_a_feature() -> None:
    assert roles(comment=[f"the customer called {n} times and was not happy at all" for n in range(N)])[0].exclude == {}


@pytest.mark.parametrize("name", ["PULocationID", "vendor_id"])
def test_a_code_with_few_values_is_a_feature_and_no_id(name: str) -> None:
    assert roles(customer_id=["a", "b"] * (N // 2), **{name: [n % 4 for n in range(N)]})[0].id is None


EPOCH = 1_767_225_600


def hinted(seen: list[str], words: str) -> bool:
    return any(words in sentence for sentence in seen)


def test_an_epoch_that_is_left_out_is_told_once() -> None:
    stamps = [(EPOCH + 86_400 * n) * 1_000 for n in range(N)]
    table, columns_, unusable = settle(pa.table(columns() | {"created": stamps}))
    talk = Talk()
    reading = Reading(ParquetSource(kind="parquet", uri="/nowhere"), table, unusable, columns_)
    decide(reading, Asked("y"), talk)
    [said] = [one for one in talk.seen if "'created'" in one]
    assert said.startswith("'created' is left out: it counts milliseconds since 1970")
    assert "then --time can name it" in said


@pytest.mark.parametrize(
    ("factor", "unit"), [(1, "seconds"), (10**3, "milliseconds"), (10**6, "microseconds"), (10**9, "nanoseconds")]
)
def test_an_epoch_can_be_the_time(factor: int, unit: str) -> None:
    _, seen = roles(created=[(EPOCH + 86_400 * (n * 7 % N)) * factor for n in range(N)])
    assert hinted(
        seen, f"'created' looks like {unit} since 1970: write it as a timestamp (in SQL to_timestamp(created))"
    )


@pytest.mark.parametrize(
    "more",
    [
        {"amount": [(EPOCH + 86_400 * (n * 7 % N)) for n in range(N)]},
        {"created": [n * 1_000 for n in range(N)]},
        {"created": [EPOCH + 86_400 * n for n in range(N)], "at": days()},
    ],
)
def test_a_number_that_is_no_epoch_or_a_table_with_a_time_needs_no_hint(more: dict[str, list[Any]]) -> None:
    assert not hinted(roles(**more)[1], "since 1970")


@pytest.mark.parametrize(
    ("name", "values", "what"),
    [
        ("hr", [n % 24 for n in range(N)], "hour"),
        ("start_time", [f"{n % 24}:{n % 60:02d}" for n in range(N)], "time"),
    ],
)
def test_a_day_and_its_hour_can_be_one_time(name: str, values: list[Any], what: str) -> None:
    found, seen = roles(day=days(), **{name: values})
    assert found.time == "day"
    assert hinted(seen, f"'day' is a day and {name!r} looks like its {what}: a timestamp made of both")
    assert not hinted(roles(at=[moment + timedelta(minutes=7) for moment in days()], **{name: values})[1], "is a day")


def test_rows_in_time_order_without_a_time_are_told() -> None:
    phases = [("no", "yes")[n // 11 % 2] for n in range(N)]
    _, seen = roles(y=phases)
    assert hinted(seen, "neighbouring rows have targets that are alike (correlation 0.8")
    assert hinted(seen, "name it with --time. Without one, rows chosen at random judge")
    assert hinted(roles({"target": "z"}, z=[(n % 40) ** 1.5 for n in range(N)])[1], "neighbouring rows")


@pytest.mark.parametrize(
    "more",
    [
        {"y": ["no" if n < N // 2 else "yes" for n in range(N)]},
        {"y": [("no", "yes")[n * n % 7 > 3] for n in range(N)]},
        {"y": [("no", "yes")[n // 11 % 2] for n in range(N)], "at": days()},
        {
            "y": [("no", "yes")[(n // 4) ** 2 % 7 > 3] for n in range(N)],
            "customer_id": [f"c{n // 4}" for n in range(N)],
        },
    ],
)
def test_a_sorted_target_a_time_and_several_rows_of_one_customer_are_no_such_order(more: dict[str, list[Any]]) -> None:
    assert not hinted(roles(**more)[1], "neighbouring rows")
