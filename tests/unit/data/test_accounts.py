"""Every row and every file is accounted for: in the window, outside it, without a time or without a label yet, and never twice."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from builders import AS_OF, make_run, make_table, write_parquet
from contender.data.checks.quarantine import examine, refusal
from contender.data.rows import as_frame
from contender.data.snapshot import read_snapshot, take_snapshot, unread_rows
from contender.data.sources import AnySource
from contender.documents.data import Accounts, Snapshot
from contender.documents.run import Run
from contender.errors import ContenderError, DataUnavailable
from contender.store.local import LocalStore

TIMED = {"time": "at", "window": "30d"}
NULL_TIME = {"expectations": [{"expect_column_values_to_not_be_null": {"column": "at"}}]}
Time = Literal["inside", "outside", "missing", "odd"]
ROWS = st.lists(
    st.tuples(st.sampled_from(["inside", "outside", "missing", "odd"]), st.booleans()), min_size=1, max_size=12
)


def moment(time: Time, row: int) -> datetime | None:
    """A time of that kind; odd ones are missing where a column holds only moments."""
    day = timedelta(days={"inside": 3, "outside": 40}.get(time, 0), minutes=row)
    return None if time in ("missing", "odd") else AS_OF.replace(tzinfo=None) - day


def text(time: Time, row: int) -> str | None:
    return "31/02/2026" if time == "odd" else None if time == "missing" else str(moment(time, row))


def as_parquet(folder: Path, rows: list[tuple[Time, bool]], parts: int, *, renamed: bool) -> dict[str, Any]:
    for part in range(parts):
        mine = [(row, *one) for row, one in enumerate(rows) if row % parts == part]
        columns = {
            "id": pa.array([row for row, _, _ in mine], pa.int64()),
            "when" if renamed and part else "at": pa.array(
                [moment(at, row) for row, at, _ in mine], pa.timestamp("us")
            ),
            "y": pa.array(["yes" if label else None for _, _, label in mine], pa.string()),
        }
        write_parquet(folder / f"{part}.parquet", pa.table(columns), row_group_size=2)
    return {"kind": "parquet", "uri": str(folder)}


def as_csv(folder: Path, rows: list[tuple[Time, bool]], parts: int, *, renamed: bool) -> dict[str, Any]:
    for part in range(parts):
        lines = [f"id,{'when' if renamed and part else 'at'},y"]
        for row, (at, label) in enumerate(rows):
            if row % parts == part:
                lines.append(f"{row},{text(at, row) or ''},{'yes' if label else ''}")
        (folder / f"{part}.csv").write_text("\n".join(lines) + "\n")
    return {"kind": "csv", "uri": str(folder), "types": {"id": "integer", "at": "timestamp", "y": "text"}}


def as_sql(folder: Path, rows: list[tuple[Time, bool]], parts: int, *, renamed: bool) -> dict[str, Any]:
    del parts, renamed
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute("CREATE TABLE t (id INTEGER, at TIMESTAMP, y TEXT)")
        cells = [(row, text(at, row), "yes" if label else None) for row, (at, label) in enumerate(rows)]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", cells)
    connection.close()
    return {"kind": "sql", "conn_id": "shop_db", "table": "t"}


WRITERS = {"parquet": as_parquet, "csv": as_csv, "sql": as_sql}


def test_every_source_has_its_account_checked() -> None:
    """The demo writes its own files, see below; a new source needs a writer here."""
    kinds = {member.model_fields["kind"].annotation.__args__[0] for member in get_args(get_args(AnySource)[0])}
    assert kinds == {*WRITERS, "demo"}


@pytest.mark.parametrize("written", WRITERS.values(), ids=WRITERS)
@given(rows=ROWS, parts=st.integers(1, 3), renamed=st.booleans(), timed=st.booleans())
@settings(max_examples=60)
def test_every_row_of_every_source_is_in_one_of_the_numbers(
    written: Any,
    rows: list[tuple[Time, bool]],
    parts: int,
    renamed: bool,
    timed: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder, store = tmp_path_factory.mktemp("lake"), LocalStore(tmp_path_factory.mktemp("store"))
    source = written(folder, rows, parts, renamed=renamed)
    run = make_run(data={"source": source, **(TIMED if timed else {})})
    lost = renamed and written is not as_sql
    told = [("missing" if lost and row % parts else at) if timed else "inside" for row, (at, _) in enumerate(rows)]
    count = {
        "in_window": sum(at == "inside" and label for at, (_, label) in zip(told, rows, strict=True)),
        "outside": told.count("outside"),
        "without_time": sum(at in ("missing", "odd") and label for at, (_, label) in zip(told, rows, strict=True)),
        "unlabelled": sum(at != "outside" and not label for at, (_, label) in zip(told, rows, strict=True)),
    }
    asked = (run, store, lambda _: {"conn_type": "sqlite", "host": str(folder / "shop.db")})
    if not count["in_window"]:
        with pytest.raises(ContenderError):
            take_snapshot(*asked)
        return
    taken = take_snapshot(*asked)
    assert taken.accounts is not None
    found = taken.accounts.model_dump()
    if written is as_sql:  # the database is not asked for rows that are far outside
        count["outside"] = found["outside"]
        assert found["outside"] == 0
    assert count == {name: found[name] for name in count}
    assert found["rows_read"] == sum(count.values())
    assert found["rows_read"] == len(rows) or written is as_sql
    assert found["files_found"] == (0 if written is as_sql else parts)
    assert found["files_read"] + found["files_outside"] == found["files_found"]
    assert (taken.rows, taken.unlabelled) == (count["in_window"] + count["without_time"], count["unlabelled"])
    quarantined = {position for _, positions in unread_rows(taken, "churn", store) for position in positions.tolist()}
    assert len(quarantined) == count["without_time"] or not timed


def test_the_demos_rows_are_accounted_for(tmp_path: Path) -> None:
    data = {"source": {"kind": "demo", "uri": str(tmp_path / "demo")}, "time": "observed_on", "window": "60d"}
    data |= {"label_delay": "7d", "target": "churned", "id": "customer_id"}
    taken = take_snapshot(make_run(data=data), LocalStore(tmp_path / "store"))
    assert taken.accounts is not None
    assert taken.accounts.rows_read == taken.rows + taken.unlabelled + taken.accounts.outside
    assert taken.accounts.files_read == len(taken.sources) > 50
    assert taken.accounts.without_time == 0


def test_numbers_that_do_not_add_up_are_no_account() -> None:
    whole = {"rows_read": 10, "in_window": 4, "outside": 3, "without_time": 2, "unlabelled": 1}
    assert Accounts.model_validate(whole | {"files_found": 3, "files_read": 2, "files_other": {".txt": 1}})
    for wrong in ({"outside": 4}, {"files_found": 1}, {"files_other": {".txt": 1}}):
        with pytest.raises(ValidationError, match="accounted for"):
            Accounts.model_validate(whole | wrong)


def test_the_account_is_one_line() -> None:
    account = Accounts(rows_read=1_200, in_window=300, outside=0, without_time=900, unlabelled=0, files_found=6,
                       files_read=3, files_outside=1, files_other={".txt": 1, "": 1})  # fmt: skip
    assert account.words == (
        "1,200 rows read = 300 in the window + 0 outside it + 900 without a time + 0 without a label yet; "
        "6 files found = 3 read + 1 outside the window + 2 of another kind (1 without an ending, 1 .txt)"
    )


def weeks(folder: Path, spoil: Any) -> Path:
    """Four weekly files of 300 rows; ``spoil`` changes the table of each week."""
    table = make_table(1_200, days=28).sort_by("at")
    for week in range(4):
        write_parquet(folder / f"{week}.parquet", spoil(week, table.slice(week * 300, 300)))
    return folder


def renamed(week: int, table: pa.Table) -> pa.Table:
    return table if week == 3 else table.rename_columns([{"at": "when"}.get(name, name) for name in table.column_names])


def partly_null(week: int, table: pa.Table) -> pa.Table:
    if week != 1:
        return table
    at = pa.array([None if row % 5 < 2 else cell for row, cell in enumerate(table["at"].to_pylist())])
    return table.set_column(table.column_names.index("at"), "at", at)


def checked(run: Run, store: LocalStore) -> tuple[Snapshot, Any]:
    taken = take_snapshot(run, store)
    frame = as_frame(read_snapshot(taken, "churn", store), run.spec.data.id)
    return taken, examine(run.spec, taken, frame, unread_rows(taken, "churn", store))


@pytest.mark.parametrize(
    ("spoil", "rows", "place"), [(renamed, 900, "0.parquet"), (partly_null, 120, "1.parquet")], ids=["renamed", "null"]
)
def test_rows_without_a_time_are_set_aside_with_their_reason_and_stop_the_run(
    tmp_path: Path, spoil: Any, rows: int, place: str
) -> None:
    run = make_run(weeks(tmp_path / "lake", spoil), data=TIMED, split={"gate": "7d"}, **NULL_TIME)
    taken, quarantine = checked(run, LocalStore(tmp_path / "store"))
    assert taken.accounts is not None
    assert (taken.rows, taken.accounts.without_time) == (1_200, rows)
    assert [(odd.reason, odd.rows, odd.first) for odd in taken.uncoerced] == [("at is missing", rows, place)]
    assert quarantine.kept == 1_200 - rows or quarantine.kept is None
    assert f"at is missing: {rows} rows, the first at {place}" in str(refusal(taken, quarantine, 0.05))
    [answer] = quarantine.checks  # what ``init`` writes; it could never fail before
    assert (answer.success, answer.unexpected) == (False, rows)


def test_missing_and_unreadable_times_are_one_reason(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,at,y\n1,2026-03-01,yes\n2,,no\n3,31/02/2026,no\n")
    source = {"kind": "csv", "uri": str(tmp_path), "types": {"at": "timestamp"}}
    taken = take_snapshot(make_run(data={"source": source, **TIMED}), LocalStore(tmp_path / "store"))
    assert [(odd.reason, odd.rows, odd.first) for odd in taken.uncoerced] == [
        ("at is missing or not a timestamp", 2, "a.csv:3")
    ]


def test_a_window_with_no_row_but_those_without_a_time_waits_and_says_so(tmp_path: Path) -> None:
    old = AS_OF.replace(tzinfo=None) - timedelta(days=90)
    write_parquet(tmp_path / "a.parquet", pa.table({"id": [1, 2], "at": [None, old], "y": ["yes", "no"]}))
    with pytest.raises(DataUnavailable, match=r"2 rows read = 0 in the window \+ 1 outside it \+ 1 without a time"):
        take_snapshot(make_run(tmp_path, data=TIMED), LocalStore(tmp_path / "store"))


def test_a_folder_that_names_no_day_has_rows_without_a_time(tmp_path: Path) -> None:
    for row, day in enumerate(["2026-03-01", "__HIVE_DEFAULT_PARTITION__", "2025-01-01"]):
        table = pa.table({"id": [row, row + 10], "y": ["yes", "no"]})
        write_parquet(tmp_path / f"at={day}" / "a.parquet", table)
    taken = take_snapshot(make_run(tmp_path, data=TIMED), LocalStore(tmp_path / "store"))
    assert taken.accounts is not None
    assert taken.accounts.words == (
        "4 rows read = 2 in the window + 0 outside it + 2 without a time + 0 without a label yet; "
        "3 files found = 2 read + 1 outside the window"
    )


RIDES: dict[str, Any] = {
    "data": {"target": "trip", "positive": None, "derive": {"trip": {"minutes": ["pickup", "dropoff"]}}},
    "sweep": {"metric": "r2", "candidates": [{"estimator": "sklearn.linear_model.Ridge"}]},
    "gates": [{"kind": "threshold", "metric": "r2", "min": 0}],
}


@pytest.mark.parametrize("exclude", [[], ["dropoff"]])
@pytest.mark.parametrize("declared", [True, False])
def test_a_target_derived_from_cells_that_cannot_be_read_is_bad_and_not_still_to_come(
    tmp_path: Path, exclude: list[str], declared: bool
) -> None:
    """400 of 600 became "unlabelled", and none was quarantined."""
    lines = ["id,x,pickup,dropoff"]
    lines += [
        f"{n},{n % 7},2026-02-01T10:00:00,{'2026-02-01T10:09' if n % 3 else '1.2.2026 10:09'}" for n in range(600)
    ]
    lines += ["600,1,2026-02-01T10:00:00,"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    source: dict[str, Any] = {"kind": "csv", "uri": str(tmp_path)}
    if declared:
        source["types"] = {"pickup": "timestamp", "dropoff": "timestamp"}
    run = make_run(**{**RIDES, "data": {**RIDES["data"], "source": source, "exclude": exclude}})
    store = LocalStore(tmp_path / "store")
    taken, quarantine = checked(run, store)
    assert (taken.rows, taken.unlabelled) == (600, 1)
    bad = next(odd for odd in taken.uncoerced if odd.column == "trip")
    assert (bad.reason, bad.rows, bad.first) == ("trip cannot be computed from dropoff", 200, "a.csv:2")
    assert len(quarantine.rows) == 200
    assert bad.reason in next(iter(quarantine.rows.values()))


def test_minutes_between_moments_far_apart_do_not_wrap(tmp_path: Path) -> None:
    ends = pa.array(np.array([-(2**62), 60_000_000]), pa.int64()).cast(pa.timestamp("us"))
    starts = pa.array(np.array([2**62, 0]), pa.int64()).cast(pa.timestamp("us"))
    write_parquet(tmp_path / "a.parquet", pa.table({"id": [1, 2], "pickup": starts, "dropoff": ends}))
    store = LocalStore(tmp_path / "store")
    taken = take_snapshot(make_run(tmp_path, **RIDES), store)
    trips = sorted(read_snapshot(taken, "churn", store)["trip"].to_pylist())
    assert trips == [pytest.approx(-(2**63) / 60e6), 1.0]
