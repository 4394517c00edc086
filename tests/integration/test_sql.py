"""The sql source against a real PostgreSQL and a SQLite file: the window is asked of the database."""

from __future__ import annotations

import sqlite3
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from builders import make_table, write_parquet
from contender.data.connections import fields_of
from contender.data.request import ReadRequest, Window
from contender.data.snapshot import canonical, content_id
from contender.data.sources import ParquetSource, SqlSource
from contender.errors import ConfigError, DataRejected, DataUnavailable
from contender.spec import DataSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
END = datetime(2026, 3, 2, tzinfo=UTC)
WINDOW = Window("at", END - timedelta(days=30), END, END)


@pytest.fixture(scope="module")
def customers(postgres: str) -> Iterator[str]:
    """A database with the builders' table in it."""
    engine = sa.create_engine(postgres)
    make_table().to_pandas().to_sql("customers", engine, index=False, if_exists="replace")
    with engine.begin() as connection:
        connection.execute(
            sa.text("ALTER TABLE customers ADD key uuid, ADD price numeric(10, 2), ADD zoned timestamptz")
        )
        statement = "UPDATE customers SET key = gen_random_uuid(), price = id + 0.25, zoned = at AT TIME ZONE 'UTC'"
        connection.execute(sa.text(statement))
    engine.dispose()
    return postgres


def sql(**asked: str) -> SqlSource:
    return SqlSource(kind="sql", conn_id="shop_db", **asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"table": "customers"},
        {"table": "public.customers"},
        {"query": "SELECT * FROM customers;"},
        {"query": "SELECT * FROM customers WHERE at < :as_of"},
    ],
)
@pytest.mark.parametrize("column", ["at", "zoned"])
def test_a_window_is_the_rows_of_that_time(customers: str, asked: dict[str, str], column: str) -> None:
    window = Window(column, WINDOW.start, WINDOW.end, WINDOW.as_of)

    read = sql(**asked).read(ReadRequest(window, connect=lambda _: fields_of(customers))).table

    expected = [
        i
        for i, at in zip(*(make_table()[n].to_pylist() for n in ("id", "at")), strict=True)
        if at >= datetime(2026, 1, 31)
    ]
    assert sorted(read["id"].to_pylist()) == expected
    assert (read["price"].type, read["key"].type) == (pa.float64(), pa.string())


def test_the_same_rows_from_a_file_are_the_same_snapshot(customers: str, tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "t.parquet", make_table())
    query = "SELECT id, at, x, noise, region, y FROM customers"
    data: dict[str, Any] = {"target": "y", "positive": "yes", "id": "id", "time": "at", "window": "30d"}

    ids = {
        content_id(
            canonical(
                source.read(ReadRequest(WINDOW, connect=lambda _: fields_of(customers))).table,
                DataSpec.model_validate({"source": source, **data}),
            )
        )
        for source in (sql(query=query), ParquetSource(kind="parquet", uri=str(file)))
    }

    assert len(ids) == 1


def test_a_sqlite_table_keeps_its_declared_times(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE orders (at TIMESTAMP, n INTEGER)")
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?)", [("2026-03-01 10:00:00", 1), ("2025-01-01 10:00:00", 2)]
        )
    connection.close()

    url = f"sqlite:///{tmp_path / 'shop.db'}"
    read = sql(table="orders").read(ReadRequest(WINDOW, connect=lambda _: fields_of(url))).table

    assert read.to_pydict() == {"at": [datetime(2026, 3, 1, 10)], "n": [1]}


@pytest.mark.parametrize(
    ("asked", "kind", "message"),
    [
        ({"table": "orders"}, DataUnavailable, "has no table 'orders'"),
        (
            {"query": "SELECT nothing FROM customers"},
            DataRejected,
            'refuses the query: column "nothing" does not exist',
        ),
        ({"query": "DROP TABLE customers"}, DataRejected, "refuses the query: syntax error"),
    ],
)
def test_what_the_database_refuses_is_said_in_its_words(
    customers: str, asked: dict[str, str], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        sql(**asked).read(ReadRequest(WINDOW, connect=lambda _: fields_of(customers)))
    assert sql(table="customers").read(ReadRequest(connect=lambda _: fields_of(customers))).table.num_rows == 300


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("postgresql+psycopg://ann:s3cret@127.0.0.1:1/shop", DataUnavailable),
        ("nosuchdb://ann:s3cret@host/shop", ConfigError),
        ("mysql+pymysql://ann:s3cret@host/shop", ConfigError),
    ],
)
def test_no_message_carries_the_address(url: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="shop_db") as caught:
        sql(table=f"t{uuid.uuid4().hex}").read(ReadRequest(connect=lambda _: fields_of(url)))
    assert "s3cret" not in str(caught.value)
