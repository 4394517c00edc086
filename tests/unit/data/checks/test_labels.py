"""Rows that are set aside are compared with the kept ones by their labels: as means, and never of so few that a mean is a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import make_run, make_table, write_parquet
from contender.data.checks.expectations import check
from contender.data.checks.labels import differ, warnings_of, with_labels
from contender.data.checks.quarantine import set_aside
from contender.data.rows import as_frame
from contender.data.snapshot import read_snapshot, take_snapshot
from contender.documents.data import AsideLabels

if TYPE_CHECKING:
    from pathlib import Path

    from contender.documents.data import Quarantine
    from contender.store.local import LocalStore

N = 2_000
RANGE = {"expect_column_values_to_be_between": {"column": "x", "max_value": 5}}
REASON = "expect_column_values_to_be_between(x)"


def table(aside: int, positive: int, **columns: Any) -> pa.Table:
    """``aside`` rows far outside of which ``positive`` are, and others of which a tenth is."""
    y = np.where(np.arange(N) % 10 == 0, "yes", "no")
    y[:aside] = "no"
    y[:positive] = "yes"
    made = {"id": np.arange(N), "x": np.where(np.arange(N) < aside, 9.0, np.arange(N) / N), "y": y}
    return pa.table(made | columns)


def validated(store: LocalStore, tmp_path: Path, rows: pa.Table, **parts: Any) -> Quarantine:
    file = write_parquet(tmp_path / "lake" / "a.parquet", rows)
    run = make_run(file, **{"expectations": [RANGE], **parts})
    taken = take_snapshot(run, store)
    frame = as_frame(read_snapshot(taken, run.pipeline, store), run.spec.data.id)
    return with_labels(run, taken, set_aside(taken, check(frame, run.spec.expectations)), store)


def test_rows_that_carry_the_label_are_told_with_both_shares(store: LocalStore, tmp_path: Path) -> None:
    quarantine = validated(store, tmp_path, table(60, 30))
    assert quarantine.labels == (AsideLabels(reason=REASON, rows=60, aside=0.5, kept=0.1, apart=True),)
    assert (
        "60 rows whose labels are not like those of the others (50.0% positive against 10.0%)"
        in warnings_of(make_run(), quarantine)[0]
    )


def test_rows_like_the_others_are_no_warning(store: LocalStore, tmp_path: Path) -> None:
    quarantine = validated(store, tmp_path, table(60, 6))
    assert [one.apart for one in quarantine.labels] == [False]
    assert warnings_of(make_run(), quarantine) == []


def test_a_number_is_compared_by_its_mean(store: LocalStore, tmp_path: Path) -> None:
    price = np.where(np.arange(N) < 60, 90.0, np.arange(N) % 7)
    quarantine = validated(
        store,
        tmp_path,
        table(60, 0, y=price),
        data={"positive": None},
        sweep={"metric": "r2", "candidates": [{"estimator": "sklearn.linear_model.Ridge"}]},
        gates=[{"kind": "threshold", "metric": "r2", "min": 0}],
    )
    [one] = quarantine.labels
    assert (one.aside, one.apart) == (90, True)
    assert one.kept == pytest.approx(price[60:].mean())


def test_the_mean_of_few_rows_would_be_a_value_and_is_not_told(store: LocalStore, tmp_path: Path) -> None:
    assert validated(store, tmp_path, table(4, 4)).labels == ()


def test_a_check_of_the_target_itself_is_not_compared(store: LocalStore, tmp_path: Path) -> None:
    rows = table(0, 0, y=np.where(np.arange(N) < 30, "maybe", np.where(np.arange(N) % 3, "no", "yes")))
    known = {"expect_column_values_to_be_in_set": {"column": "y", "value_set": ["no", "yes"]}}
    assert validated(store, tmp_path, rows, expectations=[known]).labels == ()


def test_nothing_set_aside_is_nothing_to_compare(store: LocalStore, tmp_path: Path) -> None:
    assert validated(store, tmp_path, make_table(400)).labels == ()


@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_labels_that_chance_dealt_out_seldom_differ_and_few_rows_never_do(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.normal(size=500)
    some = np.zeros(500, dtype=bool)
    some[random.choice(500, count, replace=False)] = True
    assert not differ(some, labels) or count >= 5
    assert not differ(some, np.zeros(500))
