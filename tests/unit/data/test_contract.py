"""What a column holds is said once. Later data fits, or the run says which column does not and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv

from builders import make_run, make_table, write_parquet
from contender.data.contract import contracted, freeze, frozen_columns
from contender.data.snapshot import read_snapshot, take_snapshot, unread_rows
from contender.documents.data import Snapshot, Uncoerced
from contender.documents.run import Run
from contender.errors import ConfigError, DataRejected
from contender.store.local import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def taken(store: LocalStore, lake: Path, table: pa.Table, run_id: str = "r1", **data: Any) -> Snapshot:
    write_parquet(lake / "a.parquet", table)
    return take_snapshot(make_run(lake, run_id=run_id, data=data), store)


@pytest.fixture
def lake(store: LocalStore, tmp_path: Path) -> Path:
    """A lake whose contract was frozen by a first run."""
    snapshot = taken(store, tmp_path / "lake", make_table(30))
    freeze(make_run(tmp_path / "lake"), snapshot, store)
    return tmp_path / "lake"


def test_the_first_run_says_what_the_columns_hold(store: LocalStore, lake: Path) -> None:
    expected = {"at": "timestamp", "id": "integer", "noise": "number", "region": "text", "x": "number", "y": "text"}
    assert expected == contracted(make_run(lake).spec.data, frozen_columns("churn", store))


def test_what_was_frozen_stays_frozen(store: LocalStore, lake: Path) -> None:
    freeze(make_run(lake, run_id="r2"), taken(store, lake, make_table(5), "r2", exclude=["x"]), store)
    assert "x" in contracted(make_run(lake).spec.data, frozen_columns("churn", store))


def test_the_yaml_has_the_last_word(store: LocalStore, lake: Path) -> None:
    data = make_run(lake, data={"columns": {"region": "integer", "age": "number"}, "exclude": ["noise"]}).spec.data
    found = contracted(data, frozen_columns("churn", store))
    assert ("integer", "number") == (found["region"], found["age"])
    assert "noise" not in found


def test_types_of_the_source_that_the_contract_overrules_are_refused_with_the_next_move(
    store: LocalStore, tmp_path: Path
) -> None:
    """They were overruled without a word."""
    (tmp_path / "a.csv").write_text("id,zip,born,y\n1,10,2026-01-01,yes\n2,20,2026-01-02,no\n")

    def run(types: dict[str, str], **data: Any) -> Run:
        return make_run(data={"source": {"kind": "csv", "uri": str(tmp_path / "a.csv"), "types": types}, **data})

    first = run({"zip": "integer", "born": "timestamp"})
    freeze(first, take_snapshot(first, store), store)
    with pytest.raises(
        ConfigError,
        match=r"types: 'zip' is text here, and integer in the pipeline's contract, .*data\.columns: \{zip: text\}",
    ):
        take_snapshot(run({"zip": "text"}), store)
    for asked in (
        run({"zip": "integer", "born": "timestamptz"}),  # how cells are written, not what they hold
        run({"zip": "text"}, columns={"zip": "text"}),
        run({"zip": "text"}, exclude=["zip"]),
        run({}),
    ):
        kind = {column.name: column.type for column in take_snapshot(asked, store).columns}.get("zip")
        assert kind == (None if asked.spec.data.exclude else asked.spec.data.columns.get("zip", "integer"))


def test_a_column_without_values_is_left_open(store: LocalStore, tmp_path: Path) -> None:
    table = make_table(30).append_column("later", pa.nulls(30))
    freeze(make_run(tmp_path), taken(store, tmp_path / "lake", table), store, empty=["later"])
    assert "later" not in contracted(make_run(tmp_path).spec.data, frozen_columns("churn", store))


def test_a_column_without_values_is_used_all_the_same(store: LocalStore, tmp_path: Path) -> None:
    table = make_table(30).append_column("later", pa.nulls(30))
    first = taken(store, tmp_path / "lake", table)
    freeze(make_run(tmp_path), first, store, empty=["later"])
    again = taken(store, tmp_path / "lake", table, "r2", unknown_columns="stop")
    assert first.id == again.id
    table = table.set_column(table.column_names.index("later"), "later", pa.array(["x"] * 30))
    snapshot = taken(store, tmp_path / "lake", table, "r3")
    assert () == snapshot.ignored
    assert "text" == {column.name: column.type for column in snapshot.columns}["later"]


def test_a_derived_column_needs_no_contract(store: LocalStore, lake: Path) -> None:
    table = make_table(30).append_column("end", make_table(30, seed=1)["at"])
    derive = {"derive": {"trip": {"minutes": ["at", "end"]}}, "exclude": ["end"]}
    snapshot = taken(store, lake, table, "r2", **derive, unknown_columns="stop")
    assert "number" == {column.name: column.type for column in snapshot.columns}["trip"]


def test_text_files_are_read_alike_before_and_after_the_contract(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    csv.write_csv(make_table(30).append_column("end", make_table(30, seed=1)["at"]), tmp_path / "lake" / "a.csv")
    data = {
        "source": {"kind": "csv", "uri": str(tmp_path / "lake")},
        "derive": {"trip": {"minutes": ["at", "end"]}},
        "exclude": ["end"],
        "columns": {"id": "integer"},
    }
    run = make_run(data=data)
    first = take_snapshot(run, store)
    assert {"at": "timestamp", "x": "number", "trip": "number"}.items() <= {
        c.name: c.type for c in first.columns
    }.items()
    freeze(run, first, store)
    assert first.id == take_snapshot(make_run(run_id="r2", data=data), store).id


def test_a_column_keeps_its_type_whatever_today_looks_like(store: LocalStore, lake: Path) -> None:
    table = make_table(30)
    table = table.set_column(table.column_names.index("x"), "x", table["x"].cast(pa.int64(), safe=False))
    table = table.set_column(table.column_names.index("id"), "id", table["id"].cast(pa.float64()))
    snapshot = taken(store, lake, table, "r2")
    types = {column.name: column.type for column in snapshot.columns}
    assert ("number", "integer") == (types["x"], types["id"])
    assert () == snapshot.uncoerced


def test_cells_that_do_not_fit_are_kept_with_their_row_and_counted(store: LocalStore, lake: Path) -> None:
    table = make_table(30)
    cells = ["1,5" if row in (3, 7) else str(float(row)) for row in range(30)]
    snapshot = taken(store, lake, table.set_column(table.column_names.index("x"), "x", pa.array(cells)), "r2")
    assert 30 == snapshot.rows
    assert (Uncoerced(column="x", expected="number", rows=2, first="a.parquet"),) == snapshot.uncoerced
    rows = read_snapshot(snapshot, "churn", store)
    assert "x" in rows.column_names
    assert not [name for name in rows.column_names if name.startswith("_")]
    reasons = unread_rows(snapshot, "churn", store)
    [(reason, positions)] = reasons
    assert "x is not a number" == reason
    assert {3, 7} == {rows["id"][position].as_py() for position in positions.tolist()}
    assert all(rows["x"][position].as_py() is None for position in positions.tolist())


def test_what_a_cell_that_does_not_fit_says_is_part_of_the_content(store: LocalStore, lake: Path) -> None:
    table = make_table(3)
    place = table.column_names.index("x")
    ids = {
        taken(store, lake, table.set_column(place, "x", pa.array(["1", "2", odd])), f"r{odd}").id for odd in ("?", "-")
    }
    assert 2 == len(ids)


def test_what_a_row_without_a_label_says_is_no_part_of_the_content(store: LocalStore, lake: Path) -> None:
    table = make_table(3)
    table = table.set_column(table.column_names.index("y"), "y", pa.array(["yes", "no", None]))
    place = table.column_names.index("x")
    ids = {taken(store, lake, table.set_column(place, "x", pa.array(["1", "2", odd])), f"r{odd}").id for odd in "?3"}
    assert 1 == len(ids)


def test_a_label_that_does_not_fit_is_bad_data_and_not_one_that_has_to_come(store: LocalStore, lake: Path) -> None:
    table = make_table(5)
    place = table.column_names.index("y")
    table = table.set_column(place, "y", pa.array(["1", "2", "yes", None, "3"]))
    snapshot = taken(store, lake, table, "r2", columns={"y": "integer"})
    assert (4, 1) == (snapshot.rows, snapshot.unlabelled)
    [(reason, positions)] = unread_rows(snapshot, "churn", store)
    assert ("y is not an integer", 1) == (reason, len(positions))


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (["noise"], r"no column 'noise' in the source; the pipeline's contract, frozen by its first run, has it\..*data\.exclude"),
        (["noise", "x"], r"no column 'noise' \(and 1 more: x\) in the source"),
    ],
)  # fmt: skip
def test_a_missing_column_is_named_with_the_way_on(
    store: LocalStore, lake: Path, gone: list[str], message: str
) -> None:
    table = make_table(30).drop_columns(gone)
    with pytest.raises(DataRejected, match=message):
        taken(store, lake, table, "r2")
    assert "noise" not in {column.name for column in taken(store, lake, table, "r3", exclude=gone).columns}


def test_a_misspelt_exclusion_is_named_although_there_is_a_contract(store: LocalStore, lake: Path) -> None:
    with pytest.raises(DataRejected, match=r"data\.exclude: no column 'nois' in the source\. Did you mean 'noise'"):
        taken(store, lake, make_table(30), "r2", exclude=["nois"])


def test_a_renamed_column_is_recognised(store: LocalStore, lake: Path) -> None:
    names = [" Noise" if name == "noise" else name for name in make_table(3).column_names]
    with pytest.raises(DataRejected, match=r"no column 'noise' .* Did you mean ' Noise'\?"):
        taken(store, lake, make_table(30).rename_columns(names), "r2")


def test_a_new_column_is_not_used_and_said_or_stops_the_run(store: LocalStore, lake: Path) -> None:
    table = make_table(30).append_column("leak", pa.array(range(30)))
    snapshot = taken(store, lake, table, "r2")
    assert ("leak",) == snapshot.ignored
    assert taken(store, lake, make_table(30), "r3").id == snapshot.id
    with pytest.raises(
        DataRejected, match=r"columns that the contract does not have: leak; use them \(data\.columns\)"
    ):
        taken(store, lake, table, "r4", unknown_columns="stop")
    declared = taken(store, lake, table, "r5", columns={"leak": "number"})
    assert () == declared.ignored
    assert "leak" in {column.name for column in declared.columns}


def test_a_declared_column_that_is_not_there_is_named(store: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(DataRejected, match=r"no column 'agee' in the source; data\.columns has it"):
        taken(store, tmp_path / "lake", make_table(30), columns={"agee": "number"})
    assert not (tmp_path / "store").exists()
