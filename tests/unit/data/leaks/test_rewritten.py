"""A feature that is written again once the label is known is told from one that is corrected or grows."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from builders import AS_OF, TIMED, make_run, make_table, write_parquet
from contender.data.leaks.rewritten import earlier_snapshot, rewritten
from contender.data.snapshot import take_snapshot
from contender.documents.data import Snapshot
from contender.store.base import write_document
from contender.store.ledger import Ledger
from contender.store.runs import let_count

if TYPE_CHECKING:
    from pathlib import Path

    from contender.store.local import LocalStore

N = 2_000
PARTS: dict[str, Any] = {"data": TIMED, "split": {"gate": "14d", "folds": 2}}
EARLIER = AS_OF - timedelta(days=7)
TABLE = make_table(N)
LEFT = np.array(TABLE["y"].to_pylist()) == "yes"
X = TABLE["x"].to_numpy()


def with_column(name: str, values: Any) -> pa.Table:
    table = TABLE if name not in TABLE.column_names else TABLE.drop_columns(name)
    return table.append_column(name, pa.array(values))


@pytest.fixture
def before(tmp_path: Path, store: LocalStore) -> Any:
    """The snapshot of a champion that was made of a table a week ago."""

    def made(table: pa.Table = TABLE, **parts: Any) -> Snapshot:
        source = write_parquet(tmp_path / "before" / "a.parquet", table)
        run = make_run(source, run_id="before", as_of=EARLIER, **(PARTS | parts))
        snapshot = take_snapshot(run, store)
        write_document(store, run.key("snapshot.json"), snapshot)
        let_count(run, store)
        Ledger(store, "churn").append(
            kind="promotion", version="1", release=None, run_id="before", as_of=EARLIER, at=EARLIER, by="", reason=""
        )
        return snapshot

    return made


@pytest.fixture
def found(before: Any, keep: Any, store: LocalStore) -> Any:
    def of(then: pa.Table, now: pa.Table, **parts: Any) -> dict[str, str]:
        snapshot = before(then, **parts)
        leaks = rewritten(keep(now, **(PARTS | parts)), snapshot, store)
        return {name: leak.evidence for leak in leaks for name in leak.columns}

    return of


def test_a_change_in_the_rows_of_one_class_is_named_with_its_numbers(found: Any) -> None:
    changed = LEFT & (np.random.default_rng(0).random(N) < 0.3)
    told = found(TABLE, with_column("x", np.where(changed, X + 1, X)))
    assert list(told) == ["x"]
    assert " of 1,7" in told["x"]  # the last week was not there yet
    assert "rows since the snapshot of 2026-02-23; the target is 100.0% positive in those, 41.4%" in told["x"]


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (X, X + np.where(LEFT, 1, -1)),
        (["open"] * N, np.where(LEFT, "closed", "running")),
        (pa.nulls(N, pa.float64()), np.where(LEFT, 1.0, 2.0)),
        (TABLE["at"].to_numpy(), TABLE["at"].to_numpy() + np.where(LEFT, 60, 3600).astype("timedelta64[s]")),
    ],
    ids=["number", "text", "filled in", "time"],
)
def test_what_became_of_a_value_tells_though_it_changed_in_all_rows(found: Any, then: Any, now: Any) -> None:
    told = found(with_column("v", then), with_column("v", now))
    assert list(told) == ["v"]
    assert "changed in 100.0% of" in told["v"]
    assert re.search(r"what they became reaches ROC AUC 1\.000 alone, 0\.\d+ before$", told["v"])


def test_a_good_feature_in_another_unit_or_under_another_name_is_no_leak(found: Any) -> None:
    grade = np.where(X + np.random.default_rng(4).normal(size=N) > 0, "high", "low")
    then = with_column("grade", grade)
    now = with_column("x", X * 100).append_column("grade", pa.array(np.char.upper(grade)))
    assert found(then, now) == {}


def test_a_correction_or_growth_that_knows_nothing_of_the_target_is_none(found: Any) -> None:
    random = np.random.default_rng(1)
    corrected = np.where(random.random(N) < 0.3, X * 10, X)
    now = with_column("x", corrected).append_column("age", pa.array(np.arange(N) + 7))
    assert found(with_column("age", np.arange(N)), now) == {}


def test_another_rounding_is_no_change(found: Any) -> None:
    assert found(TABLE, with_column("x", np.where(LEFT, X * (1 + 1e-12), X))) == {}


def test_a_number_that_is_predicted_has_a_change_too(found: Any) -> None:
    y = X + np.random.default_rng(2).normal(size=N)
    then = TABLE.drop_columns("y").append_column("y", pa.array(y)).append_column("v", pa.array(np.zeros(N)))
    now = then.drop_columns("v").append_column("v", pa.array(np.where(y > 1, 1.0, 0.0)))
    told = found(then, now, data=TIMED | {"positive": None})
    assert "their targets lie 1." in told["v"]
    assert "standard deviations (of ranks) from those of the others" in told["v"]


@pytest.mark.parametrize(
    "then",
    [
        TABLE.drop_columns("x"),
        with_column("x", TABLE["region"]),
        TABLE.set_column(0, "id", TABLE["id"].cast(pa.string())),
        TABLE.slice(0, 40),
        pa.concat_tables([TABLE, TABLE]),
    ],
    ids=["not there", "another type", "another id", "few rows", "an id twice"],
)
def test_what_cannot_be_compared_is_not(found: Any, then: pa.Table) -> None:
    assert found(then, with_column("x", np.where(LEFT, X + 1, X))) == {}


def test_rows_keep_their_partners_whatever_the_order(found: Any) -> None:
    order = np.random.default_rng(3).permutation(N)
    told = found(TABLE.take(order[: N // 2]), with_column("x", np.where(LEFT, X + 1, X)))
    assert "the target is 100.0% positive in those, 0.0% in the others" in told["x"]


def test_the_same_rows_in_another_order_did_not_change(found: Any) -> None:
    assert found(TABLE.take(np.random.default_rng(3).permutation(N)), TABLE) == {}


def test_an_earlier_snapshot_that_was_removed_is_none(before: Any, keep: Any, store: LocalStore) -> None:
    snapshot = before()
    store.local(snapshot.key("churn", "data.parquet")).unlink()
    assert list(rewritten(keep(TABLE, **PARTS), snapshot, store)) == []


def test_the_champions_snapshot_is_the_earlier_one(before: Any, store: LocalStore) -> None:
    assert earlier_snapshot(make_run(**PARTS), store) is None
    snapshot = before()
    assert earlier_snapshot(make_run(**PARTS), store) == snapshot
    assert earlier_snapshot(make_run(as_of=EARLIER, **PARTS), store) is None  # no earlier than itself
    assert earlier_snapshot(make_run(), store) is None  # without a time a row may well be another day's
    assert earlier_snapshot(make_run(data=TIMED | {"id": None}, split=PARTS["split"]), store) is None


def test_a_missing_value_that_stays_missing_did_not_change(found: Any) -> None:
    gone = pd.Series(np.where(LEFT, np.nan, X))
    assert found(with_column("x", gone), with_column("x", gone)) == {}


def test_rows_without_an_id_are_not_taken_for_one_another(found: Any) -> None:
    def nobody(table: pa.Table) -> pa.Table:
        return table.set_column(table.column_names.index("id"), "id", pa.nulls(N, pa.string()))

    assert found(nobody(TABLE), nobody(with_column("x", np.where(LEFT, X + 1, X)))) == {}


def test_id_and_time_may_have_any_name(found: Any) -> None:
    changed = with_column("x", np.where(LEFT & (np.random.default_rng(0).random(N) < 0.3), X + 1, X))
    names = {"id": "here", "at": "there"}
    then, now = (one.rename_columns([names.get(n, n) for n in one.column_names]) for one in (TABLE, changed))
    assert list(found(then, now, data={**TIMED, "id": "here", "time": "there"})) == ["x"]
