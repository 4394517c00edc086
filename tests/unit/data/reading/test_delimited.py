"""Delimited text: every cell is its value, missing, or told apart with its line; what is no such text is refused."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contender.data.reading.request import ReadRequest, ReadResult, Window
from contender.data.sources import CsvSource
from contender.errors import ConfigError, DataRejected
from contender.spec.columns import ColumnType

START, END = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 4, tzinfo=UTC)
WINDOW = Window("at", START, END, END)


def read(
    folder: Path, content: str | bytes, request: ReadRequest | None = None, /, name: str = "a.csv", **declared: Any
) -> ReadResult:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return CsvSource(kind="csv", uri=str(folder), **declared).read(request or ReadRequest())


def misfits(found: ReadResult) -> dict[str, tuple[list[str | None], str]]:
    return {name: (unread.cells.to_pylist(), unread.first) for name, unread in found.unread.items()}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["n,note", "1,x", "bad,y"], 3),
        (["n,note", "", "", "1,x", "bad,y"], 5),
        (["n,note", '1,"x', "", 'z"', "bad,y"], 5),
        (['n,"no', 'te"', "1,x", "bad,y"], 4),
        (["n,note", '"1","two ""words"""', 'bad,"y', 'z"'], 3),
        (["", "n,note", "1,x", "bad,y"], 4),
    ],
)
@pytest.mark.parametrize("exclude", [frozenset(), frozenset({"note", "no\nte"})])
def test_the_line_of_a_bad_cell_is_where_an_editor_shows_it(
    tmp_path: Path, end: str, lines: list[str], line: int, exclude: frozenset[str]
) -> None:
    found = read(tmp_path, end.join(lines) + end, ReadRequest(exclude=exclude), types={"n": "number"})
    assert {"n": ([None, "bad"], f"a.csv:{line}")} == misfits(found)
    assert {"n"} | ({"note"} if not exclude and "note" in lines[0] + lines[1] else set()) >= set(
        found.table.column_names
    ) - {"no\nte", "no\r\nte"}


def test_the_first_bad_cell_of_a_long_file_is_found_in_a_later_block(tmp_path: Path) -> None:
    rows = [f"{n},word {n} of a sentence that goes on" for n in range(60_000)]
    rows[55_555] = "x,"
    found = read(tmp_path, "n,note\n" + "\n".join(rows), types={"n": "integer"})
    assert found.unread["n"].first == "a.csv:55557"
    assert found.table["n"].null_count == 1
    assert len(found.unread["n"].cells) == found.table.num_rows == 60_000


def test_the_first_bad_cell_is_of_the_first_file_and_of_the_window(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("at,n\n2026-01-02,x\n")
    found = read(
        tmp_path, "at,n\n2026-01-01,x\n2026-01-03,1\n2026-01-02,y\n", ReadRequest(WINDOW, types={"n": "number"})
    )
    assert {"n": ([None, "y", "x"], "a.csv:4")} == misfits(found)
    assert found.table["n"].to_pylist() == [1.0, None, None]


def test_a_row_whose_time_is_missing_or_cannot_be_read_is_kept(tmp_path: Path) -> None:
    content = "at,n\n2026-01-02,1\n2026-02-31,2\n2025-01-01,3\n,4\n0000-00-00,5\n2026-01-03T10:00Z,6\n"
    found = read(tmp_path, content, ReadRequest(WINDOW))
    assert found.table["n"].to_pylist() == [1, 2, 4, 5, 6]
    assert {"at": ([None, "2026-02-31", None, "0000-00-00", "2026-01-03T10:00Z"], "a.csv:3")} == misfits(found)
    assert found.rows == 6


def test_the_line_of_the_first_missing_time_is_known(tmp_path: Path) -> None:
    found = read(tmp_path, "at,n\n2025-01-01,1\n2026-01-02,2\n,3\n,4\n", ReadRequest(WINDOW))
    assert (found.no_time, found.table["n"].to_pylist()) == ("a.csv:4", [2, 3, 4])


@pytest.mark.parametrize("contract", [{}, {"at": "timestamp", "n": "integer"}])
def test_moments_may_say_their_zone_in_one_file_and_be_utc_in_another(
    tmp_path: Path, contract: dict[str, ColumnType]
) -> None:
    (tmp_path / "b.csv").write_text("at,n\n2026-01-02T02:00:00,2\n")
    found = read(tmp_path, "at,n\n2026-01-02T02:00:00+01:00,1\n", ReadRequest(WINDOW, types=contract))
    assert [datetime(2026, 1, 2, 1), datetime(2026, 1, 2, 2)] == found.table["at"].to_pylist()
    assert not found.unread


@pytest.mark.parametrize("form", ["%d/%m/%Y", None])
def test_a_time_column_in_which_nothing_can_be_read_says_what_was_expected(tmp_path: Path, form: str | None) -> None:
    content = "at,n\n01.02.2026,1\n\n,3\n02.02.2026,2\n"
    with pytest.raises(
        DataRejected,
        match=r"data\.time: no cell of column 'at' can be read as a time \(first: a\.csv:2\), expected ISO",
    ):
        read(tmp_path, content, ReadRequest(WINDOW), timestamp_format=form)


@pytest.mark.parametrize(
    ("types", "contract", "expected"),
    [
        ({}, {}, {"zip": [7, 12], "n": [1, 2], "s": ["a", "b"], "at": [datetime(2026, 1, 1)] * 2}),
        ({"zip": "text"}, {}, {"zip": ["7", "12"], "n": [1, 2], "s": ["a", "b"], "at": [datetime(2026, 1, 1)] * 2}),
        ({}, {"zip": "text", "n": "number", "at": "text"}, {"zip": ["7", "12"], "n": [1.0, 2.0], "s": ["a", "b"], "at": ["2026-01-01"] * 2}),
        ({"zip": "number"}, {"zip": "text"}, {"zip": ["7", "12"]}),
        ({}, {"zip": "text"}, {"zip": ["7", "12"], "n": [1, 2], "s": ["a", "b"], "at": [datetime(2026, 1, 1)] * 2}),
    ],
)  # fmt: skip
def test_the_contract_says_what_a_column_holds_then_the_source_then_all_its_cells(
    tmp_path: Path, types: dict[str, Any], contract: dict[str, ColumnType], expected: dict[str, list[Any]]
) -> None:
    found = read(
        tmp_path, "zip,n,s,at\n7,1,a,2026-01-01\n12,2,b,2026-01-01\n", ReadRequest(types=contract), types=types
    )
    assert expected.items() <= found.table.to_pydict().items()


def test_what_a_column_holds_is_asked_of_all_rows_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("n,m\nx,0.5\n")
    numbers = "".join(f"{n},{n}\n" for n in range(300_000))
    found = read(tmp_path, "n,m\n" + numbers)
    assert (found.table["n"][1].as_py(), found.table["n"][300_000].as_py()) == ("1", "x")
    assert (found.table["m"][1].as_py(), found.table["m"][300_000].as_py()) == (1.0, 0.5)
    assert not found.unread


def test_a_column_without_a_cell_is_of_numbers(tmp_path: Path) -> None:
    assert str(read(tmp_path, "a,b\n1,\n2,\n").table.schema.field("b").type) == "double"


def test_columns_are_found_by_name_and_a_file_without_one_has_nothing_in_it(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("c,a\nz,2\n")
    found = read(tmp_path, "a,b\n1,x\n", types={"a": "integer"})
    assert found.table.to_pydict() == {"a": [1, 2], "b": ["x", None], "c": [None, "z"]}


def test_excluded_columns_are_not_read_and_named_if_they_are_there(tmp_path: Path) -> None:
    found = read(tmp_path, "a,b,b\n1,x,y\n", ReadRequest(exclude=frozenset({"b", "nowhere"})))
    assert found.table.to_pydict() == {"a": [1]}
    assert found.left_out == {"b"}


def test_folders_are_columns_and_the_window_may_be_theirs(tmp_path: Path) -> None:
    for day in (1, 2, 3, 4):
        (tmp_path / f"at=2026-01-0{day}").mkdir()
        (tmp_path / f"at=2026-01-0{day}" / "a.csv").write_text(f"n\n{day}\n")
    found = CsvSource(kind="csv", uri=str(tmp_path)).read(ReadRequest(WINDOW))
    assert found.table.to_pydict() == {"n": [2, 3], "at": [datetime(2026, 1, 2), datetime(2026, 1, 3)]}
    assert [file.uri[-6:] for file in found.files] == ["/a.csv"] * 2


def test_quotes_inside_a_cell_are_no_quotes(tmp_path: Path) -> None:
    found = read(tmp_path, 'size,n\n5" pipe,1\n6 x 4,2\n')
    assert found.table["size"].to_pylist() == ['5" pipe', "6 x 4"]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"delimiter": "§"}, "must be ASCII signs"),
        ({"quote": "\n"}, "must be ASCII signs and no line ends"),
        ({"encoding": "hex"}, "unknown codec 'hex'"),
        ({"timestamp_format": "%d/%m/%Y %f"}, "%f"),
        ({"columns": ("a", "b", "a")}, "columns: 'a' stands more than once"),
    ],
)
def test_a_dialect_that_no_reader_knows_is_refused(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CsvSource(kind="csv", uri="/nowhere", **declared)


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\ufeff"), max_size=6)
VALUES = {
    "text": WORDS.filter(lambda word: word != ""),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "timestamp": st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)),
}


@st.composite
def frames(draw: st.DrawFn) -> tuple[dict[str, Any], list[list[Any]]]:
    """Types by name, and rows; missing values are None."""
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=2, max_size=4))
    types = {f"{kind} {place}": kind for place, kind in enumerate(kinds)}
    rows = st.tuples(*(st.none() | VALUES[kind] for kind in kinds)).map(list)
    return types, draw(st.lists(rows, max_size=6))


@given(
    frame=frames(),
    delimiter=st.sampled_from(",;\t|"),
    quote=st.sampled_from("\"'"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030"]),
    header=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_frame_survives_any_dialect(
    frame: tuple[dict[str, Any], list[list[Any]]], delimiter: str, quote: str, quoting: Any, end: str,
    encoding: str, header: bool, tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    types, rows = frame
    if any("\r" in str(cell) for row in rows for cell in row):
        quoting = csv.QUOTE_ALL  # Python's writer leaves a lone one unquoted, and then it ends the line
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quotechar=quote, quoting=quoting, lineterminator=end)
    writer.writerows([list(types)] * header + [["" if cell is None else cell for cell in row] for row in rows])
    columns = None if header else tuple(types)
    content = text.getvalue().encode(encoding)
    folder = tmp_path_factory.mktemp("csv")
    declared: dict[str, Any] = {
        "delimiter": delimiter,
        "quote": quote,
        "encoding": encoding,
        "columns": columns,
        "types": types,
    }
    if not content.decode(encoding).strip():
        with pytest.raises(DataRejected, match="is an empty file"):
            read(folder, content, **declared)
        return
    found = read(folder, content, **declared)
    assert not found.unread
    assert list(zip(*found.table.to_pydict().values(), strict=True)) == [tuple(row) for row in rows]


WHOLE = (
    b'id,n,at,note\n1,1.5,2026-01-01,"a, ""b"""\r\n2,,2026-01-02,c\n3,-7,2026-01-03T10:00,"d\ne"\n4,1e3,2026-01-04,f\n'
)
DECLARED: dict[str, Any] = {"id": "integer", "n": "number", "at": "timestamp", "note": "text"}
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "insert", "delete", "cut", "copy"]),
        st.integers(0, len(WHOLE)),
        st.integers(0, 255) | st.sampled_from(list(b',"\n\r0\x00\xff')),
    ),
    min_size=1,
    max_size=4,
)


def mutated(edits: list[tuple[str, int, int]]) -> bytes:
    content = bytearray(WHOLE)
    for how, place, byte in edits:
        if how == "flip" and place < len(content):
            content[place] = byte
        elif how == "insert":
            content[place:place] = bytes([byte])
        elif how == "delete":
            del content[place : place + 1 + byte % 5]
        elif how == "cut":
            del content[place:]
        else:
            content += content[place : place + byte]
    return bytes(content)


@given(edits=EDITS, types=st.sampled_from([{}, DECLARED]), windowed=st.booleans())
@example(edits=[("insert", 13, ord('"'))], types=DECLARED, windowed=False)
@settings(max_examples=300)
def test_a_damaged_file_is_read_right_or_refused_with_the_place(
    edits: list[tuple[str, int, int]], types: dict[str, Any], windowed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content, folder = mutated(edits), tmp_path_factory.mktemp("csv")
    request = ReadRequest(Window("at", datetime(2026, 1, 2, tzinfo=UTC), END, END) if windowed else None)
    try:
        found = read(folder, content, request, types=types)
    except (DataRejected, ConfigError) as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert len(said) < 700
        assert "a.csv" in said or "no column" in said or "cannot be read as a time" in said
        return
    records = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if row]
    names, rows = records[0], records[1:]
    assert set(names) == set(found.table.column_names)
    if not windowed:
        assert len(rows) == found.table.num_rows
    kept = found.table.to_pydict()
    for name, unread in found.unread.items():
        cells = unread.cells.to_pylist()
        assert all(value is None or cell is None for value, cell in zip(kept[name], cells, strict=True))
        line = int(unread.first.rpartition(":")[2])
        written = [row[names.index(name)] for row in rows]
        assert next(cell for cell in cells if cell is not None) in written
        assert 1 < line <= content.count(b"\n") + content.count(b"\r") + 1
    if not windowed and "id" in names and types:
        for value, cell in zip(kept["id"], (row[names.index("id")] for row in rows), strict=True):
            assert value is None or value == int(float(cell))


def test_two_digit_years_are_of_the_century_that_the_yaml_says_and_are_told_apart_where_it_is_open(
    tmp_path: Path,
) -> None:
    content, form = "born,n\n01.02.45,1\n05.06.99,2\n07.08.12,3\n", "%d.%m.%y"
    declared: dict[str, Any] = {"types": {"born": "timestamp"}, "timestamp_format": form}
    found = read(tmp_path, content, **declared)
    assert [None, datetime(1999, 6, 5), datetime(2012, 8, 7)] == found.table["born"].to_pylist()
    assert {"born": (["01.02.45", None, None], "a.csv:2")} == misfits(found)
    found = read(tmp_path, content, **declared, first_year=1926)
    assert [datetime(1945, 2, 1), datetime(1999, 6, 5), datetime(2012, 8, 7)] == found.table["born"].to_pylist()
    with pytest.raises(ValidationError, match=r"first_year is for two-digit years: it needs a %y in timestamp_format"):
        read(tmp_path, content, timestamp_format="%d.%m.%Y", first_year=1926)
