"""Parquet in any layout and of any types: the rows of the window, read as the contract says, and no more than that."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import write_parquet
from contender.data.reading.request import ReadRequest, ReadResult, Window
from contender.data.sources import ParquetSource
from contender.errors import DataRejected
from contender.spec.columns import ColumnType

START, END = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 4, tzinfo=UTC)
DAYS = [date(2026, 1, day) for day in range(1, 6)]


def window(column: str) -> Window:
    return Window(column, START, END, END)


def read(folder: Path, asked: Window | None = None, **request: Any) -> ReadResult:
    return ParquetSource(kind="parquet", uri=str(folder)).read(ReadRequest(asked, **request))


def drops(folder: Path, key: str, values: list[str]) -> None:
    for row, value in enumerate(values):
        write_parquet(folder / f"{key}={value}" / "part.parquet", pa.table({"row": [row]}))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["2026-01-01", "2026-01-02"], [datetime(2026, 1, 1), datetime(2026, 1, 2)]),
        (["1", "10"], [1, 10]),
        (["1", "2.5"], [1.0, 2.5]),
        (["01", "10"], ["01", "10"]),
        (["eu%2Fwest", "us"], ["eu/west", "us"]),
        (["1", "__HIVE_DEFAULT_PARTITION__"], [1, None]),
    ],
)
def test_what_a_folder_says_is_a_column_of_its_type(tmp_path: Path, values: list[str], expected: list[Any]) -> None:
    drops(tmp_path, "k", values)
    assert dict(zip([0, 1], expected, strict=True)) == dict(
        zip(*read(tmp_path).table.to_pydict().values(), strict=True)
    )


def test_what_a_folder_says_is_read_by_the_contract(tmp_path: Path) -> None:
    drops(tmp_path, "k", ["1", "x"])
    found = read(tmp_path, types={"k": "integer"})
    assert found.table.to_pydict() == {"row": [0, 1], "k": [1, None]}
    assert found.unread["k"].cells.to_pylist() == [None, "x"]
    assert found.unread["k"].first == "k=x/part.parquet"


def test_the_window_may_be_of_a_folder_and_the_other_folders_are_not_opened(tmp_path: Path) -> None:
    drops(tmp_path, "day", [str(day) for day in DAYS])
    for day in (DAYS[0], DAYS[4]):
        (tmp_path / f"day={day}" / "part.parquet").write_bytes(b"no parquet at all")
    found = read(tmp_path, window("day"))
    assert found.table.to_pydict() == {"row": [1, 2], "day": [datetime(2026, 1, 2), datetime(2026, 1, 3)]}
    assert [Path(file.uri).parent.name for file in found.files] == ["day=2026-01-02", "day=2026-01-03"]


def test_a_window_without_a_folder_is_a_table_without_rows(tmp_path: Path) -> None:
    drops(tmp_path, "day", ["2025-01-01"])
    found = read(tmp_path, window("day"))
    assert (found.table.num_rows, found.table.column_names) == (0, ["row", "day"])


def test_a_folder_that_says_no_date_is_no_time(tmp_path: Path) -> None:
    drops(tmp_path, "day", ["monday"])
    with pytest.raises(
        DataRejected, match=r"data\.time: the folders' 'day' is string, expected dates such as day=2026-01-31"
    ):
        read(tmp_path, window("day"))


def test_a_column_of_a_file_and_of_its_folder_is_refused(tmp_path: Path) -> None:
    drops(tmp_path, "row", ["1"])
    with pytest.raises(DataRejected, match=r"column 'row' stands in .*part\.parquet and in its folder's name"):
        read(tmp_path)


def test_excluded_columns_are_not_read(tmp_path: Path) -> None:
    table = pa.table({"n": [1], "broken": ["x"]})
    path = write_parquet(tmp_path / "k=1" / "a.parquet", table, use_dictionary=False, compression="NONE")
    place = pq.read_metadata(path).row_group(0).column(1).data_page_offset
    content = bytearray(path.read_bytes())
    content[place : place + 8] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(DataRejected, match="cannot be read as parquet"):
        read(tmp_path)
    found = read(tmp_path, exclude=frozenset({"broken", "k", "nowhere"}))
    assert found.table.to_pydict() == {"n": [1]}
    assert found.left_out == {"broken", "k"}


def test_row_groups_outside_the_window_are_not_read(tmp_path: Path) -> None:
    days = pa.array([datetime(2026, 1, 1) + timedelta(hours=hour) for hour in range(96)])
    path = write_parquet(
        tmp_path / "a.parquet", pa.table({"at": days, "n": range(96)}), row_group_size=24, use_dictionary=False, compression="NONE"
    )  # fmt: skip
    place = pq.read_metadata(path).row_group(0).column(1).data_page_offset
    content = bytearray(path.read_bytes())
    content[place : place + 8] = b"\xff" * 8
    path.write_bytes(content)
    assert read(tmp_path, window("at")).table["n"].to_pylist() == list(range(24, 72))


def test_a_file_without_a_row_of_the_window_is_not_on_record(tmp_path: Path) -> None:
    for name, day in (("old", 1), ("new", 2)):
        write_parquet(tmp_path / f"{name}.parquet", pa.table({"at": [datetime(2026, 1, day)]}))
    assert [Path(file.uri).name for file in read(tmp_path, window("at")).files] == ["new.parquet"]


@pytest.mark.parametrize(
    ("first", "second", "kind", "expected", "misfits"),
    [
        (pa.array([1]), pa.array([2.5]), "number", [1.0, 2.5], None),
        (pa.array([1]), pa.array([2.5]), "integer", [1, None], [None, "2.5"]),
        (pa.array([1]), pa.array(["x"]), "integer", [1, None], [None, "x"]),
        (pa.array(["1"]), pa.array([2], pa.int32()), "number", [1.0, 2.0], None),
        (pa.array(["a"]).dictionary_encode(), pa.array([2]), "text", ["a", "2"], None),
        (pa.array([datetime(2026, 1, 2)]), pa.array(["2026-01-03"]), "timestamp", [datetime(2026, 1, 2), datetime(2026, 1, 3)], None),
        (pa.array([True]), pa.array(["no"]), "boolean", [True, None], [None, "no"]),
    ],
)  # fmt: skip
def test_files_of_unlike_types_are_read_as_the_contract_says(
    tmp_path: Path, first: pa.Array, second: pa.Array, kind: ColumnType, expected: list[Any], misfits: list[Any] | None
) -> None:
    write_parquet(tmp_path / "a.parquet", pa.table({"c": first}))
    write_parquet(tmp_path / "b.parquet", pa.table({"c": second}))
    found = read(tmp_path, types={"c": kind})
    assert expected == found.table["c"].to_pylist()
    assert misfits == (found.unread["c"].cells.to_pylist() if "c" in found.unread else None)
    assert (misfits is None) == (not found.unread) or found.unread["c"].first == "b.parquet"


def test_days_and_moments_of_any_zone_are_moments(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", pa.table({"at": [date(2026, 1, 2)]}))
    write_parquet(tmp_path / "b.parquet", pa.table({"at": pa.array([START], pa.timestamp("ns", "Europe/Berlin"))}))
    write_parquet(tmp_path / "c.parquet", pa.table({"at": [datetime(2026, 1, 2)]}))
    assert read(tmp_path, window("at")).table["at"].to_pylist() == [datetime(2026, 1, 2)] * 3


def test_a_time_column_that_is_text_in_one_file_is_read_all_the_same(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", pa.table({"at": [datetime(2026, 1, 2)], "n": [1]}))
    write_parquet(
        tmp_path / "b.parquet", pa.table({"at": ["2026-01-03T01:00", "2026-01-04", "soon", None], "n": [2, 3, 4, 5]})
    )
    found = read(tmp_path, window("at"), types={"at": "timestamp"})
    assert found.table["n"].to_pylist() == [1, 2, 4, 5]
    assert found.unread["at"].cells.to_pylist() == [None, None, "soon", None]


def test_a_type_that_nothing_can_be_read_from_is_named_with_both(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", pa.table({"c": [[1]]}))
    with pytest.raises(
        DataRejected, match=r"column 'c' of .*a\.parquet is list<.*>, expected number; have it written so"
    ):
        read(tmp_path, types={"c": "number"})


def test_rows_of_a_file_without_the_time_column_are_kept_without_a_time(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", pa.table({"at": [datetime(2026, 1, 2)], "n": [1]}))
    write_parquet(tmp_path / "b.parquet", pa.table({"n": [2]}))
    found = read(tmp_path, window("at"))
    assert {"at": [datetime(2026, 1, 2), None], "n": [1, 2]} == found.table.to_pydict()
    assert (found.no_time, found.rows) == ("b.parquet", 2)


@given(
    rows=st.lists(st.tuples(st.datetimes(datetime(2025, 12, 31), datetime(2026, 1, 5)), st.integers(0, 3)), min_size=1, max_size=30),
    files=st.integers(1, 4),
    group=st.integers(1, 10),
    hive=st.booleans(),
    seed=st.integers(0, 99),
)  # fmt: skip
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_the_layout_changes_nothing(
    rows: list[tuple[datetime, int]],
    files: int,
    group: int,
    hive: bool,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder, mixed = tmp_path_factory.mktemp("lake"), random.Random(seed).sample(rows, len(rows))  # noqa: S311
    for place in range(files):
        part = mixed[place::files]
        table = pa.table(
            {
                "at": pa.array([at for at, _ in part], pa.timestamp("us")),
                "k": pa.array([k for _, k in part], pa.int64()),
            }
        )
        if hive:
            ds.write_dataset(
                table, folder, format="parquet", partitioning=ds.partitioning(pa.schema([("k", pa.int64())]), flavor="hive"),
                basename_template=f"part-{place}-{{i}}.parquet", existing_data_behavior="overwrite_or_ignore",
                min_rows_per_group=1, max_rows_per_group=group,
            )  # fmt: skip
        else:
            pq.write_table(table, folder / f"{place}.parquet", row_group_size=group)
    found = read(folder, window("at"))
    inside = sorted((at, k) for at, k in rows if START.replace(tzinfo=None) <= at < END.replace(tzinfo=None))
    assert inside == sorted(zip(found.table["at"].to_pylist(), found.table["k"].to_pylist(), strict=True))
    assert not found.unread


def test_sparks_oldest_timestamps_keep_their_year(tmp_path: Path) -> None:
    """In nanoseconds 9999-12-31 became 1816."""
    moments = [datetime(9999, 12, 31), datetime(2026, 1, 2), datetime(1, 1, 1), None]
    table = pa.table({"at": [START, START, START, END], "until": pa.array(moments, pa.timestamp("us"))})
    path = write_parquet(tmp_path / "a.parquet", table, use_deprecated_int96_timestamps=True)
    assert pq.ParquetFile(path).schema.column(1).physical_type == "INT96"
    assert read(tmp_path).table["until"].to_pylist() == moments
    assert read(tmp_path, window("at")).table["until"].to_pylist() == moments[:3]


def not_utf8() -> pa.Array:
    cells = pa.array([b"fine", b"caf\xe9"], pa.binary())
    return pa.Array.from_buffers(pa.string(), 2, cells.buffers())


WIDE = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int64()), not_utf8())  # Arrow itself refuses it, unnamed


@pytest.mark.parametrize(
    "text", [not_utf8(), not_utf8().dictionary_encode(), WIDE], ids=["plain", "dictionary", "wide"]
)
@pytest.mark.parametrize("types", [{}, {"name": "text"}, {"name": "number"}])
def test_text_that_is_not_utf8_is_refused_with_file_and_column(tmp_path: Path, text: pa.Array, types: Any) -> None:
    write_parquet(tmp_path / "a.parquet", pa.table({"name": ["x"], "n": [1]}))
    write_parquet(tmp_path / "b.parquet", pa.table({"name": text, "n": [1, 2]}))
    with pytest.raises(
        DataRejected, match=r"column 'name' of .*b\.parquet is declared as text and is not UTF-8; .*exclude"
    ) as said:
        read(tmp_path, types=types)
    assert "caf" not in str(said.value)
    assert read(tmp_path, exclude=frozenset({"name"})).table.to_pydict() == {"n": [1, 1, 2]}


def test_row_groups_without_a_time_are_read_and_others_outside_the_window_are_not(tmp_path: Path) -> None:
    at = [datetime(2025, 1, 1)] * 4 + [None] * 4 + [datetime(2026, 1, 2)] * 4
    path = write_parquet(
        tmp_path / "a.parquet", pa.table({"at": at, "n": range(12)}), row_group_size=4, use_dictionary=False, compression="NONE"
    )  # fmt: skip
    place = pq.read_metadata(path).row_group(0).column(1).data_page_offset
    content = bytearray(path.read_bytes())
    content[place : place + 8] = b"\xff" * 8
    path.write_bytes(content)
    found = read(tmp_path, window("at"))
    assert found.table["n"].to_pylist() == list(range(4, 12))
    assert (found.rows, found.no_time) == (12, "a.parquet")


def test_endings_in_capitals_are_parquet_too(tmp_path: Path) -> None:
    for number, name in enumerate(("a.parquet", "b.PARQUET")):
        write_parquet(tmp_path / name, pa.table({"n": [number]}))
    assert read(tmp_path).table["n"].to_pylist() == [0, 1]


@pytest.mark.parametrize("store_schema", [True, False])
def test_a_uuid_is_its_text_in_any_file_also_among_missing_ones(tmp_path: Path, store_schema: bool) -> None:
    """Spark and DuckDB write it as 16 bytes that only Parquet's own schema calls a UUID; another file has it as text."""
    ids = [uuid.UUID(int=3**78 * (n + 1)) for n in range(4)]
    cells = pa.array([ids[0].bytes, None, ids[1].bytes], pa.uuid())
    write_parquet(tmp_path / "a.parquet", pa.table({"id": cells}), store_schema=store_schema)
    write_parquet(tmp_path / "b.parquet", pa.table({"id": [str(ids[2]), str(ids[3])]}))
    for types in ({}, {"id": "text"}):
        found = read(tmp_path, types=types, identity="id")
        assert found.table["id"].to_pylist() == [str(ids[0]), None, *map(str, ids[1:])]
    assert read(tmp_path).types == {"id": "extension<arrow.uuid> and string"}


def test_extensions_of_text_and_booleans_are_text_and_booleans(tmp_path: Path) -> None:
    said = pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(["{}", None]))
    paid = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0], pa.int8()))
    write_parquet(tmp_path / "a.parquet", pa.table({"said": said, "paid": paid}))
    found = read(tmp_path).table
    assert found.to_pydict() == {"said": ["{}", None], "paid": [True, False]}
    assert found.schema.types == [pa.string(), pa.bool_()]
