"""Delimited files as people save them: what init writes down about them reads the values that were meant."""

from __future__ import annotations

import codecs
import csv
import io
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contender.draft.asking import Talk
from contender.draft.reading import read
from contender.errors import ConfigError, DataRejected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from contender.draft.reading import Reading

NAMES = ["zip", "city", "amount", "count", "note", "y"]
CITIES = ["K\xf6ln", "M\xe1laga", "NA"]
ROWS: list[tuple[Any, ...]] = [
    (f"{number:05d}", CITIES[number % 3], number + 0.5 if number % 7 else None, number, 'said "no";\nthen, yes', "no")
    for number in range(1, 60)
]
ANSWER = {name: [row[place] for row in ROWS] for place, name in enumerate(NAMES)}


def written(
    *, delimiter: str = ",", decimal: str = ".", missing: str = "", header: bool = True, end: str = "\n"
) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, delimiter=delimiter, lineterminator=end)
    if header:
        writer.writerow(NAMES)
    for row in ROWS:
        writer.writerow(
            [missing if c is None else str(c).replace(".", decimal) if isinstance(c, float) else c for c in row]
        )
    return sink.getvalue()


def look(tmp_path: Path, content: str | bytes, *, ending: str = "csv", **settings: Any) -> tuple[Reading, Talk]:
    file = tmp_path / f"data.{ending}"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    talk = settings.pop("talk", None) or Talk()
    return read(file, talk, **settings), talk


def column_of(tmp_path: Path, cells: Sequence[str], **settings: Any) -> tuple[Reading, Talk]:
    """A file with a column ``x`` of these cells beside a plain one."""
    lines = "".join(f"{cell};{number}\n" for number, cell in enumerate(cells))
    return look(tmp_path, f"x;n\n{lines}", **settings)


def always(answer: str) -> Talk:
    return Talk(lambda _question, answers, _safer: answer if answer in answers else answers[0])


@pytest.mark.parametrize(
    ("form", "encoding"),
    [
        ({}, "utf-8"),
        ({}, "utf-8-sig"),
        ({"end": "\r\n"}, "utf-8"),
        ({"delimiter": ";", "decimal": ","}, "utf-8"),
        ({"delimiter": ";", "decimal": ","}, "latin-1"),
        ({"delimiter": ";", "decimal": ","}, "cp1252"),
        ({"delimiter": "\t"}, "utf-16"),
        ({"delimiter": "\t"}, "utf-16-le"),
        ({"delimiter": "|", "missing": "NA"}, "utf-8"),
        ({"missing": "n/a"}, "utf-8"),
        ({"missing": " "}, "utf-8"),
        ({"missing": "-"}, "utf-8"),
        ({"missing": "unavailable"}, "utf-8"),
        ({"decimal": ","}, "utf-8"),
    ],
)
def test_every_way_to_save_a_table_reads_as_the_same_table(tmp_path: Path, form: dict[str, Any], encoding: str) -> None:
    reading, _ = look(tmp_path, written(**form).encode(encoding))

    assert ANSWER == reading.table.to_pydict()
    assert not reading.unusable


def test_a_file_without_a_header_gets_names_and_keeps_its_first_row(tmp_path: Path) -> None:
    reading, talk = look(tmp_path, written(header=False))

    assert [f"column_{n}" for n in range(1, 7)] == reading.table.column_names
    assert reading.table["column_1"].to_pylist() == ANSWER["zip"]
    assert "no header line" in " ".join(talk.seen)


def test_a_header_over_text_alone_is_asked_for(tmp_path: Path) -> None:
    text = "name,answer\n" + "".join(f"n{number % 9},{'yes' if number % 2 else 'no'}\n" for number in range(40))

    assert look(tmp_path, text)[0].table.column_names == ["name", "answer"]
    assert look(tmp_path, text, talk=always("no"))[0].table.num_rows == 41


def test_na_is_a_region_in_one_column_and_missing_in_another(tmp_path: Path) -> None:
    lines = "".join(f"{'NA' if n % 3 else 'EU'},{'NA' if n % 4 else n}\n" for n in range(1, 30))
    reading, talk = look(tmp_path, f"region,x\n{lines}")

    assert reading.table["region"].null_count == 0
    assert reading.table["x"].null_count == 22
    assert "'NA' is a value of 'region', and means missing in other columns" in talk.seen


def test_numbers_with_leading_zeros_are_names(tmp_path: Path) -> None:
    reading, _ = column_of(tmp_path, ["00501", "10115", "99999"])
    assert reading.table["x"].to_pylist() == ["00501", "10115", "99999"]


def test_long_digits_are_names_and_not_rounded(tmp_path: Path) -> None:
    card = "4111111111111111111"
    assert column_of(tmp_path, [card] * 3)[0].table["x"].to_pylist() == [card] * 3


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        (["13/02/2024", "01/03/2024"], datetime(2024, 2, 13)),
        (["02/13/2024", "03/01/2024"], datetime(2024, 2, 13)),
        (["13.02.2024 10:05", "01.03.2024 00:00"], datetime(2024, 2, 13, 10, 5)),
        (["13-02-24", "01-03-24"], datetime(2024, 2, 13)),
        (["2024/02/13 10:05:01", "2024/03/01 00:00:00"], datetime(2024, 2, 13, 10, 5, 1)),
        (["02/13/2024 01:05 PM", "03/01/2024 11:00 AM"], datetime(2024, 2, 13, 13, 5)),
        (["2024-02-13", "2024-03-01"], datetime(2024, 2, 13)),
        (["2024-02-13T10:05:01.25", "2024-03-01T00:00:00.00"], datetime(2024, 2, 13, 10, 5, 1, 250_000)),
        # in order of time one way, and all over the year the other way
        (["01/02/2024", "02/02/2024", "03/02/2024", "01/03/2024"], datetime(2024, 2, 1)),
        (["02/01/2024", "02/02/2024", "02/03/2024", "03/01/2024"], datetime(2024, 2, 1)),
        # in no order, but within days one way and within months the other
        (["03/02/2024", "01/02/2024", "12/02/2024", "07/02/2024"], datetime(2024, 2, 3)),
    ],
)
def test_dates_are_read_as_the_evidence_says(tmp_path: Path, cells: list[str], first: datetime) -> None:
    reading, _ = column_of(tmp_path, cells)
    assert reading.table["x"].to_pylist()[0] == first


def test_dates_that_the_evidence_leaves_open_are_asked_for(tmp_path: Path) -> None:
    cells = ["05/06/2024", "04/03/2024", "06/05/2024"]

    reading, talk = column_of(tmp_path, cells)
    assert reading.table["x"].to_pylist()[0] == datetime(2024, 6, 5)
    assert "Is 'x' written day or month first? %d/%m/%Y" in talk.seen
    answered, _ = column_of(tmp_path, cells, talk=always("%m/%d/%Y"))
    assert answered.table["x"].to_pylist()[0] == datetime(2024, 5, 6)


def test_a_zone_in_the_cells_is_respected(tmp_path: Path) -> None:
    reading, _ = column_of(tmp_path, ["2024-01-01T01:00:00+01:00", "2024-01-01T00:30:00Z"])
    assert str(reading.table["x"].type) == "timestamp[us, tz=UTC]"


@pytest.mark.parametrize(
    "cells", [["0000-00-00", "2024-01-01"], ["2024-02-31", "2024-01-01"], ["31/02/2024", "01/01/2024"]]
)
def test_a_day_that_does_not_exist_makes_no_column_of_dates(tmp_path: Path, cells: list[str]) -> None:
    assert column_of(tmp_path, cells)[0].table["x"].to_pylist() == cells


def test_compact_dates_are_dates_where_the_user_says_time(tmp_path: Path) -> None:
    cells = ["20240131", "20240201"]
    assert column_of(tmp_path, cells)[0].table["x"].to_pylist() == [20240131, 20240201]
    assert column_of(tmp_path, cells, time="x")[0].table["x"].to_pylist()[0] == datetime(2024, 1, 31)


def test_a_number_far_from_all_others_that_comes_back_means_missing_if_nobody_objects(tmp_path: Path) -> None:
    cells = ["-999" if number % 5 == 0 else str(number % 40) for number in range(100)]

    reading, talk = column_of(tmp_path, cells)
    assert reading.table["x"].null_count == 20
    assert any("is -999 in 20.0% of the rows" in sentence for sentence in talk.seen)
    assert column_of(tmp_path, cells, talk=always("no"))[0].table["x"].null_count == 0


def test_an_age_of_99_is_an_age(tmp_path: Path) -> None:
    reading, talk = column_of(tmp_path, [str(18 + number % 82) for number in range(300)])
    assert reading.table["x"].null_count == 0
    assert not any("mean missing" in sentence for sentence in talk.seen)


def test_a_sentinel_that_is_a_number_elsewhere_stays_a_number(tmp_path: Path) -> None:
    lines = "".join(f"{'-999' if n % 5 == 0 else n % 40};{n - 1000}\n" for n in range(100))
    reading, talk = look(tmp_path, f"x;n\n{lines}")
    assert reading.table["x"].null_count == 0
    assert any(sentence.startswith("-999 stays a number in ['x']") for sentence in talk.seen)


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1,234", "12,345,678", "9"], [1234, 12345678, 9]),
        (["1,234.50", "2,000.00", "3"], [1234.5, 2000, 3]),
        (["1.234,56", "12,5", "-3.456.789,10"], [1234.56, 12.5, -3456789.1]),
        (["$1,234", "$12.50", "-$3"], [1234, 12.5, -3]),
        (["5 \u20ac", "1.000.000 \u20ac", "7\u20ac"], [5, 1e6, 7]),
        (["12 %", "3.5%", "0 %"], [12, 3.5, 0]),
        (["12.3-", "4.5", "0.5-"], [-12.3, 4.5, -0.5]),
        (["5 kg", "17 kg", "2.5 kg"], [5, 17, 2.5]),
        (["1\u00a0234", "12 345", "7"], [1234, 12345, 7]),
        (["1'234.5", "12'345.0", "7.1"], [1234.5, 12345, 7.1]),
    ],
)
def test_a_number_as_people_write_it_is_read(tmp_path: Path, cells: list[str], numbers: list[float]) -> None:
    lines = "".join(f'"{cell}"\t{number}\n' for number, cell in enumerate(cells * 10))
    reading, _ = look(tmp_path, f"x\tn\n{lines}", ending="tsv")

    assert numbers == reading.table["x"].to_pylist()[:3]
    assert not reading.unusable


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda n: f"{n}.5" if n % 2 else f"{n},5", "writes its numbers in more than one way"),
        (lambda n: f"{n} kg" if n % 2 else f"{n} g", "has numbers with different units"),
        (lambda n: f"{n} kg" if n % 2 else f"{n}", "has numbers with and without a unit"),
        (
            lambda n: f"2024-01-{1 + n // 24:02d} {n % 24 + 1:02d}:00",
            "do not exist, such as February 31 or the hour 24",
        ),
        (lambda n: f"2024-{1 + n // 28:02d}-{1 + n % 28}" if n % 2 else f"{1 + n % 28}.{n}.24", "in more than one way"),
        (lambda n: f"{n % 24:02d}:{n % 60:02d}:{n // 60:02d}", "holds times of a day without their day"),
        (lambda n: str(1_700_000_000_000 + n * 3_600_000), "counts milliseconds since 1970"),
        (lambda n: str(1_700_000_000_000_000_000 + n), "counts nanoseconds since 1970"),
        (lambda n: f"{n}e300", "holds numbers beyond 3.4e38"),
        (lambda n: "9999-12-31" if n % 3 else f"2024-01-{1 + n % 28:02d}", "which says never and not when"),
    ],
)
def test_a_column_that_cannot_be_read_is_left_out_for_its_true_reason(
    tmp_path: Path, make: Callable[[int], str], reason: str
) -> None:
    reading, _ = column_of(tmp_path, [make(number) for number in range(100)])
    assert reason in reading.unusable["x"]


@pytest.mark.parametrize(("answer", "first", "born"), [(0, datetime.now(UTC).year - 99, 1945), (1, 1969, 2045)])
def test_the_century_of_two_digit_years_is_asked_for_where_it_is_open(
    tmp_path: Path, answer: int, first: int, born: int
) -> None:
    cells = [f"{1 + n % 28:02d}.{1 + n % 12:02d}.{45 + n % 3}" for n in range(60)]
    talk = Talk(lambda _question, answers, _safer: answers[answer])
    reading, _ = column_of(tmp_path, cells, talk=talk)
    assert any("'x': some two-digit years are 30 to 68. Of which hundred years are they?" in one for one in talk.seen)
    assert reading.source.first_year == first
    assert reading.table["x"][0].as_py() == datetime(born, 1, 1)


def test_two_digit_years_of_one_century_need_no_question(tmp_path: Path) -> None:
    reading, talk = column_of(tmp_path, [f"{1 + n % 28:02d}.{1 + n % 12:02d}.{20 + n % 3}" for n in range(60)])
    assert reading.source.first_year is None
    assert "its two-digit years are 1969 to 2029; first_year in the YAML says otherwise" in talk.seen


def test_a_column_without_a_name_is_left_out(tmp_path: Path) -> None:
    reading, _ = look(tmp_path, ",x\n" + "".join(f"{number * 7 % 30},{number}\n" for number in range(30)))
    assert {"": "has no name; give it one in the source"} == reading.unusable


def test_one_group_of_three_may_be_a_fraction(tmp_path: Path) -> None:
    cells = ["1,234", "2,500"] * 5
    assert column_of(tmp_path, cells)[0].table["x"].to_pylist()[0] == 1234
    assert column_of(tmp_path, cells, talk=always("decimal"))[0].table["x"].to_pylist()[0] == 1.234


def test_a_point_among_three_digits_is_asked_for(tmp_path: Path) -> None:
    cells = ["6.684", "713", "12.500", "88"] * 5

    reading, talk = column_of(tmp_path, cells)
    assert [6684, 713, 12500, 88] == reading.table["x"].to_pylist()[:4]
    assert "Is the point in 'x' (as in 1.234) a decimal point or one of thousands? thousands" in talk.seen
    assert column_of(tmp_path, cells, talk=always("decimal"))[0].table["x"].to_pylist()[0] == 6.684


@pytest.mark.parametrize(("beside", "first"), [("0,5", 6684), ("0.5", 6.684)])
def test_other_columns_may_say_what_the_point_is(tmp_path: Path, beside: str, first: float) -> None:
    lines = "".join(f"{cell};{beside}\n" for cell in ["6.684", "713"] * 10)
    assert look(tmp_path, f"a;b\n{lines}")[0].table["a"].to_pylist()[0] == first


def test_a_whole_number_of_four_digits_says_that_the_point_is_one_of_decimals(tmp_path: Path) -> None:
    assert column_of(tmp_path, ["6.684", "1713"] * 10)[0].table["x"].to_pylist()[:2] == [6.684, 1713]


def test_a_word_in_many_rows_of_a_column_of_numbers_is_asked_about(tmp_path: Path) -> None:
    cells = ["cancelled" if number % 5 < 2 else str(number) for number in range(100)]

    reading, talk = column_of(tmp_path, cells)
    assert reading.table["x"].null_count == 40
    question = "'x' is 'cancelled' in 40.0% of the rows and a number in the others. Is it a missing number?"
    assert f"{question} missing" in talk.seen
    assert column_of(tmp_path, cells, talk=always("a value"))[0].table["x"].to_pylist() == cells


@pytest.mark.parametrize("unit", ["kg", "km/h", "\u00b0C", "%"])
def test_a_row_of_units_below_the_header_is_missing_and_told(tmp_path: Path, unit: str) -> None:
    reading, talk = column_of(tmp_path, [unit, *(f"{number}.5" for number in range(30))])

    assert [None, 0.5, 1.5] == reading.table["x"].to_pylist()[:3]
    assert any(sentence.startswith(f"'x' is {unit!r} in 3.2% of the rows") for sentence in talk.seen)


def test_whole_numbers_that_a_float_cannot_hold_stay_as_they_are_written(tmp_path: Path) -> None:
    cells = [str(2**53 + 1), str(2**53 + 3)] * 10
    assert column_of(tmp_path, cells)[0].table["x"].to_pylist() == cells


def test_other_columns_may_say_what_the_comma_is(tmp_path: Path) -> None:
    lines = "".join(f"{number},5;1,250\n" for number in range(20))
    reading, _ = look(tmp_path, f"a;b\n{lines}")
    assert reading.table["b"].to_pylist()[0] == 1.25


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"a,b\n", "a header and no rows"),
        (b"PAR1\x00\x00\x15\x04", "a Parquet file, .* give it the ending .parquet"),
        (b"\x1f\x8b\x08", "packed with gzip, .* unpack it with gunzip"),
        (b"PK\x03\x04", "a zip archive or a spreadsheet, .* export the sheet as CSV"),
        (b"\x28\xb5\x2f\xfd\x00", "packed with zstd, .* unpack it with unzstd"),
        (b"BZh9", "packed with bzip2"),
        (b"\xd0\xcf\x11\xe0", "an old Excel file"),
        (b'{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', r"JSON lines, .* read_json\(file, lines=True\).to_parquet"),
        (b'[{"a": 1},\n {"a": 2}]\n', r"JSON, .* read_json\(file\).to_parquet"),
        (b"<!DOCTYPE html>\n<table>", "HTML or XML"),
        (b"a,b\n1,\x002\n", r"data\.csv:2: not text \(a NUL byte stands here\)"),
        (b"sep=;\na;b\n1;2\n3;4\n", r"data\.csv:1: the line sep= tells Excel .* remove it"),
        (
            b"Report\nof today\n\na,b,c\n1,2,3\n4,5,6\n7,8,9\n",
            r"data\.csv:4: the header seems to stand here.* the 3 lines above",
        ),
        (b"Report,,\na,b,c\n1,2,3\n4,5,6\n7,8,9\n", r"data\.csv:2: the header seems to stand here.* the 1 lines above"),
        (
            b"a,b\n1,x\n2,z\na,b\n3,x\n",
            r"data\.csv:4: the header stands here again \(1 times below the first\); remove",
        ),
        (b"a,b\nx,1\nz,2\nTotal,3\n", r"data\.csv: the last of 3 rows is no row but the sum of the others; remove it"),
        (b'"a", "b"\n1, "x"\n2, "y"\n', r"data\.csv:1: a blank stands between ',' and \""),
        (
            b'a,b,c\n1,"x,2\n3,4,5\n6,7,8\n9,y",2\n1,1,1\n',
            r"data\.csv:2: a quote \(\"\) opens here and closes whole rows later",
        ),
        (b"name,name\nann,yes\nbob,no\n", r"names 'name' more than once \(columns \[1, 2\]\)"),
        (b"a,b,a\n1,2,3\n", r"names 'a' more than once \(columns \[1, 3\]\)"),
        (b"a,b\n1,2\n1,2,3\n", r"data\.csv:3: 3 cells, but the header names 2"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_its_reason(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataRejected, match=message):
        look(tmp_path, content)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "gone.csv", "no such file or folder"),
        (lambda folder: folder, "expected a folder of .parquet or of .csv files"),
    ],
)
def test_a_path_that_holds_no_table_is_named(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(make(tmp_path), Talk())


def test_a_last_row_called_total_may_be_a_row(tmp_path: Path) -> None:
    assert look(tmp_path, "a,b\nx,1\nz,2\nTotal,3\n", talk=always("row"))[0].table.num_rows == 3


@pytest.mark.parametrize(
    "words", [["23\xb0C", "5\xb0C"], ["\xa35", "\xa370"], ["M\xfcller", "\xe9t\xe9"], ["na\xefve", "Gar\xe7on"]]
)
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_western_text_is_not_taken_for_a_code_page_of_two_bytes(
    tmp_path: Path, words: list[str], encoding: str
) -> None:
    text = "word,n\n" + "".join(f"{word},{number}\n" for number, word in enumerate(words * 10))
    reading, _ = look(tmp_path, text.encode(encoding))

    assert reading.source.encoding == "cp1252"


@pytest.mark.parametrize(
    ("word", "encoding"),
    [
        ("\u65e5\u672c\u8a9e", "cp932"),
        ("\u041a\u0430\u0437\u0430\u043d\u044c \u0433\u043e\u0440\u043e\u0434", "cp1251"),
    ],
)
def test_other_code_pages_are_still_found(tmp_path: Path, word: str, encoding: str) -> None:
    text = "word,n\n" + "".join(f"{word},{number}\n" for number in range(40))
    assert look(tmp_path, text.encode(encoding))[0].source.encoding == encoding


def test_line_ends_of_old_macs_are_line_ends(tmp_path: Path) -> None:
    assert ANSWER == look(tmp_path, written(end="\r"))[0].table.to_pydict()


def test_a_sniffer_that_finds_no_dialect_leaves_the_comma(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clevercsv.Sniffer.sniff", lambda *_args, **_kwargs: None)
    assert look(tmp_path, "a,b\n1,x\n2,z\n")[0].table.column_names == ["a", "b"]


def test_a_cell_may_be_longer_than_what_pythons_reader_allows(tmp_path: Path) -> None:
    lines = "".join(f"{'z' * 200_000 if number == 3 else 'a'},{number}\n" for number in range(20))
    assert look(tmp_path, f"x,n\n{lines}")[0].table.num_rows == 20


def test_a_first_line_that_does_not_end_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataRejected, match=r"data\.csv:1: the first line is longer than 256 KiB"):
        look(tmp_path, b"a" * 300_000)


def test_a_folder_of_drops_is_one_table(tmp_path: Path) -> None:
    for number in range(3):
        pq.write_table(pa.table({"x": [number], "tags": [["a"]]}), tmp_path / f"{number}.parquet")

    reading = read(tmp_path, Talk())

    assert sorted(reading.table["x"].to_pylist()) == [0, 1, 2]
    assert "no model can use" in reading.unusable["tags"]


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1, max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELL, st.integers(-999, 999)), min_size=2, max_size=30), cut=st.integers(0, 3))
def test_any_table_is_read_or_refused_with_a_reason(tmp_path: Path, rows: list[tuple[str, int]], cut: int) -> None:
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows([("text", "number"), *rows])
    content = sink.getvalue().encode()
    content = content[: len(content) - cut]
    with suppress(DataRejected):
        reading, _ = look(tmp_path, content)
        assert reading.table.num_rows <= len(rows) + 1


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    reading, _ = look(tmp_path, codecs.BOM_UTF8 + b"a,b\n1,2\n3,4\n")
    assert reading.table.column_names == ["a", "b"]
