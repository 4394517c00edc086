"""The search space: what a parameter can be, what is drawn from it, and what is a point of it."""

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
    at_share,
    distributions,
    in_space,
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


SPACE = CandidateSpec.model_validate({
    "estimator": "pkg.A",
    "params": {
        "fixed": 1, "word": {"choice": ["a", 1, True, [1, 2], None]}, "f": {"uniform": [0, 1]},
        "l": {"log_uniform": [0.1, 10]}, "i": {"int_uniform": [2, 5]},
    },
})  # fmt: skip
POINT: dict[str, Any] = {"fixed": 1, "word": "a", "f": 0.5, "l": 1.0, "i": 3}


@pytest.mark.parametrize(
    "change",
    [{}, {"word": None}, {"word": True}, {"word": 1}, {"word": (1, 2)}, {"word": [1, 2]}, {"f": 0.0}, {"f": 1.0},
     {"l": 0.1}, {"i": 2}, {"i": 5}],
    ids=repr,
)  # fmt: skip
def test_a_point_of_the_space_is_in_it(change: dict[str, Any]) -> None:
    assert in_space(SPACE, POINT | change)


@pytest.mark.parametrize(
    "change",
    [{"fixed": 2}, {"fixed": 1.0}, {"fixed": True}, {"word": "b"}, {"word": 1.0}, {"word": False}, {"word": (1, 3)},
     {"f": -0.1}, {"f": 1.1}, {"f": 1}, {"f": "0.5"}, {"f": None}, {"f": float("nan")}, {"l": 0.0}, {"l": 11.0},
     {"i": 6}, {"i": 3.0}, {"i": True}, {"unheard_of": 1}],
    ids=repr,
)  # fmt: skip
def test_a_point_outside_the_space_is_not_in_it(change: dict[str, Any]) -> None:
    assert not in_space(SPACE, POINT | change)


@pytest.mark.parametrize("missing", [*POINT])
def test_a_point_without_one_of_the_parameters_is_not_in_it(missing: str) -> None:
    assert not in_space(SPACE, {name: value for name, value in POINT.items() if name != missing})


@pytest.mark.parametrize(
    ("share", "count", "folds", "rows"),
    [(1 / 9, 5, 1, 1), (1 / 3, 5, 2, 1), (1, 5, None, 1), (1 / 27, 5, 1, 5 / 27), (1 / 9, 2, 1, 2 / 9), (1 / 3, 3, 1, 1)],
)  # fmt: skip
def test_a_share_is_whole_folds_and_a_part_of_the_rows_when_it_is_at_most_half_of_one(
    share: float, count: int, folds: int | None, rows: float
) -> None:
    work = (folds or count) * rows / count
    assert at_share(SPACE, POINT, share, count) == (POINT, folds, pytest.approx(rows), pytest.approx(work))


@given(st.floats(1e-6, 1.0), st.integers(2, 50))
def test_what_is_left_of_folds_and_rows_is_the_share_and_at_most_a_fold_more(share: float, count: int) -> None:
    _, folds, rows, work = at_share(SPACE, POINT, share, count)
    assert 0 < rows <= 1
    assert work == pytest.approx((folds or count) * rows / count)
    assert share <= work + 1e-9 < share + 1 / count
    assert folds is None or 1 <= folds < count


@given(st.integers(2, 10), st.integers(2, 6), st.integers(2, 50))
def test_every_round_of_halving_has_more_folds_or_more_rows_than_the_one_before(
    factor: int, rounds: int, count: int
) -> None:
    shares = [1 / factor ** (rounds - number) for number in range(1, rounds + 1)]
    parts = [at_share(SPACE, POINT, share, count) for share in shares]
    given = [(part.folds or count, part.share) for part in parts]
    assert given == sorted(set(given))
    assert all(folds == 1 for folds, rows in given if rows < 1)


@pytest.mark.parametrize(
    ("share", "folds", "left"), [(1 / 9, 1, 100), (1 / 3, 2, 100), (1.0, None, 100), (1 / 27, 1, 19), (0.001, 1, 1)]
)
def test_a_share_of_a_resource_leaves_the_rows_alone(share: float, folds: int | None, left: int) -> None:
    candidate = CandidateSpec.model_validate(
        {"estimator": "pkg.A", "params": {"max_iter": 100, "x": {"uniform": [0, 1]}}, "resource": "max_iter"}
    )
    params = {"max_iter": 100, "x": 0.5}
    assert at_share(candidate, params, share, 5)[:3] == ({"max_iter": left, "x": 0.5}, folds, 1.0)
    assert params["max_iter"] == 100


@pytest.mark.parametrize("params", [{}, {"n": {"int_uniform": [1, 9]}}, {"n": {"choice": [5]}}, {"n": 0}, {"n": 1.5},
                                    {"n": True}, {"n": None}])  # fmt: skip
def test_a_resource_is_one_whole_number_of_the_parameters(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"resource: params\.n must be there, one whole number above 0"):
        CandidateSpec.model_validate({"estimator": "pkg.A", "params": params, "resource": "n"})
