"""What a source reads: which files, which rows of them, and what it says when it cannot."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from builders import write_parquet
from contender.data.reading.request import ReadRequest, Window
from contender.data.sources import CsvSource, DemoSource, ParquetSource
from contender.errors import ConfigError, DataRejected, DataUnavailable

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
WINDOW = Window("at", START, END, END)
TICK = timedelta(microseconds=1)
CANARY = "canary@example.com"


def parquet(uri: Path) -> ParquetSource:
    return ParquetSource(kind="parquet", uri=str(uri))


def csv(uri: Path, **settings: Any) -> CsvSource:
    return CsvSource(kind="csv", uri=str(uri), **settings)


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("us"),
        pa.timestamp("ns"),
        pa.timestamp("us", tz="UTC"),
        pa.timestamp("us", tz="Europe/Berlin"),
        pa.timestamp("ns", tz="America/New_York"),
    ],
    ids=str,
)
def test_the_window_has_its_first_moment_and_not_its_last(tmp_path: Path, kind: pa.DataType) -> None:
    moments = [START - TICK, START, END - TICK, END]
    if kind.tz is None:
        moments = [moment.replace(tzinfo=None) for moment in moments]
    write_parquet(tmp_path / "a.parquet", pa.table({"row": [0, 1, 2, 3], "at": pa.array(moments, type=kind)}))
    assert parquet(tmp_path).read(ReadRequest(WINDOW)).table["row"].to_pylist() == [1, 2]


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()], ids=str)
@pytest.mark.parametrize("hour", [0, 6])
def test_a_date_is_its_midnight(tmp_path: Path, kind: pa.DataType, hour: int) -> None:
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)]
    write_parquet(tmp_path / "a.parquet", pa.table({"row": [0, 1, 2, 3], "at": pa.array(days, type=kind)}))
    later = timedelta(hours=hour)
    window = Window("at", START + later, END + later, END + later)
    assert parquet(tmp_path).read(ReadRequest(window)).table["row"].to_pylist() == ([1, 2] if hour == 0 else [2, 3])


@pytest.mark.parametrize("kind", [pa.string(), pa.int64(), pa.time64("us"), pa.duration("s")], ids=str)
def test_a_time_column_that_holds_no_moments_is_refused(tmp_path: Path, kind: pa.DataType) -> None:
    write_parquet(tmp_path / "a.parquet", pa.table({"at": pa.array([None], type=kind)}))
    with pytest.raises(DataRejected, match=r"data\.time: column 'at' is .*, expected a date or a timestamp"):
        parquet(tmp_path).read(ReadRequest(WINDOW))


def test_a_missing_time_column_gets_a_suggestion(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", pa.table({"att": [START]}))
    with pytest.raises(DataRejected, match=r"data\.time: no column 'at' in the source\. Did you mean 'att'\?"):
        parquet(tmp_path).read(ReadRequest(WINDOW))


@pytest.mark.parametrize("uri", ["lake", "lake/*/*.parquet", "lake/**/*.parquet"])
def test_a_folder_or_a_glob_is_all_its_files(tmp_path: Path, uri: str) -> None:
    for day in ("01", "02"):
        write_parquet(tmp_path / "lake" / f"day={day}" / "part.parquet", pa.table({"row": [int(day)]}))
    assert parquet(tmp_path / uri).read(ReadRequest()).table["row"].to_pylist() == [1, 2]


@pytest.mark.parametrize(
    "hidden", [".a.parquet", "_a.parquet", "_temporary/0/a.parquet", ".ipynb_checkpoints/a.parquet"]
)
@pytest.mark.parametrize("uri", [".", "**/*.parquet"])
def test_what_a_writer_has_not_finished_is_not_data(tmp_path: Path, hidden: str, uri: str) -> None:
    lake = tmp_path / "_lake"  # only what lies below the uri can be hidden
    write_parquet(lake / "good.parquet", pa.table({"row": [1]}))
    write_parquet(lake / hidden, pa.table({"row": [2]}))
    assert parquet(lake / uri).read(ReadRequest()).table["row"].to_pylist() == [1]


@pytest.mark.parametrize("uri", ["nothing", "empty", "nothing/*.parquet"])
def test_no_file_means_the_data_may_still_come(tmp_path: Path, uri: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataUnavailable, match=r"data\.source\.uri: no parquet file at .*check the path or wait"):
        parquet(tmp_path / uri).read(ReadRequest())


def test_an_environment_variable_in_the_uri_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "lake" / "a.parquet", pa.table({"row": [1]}))
    monkeypatch.setenv("LAKE", str(tmp_path))
    assert ParquetSource(kind="parquet", uri="${LAKE}/lake").read(ReadRequest()).table.num_rows == 1


def test_an_unset_environment_variable_is_named() -> None:
    with pytest.raises(ConfigError, match=r"data\.source\.uri: .* needs the environment variable NO_SUCH_LAKE"):
        ParquetSource(kind="parquet", uri="${NO_SUCH_LAKE}/churn").read(ReadRequest())


def test_files_with_unlike_schemas_are_read_as_one(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", pa.table({"n": pa.array([1], pa.int32()), "old": ["x"]}))
    write_parquet(tmp_path / "b.parquet", pa.table({"n": pa.array([0.5], pa.float64())}))
    assert parquet(tmp_path).read(ReadRequest()).table.to_pydict() == {"n": [1.0, 0.5], "old": ["x", None]}


def test_the_types_of_the_files_are_told_but_for_those_of_stray_and_unread_rows(tmp_path: Path) -> None:
    def drop(name: str, days: list[int], kind: pa.DataType) -> None:
        at = pa.array([datetime(2026, 1, day) for day in days], pa.timestamp("us"))
        names = pa.array(["x"] * len(days)).dictionary_encode()
        numbers = pa.array(range(len(days))).cast(kind)
        write_parquet(tmp_path / name, pa.table({"at": at, "n": numbers, "name": names}))

    drop("a.parquet", [1] * 150 + [2] * 150, pa.float64())
    drop("b.parquet", [2, 3, 3], pa.int64())  # one row of it is in the window
    drop("c.parquet", [3], pa.int32())
    types = parquet(tmp_path).read(ReadRequest(WINDOW)).types
    assert types == {"at": "timestamp[us]", "n": "double", "name": "string"}
    drop("d.parquet", [2] * 100, pa.large_string())
    later = parquet(tmp_path).read(ReadRequest(WINDOW, types={"n": "number", "name": "text"})).types
    assert later["n"] == "double and string"


def test_files_whose_types_contradict_each_other_are_refused_by_column(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", pa.table({"n": [1]}))
    write_parquet(tmp_path / "b.parquet", pa.table({"n": ["one"]}))
    with pytest.raises(
        DataRejected, match=r"column 'n' is int64 in .*/a\.parquet and string in .*/b\.parquet; .*data\.columns"
    ):
        parquet(tmp_path).read(ReadRequest())


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(DataRejected, match=r"data\.source\.uri: .* cannot be read as parquet"):
        parquet(tmp_path).read(ReadRequest())


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", pa.table({"n": list(range(10_000))}))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataRejected, match=r"data\.source\.uri: .* cannot be read as parquet"):
        parquet(tmp_path).read(ReadRequest())


def test_csv_types_are_as_declared(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("zip,n,ok,at\n007,1,true,2026-01-01\n,NA,false,2026-01-02T03:04:05\n")
    types = {"zip": "text", "n": "number", "ok": "boolean", "at": "timestamp"}
    table = csv(tmp_path, types=types, null_values=("", "NA")).read(ReadRequest()).table
    assert table.to_pydict() == {
        "zip": ["007", None],
        "n": [1.0, None],
        "ok": [True, False],
        "at": [datetime(2026, 1, 1), datetime(2026, 1, 2, 3, 4, 5)],
    }


def test_csv_may_have_another_delimiter_and_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("name;n\nJürgen;1\n".encode("latin-1"))
    table = csv(tmp_path, delimiter=";", encoding="latin-1").read(ReadRequest()).table
    assert table.to_pydict() == {"name": ["Jürgen"], "n": [1]}


def test_csv_dates_are_found_by_the_window(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("row,at\n0,2025-12-31\n1,2026-01-01\n2,2026-01-02\n3,2026-01-03\n")
    assert csv(tmp_path).read(ReadRequest(WINDOW)).table["row"].to_pylist() == [1, 2]


def test_a_cell_that_does_not_fit_is_kept_with_its_row_and_located(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"age,n\n41,1\n{CANARY},2\n")
    found = csv(tmp_path, types={"age": "number"}).read(ReadRequest())
    assert found.table.to_pydict() == {"age": [41.0, None], "n": [1, 2]}
    assert found.unread["age"].cells.to_pylist() == [None, CANARY]
    assert found.unread["age"].first == "a.csv:3"


def test_a_row_of_another_width_is_refused_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"a,b\n1,2\n{CANARY}\n")
    with pytest.raises(DataRejected, match=r"a\.csv:3: 1 cells, but the header names 2") as caught:
        csv(tmp_path).read(ReadRequest())
    assert CANARY not in str(caught.value)


def test_a_misspelt_csv_type_gets_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("zip,n\n007,1\n")
    with pytest.raises(DataRejected, match=r"data\.source\.types: no column 'zipp' in the source\. Did you mean 'zip'"):
        csv(tmp_path, types={"zipp": "text"}).read(ReadRequest())


def test_an_empty_csv_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(DataRejected, match=r"data\.source\.uri: .*a\.csv is an empty file \(0 bytes\)"):
        csv(tmp_path).read(ReadRequest())


@pytest.mark.parametrize("name", ["conn_id", "roots"])
def test_roots_open_the_uri_to_a_trigger_and_nothing_else(name: str) -> None:
    source = ParquetSource(kind="parquet", uri="s3://lake/churn", roots=("s3://lake",))
    source.check_override("uri", "s3://lake/other")
    with pytest.raises(ValueError, match=r"is outside the roots \['s3://lake'\]"):
        source.check_override("uri", "s3://elsewhere/churn")
    with pytest.raises(ValueError, match="would let a trigger read from anywhere"):
        source.limits(name)


def test_only_a_csv_declares_types_that_are_widened() -> None:
    types: dict[str, Any] = {"id": "integer", "y": "integer", "n": "integer", "ok": "boolean"}
    wider = csv(Path("/lake"), types=types).widened(exact={"y"}, text=("id",))
    assert wider.types == {"id": "text", "y": "integer", "n": "number", "ok": "boolean"}
    assert parquet(Path("/lake")).widened(exact={"y"}, text=("id",)) == parquet(Path("/lake"))


def test_files_outside_the_roots_are_not_read_even_through_a_link(tmp_path: Path) -> None:
    outside = write_parquet(tmp_path / "secret" / "b.parquet", pa.table({"n": [2]}))
    write_parquet(tmp_path / "lake" / "a.parquet", pa.table({"n": [1]}))
    source = ParquetSource(kind="parquet", uri=str(tmp_path / "lake"), roots=(str(tmp_path / "lake"),))
    assert source.read(ReadRequest()).table.num_rows == 1
    for name in ("b.parquet", "b[1].parquet", "*.parquet", "?.parquet"):
        link = tmp_path / "lake" / name
        link.symlink_to(outside)
        for uri in (tmp_path / "lake", link):
            with pytest.raises(ConfigError, match=r"^data\.source\.uri: .* leads to files outside the roots"):
                source.model_copy(update={"uri": str(uri)}).read(ReadRequest())
        link.unlink()


def test_the_demo_publishes_what_a_window_needs_and_reads_it(tmp_path: Path) -> None:
    source = DemoSource(kind="demo", uri=str(tmp_path), rows=5)
    table = source.read(ReadRequest(Window("observed_on", START, END, END))).table
    assert table.num_rows == 10
    assert source.read(ReadRequest(Window("observed_on", START, END, END))).table.equals(table)


def test_the_demo_has_a_world_of_bikes_too(tmp_path: Path) -> None:
    source = DemoSource(kind="demo", uri=str(tmp_path), world="bikes")
    table = source.read(ReadRequest(Window("observed_at", START, END, END))).table
    assert (table.num_rows, table["rentals"].null_count) == (48, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["bikes-7-24-none"]


def test_a_day_of_bikes_has_24_hours() -> None:
    with pytest.raises(ValidationError, match="rows: a day of bikes has 24 hours, got 100"):
        DemoSource(kind="demo", world="bikes", rows=100)


def test_the_demo_without_a_time_column_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"the demo needs data\.time \(observed_on, or observed_at for bikes\) and a window"
    ):
        DemoSource(kind="demo", uri=str(tmp_path)).read(ReadRequest())


def test_a_source_leaves_its_files_as_they_are(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", pa.table({"at": [START], "n": [1]}))
    before = path.read_bytes()
    parquet(tmp_path).read(ReadRequest(WINDOW))
    assert path.read_bytes() == before
    assert pq.read_table(path).num_rows == 1


DIALECT: dict[str, Any] = {
    "delimiter": ";",
    "decimal": ",",
    "null_values": ("", "NA"),
    "levels": {"region": ("NA",)},
    "types": {"zip": "text", "region": "text", "note": "text", "price": "number", "at": "timestamp"},
    "timestamp_format": "%d/%m/%Y %H:%M",
}
LINES = '01234;NA;"Jos\xe9\nsaid; no";1,5;03/02/2024 10:00\n00001;;;NA;13/02/2024 11:00\n'
SAYS = {
    "zip": ["01234", "00001"],
    "region": ["NA", None],
    "note": ["Jos\xe9\nsaid; no", None],
    "price": [1.5, None],
    "at": [datetime(2024, 2, 3, 10), datetime(2024, 2, 13, 11)],
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"])
def test_a_csv_in_any_declared_dialect_says_the_same(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(("zip;region;note;price;at\n" + LINES).encode(encoding))

    declared = "utf8" if encoding.startswith("utf-8") else encoding

    assert SAYS == csv(file, encoding=declared, **DIALECT).read(ReadRequest()).table.to_pydict()


def test_a_csv_without_a_header_is_named_by_its_columns(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(LINES)

    assert SAYS == csv(file, columns=tuple(SAYS), **DIALECT).read(ReadRequest()).table.to_pydict()


def test_a_timestamp_with_a_zone_is_read_as_its_moment(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("at,y\n2026-01-01T01:00:00+01:00,1\n2026-01-02T23:00:00-01:00,2\n2026-01-04T00:00:00Z,3\n")

    read = csv(file, types={"at": "timestamptz"}).read(ReadRequest(WINDOW)).table

    assert read["y"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoding": "utf9"}, "unknown codec 'utf9'"),
        ({"delimiter": '"'}, "delimiter and quote must differ"),
        ({"levels": {"region": ("NA",)}}, "levels: 'region' must be declared as text"),
        ({"columns": ()}, "at least 1 item"),
    ],
)
def test_a_dialect_that_cannot_be_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        csv("/nowhere", **settings)  # type: ignore[arg-type]
