"""The search space: what a parameter can be, and what is drawn from it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contender.sweep.space import (
    COUNTABLE,
    CandidateSpec,
    Choice,
    IntUniform,
    LogUniform,
    Parameter,
    Uniform,
    distributions,
)

PARAMETER: TypeAdapter[Any] = TypeAdapter(Parameter)


@pytest.mark.parametrize("form", [{}, {"estimator": "a.B", "pipeline": "a.b"}])
def test_a_candidate_is_an_estimator_or_a_pipeline(form: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=r"expected either estimator \(a class\) or pipeline"):
        CandidateSpec.model_validate(form)


def test_a_class_is_called_by_its_name_and_a_function_with_its_modules() -> None:
    assert CandidateSpec(estimator="pkg.linear.Model").label == "Model"
    assert CandidateSpec(pipeline="pkg.models.build").label == "models.build"


def read(text: str) -> Any:
    return PARAMETER.validate_json(text, strict=True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("15", 15),
        ("0.5", 0.5),
        ("true", True),
        ('"auto"', "auto"),
        ("null", None),
        ('{"choice": [1, 2.5, "a", null, false, [10, 10]]}', Choice(choice=(1, 2.5, "a", None, False, (10, 10)))),
        ('{"uniform": [0, 1]}', Uniform(uniform=(0.0, 1.0))),
        ('{"log_uniform": [0.001, 100]}', LogUniform(log_uniform=(0.001, 100.0))),
        ('{"int_uniform": [2, 20]}', IntUniform(int_uniform=(2, 20))),
    ],
)
def test_a_parameter_is_a_constant_or_a_range(text: str, value: object) -> None:
    found = read(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"choice": []}', "at least 1 item"),
        ('{"choice": [1, 2, 1]}', "got 1 more than once"),
        ('{"choice": [[1, 2], [1, 2]]}', r"got \[1,2\] more than once"),
        ('{"uniform": [1, 1]}', r"got \[1.0, 1.0\], expected \[low, high\] with low < high"),
        ('{"int_uniform": [3, 2]}', r"got \[3, 2\], expected \[low, high\] with low < high"),
        ('{"int_uniform": [1, 2.5]}', "valid integer"),
        ('{"log_uniform": [0, 1]}', "got 0.0 as low, expected more than 0"),
        ('{"log_uniform": [-1, 1]}', "got -1.0 as low, expected more than 0"),
        ('{"uniform": [0, NaN]}', "finite number"),
        ('{"uniform": ["0", 1]}', "valid number"),
        ('{"uniform": [0]}', "Field required"),
        ('{"uniform": [0, 1, 2]}', "at most 2 items"),
        ('{"loguniform": [1, 2]}', "expected a single value or one of"),
        ('{"uniform": [0, 1], "choice": [1]}', "expected a single value or one of"),
        ("{}", "expected a single value or one of"),
        ("[1, 2]", "expected a single value or one of"),
    ],
)
def test_what_is_neither_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        read(text)
    assert caught.value.error_count() == 1


def test_one_and_true_are_different_choices() -> None:
    assert len(Choice(choice=(1, True, 1.0, "1")).distribution()) == 4


@given(st.integers(-50, 50), st.integers(1, 200))
def test_a_countable_range_of_integers_is_all_of_them(low: int, span: int) -> None:
    assert IntUniform(int_uniform=(low, low + span)).distribution() == [*range(low, low + span + 1)]


def test_a_large_range_of_integers_reaches_both_ends() -> None:
    drawn = IntUniform(int_uniform=(5, 5 + COUNTABLE)).distribution()
    assert drawn.support() == (5, 5 + COUNTABLE)


@pytest.mark.parametrize(
    ("parameter", "quarter"),
    [(Uniform(uniform=(2, 10)), 4.0), (LogUniform(log_uniform=(0.01, 100)), 0.1)],
)
def test_a_range_is_even_between_its_ends(parameter: Any, quarter: float) -> None:
    drawn = parameter.distribution()
    assert drawn.ppf(0.25) == pytest.approx(quarter)
    low, high = next(iter(parameter.model_dump().values()))
    assert drawn.support() == pytest.approx((low, high))


def test_a_space_is_sorted_by_name_and_a_constant_is_its_only_value() -> None:
    assert distributions({"b": 3, "a": Choice(choice=("x", "y")), "c": None}) == {
        "a": ["x", "y"],
        "b": [3],
        "c": [None],
    }
    assert list(distributions({"b": 3, "a": 1})) == ["a", "b"]


@pytest.mark.parametrize(
    "path", ["SVC", "", "sklearn.", ".SVC", "sklearn.svm.SVC()", "os.system('id')", "a b.C", "a.B\n"]
)
def test_an_estimator_is_named_by_its_import_path(path: str) -> None:
    assert CandidateSpec(estimator="sklearn.svm.SVC").label == "SVC"
    with pytest.raises(ValidationError, match="should match pattern"):
        CandidateSpec(estimator=path)
