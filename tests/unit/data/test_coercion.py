"""A cell is what its column holds, or it is told apart: never lost, never guessed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contender.data.coercion import coerce, kind_of
from contender.errors import DataRejected
from contender.spec.columns import ColumnType

MOMENT = datetime(2026, 1, 2)


def column(values: list[Any], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


@pytest.mark.parametrize(
    ("values", "wanted", "becomes", "odd"),
    [
        (["1", " 2.5 ", "x", None, "nan"], "number", [1.0, 2.5, None, None, None], [None, None, "x", None, None]),
        (["1,234", "1 234", "12%", ""], "number", [None] * 4, ["1,234", "1 234", "12%", ""]),
        (["1e400", "-inf", "-0"], "number", [float("inf"), float("-inf"), 0.0], None),
        (["1", "2.0", "2.5"], "integer", [1, 2, None], [None, None, "2.5"]),
        (["9223372036854775808"], "integer", [None], ["9223372036854775808"]),
        ([1.0, 2.5, None], "integer", [1, None, None], [None, "2.5", None]),
        ([1, 2], "number", [1.0, 2.0], None),
        ([True, False], "number", [1.0, 0.0], None),
        ([True, None], "integer", [1, None], None),
        ([0, 1, 2], "boolean", [False, True, None], [None, None, "2"]),
        (["True", "no"], "boolean", [True, None], [None, "no"]),
        (["2026-01-02", "2026-02-31", "0000-00-00"], "timestamp", [MOMENT, None, None], [None, "2026-02-31", "0000-00-00"]),
        ([1, None], "timestamp", [None, None], ["1", None]),
        ([MOMENT], "number", [None], ["2026-01-02 00:00:00.000000"]),
        ([1.5, 2.0], "text", ["1.5", "2"], None),
        ([None, None], "text", [None, None], None),
        (["007"], "text", ["007"], None),
    ],
)  # fmt: skip
def test_what_fits_is_converted_and_what_does_not_is_kept_as_it_is_written(
    values: list[Any], wanted: ColumnType, becomes: list[Any], odd: list[str | None] | None
) -> None:
    converted, misfits = coerce("c", column(values), wanted)
    assert becomes == converted.to_pylist()
    assert odd == (None if misfits is None else misfits.to_pylist())


@given(
    values=st.lists(
        st.none() | st.text(max_size=8) | st.sampled_from(["1", "2026-01-01", "true", "1e5", "nan", "31/02"])
    ),
    wanted=st.sampled_from(["integer", "number", "boolean", "timestamp", "text"]),
)
def test_every_cell_is_a_value_or_told_apart_or_was_missing(values: list[str | None], wanted: ColumnType) -> None:
    converted, misfits = coerce("c", column(values, pa.string()), wanted)
    odd = [None] * len(values) if misfits is None else misfits.to_pylist()
    for was, value, written in zip(values, converted.to_pylist(), odd, strict=True):
        assert written in (None, was)
        assert (written is None) or (value is None)
        if was is not None and was.strip().lower().lstrip("+-") != "nan":
            assert (value is not None) != (written is not None)


@given(values=st.lists(st.none() | st.integers(-(2**40), 2**40)))
def test_an_integer_survives_being_text_and_a_number(values: list[int | None]) -> None:
    text, _ = coerce("c", column(values, pa.int64()), "text")
    number, _ = coerce("c", text, "number")
    back, odd = coerce("c", number, "integer")
    assert values == back.to_pylist()
    assert odd is None


def test_integers_beyond_64_bits_are_refused() -> None:
    with pytest.raises(DataRejected, match="column 'c' holds integers beyond 64 bits"):
        coerce("c", column([2**63], pa.uint64()))


@pytest.mark.parametrize(
    ("ids", "wanted", "kind", "becomes"),
    [
        (column([Decimal(10**30 + 1)], pa.decimal128(38, 0)), None, pa.large_string(), [str(10**30 + 1)]),
        (column([2**64 - 1], pa.uint64()), None, pa.large_string(), [str(2**64 - 1)]),
        (column([5], pa.uint64()), "integer", pa.int64(), [5]),
        (column([2**60 + 1]), None, pa.int64(), [2**60 + 1]),
        (column(["007"]), None, pa.large_string(), ["007"]),
        (column([1.0, None]), None, pa.float64(), [1.0, None]),
    ],
    ids=["decimal", "uint64", "uint64 as contracted", "integer", "text", "float"],
)
def test_what_names_entities_stays_exact(
    ids: pa.ChunkedArray, wanted: ColumnType | None, kind: pa.DataType, becomes: list[Any]
) -> None:
    values, odd = coerce("c", ids, wanted, identity=True)
    assert (values.type, values.to_pylist(), odd) == (kind, becomes, None)


@pytest.mark.parametrize("value", [2.0**53, -(2.0**60), float("inf")])
def test_floats_that_may_stand_for_several_ids_are_refused(value: float) -> None:
    with pytest.raises(
        DataRejected, match=r"data\.id: column 'c' is read as floats.*declare data\.columns: \{c: text\}"
    ):
        coerce("c", column([1.0, value]), identity=True)
    assert coerce("c", column([value]))[0].to_pylist() == [value]  # a feature may be as large


def test_a_type_that_no_model_can_use_is_refused_by_name() -> None:
    with pytest.raises(DataRejected, match=r"column 'c' is list<.*put it under data\.exclude"):
        coerce("c", column([[1]]))
    with pytest.raises(KeyError):
        kind_of(pa.binary())


@pytest.mark.parametrize("wanted", [None, "timestamp"])
@pytest.mark.parametrize(
    "kind", [pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("ms", tz="Asia/Tokyo"), pa.date32()], ids=str
)
def test_a_moment_that_microseconds_cannot_count_is_told_apart_and_does_not_wrap(
    kind: pa.DataType, wanted: Any
) -> None:
    far = 2**31 - 1 if pa.types.is_date(kind) else 2**60
    values = pa.array([0, far, None], pa.int32() if pa.types.is_date(kind) else pa.int64()).cast(kind)
    converted, misfits = coerce("c", pa.chunked_array([values]), wanted)
    assert converted.to_pylist() == [datetime(1970, 1, 1), None, None]
    assert misfits is not None
    assert misfits.is_valid().to_pylist() == [False, True, False]
