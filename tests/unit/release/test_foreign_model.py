"""Predictions of a model that Contender did not make: its inputs, the form of its answers, and its errors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from contender.documents.release import Adopted, TrainedOn
from contender.errors import ConfigError, DataRejected
from contender.release.foreign_model import (
    AdoptedModel,
    as_text,
    input_type,
    native_model,
    positive_index,
    predict_foreign,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = pd.DataFrame({"x": [0.1, 0.4, 0.8], "n": [1.0, 2.0, 3.0], "b": [0.0, 1.0, 1.0]})


class Loaded:
    """What MLflow loads: a wrapper around any function, or around a model with the scikit-learn API."""

    def __init__(self, predict: Callable[[pd.DataFrame], Any] | None = None, *, raw: Any = None) -> None:
        self.predict = predict
        self.raw = raw
        self.metadata = SimpleNamespace(signature="strict")

    def get_raw_model(self) -> Any:
        if self.raw is None:
            raise NotImplementedError
        return self.raw


def recipe(**parts: Any) -> Adopted:
    known = {"source": "models:/m/1", "estimator": "a.B", "inputs": {}, "positive": 1}
    return Adopted(**known | {"trained_on": TrainedOn(columns={})} | parts)


def seen_by(inputs: dict[str, str], rows: pd.DataFrame = ROWS) -> dict[str, str]:
    """The dtypes that a model gets."""
    handed = {}

    def predict(frame: pd.DataFrame) -> Any:
        handed.update({str(name): str(dtype) for name, dtype in frame.dtypes.items()})
        return frame["x"]

    predict_foreign(Loaded(predict), rows, inputs, classification=False)
    return handed


@pytest.mark.parametrize(
    ("kind", "wanted", "dtype"),
    [
        ("integer", None, "int64"),
        ("boolean", None, "bool"),
        ("number", None, None),
        ("text", None, None),
        ("integer", "long", "int64"),
        ("number", "integer", "int32"),
        ("integer", "double", None),
        ("number", "float", "float32"),
        ("integer", "boolean", "bool"),
        ("text", "string", None),
        ("timestamp", "datetime", None),
    ],
)
def test_a_column_has_the_dtype_that_its_author_had(kind: Any, wanted: str | None, dtype: str | None) -> None:
    assert input_type("c", kind, wanted) == dtype


@pytest.mark.parametrize(("kind", "wanted"), [("text", "long"), ("number", "string"), ("text", "datetime"), ("text", "binary")])  # fmt: skip
def test_a_column_that_cannot_be_what_the_model_wants_is_named(kind: Any, wanted: str) -> None:
    with pytest.raises(ConfigError, match=f"wants column 'c' as {wanted}, the data has it as {kind}"):
        input_type("c", kind, wanted)


def test_whole_numbers_and_truth_values_are_passed_as_such() -> None:
    assert seen_by({"n": "int32", "b": "bool"}) == {"x": "float64", "n": "int32", "b": "bool"}
    assert ROWS.dtypes.astype(str).tolist() == ["float64"] * 3  # and the rows stay as they are


@pytest.mark.parametrize("value", [1.5, np.nan, np.inf])
def test_a_strict_wrapper_never_gets_what_is_not_whole(value: float) -> None:
    with pytest.raises(DataRejected, match="wants column 'n' as int64; 1 of 3 values are not"):
        seen_by({"n": "int64"}, ROWS.assign(n=[1.0, value, 3.0]))


def test_a_scikit_learn_model_takes_what_is_not_whole_as_it_comes() -> None:
    model = LogisticRegression().fit(ROWS[["n"]], [0, 1, 1])
    holes = pd.DataFrame({"n": [1.0, 2.5]})
    values, classes = predict_foreign(Loaded(raw=model), holes, {"n": "int64"}, classification=True)
    assert values == pytest.approx(model.predict_proba(holes))
    assert classes == [0, 1]


def test_a_wrapped_model_with_the_scikit_learn_api_is_called_itself() -> None:
    model = LogisticRegression()
    assert native_model(Loaded(raw=model)) is model
    assert native_model(Loaded(raw=object())) is None
    assert native_model(Loaded()) is None


def test_a_classifier_without_probabilities_is_named() -> None:
    with pytest.raises(ConfigError, match=r"LinearSVC gives no probabilities \(predict_proba\)"):
        predict_foreign(Loaded(raw=make_pipeline(LinearSVC())), ROWS, {}, classification=True)


@pytest.mark.parametrize(
    ("classes", "labels", "chosen", "answer"),
    [
        (["No", "Yes"], ("No", "Yes"), None, 1),
        (["No", "Yes"], ("Yes", "No"), None, 0),
        ([0, 1], ("no", "yes"), None, 1),
        ([False, True], ("no", "yes"), None, 1),
        ([False, True], ("false", "true"), None, 1),
        ([0.0, 1.0], ("0", "1"), None, 1),
        ([0, 1], ("1", "0"), None, 0),
        (None, ("no", "yes"), None, 1),
        (None, ("stays", "goes"), "1", 1),
        ([0, 1], ("stays", "goes"), "0", 0),
        (["gone", "here"], ("no", "yes"), "gone", 0),
    ],
)
def test_the_positive_class_is_found(classes: Any, labels: tuple[str, str], chosen: str | None, answer: int) -> None:
    names = classes if classes is None else list(np.array(classes))
    assert positive_index(names, labels, chosen) == answer


@pytest.mark.parametrize(
    ("classes", "labels", "chosen", "message"),
    [
        (
            [0, 1],
            ("stays", "goes"),
            None,
            "cannot tell which of the model's classes '0' and '1' is 'goes'; say it with",
        ),
        (None, ("stays", "goes"), None, "classes '0' and '1' is 'goes'"),
        (["gone", "here"], ("no", "yes"), None, "classes 'gone' and 'here' is 'yes'"),
        ([1, 2], ("no", "yes"), None, "classes '1' and '2' is 'yes'"),
        (["no", "yes"], ("no", "yes"), "y\n", r"the model has no class 'y\\n'; it tells 'no' and 'yes' apart"),
    ],
)
def test_a_positive_class_that_is_ambiguous_must_be_named(
    classes: Any, labels: tuple[str, str], chosen: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        positive_index(classes, labels, chosen)


def test_classes_are_spelt_as_the_target_is() -> None:
    assert as_text([np.True_, np.False_]) == ["true", "false"]
    assert as_text(np.array([1.0, 0.0])) == ["1", "0"]
    assert as_text([1, "a"]) == ["1", "a"]


@pytest.mark.parametrize(
    "answer",
    [
        [0.2, 0.5, 0.9],
        np.array([[0.2], [0.5], [0.9]]),
        pd.Series([0.2, 0.5, 0.9]),
        np.array([[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]]),
        pd.DataFrame([[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]]),
    ],
    ids=["list", "column", "series", "array", "frame"],
)
def test_probabilities_come_in_many_forms(answer: Any) -> None:
    model = AdoptedModel(Loaded(lambda _: answer), recipe())
    assert model.predict_proba(ROWS) == pytest.approx(np.array([[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]]))
    turned = AdoptedModel(Loaded(lambda _: answer), recipe(positive=0))
    assert turned.predict_proba(ROWS)[:, 1] == pytest.approx([0.8, 0.5, 0.1])


def test_named_columns_say_their_classes() -> None:
    frame = pd.DataFrame({"yes": [0.2, 0.5, 0.9], "no": [0.8, 0.5, 0.1]})
    assert predict_foreign(Loaded(lambda _: frame), ROWS, {}, classification=True)[1] == ["yes", "no"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (["a", "b", "c"], "answers with labels"),
        ([0, 1, 1], "answers with labels"),
        ([[0.2, 0.3, 0.5]] * 3, r"answers 3 rows in the shape \(3, 3\)"),
        ([[0.2, 0.8]], r"answers 3 rows in the shape \(1, 2\)"),
        ([-1.0, 0.5, 3.0], "no probabilities"),
        ([[0.9, 0.9]] * 3, "no probabilities"),
    ],
)
def test_what_is_no_probability_is_refused(answer: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        predict_foreign(Loaded(lambda _: answer), ROWS, {}, classification=True)


def test_numbers_come_as_numbers() -> None:
    model = AdoptedModel(Loaded(lambda rows: pd.DataFrame({"says": rows["x"]})), recipe(positive=None))
    assert model.predict(ROWS).tolist() == [0.1, 0.4, 0.8]
    for answer, message in ((["a", "b", "c"], "something else than numbers"), ([1.0], r"in the shape \(1,\)")):
        with pytest.raises(ConfigError, match=message):
            AdoptedModel(Loaded(lambda _, answer=answer: answer), recipe()).predict(ROWS)


@pytest.mark.parametrize("error", [ValueError("could not convert string to float: 'secret'"), KeyError("secret")])
def test_what_a_model_raises_is_told_without_a_value_of_the_data(error: Exception) -> None:
    def raising(_: pd.DataFrame) -> Any:
        raise error

    with pytest.raises(DataRejected, match="on these 3 rows the model raises ") as caught:
        predict_foreign(Loaded(raising), ROWS, {}, classification=True)
    assert "secret" not in str(caught.value)
