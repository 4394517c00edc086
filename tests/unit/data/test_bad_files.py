"""What is wrong with a file is said with the place, without a value of it; and the file stays as it is."""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contender.data.reading.request import ReadRequest, ReadResult
from contender.data.sources import CsvSource, ParquetSource
from contender.errors import ContenderError, DataRejected, DataUnavailable

CANARY = "canary@example.com"
ROWS = "".join(f"{n},{n}.5,word{n}\n" for n in range(2_000))


def parquet_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


WHOLE = parquet_bytes(pa.table({"n": list(range(5_000)), "word": [f"w{n}" for n in range(5_000)]}))
CSV = "data.csv"


def content_of(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file below a folder with its hash and its time of change."""
    return {
        str(file.relative_to(folder)): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def read(folder: Path, kind: str, **settings: Any) -> ReadResult:
    source = (CsvSource if kind == "csv" else ParquetSource).model_validate(
        {"kind": kind, "uri": str(folder), **settings}
    )
    before = content_of(folder) if folder.is_dir() else {}
    try:
        return source.read(ReadRequest())
    finally:
        if folder.is_dir():
            assert before == content_of(folder)


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (b"", {}, r"data\.csv is an empty file \(0 bytes\)"),
        (b"\n \n", {}, r"data\.csv is an empty file \(3 bytes\)"),
        (b"\xef\xbb\xbf", {}, r"data\.csv is an empty file \(3 bytes\)"),
        (b"a,b,a\n1,2,3\n", {}, r"data\.csv: the column 'a' stands more than once \(columns \[1, 3\]\); rename one"),
        (f"a;b;c\n1;2;{CANARY}\n".encode(), {"types": {"a": "number", "b": "number"}},
         r"data\.csv: 1 column found, expected 2; it is not ',' that stands between cells: delimiter: ';'\?"),
        (b"a\tb\n1\t2\n", {}, r"1 column found; it is not ',' .*delimiter: '\\t'\?"),
        (f"a,b\n1,2\n\n3,4,{CANARY}\n".encode(), {}, r"data\.csv:4: 3 cells, but the header names 2; is there a ','"),
        (f'a,b\r\n1,"x\r\ny"\r\n{CANARY}\r\n'.encode(), {}, r"data\.csv:4: 1 cells, but the header names 2"),
        (f"a,b\n{ROWS.replace('1500.5,', '')}".encode(), {"columns": ("n", "x", "word")}, r"data\.csv:1: 2 cells, but data\.source\.columns says 3"),
        (f"n,x,word\n{ROWS.replace('1500.5,', '')}".encode(), {}, r"data\.csv:1502: 2 cells, but the header names 3"),
        (b'a,b\n1,"x\n2,y\n3,z\n', {}, r"data\.csv:2: a quote \(\"\) opens here that is not closed"),
        (b'a,b\n1,2\n"3,x\n4,y\n' + 50_000 * b"5,zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\n", {}, r"data\.csv:3: a quote .* not closed, or a row is longer than 1 MiB"),
        (b'"a,b\n1,2\n', {}, r"data\.csv:1: a quote .* not closed"),
        (b"a,b\n1,\x00\n", {}, r"data\.csv is not text: there is a NUL .*data\.source\.encoding"),
        (bytes(range(256)), {}, r"data\.csv is not text"),
        (WHOLE, {}, r"data\.csv is not text: .*it is a Parquet file: kind: parquet"),
        (b"\x1f\x8b\x08\x00\xff\xff", {}, r"is not text: .*packed with gzip; unpack it"),
        (b"PK\x03\x04\x14\x00\x00", {}, r"is not text: .*a zip archive or a spreadsheet"),
        (b"a,b\n1,J\xfcrgen\n", {}, r"data\.csv is not text: byte 7 is not utf8; say its encoding .*latin-1"),
        ("a,b\n1,2\n".encode("utf-16"), {}, r"is not text: byte 0 is not utf8; it is UTF-16: encoding: utf-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), {}, r"is not text: there is a NUL .*utf-16-le"),
        (b"a,b\n1,2\n", {"encoding": "utf-16"}, r"is not text: byte 0 is not utf-16"),
        (b" Age,n\n1,2\n", {"types": {"Age": "number"}}, r"types: no column 'Age' in the source, found ' Age'; did you mean 'Age'\?"),
        (b"AGE,n\n1,2\n", {"types": {"age": "number"}}, r"types: no column 'age' in the source, found 'AGE'; did you mean 'age'\?"),
    ],
)  # fmt: skip
def test_delimited_text_that_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, content: bytes, settings: dict[str, Any], message: str
) -> None:
    (tmp_path / CSV).write_bytes(content)
    with pytest.raises(DataRejected, match=message) as caught:
        read(tmp_path, "csv", **settings)
    assert CANARY not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert str(tmp_path / CSV) in str(caught.value) or "no column" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"b\.parquet is an empty file \(0 bytes\)"),
        (b"not parquet", r"b\.parquet cannot be read as parquet: .*Have it written again"),
        (WHOLE[: len(WHOLE) // 2], r"b\.parquet cannot be read as parquet"),
        (WHOLE[:-8], r"b\.parquet cannot be read as parquet"),
        (WHOLE[:200] + bytes(2_000) + WHOLE[2_200:], r"b\.parquet cannot be read as parquet"),
    ],
    ids=["empty", "no parquet", "half", "no end", "zeros in a page"],
)
def test_parquet_that_cannot_be_read_is_named_among_its_siblings(tmp_path: Path, content: bytes, message: str) -> None:
    for name in ("a", "c"):
        (tmp_path / f"{name}.parquet").write_bytes(WHOLE)
    (tmp_path / "b.parquet").write_bytes(content)
    with pytest.raises(DataRejected, match=message) as caught:
        read(tmp_path, "parquet")
    assert len(str(caught.value)) < 600


def test_parquet_with_a_column_twice_says_both_places(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], names=["n", "m", "n"])
    (tmp_path / "a.parquet").write_bytes(parquet_bytes(table))
    with pytest.raises(DataRejected, match=r"a\.parquet: the column 'n' stands more than once \(columns \[1, 3\]\)"):
        read(tmp_path, "parquet")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_path_that_is_not_there_and_a_folder_without_data_are_named(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataUnavailable, match=rf"no {kind} file at {tmp_path}/nothing; check the path or wait"):
        read(tmp_path / "nothing", kind)
    (tmp_path / "notes.xlsx").write_bytes(b"x")
    with pytest.raises(DataUnavailable, match=rf"no {kind} file at {tmp_path} \(it has \.xlsx\)"):
        read(tmp_path, kind)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything, so be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("locked", ["data", "."])
def test_what_may_not_be_read_is_named(tmp_path: Path, kind: str, locked: str) -> None:
    folder = tmp_path / "lake"
    folder.mkdir()
    (folder / f"data.{kind}").write_bytes(WHOLE if kind == "parquet" else b"a,b\n1,2\n")
    for above in (tmp_path, *list(tmp_path.parents)[:2]):  # pytest's folders are their owner's alone
        above.chmod(0o755)
    place = folder / locked if locked == "." else folder / f"data.{kind}"
    place.chmod(0)
    source = (CsvSource if kind == "csv" else ParquetSource).model_validate({"kind": kind, "uri": str(folder)})
    try:
        with (
            as_nobody(),
            pytest.raises(ContenderError, match=r"data\.source\.uri: .*no permission to read .*let the user") as caught,
        ):
            source.read(ReadRequest())
    finally:
        place.chmod(0o755)
    assert isinstance(caught.value, DataUnavailable)


def test_a_header_without_rows_is_a_table_without_rows(tmp_path: Path) -> None:
    (tmp_path / CSV).write_bytes(b"a,b")
    assert {"a": [], "b": []} == read(tmp_path, "csv").table.to_pydict()


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, b""])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("last", [True, False])
def test_marks_and_line_ends_are_none_of_a_cells_business(tmp_path: Path, mark: bytes, end: bytes, last: bool) -> None:
    lines = [b'"a",b', b"1,x", b"", b'2,"y"']
    (tmp_path / CSV).write_bytes(mark + end.join(lines) + (end if last else b""))
    assert {"a": [1, 2], "b": ["x", "y"]} == read(tmp_path, "csv").table.to_pydict()
