"""Rows as a model sees them: kept ones only, integers as floats, the target as 0 and 1, and never a role as a feature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from builders import make_run, make_table, write_parquet
from contender.data.rows import Rows, as_features, as_frame, load_rows
from contender.data.snapshot import take_snapshot
from contender.documents.columns import Column
from contender.documents.data import Quarantine
from contender.dtypes import TEXT
from contender.errors import DataRejected
from contender.store.base import write_document

if TYPE_CHECKING:
    from pathlib import Path

    from contender.store.local import LocalStore

CANARY = "canary@example.com"


@pytest.fixture
def rows_of(tmp_path: Path, store: LocalStore) -> Any:
    """The rows of a table whose snapshot was taken and validated."""

    def load(table: pa.Table, *, bad: tuple[int, ...] = (), **parts: Any) -> Rows:
        run = make_run(write_parquet(tmp_path / "lake" / "a.parquet", table), **parts)
        snapshot = take_snapshot(run, store)
        write_document(store, run.key("snapshot.json"), snapshot)
        reasons = dict.fromkeys(bad, ("expect_x",))
        quarantine = Quarantine(id="q", snapshot=snapshot.id, rows=reasons, checks=())
        write_document(store, run.key("quarantine.json"), quarantine)
        return load_rows(run, store)

    return load


def test_quarantined_rows_are_left_out(rows_of: Any) -> None:
    table = pa.table({"id": [1, 2, 3, 4], "x": [0.1, 0.2, 0.3, 0.4], "y": ["yes", "no", "yes", "yes"]})
    rows = rows_of(table, bad=(0, 2))
    assert rows.frame["id"].tolist() == [2.0, 4.0]
    assert rows.target.tolist() == [0, 1]


def test_roles_and_excluded_columns_are_no_features(rows_of: Any) -> None:
    rows = rows_of(make_table(30), data={"time": "at", "window": "60d", "exclude": ["noise"]}, split={"gate": "14d"})
    assert list(rows.features.columns) == ["region", "x"]
    assert "noise" not in rows.frame.columns


def test_a_snapshot_without_a_feature_is_refused(rows_of: Any) -> None:
    with pytest.raises(DataRejected, match=r"no feature is left; target, id, time and data\.exclude name every column"):
        rows_of(pa.table({"id": [1, 2], "y": ["yes", "no"]}))


@pytest.mark.parametrize(
    ("values", "positive", "labels"),
    [
        (["yes", "no", "yes"], "yes", ("no", "yes")),
        (["yes", "no", "yes"], "no", ("yes", "no")),
        ([1, 0, 1], "1", ("0", "1")),
        ([1.0, 0.0, 1.0], "1", ("0", "1")),
        ([True, False, True], "true", ("false", "true")),
    ],
    ids=["text", "the other one", "integers", "floats", "truth values"],
)
def test_the_positive_class_is_one(rows_of: Any, values: list[Any], positive: str, labels: tuple[str, str]) -> None:
    rows = rows_of(pa.table({"id": [1, 2, 3], "x": [1.0, 2.0, 3.0], "y": values}), data={"positive": positive})
    assert rows.labels == labels
    assert rows.target.tolist() == [int(str(value).lower().removesuffix(".0") == positive) for value in values]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["no", "no"], r"data\.positive: 'y' takes 'no'; expected two values, one of them 'yes'"),
        (["No", "Yes"], r"data\.positive: 'y' takes 'No', 'Yes'; expected two values, one of them 'yes'"),
        (["a", "b", "yes"], r"data\.positive: 'y' takes 'a', 'b', 'yes'; expected two values"),
    ],
)
def test_a_target_that_is_not_two_classes_says_what_it_is(rows_of: Any, values: list[str], message: str) -> None:
    table = pa.table({"id": range(len(values)), "x": [1.0] * len(values), "y": values})
    with pytest.raises(DataRejected, match=message):
        rows_of(table)


def test_a_target_that_is_no_class_at_all_shows_no_value(rows_of: Any) -> None:
    table = pa.table({"id": range(20), "x": [1.0] * 20, "y": [f"{n}-{CANARY}" for n in range(20)]})
    with pytest.raises(DataRejected, match=r"data\.positive: 'y' takes 20 values; expected two") as caught:
        rows_of(table)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("values", [[1, 2, 3], [1.0, 2.0, 3.0]], ids=["integers", "floats"])
def test_a_regressions_target_is_its_numbers(rows_of: Any, values: list[float]) -> None:
    rows = rows_of(pa.table({"id": [1, 2, 3], "x": [1.0, 2.0, 3.0], "y": values}), data={"positive": None})
    assert rows.target.tolist() == [1.0, 2.0, 3.0]
    assert rows.labels is None


def test_a_regression_needs_numbers(rows_of: Any) -> None:
    with pytest.raises(DataRejected, match=r"data\.target: 'y' holds strings; for a class give data\.positive"):
        rows_of(pa.table({"id": [1], "x": [1.0], "y": ["high"]}), data={"positive": None})


def test_a_regression_needs_finite_numbers(rows_of: Any) -> None:
    with pytest.raises(DataRejected, match=r"data\.target: 1 of 2 values of 'y' are infinite"):
        rows_of(pa.table({"id": [1, 2], "x": [1.0, 2.0], "y": [1.0, float("inf")]}), data={"positive": None})


def test_integers_and_truth_values_become_floats_so_that_one_may_be_missing_tomorrow() -> None:
    today = pa.table({"n": [1, 2], "ok": [True, False]})
    tomorrow = pa.table({"n": [1, None], "ok": [None, False]})
    frames = [as_frame(table, None) for table in (today, tomorrow)]
    assert [frame.dtypes.tolist() for frame in frames] == [[np.dtype("float64")] * 2] * 2
    assert np.isnan(frames[1].iloc[1, 0])


def test_text_that_is_missing_everywhere_is_still_text() -> None:
    frame = as_frame(pa.table({"t": pa.array([None, None], pa.large_string())}), None)
    assert str(frame["t"].dtype) == "str"
    assert frame["t"].isna().all()


def test_features_come_in_the_order_they_are_asked_for() -> None:
    frame = pd.DataFrame({"a": [1.0], "b": [2.0], "c": [3.0]})
    columns = (Column(name="c", type="number"), Column(name="a", type="number"))
    assert list(as_features(frame, columns).columns) == ["c", "a"]


def test_a_feature_that_is_gone_is_named() -> None:
    with pytest.raises(DataRejected, match=r"the columns \['b'\] that the model needs are not in the data"):
        as_features(pd.DataFrame({"a": [1.0]}), (Column(name="a", type="number"), Column(name="b", type="number")))


@pytest.mark.parametrize(
    ("values", "was"),
    [(pd.Series([CANARY], dtype=TEXT), "number"), (pd.Series([1.0]), "text"), (pd.Series([1.0]), "timestamp")],
    ids=["number to text", "text to number", "timestamp to number"],
)
def test_a_feature_that_became_something_else_is_named_without_its_values(values: pd.Series, was: Any) -> None:
    message = rf"column 'a' was {was} when the model was made, now it is"
    with pytest.raises(DataRejected, match=message) as caught:
        as_features(pd.DataFrame({"a": values}), (Column(name="a", type=was),))
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("was", ["integer", "number", "boolean"])
def test_all_kinds_of_numbers_are_one_to_a_model(was: Any) -> None:
    assert as_features(pd.DataFrame({"a": [1.0]}), (Column(name="a", type=was),)).shape == (1, 1)


def test_rows_of_one_id_are_one_group(rows_of: Any) -> None:
    table = pa.table({"id": ["b", "a", "b"], "x": [1.0, 2.0, 3.0], "y": ["yes", "no", "yes"]})
    rows = rows_of(table)
    assert pd.Series(rows.groups).groupby(rows.frame["id"].to_numpy()).nunique().tolist() == [1, 1]
    assert len(set(rows.groups)) == 2


def test_without_an_id_every_row_is_its_own_group(rows_of: Any) -> None:
    rows = rows_of(pa.table({"x": [1.0, 1.0], "y": ["yes", "no"]}), data={"id": None})
    assert len(set(rows.groups)) == 2


def test_folds_are_counted_in_the_sweep_rows(rows_of: Any) -> None:
    rows = rows_of(make_table(100))
    tested = sorted(position for _, test in rows.folds for position in test)
    assert tested == list(range(len(rows.split.sweep)))
