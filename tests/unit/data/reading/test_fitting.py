"""A cell is read as what its column holds, whatever stands beside it; one that is none is told apart."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contender.data.reading.fitting import ARROW, LADDER, PLAIN, Fitter, Spelling, fit, possible
from contender.spec.columns import CsvType

MOMENT = datetime(2026, 1, 2, 3, 4, 5)
COMMA = Spelling(decimal=",")
GERMAN = Spelling(timestamp_format="%d.%m.%Y")
SHORT = Spelling(timestamp_format="%d.%m.%y")
INF = float("inf")
CELLS = (
    st.text(max_size=6)
    | st.integers().map(str)
    | st.floats().map(repr)
    | st.from_regex(r" ?[-+]?[0-9.,eExX]{1,6} ?", fullmatch=True)
    | st.datetimes().map(str)
    | st.dates().map(str)
    | st.dates().map("{0:%d.%m.%y}".format)
    | st.sampled_from(["", " ", "true", "False", "1", "0", "nan", "inf", "-Infinity", "nan(1)", "1e400", "31/02/2024", "2026-02-31"])
    | st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01 00:00:00.123456789", "0000-00-00", "007", "0x1F", "1_000"])
)  # fmt: skip
SPELLINGS = st.sampled_from(
    [
        PLAIN,
        COMMA,
        GERMAN,
        SHORT,
        Spelling(timestamp_format="%d.%m.%y", first_year=1930),
        Spelling(timestamp_format="%d/%m/%Y"),
    ]
)


def plain(column: pa.Array) -> list[Any]:
    """Python values; moments as numbers, because Python's end with the year 9999."""
    return list((column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist())


@pytest.mark.parametrize(
    ("cells", "kind", "spelling", "values", "misfits"),
    [
        (["1", " 2", "+3", "4.0", "1e3", None], "integer", PLAIN, [1, 2, 3, 4, 1000, None], None),
        (["5.5", "abc", "99999999999999999999", "nan", ""], "integer", PLAIN, [None] * 5, ["5.5", "abc", "99999999999999999999", "nan", ""]),
        (["9007199254740993", "9007199254740993.0", "9.007199254740993e15"], "integer", PLAIN, [9007199254740993] * 2 + [None], [None] * 2 + ["9.007199254740993e15"]),
        (["0x1F", "-0x1f", "0X10", "+0x1", "31"], "integer", PLAIN, [None] * 4 + [31], ["0x1F", "-0x1f", "0X10", "+0x1", None]),
        (["1", ".5", "1e400", "-inf", "Infinity"], "number", PLAIN, [1.0, 0.5, INF, -INF, INF], None),
        (["1,234", "1 234", "12%", "abc", "0x1F", "1_000", "€5"], "number", PLAIN, [None] * 7, ["1,234", "1 234", "12%", "abc", "0x1F", "1_000", "€5"]),
        (["1,5", "1.234,5", "1.5", "2"], "number", COMMA, [1.5, None, None, 2.0], [None, "1.234,5", "1.5", None]),
        (["true", "FALSE", "1", "0", " True", "yes"], "boolean", PLAIN, [True, False, True, False, True, None], [None] * 5 + ["yes"]),
        (["2026-01-02T03:04:05", "2026-01-02 03:04:05.000000000"], "timestamp", PLAIN, [MOMENT, MOMENT], None),
        (["9999-12-31 00:00:00.123456789", "1600-01-01 00:00:00.1234567", "0001-01-01"], "timestamp", PLAIN,
         [datetime(9999, 12, 31, 0, 0, 0, 123456), datetime(1600, 1, 1, 0, 0, 0, 123456), datetime(1, 1, 1)], None),
        (["2026-02-31", "0000-00-00", "31/01/2026", "2026-01-02T03:04:05Z"], "timestamp", PLAIN, [None] * 4, ["2026-02-31", "0000-00-00", "31/01/2026", "2026-01-02T03:04:05Z"]),
        (["2026-01-02T04:04:05+01:00", "2026-01-02T03:04:05"], "timestamptz", PLAIN, [MOMENT.replace(tzinfo=UTC), None], [None, "2026-01-02T03:04:05"]),
        (["02.01.2026", "2.1.2026", " 02.01.2026 "], "timestamp", GERMAN, [datetime(2026, 1, 2)] * 3, None),
        (["31.02.2026", "29.02.2024", "29.02.2023", "02.01.26", "32.01.2026", "0.0.0000"], "timestamp", GERMAN,
         [None, datetime(2024, 2, 29), None, None, None, None], ["31.02.2026", None, "29.02.2023", "02.01.26", "32.01.2026", "0.0.0000"]),
        (["01.02.45", "31.12.68", "01.01.30", "31.12.29", "01.01.69", "29.02.00"], "timestamp", SHORT,
         [None, None, None, datetime(2029, 12, 31), datetime(1969, 1, 1), datetime(2000, 2, 29)], ["01.02.45", "31.12.68", "01.01.30", None, None, None]),
        (["01.02.45", "31.12.68", "31.12.29", "01.01.30", None], "timestamp", Spelling(timestamp_format="%d.%m.%y", first_year=1930),
         [datetime(1945, 2, 1), datetime(1968, 12, 31), datetime(2029, 12, 31), datetime(1930, 1, 1), None], None),
        (["29.02.00", "28.02.00", "29.02.04"], "timestamp", Spelling(timestamp_format="%d.%m.%y", first_year=1900),
         [None, datetime(1900, 2, 28), datetime(1904, 2, 29)], ["29.02.00", None, None]),
        (["01.02.45 10:30 +0100"], "timestamptz", Spelling(timestamp_format="%d.%m.%y %H:%M %z", first_year=1926),
         [datetime(1945, 2, 1, 9, 30, tzinfo=UTC)], None),
        (["23:59:60 01.02.2026", "23:59:59 01.02.2026"], "timestamp", Spelling(timestamp_format="%H:%M:%S %d.%m.%Y"),
         [None, datetime(2026, 2, 1, 23, 59, 59)], ["23:59:60 01.02.2026", None]),
        (["2026-03-01 00:30 +0100", "2026-02-30 00:30 +0100"], "timestamptz", Spelling(timestamp_format="%Y-%m-%d %H:%M %z"),
         [datetime(2026, 2, 28, 23, 30, tzinfo=UTC), None], [None, "2026-02-30 00:30 +0100"]),
        (["007", "", " x "], "text", PLAIN, ["007", "", " x "], None),
    ],
)  # fmt: skip
def test_text_is_read_as_what_it_says(
    cells: list[str | None], kind: CsvType, spelling: Spelling, values: list[Any], misfits: list[str | None] | None
) -> None:
    read, unread = fit(pa.array(cells, pa.string()), kind, spelling)
    assert read.type == ARROW[kind]
    assert values == read.to_pylist()
    assert misfits == (None if unread is None else unread.to_pylist())


@pytest.mark.parametrize(
    ("column", "kind", "values", "misfits"),
    [
        (pa.array([1, None], pa.int32()), "number", [1.0, None], None),
        (pa.array([2**60 + 1]), "number", [float(2**60)], None),
        (pa.array([1.0, 2.5, None, float("nan"), INF]), "integer", [1, None, None, None, None], [None, "2.5", None, None, "inf"]),
        (pa.array([46900288.0, 2.5], pa.float32()), "integer", [46900288, None], [None, "2.5"]),
        (pa.array([2**63], pa.uint64()), "integer", [None], ["9223372036854775808"]),
        (pa.array([1, None], pa.decimal128(10, 2)), "integer", [1, None], None),
        (pa.array(["1.5"]).cast(pa.decimal128(10, 2)), "integer", [None], ["1.50"]),
        (pa.array(["1.5"]).cast(pa.decimal128(10, 2)), "number", [1.5], None),
        (pa.array([True, None]), "integer", [1, None], None),
        (pa.array([0, 1, None]), "boolean", [False, True, None], None),
        (pa.array([0.0, 1.0, float("nan")]), "boolean", [False, True, None], None),
        (pa.array([0, 2]), "boolean", [False, None], [None, "2"]),
        (pa.array([7, None]), "text", ["7", None], None),
        (pa.array(["7", "x"]).dictionary_encode(), "integer", [7, None], [None, "x"]),
        (pa.array(["7"], pa.large_string()), "number", [7.0], None),
        (pa.array(["a"], pa.string_view()), "text", ["a"], None),
        (pa.array([b"a"]), "text", ["a"], None),
        (pa.array([date(2026, 1, 2)]), "timestamp", [datetime(2026, 1, 2)], None),
        (pa.array([MOMENT], pa.timestamp("ns", "Europe/Berlin")), "timestamp", [MOMENT], None),
        (pa.array([1], pa.timestamp("ns")), "timestamp", [datetime(1970, 1, 1)], None),
        (pa.array([2**60, 1_000, None], pa.timestamp("ms")), "timestamp", [None, datetime(1970, 1, 1, 0, 0, 1), None],
         ["<value out of range: 1152921504606846976>", None, None]),
        (pa.array([2**53, 0], pa.timestamp("s")), "timestamp", [None, datetime(1970, 1, 1)], ["<value out of range: 9007199254740992>", None]),
        (pa.array([2**31 - 1, -2**31, 0], pa.date32()), "timestamp", [None, None, datetime(1970, 1, 1)],
         ["<value out of range: 2147483647>", "<value out of range: -2147483648>", None]),
        (pa.array([date(9999, 12, 31), date(1, 1, 1)]), "timestamp", [datetime(9999, 12, 31), datetime(1, 1, 1)], None),
        (pa.array([MOMENT]), "number", [None], ["2026-01-02 03:04:05.000000"]),
        (pa.array([1]), "timestamp", [None], ["1"]),
        (pa.nulls(2), "text", [None, None], None),
        (pa.array([], pa.int64()), "timestamp", [], None),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)  # fmt: skip
def test_other_columns_are_read_as_what_they_say(
    column: pa.Array, kind: CsvType, values: list[Any], misfits: list[str | None] | None
) -> None:
    read, unread = fit(column, kind)
    assert read.type == ARROW[kind]
    assert values == read.to_pylist()
    assert misfits == (None if unread is None else unread.to_pylist())


@pytest.mark.parametrize("column", [pa.array([[1]]), pa.array([{"a": 1}]), pa.array([b"\xff"])], ids=str)
@pytest.mark.parametrize("kind", ["number", "text"])
def test_what_has_no_text_is_arrows_refusal(column: pa.Array, kind: CsvType) -> None:
    with pytest.raises((pa.ArrowNotImplementedError, pa.ArrowInvalid)):
        fit(column, kind)


@given(cells=st.lists(st.none() | CELLS, max_size=8), kind=st.sampled_from(LADDER), spelling=SPELLINGS)
def test_what_a_cell_becomes_does_not_depend_on_its_neighbours(
    cells: list[str | None], kind: CsvType, spelling: Spelling
) -> None:
    together, misfits = fit(pa.array(cells, pa.string()), kind, spelling)
    alone = [fit(pa.array([cell], pa.string()), kind, spelling) for cell in cells]
    unread = [None] * len(cells) if misfits is None else misfits.to_pylist()
    assert repr(together.to_pylist()) == repr([value[0].as_py() for value, _ in alone])
    assert unread == [None if odd is None else odd[0].as_py() for _, odd in alone]
    for cell, value, odd in zip(cells, together.to_pylist(), unread, strict=True):
        assert (cell is None) == (value is None and odd is None)
        assert odd in (None, cell)
        assert value is None or odd is None


@given(
    column=st.one_of(
        st.lists(st.none() | st.floats()).map(lambda values: pa.array(values, pa.float64())),
        st.lists(st.none() | st.floats(width=32) | st.integers(-3, 3).map(float)).map(lambda values: pa.array(values, pa.float32())),
        st.lists(st.none() | st.integers(0, 2**64 - 1) | st.integers(0, 2)).map(lambda values: pa.array(values, pa.uint64())),
        st.lists(st.none() | st.decimals(-2, 10**6, places=2)).map(lambda values: pa.array(values, pa.decimal128(12, 2))),
        st.lists(st.none() | st.booleans()).map(lambda values: pa.array(values, pa.bool_())),
        st.lists(st.none() | st.dates()).map(lambda values: pa.array(values, pa.date32())),
        *(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)).map(partial(pa.array, type=kind))
          for kind in (pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("ns"))),
    ),
    kind=st.sampled_from(LADDER),
)  # fmt: skip
def test_what_a_value_becomes_does_not_depend_on_its_neighbours(column: pa.Array, kind: CsvType) -> None:
    together, misfits = fit(column, kind)
    alone = [fit(column[place : place + 1], kind) for place in range(len(column))]
    assert repr(plain(together)) == repr([plain(value)[0] for value, _ in alone])
    unread = [None] * len(column) if misfits is None else misfits.to_pylist()
    assert unread == [None if odd is None else odd[0].as_py() for _, odd in alone]


@given(numbers=st.lists(st.floats(allow_nan=False)), integers=st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_numbers_survive_being_text(numbers: list[float], integers: list[int]) -> None:
    for values, kind in ((numbers, "number"), (integers, "integer")):
        read, unread = fit(pa.array([repr(value) for value in values], pa.string()), kind)  # type: ignore[arg-type]
        assert values == read.to_pylist()
        assert unread is None


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        (["1", "2"], "integer"),
        (["1", " 2.5"], "number"),
        (["1.0", "2.0"], "number"),
        (["1", "nan"], "number"),
        (["1", "x"], "text"),
        (["007", "8"], "text"),
        (["1234567890123456789"], "text"),
        (["0.5", "-0.5", "0"], "number"),
        (["0x10"], "text"),
        (["true", "False"], "boolean"),
        (["2026-01-01", "2026-01-01T08:00"], "timestamp"),
        (["2026-01-01T08:00:00Z"], "timestamptz"),
        (["2026-01-01T08:00:00Z", "2026-01-01"], "text"),
        (["2026-02-31"], "text"),
        (["1,5"], "text"),
    ],
)
def test_a_column_that_nobody_declared_is_the_first_type_that_all_its_cells_are(cells: list[str], first: str) -> None:
    assert first == possible(pa.array(cells), LADDER, PLAIN)[0]


@given(cells=st.lists(CELLS, max_size=8), cut=st.integers(0, 8), spelling=SPELLINGS)
def test_the_types_that_are_left_do_not_depend_on_how_the_cells_come_in(
    cells: list[str], cut: int, spelling: Spelling
) -> None:
    at_once = possible(pa.array(cells, pa.string()), LADDER, spelling)
    forth = possible(
        pa.array(cells[cut:], pa.string()), possible(pa.array(cells[:cut], pa.string()), LADDER, spelling), spelling
    )
    back = possible(
        pa.array(cells[:cut], pa.string()), possible(pa.array(cells[cut:], pa.string()), LADDER, spelling), spelling
    )
    assert at_once == forth == back
    for kind in at_once:
        assert fit(pa.array(cells, pa.string()), kind, spelling)[1] is None


def test_the_first_cell_of_a_file_says_whether_its_timestamps_have_a_zone() -> None:
    fitter = Fitter({"at": "timestamp"}, either=frozenset({"at"}))
    assert fitter.fit("at", pa.array([None], pa.string()))[0].to_pylist() == [None]
    read, unread = fitter.fit("at", pa.array(["2026-01-02T03:04:05Z", "2026-01-02T03:04:05"]))
    assert read.to_pylist() == [MOMENT, None]
    assert unread.to_pylist() == [None, "2026-01-02T03:04:05"]
    assert fitter.fit("at", pa.array(["2026-01-02T04:04:05+01:00"]))[1] is None


@given(
    day=st.dates(date(1000, 1, 1), date(9999, 12, 31)),
    before=st.integers(0, 99),
)
def test_a_two_digit_year_is_the_one_of_the_hundred_years_that_were_declared(day: date, before: int) -> None:
    first_year = min(max(1000, day.year - before), 9900)
    read, misfits = fit(
        pa.array([f"{day:%d.%m.%y}"]), "timestamp", Spelling(timestamp_format="%d.%m.%y", first_year=first_year)
    )
    assert (read.to_pylist(), misfits) == ([datetime(day.year, day.month, day.day)], None)


def test_a_column_that_nobody_named_stays_as_it_is_but_for_its_dictionary() -> None:
    assert Fitter({}).fit("x", pa.array([1], pa.int8()))[0].type == pa.int8()
    assert Fitter({}).fit("x", pa.array(["a"]).dictionary_encode())[0].type == pa.string()
