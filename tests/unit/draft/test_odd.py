"""Columns of Parquet files that no run can use as they are: each is read as another type or left out, and the others stay."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from contender.data.coercion import coerce
from contender.draft.odd import settle

N = 60


def settled(
    values: Any, kind: pa.DataType | None = None, name: str = "o"
) -> tuple[pa.ChunkedArray, str | None, str | None]:
    """The column as a run has it, the type by which it has to be read, and why it is left out."""
    table, columns, unusable = settle(pa.table({name: pa.array(values, kind), "x": pa.array(range(len(values)))}))
    assert table.column_names == [name, "x"]
    assert "x" not in {*columns, *unusable}
    return table[name], columns.get(name), unusable.get(name)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([2**64 - 1 - n for n in range(N)], pa.uint64()),
        ([2**53 + 1 + n for n in range(N)], pa.int64()),
        ([-(2**60) - n for n in range(N)], pa.int64()),
        ([Decimal(10**37 + n) for n in range(N)], pa.decimal128(38, 0)),
        ([Decimal(10**60 + n) for n in range(N)], pa.decimal256(70, 0)),
    ],
)
def test_whole_numbers_that_a_float_cannot_hold_are_read_as_text(values: list[Any], kind: pa.DataType) -> None:
    column, wanted, reason = settled(values, kind)

    assert (wanted, reason) == ("text", None)
    assert [str(value) for value in values] == column.to_pylist()


@pytest.mark.parametrize(
    ("values", "wanted", "first"),
    [
        ([str(date(2024, 1, 1) + timedelta(days=n)) for n in range(N)], "timestamp", datetime(2024, 1, 1)),
        ([f"2024-01-01T{n % 24:02d}:30:00" for n in range(N)], "timestamp", datetime(2024, 1, 1, 0, 30)),
        ([f"2024-01-01T{n % 24:02d}:30:00+01:00" for n in range(N)], "timestamp", datetime(2023, 12, 31, 23, 30)),
        ([f"{n}.25" for n in range(N)], "number", 0.25),
    ],
)
def test_text_that_spells_a_type_is_read_as_that_type(values: list[str], wanted: str, first: Any) -> None:
    column, found, reason = settled(values)

    assert (found, reason) == (wanted, None)
    assert column[0].as_py() == first


@pytest.mark.parametrize(
    "values",
    [
        [f"{n:05d}" for n in range(N)],
        [*(str(date(2024, 1, 1) + timedelta(days=n)) for n in range(N)), "soon"],
        [f"level {n % 5}" for n in range(N)],
        [str(n % 5) for n in range(N)],
    ],
)
def test_other_text_stays_text(values: list[str]) -> None:
    column, wanted, reason = settled(values)

    assert (wanted, reason) == (None, None)
    assert values == column.to_pylist()


@pytest.mark.parametrize(
    ("values", "kind", "reason"),
    [
        ([b"%d" % n for n in range(N)], pa.binary(), "which no model can use; have it written as numbers, text"),
        ([[n] for n in range(N)], pa.list_(pa.int64()), "which no model can use"),
        ([{"a": n} for n in range(N)], None, "which no model can use"),
        (list(range(N)), pa.duration("s"), "which no model can use"),
        (list(range(N)), pa.time32("s"), "which no model can use"),
        (
            [date(9999, 12, 31) if n % 3 else date(2024, 1, 1) for n in range(N)],
            None,
            "after 9000 in 66.7% of the rows",
        ),
        ([datetime(1, 1, 1) if n % 3 else datetime(2024, 1, 1) for n in range(N)], None, "before the year 1000"),
        ([10**12 * n for n in range(N)], pa.timestamp("s"), "outside the years 1 to 9999|which no model can use"),
        ([1e300 * n for n in range(N)], None, "holds numbers beyond 3.4e38"),
        ([1_700_000_000 + n for n in range(N)], None, "counts seconds since 1970"),
        ([1_700_000_000_000_000_000 + n for n in range(N)], None, "counts nanoseconds since 1970"),
        ([f"${n},000" for n in range(N)], None, "has numbers as text with a unit or a sign between thousands"),
        ([f"{n} {('kg', 'g')[n % 2]}" for n in range(N)], None, "has numbers with different units"),
        ([str(n) for n in range(N)], None, "has whole numbers as text; to use them as numbers, put it under columns"),
    ],
)
def test_a_column_that_no_run_can_use_is_left_out_with_its_reason(
    values: list[Any], kind: pa.DataType | None, reason: str
) -> None:
    _, wanted, found = settled(values, kind)

    assert wanted is None
    assert found is not None
    assert any(words in found for words in reason.split("|"))


@pytest.mark.parametrize("name", ["", "  "])
def test_a_column_without_a_name_is_left_out(name: str) -> None:
    assert settled(list(range(N)), name=name)[2] == "has no name; give it one in the source"


def test_the_numbers_of_an_id_are_names() -> None:
    assert settled([str(n) for n in range(N)], name="customer_id")[1:] == (None, None)


def test_one_stray_date_does_not_take_a_column_of_times_away() -> None:
    values = [date(2024, 1, 1) + timedelta(days=n) for n in range(N)] + [date(9999, 12, 31)]
    assert settled(values)[1:] == (None, None)


def test_what_init_looks_at_is_what_a_run_gets() -> None:
    column, wanted, _ = settled([Decimal("1.00"), Decimal("2.50")], pa.decimal128(10, 2))
    assert wanted is None
    assert column.equals(coerce("o", column)[0])
    assert column.to_pylist() == [1.0, 2.5]
