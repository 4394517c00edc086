"""Nothing of the data and no secret is in what is told of foreign errors and addresses, and what helps is."""

from __future__ import annotations

import json
import operator
import pickle
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder

from contender.errors import BackendError, DataRejected
from contender.telling import first_line, raised, safe_url, shown, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

STREET = "7 Elm Row, Apt 12"
FRAME = pd.DataFrame({"address": [STREET]})

ADDRESS = "canary@example.com"


def told(fail: Callable[[], Any]) -> str:
    try:
        fail()
    except Exception as error:  # noqa: BLE001 - any
        return raised(error)
    pytest.fail("it raised nothing")


def own_code(value: Any, *, style: str) -> None:
    """A user's function that quotes what it fails on, in each way that Python has."""
    if style == "percent":
        raise ValueError("this row has a bad address: %s, mend it" % value)  # noqa: UP031
    if style == "format":
        message = "this row has a bad address: {!r:>4}, mend it".format(value)  # noqa: UP032
        raise LookupError(message)
    if style == "f":
        raise RuntimeError(f"this row has a bad address: {value}, mend it")
    if style == "several":
        raise ValueError("this row has a bad address:", value, [value], {value: value})
    if style == "chained":
        try:
            raise KeyError(value)
        except KeyError as error:
            raise TypeError(f"this row has a bad address: {error}, mend it") from error
    raise {"os": OSError(2, value), "import": ImportError(value), "name": NameError(value), "attribute": AttributeError(value),
           "syntax": SyntaxError(value, (None, 3, 4, value)), "key": KeyError(value), "unicode": UnicodeError(value),
           "group": ExceptionGroup(value, [ValueError(value)])}[style]  # fmt: skip


STYLES = ["percent", "format", "f", "several", "chained", "os", "import", "name", "attribute", "syntax", "key", "unicode", "group"]  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_a_users_own_error_is_told_in_the_words_of_the_code_and_with_its_place(style: str) -> None:
    said = told(lambda: own_code(STREET, style=style))
    assert "Elm" not in said
    assert "Apt" not in said
    assert "test_telling.py:" in said or style == "syntax"
    if style in ("percent", "format", "f", "chained"):
        assert ": this row has a bad address: ... , mend it (" in said


@settings(max_examples=150, deadline=None)
@given(
    value=st.text(min_size=5, max_size=60).filter(lambda text: len(set(text)) > 3),
    style=st.sampled_from(STYLES),
    note=st.text(max_size=20),
)
def test_no_text_of_a_value_is_told_whatever_it_looks_like(value: str, style: str, note: str) -> None:
    same_place = told(lambda: own_code("\N{SNOWMAN}", style=style))
    try:
        own_code(value, style=style)
    except Exception as error:  # noqa: BLE001 - any
        error.add_note(note)
        said = raised(error)
    assert said.replace(" ...", "") == same_place.replace(" ...", "") or style == "several"
    assert len(said) < 500


@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        (lambda: OneHotEncoder().fit(FRAME).transform(FRAME + "x"), "ValueError: Found unknown categories ... in column ... during transform ("),
        (lambda: OrdinalEncoder().fit(FRAME).transform(FRAME + "x"), "ValueError: Found unknown categories ... in column"),
        (lambda: LinearRegression().fit(FRAME, [1]), "ValueError: could not convert string to float ("),
        (lambda: np.array([STREET], dtype=float), "ValueError: could not convert string to float ("),
        (lambda: int(STREET), "ValueError: invalid literal for int() with base 10 ("),
        (lambda: FRAME["address"].map({}.__getitem__), "KeyError ("),
        (lambda: pd.to_datetime(FRAME["address"], format="%Y"), "ValueError ("),
        (lambda: FRAME.set_index("address").loc[STREET + "x"], "KeyError ("),
        (lambda: Decimal(STREET), "InvalidOperation ("),
        (lambda: json.loads(STREET), "JSONDecodeError"),
        (lambda: LogisticRegression(C=-1).fit([[1.0], [2.0]], [0, 1]), "InvalidParameterError: ... parameter of ... must be"),
        (lambda: MinMaxScaler().fit([[np.nan], [np.inf]]), "ValueError: ... infinity or a value too large for"),
        (lambda: LinearRegression(flavour=1), "TypeError: LinearRegression.__init__() got an unexpected keyword argument 'flavour' ("),
        (lambda: np.linalg.inv(np.zeros((2, 2))), "LinAlgError: Singular matrix ("),
        (lambda: pickle.dumps(operator.itemgetter(lambda: 1)), "("),
        (lambda: __import__("nowhere_at_all"), "No module named 'nowhere_at_all'"),
        (lambda: FRAME.nothing_there, "AttributeError: there is no 'nothing_there' ("),
        (lambda: undefined_name, "NameError: there is no 'undefined_name' ("),  # type: ignore[name-defined]  # noqa: F821
        (lambda: 1 / 0, "ZeroDivisionError: division by zero ("),
        (lambda: Path("/nowhere/7 Elm Row").read_text(), "FileNotFoundError: No such file or directory ("),
    ],
)  # fmt: skip
def test_a_librarys_error_says_what_helps_and_no_value(fail: Callable[[], Any], expected: str) -> None:
    said = told(fail)
    assert expected in said
    assert "Elm" not in said
    assert "test_telling.py:" in said or "No module" in said


def test_a_parameter_of_the_estimator_is_told_by_name_and_what_it_was_set_to_is_not() -> None:
    from sklearn.tree import DecisionTreeClassifier

    with pytest.raises(ValueError, match="max_depth") as caught:
        DecisionTreeClassifier(max_depth=ADDRESS).fit([[0.0], [1.0]], [0, 1])
    said = raised(caught.value, names=["max_depth", "max_features"])
    assert "'max_depth' parameter of" in said
    assert "max_features" not in said
    assert ADDRESS not in said


def test_an_error_of_ours_is_told_whole() -> None:
    assert raised(DataRejected("column 'a' is empty\n in row 3")) == "DataRejected: column 'a' is empty in row 3"
    assert raised(ValueError("never raised, so of no place")) == "ValueError"


SECRETS = st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=8, max_size=20).filter(
    lambda text: len(set(text) - set("/?#@:.")) > 4
)


@settings(max_examples=400)
@given(
    secret=SECRETS,
    form=st.sampled_from(
        [
            "{scheme}://{0}@{host}/x",
            "{scheme}://bob:{0}@{host}",
            "{scheme}://{0}:x@{host}",
            "{scheme}://bob:p@{0}@{host}/a@b",
            "{scheme}://{host}/hooks/{0}",
            "{scheme}://{host}/?token={0}",
            "{scheme}://{host}?mail=a@b.c&token={0}",
            "{scheme}://bob:x@{host}/?a={0}#x",
            "{scheme}://{host}#{0}",
            "{0}",
        ]
    ),
    scheme=st.sampled_from(["http", "https", "postgresql+psycopg", "mysql"]),
    host=st.sampled_from(["mlflow:5000", "db", "[::1]:80", "a.b-c.example"]),
    quoted=st.booleans(),
)
def test_no_secret_of_an_address_is_shown(secret: str, form: str, scheme: str, host: str, quoted: bool) -> None:
    planted = quote(secret, safe="") if quoted else secret
    url = form.format(planted, scheme=scheme, host=host)
    for told in (safe_url(url), without_secrets(f"API request to {url} failed") if "://" in form else ""):
        assert all(part not in told for part in {planted, planted[:8], planted[-8:]})
    if quoted and "://" in form and "a@b" not in form and "p@" not in form:
        assert safe_url(url).startswith(f"{scheme}://{host}")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("bob:hunter2@mlflow:5000", "..."),
        ("mlflow?token=hunter2", "..."),
        ("s3://key:hunter2@lake", "s3://lake"),
        ("s3://lake/a", "s3://lake/a"),
        ("http:/mlflow", "http:/mlflow"),
        ("mlruns\n", "mlruns\\n"),
    ],
)
def test_a_mistyped_setting_is_shown_without_what_may_be_a_secret(setting: str, expected: str) -> None:
    assert shown(setting) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://bob:hunter2@mlflow:5000/prefix?token=T0K3N", "http://mlflow:5000/..."),
        ("http://bob:hun@ter2@mlflow:5000", "http://mlflow:5000"),
        ("http://bob:hun/ter2@mlflow:5000", "http://..."),
        ("http://bob:hun?ter2@mlflow:5000", "http://..."),
        ("https://mlflow.example", "https://mlflow.example"),
        ("sqlite:////srv/mlflow.db", "sqlite:///..."),
        ("hunter2", "..."),
    ],
)
def test_an_address_is_shown_by_its_host(url: str, expected: str) -> None:
    assert safe_url(url) == expected


def test_a_services_words_keep_the_places_that_hold_no_secret() -> None:
    said = BackendError("no s3://lake/a/b of models:/churn/3 at http://u:p@h:1/x?y: (host='h')\nTraceback")
    assert first_line(said) == "no s3://lake/a/b of models:/churn/3 at http://h:1/... (host='h')"
    assert first_line(None) == "NoneType"
