"""The sql source against a real PostgreSQL and a SQLite file: the window is asked of the database."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from operator import eq, ge, gt, le, lt, ne
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from builders import make_table, write_parquet
from contender.data.content import content_id
from contender.data.reading.connections import fields_of
from contender.data.reading.request import ReadRequest, ReadResult, Window
from contender.data.snapshot import canonical
from contender.data.sources import ParquetSource, SqlSource
from contender.errors import ConfigError, DataRejected, DataUnavailable
from contender.patience import patience
from contender.spec.data import DataSpec
from s3servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


@pytest.mark.parametrize("asked", [{"table": "accounts"}, {"query": "SELECT * FROM accounts"}], ids=["table", "query"])
@pytest.mark.parametrize("kind", ["numeric", "numeric(38, 0)", "numeric(44, 10)"])
def test_a_numeric_id_names_as_many_entities_as_there_are(postgres: str, asked: dict[str, str], kind: str) -> None:
    """A float would take thirty digits that differ in the last ones for one id."""
    engine = sa.create_engine(postgres)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS accounts"))
        connection.execute(sa.text(f"CREATE TABLE accounts (id {kind}, price numeric(10, 2))"))
        connection.execute(
            sa.text("INSERT INTO accounts SELECT 1e30::numeric + n, n FROM generate_series(1, 400) AS n")
        )
    engine.dispose()

    read = sql(**asked).read(ReadRequest(identity="id", connect=lambda _: fields_of(postgres))).table

    assert sorted(read["id"].to_pylist()) == [str(10**30 + n) for n in range(1, 401)]
    assert read["price"].type == pa.float64()


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
    with patience(0.5), pytest.raises(kind, match="shop_db") as caught:
        sql(table=f"t{uuid.uuid4().hex}").read(ReadRequest(connect=lambda _: fields_of(url)))
    assert "s3cret" not in str(caught.value)


def test_a_database_that_is_away_for_a_while_is_waited_for(postgres: str) -> None:
    """Until somebody listens at the address and passes on what is said; a wrong password is not asked again."""
    url, port = sa.make_url(postgres), free_port()

    def pass_on() -> None:
        time.sleep(1)
        command = [sys.executable, "-c", RELAY, str(port), str(url.host), str(url.port or 5432)]
        passing.append(subprocess.Popen(command))

    passing: list[subprocess.Popen[bytes]] = []
    fields = fields_of(url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False))
    thread = threading.Thread(target=pass_on)
    thread.start()
    try:
        with patience(60):
            found = sql(query="SELECT 1 AS n").read(ReadRequest(connect=lambda _: fields))
    finally:
        thread.join()
        passing[0].kill()
        passing[0].wait()
    assert found.table.num_rows == 1


RELAY = """
import socket, sys, threading
def copy(a, b):
    while data := a.recv(65536):
        b.sendall(data)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, _ = server.accept()
    there = socket.create_connection((sys.argv[2], int(sys.argv[3])))
    for a, b in ((client, there), (there, client)):
        threading.Thread(target=copy, args=(a, b), daemon=True).start()
"""


@pytest.fixture(scope="module")
def odd(postgres: str) -> Iterator[str]:
    """A table whose names, types and values are all awkward; half of its columns cannot even be asked for."""
    engine = sa.create_engine(postgres)
    create = """
        CREATE TABLE "Odd Orders" (
            "At" timestamptz, day date, "select" numeric(40, 2), "50%: ""x"" y" text, key uuid, big bigint, paid boolean, gone text);
        INSERT INTO "Odd Orders"
        SELECT '2026-03-01 23:00-01:00'::timestamptz + n * interval '1 hour', '2026-03-02'::date - n, n + 0.25, 'it''s ' || n,
               md5(n::text)::uuid, 9007199254740993, n % 2 = 0, NULL
        FROM generate_series(-3, 3) AS n;
        CREATE VIEW bombs AS SELECT "At" AS at, big, 1 / (big - big) AS bomb FROM "Odd Orders";
        CREATE SEQUENCE counted;
    """
    with engine.begin() as connection:
        connection.execute(sa.text(create.replace(":", r"\:")))
    engine.dispose()
    yield postgres
    with engine.begin() as connection:
        connection.execute(sa.text('DROP VIEW bombs; DROP TABLE "Odd Orders"; DROP SEQUENCE counted'))
    engine.dispose()


def ask(url: str, window: Window | None = None, *, request: dict[str, Any] | None = None, **asked: str) -> ReadResult:
    return sql(**asked).read(ReadRequest(window, connect=lambda _: fields_of(url), **(request or {})))


@pytest.mark.parametrize(
    "asked",
    [{"table": "Odd Orders"}, {"query": 'SELECT * FROM "Odd Orders" WHERE "At" < :end AND gone IS NULL -- % all'}],
)
def test_names_and_types_are_what_the_database_says(odd: str, asked: dict[str, str]) -> None:
    found = ask(odd, Window("At", END - timedelta(hours=2), END, END), **asked)

    assert found.table.column_names == ["At", "day", "select", '50%: "x" y', "key", "big", "paid", "gone"]
    assert found.table["select"].to_pylist() == [-1.75, -0.75]
    assert [moment.replace(tzinfo=UTC) for moment in found.table["At"].to_pylist()] == [
        END - timedelta(hours=h) for h in (2, 1)
    ]
    assert found.table["big"].to_pylist() == [9007199254740993] * 2
    assert {found.table.schema.field(name).type for name in ('50%: "x" y', "key")} == {pa.string()}
    assert "WHERE" in str(found.query)
    assert ":start" in str(found.query)
    assert "2026" not in str(found.query)


def test_a_date_is_its_midnight_in_the_window(odd: str) -> None:
    found = ask(odd, Window("day", END - timedelta(days=2), END, END), table="Odd Orders")
    assert sorted(found.table["select"].to_pylist()) == [1.25, 2.25]


def test_the_contract_says_what_a_column_holds(odd: str) -> None:
    types = {"select": "integer", "paid": "text", "big": "number", "At": "timestamp", "gone": "number"}
    table = ask(odd, table="Odd Orders", request={"types": types})
    assert table.unread["select"].cells.to_pylist() == [f"{n + 0.25:.2f}" for n in range(-3, 4)]
    assert set(table.table["paid"].to_pylist()) == {"true", "false"}
    assert table.table["big"].to_pylist() == [9007199254740992.0] * 7
    assert table.table.schema.field("gone").type == pa.float64()


def test_a_column_of_lists_is_no_text_whoever_says_so(postgres: str) -> None:
    with pytest.raises(
        DataRejected, match=r"column 'tags' of connection 'shop_db' is list<.*>, expected text; .*exclude"
    ) as said:
        ask(postgres, query="SELECT ARRAY['hush'] AS tags", request={"types": {"tags": "text"}})
    assert "hush" not in str(said.value)


@pytest.mark.parametrize("asked", [{"table": "bombs"}, {"query": "SELECT * FROM bombs"}])
def test_an_excluded_column_is_not_asked_for(odd: str, asked: dict[str, str]) -> None:
    window = Window("at", END - timedelta(hours=2), END, END)
    with pytest.raises(DataRejected, match="refuses the query: division by zero"):
        ask(odd, window, **asked)
    found = ask(odd, window, request={"exclude": frozenset({"bomb", "nowhere"})}, **asked)
    assert (found.table.num_rows, found.left_out) == (2, {"bomb"})


@pytest.mark.parametrize(
    ("query", "kind", "message"),
    [
        ("SELECT nextval('counted') AS n", DataRejected, "cannot execute nextval.* in a read-only transaction"),
        ('SELECT big AS n, big AS n FROM "Odd Orders"', DataRejected, r"in the query: the column 'n' stands more than once \(columns \[1, 2\]\)"),
        ("SELECT 'canary'::integer AS n", DataRejected, r"invalid input syntax for type integer: \(not shown\)"),
        ("SELECT 'infinity'::timestamp AS n", DataRejected, "refuses the query: timestamp too large"),
        ("SELECT '999999999999999999'::int AS n", DataRejected, r"refuses the query: value: \(not shown\)"),
        ("SELECT unnest(ARRAY['canary'])::date AS n", DataRejected, r"invalid input syntax for type date: \(not shown\)"),
        ("SELECT 1 AS n WHERE :as_of IS NOT NULL", ConfigError, r"data\.source\.query: :as_of is a moment of the window, and there is none"),
        ("SELECT :oops AS n", DataRejected, "A value is required for bind parameter 'oops'"),
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_asked_says_why_and_changes_nothing(
    odd: str, query: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        ask(odd, query=query)
    assert "canary" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_column_that_is_no_time_is_no_window(odd: str) -> None:
    with pytest.raises(DataRejected, match=r"data\.time: column 'big' is BIGINT.*, expected a date or a timestamp"):
        ask(odd, Window("big", END, END, END), table="Odd Orders")
    with pytest.raises(DataRejected, match=r"data\.time: no column 'at' in the source, found 'At'"):
        ask(odd, WINDOW, table="Odd Orders")


def test_sqlite_compares_moments_and_not_their_letters(tmp_path: Path) -> None:
    start = WINDOW.start.replace(tzinfo=None)
    inside = [f"{start:%Y-%m-%d}", f"{start}", f"{start.isoformat()}.000001", "2026-03-01T23:59:59.999"]
    outside = ["2026-01-30 23:59:59", f"{END:%Y-%m-%d}", f"{END:%Y-%m-%d} 00:00:00"]
    unknown: list[Any] = [None, "31/01/2026", "2026-02-31", 1769817600, "soon"]
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE orders (at TIMESTAMP, n INTEGER, what)")
        cells = [(at, place, "x") for place, at in enumerate([*inside, *outside, *unknown])]
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", cells)
        connection.execute("INSERT INTO orders VALUES ('2026-02-01', 'many', 7)")
    connection.close()
    url = f"sqlite:///{tmp_path / 'shop.db'}"

    for asked in (
        {"table": "orders"},
        {"query": "SELECT * FROM orders WHERE at < :as_of OR at > 'a' OR at > 5 OR at IS NULL"},
    ):
        found = ask(url, WINDOW, request={"types": {"n": "integer", "what": "text"}}, **asked)
        assert found.table["n"].to_pylist() == [0, 1, 2, 3, 7, 8, 9, 10, 11, None]
        assert found.unread["n"].cells.to_pylist()[-1] == "many"
        assert found.unread["at"].cells.to_pylist()[4:9] == [None, *(str(cell) for cell in unknown[1:])]
        assert found.table["what"].to_pylist()[-1] == "7"


@pytest.mark.parametrize("declared", ["TIMESTAMP", "TEXT"])
def test_sqlite_moments_may_say_their_zone_and_are_of_another_day_then(tmp_path: Path, declared: str) -> None:
    end = END + timedelta(hours=12)
    before, after = (f"{moment:%Y-%m-%d}" for moment in (WINDOW.start - timedelta(days=1), END + timedelta(days=1)))
    inside = [f"{before}T19:00:00-05:00", f"{after}T01:59:59+14:00"]
    outside = [f"{before}T18:59:59-05:00", f"{before}T23:30:00+00:00", f"{after}T02:00:00+14:00"]
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute(f"CREATE TABLE orders (at {declared}, n INTEGER)")
        connection.executemany("INSERT INTO orders VALUES (?, ?)", [(at, n) for n, at in enumerate(inside + outside)])
    connection.close()
    found = ask(f"sqlite:///{tmp_path / 'shop.db'}", Window("at", WINDOW.start, end, end), table="orders")
    assert [0, 1] == found.table["n"].to_pylist()


def test_rows_that_do_not_agree_without_a_contract_are_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE orders (what)")
        connection.executemany("INSERT INTO orders VALUES (?)", [(n,) for n in range(50_000)] + [("seven",)])
    connection.close()
    with pytest.raises(DataRejected, match=r"rows do not agree on what a column holds .*what.*data\.columns"):
        ask(f"sqlite:///{tmp_path / 'shop.db'}", table="orders")


HOURS = timedelta(hours=1)
FORMS: dict[str, Callable[[datetime], Any]] = {
    "days": lambda moment: f"{moment:%Y-%m-%d}",
    "blank": lambda moment: f"{moment:%Y-%m-%d %H:%M:%S}",
    "T": lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}",
    "minutes": lambda moment: f"{moment:%Y-%m-%dT%H:%M}",
    "fractions": lambda moment: f"{moment:%Y-%m-%d %H:%M:%S.%f}",
    "Z": lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}",
    "another zone": lambda moment: (moment - 5 * HOURS).strftime("%Y-%m-%dT%H:%M:%S-05:00"),
    "epoch": lambda moment: int(moment.timestamp()),
}


@pytest.mark.parametrize("hour", [0, 8])
@pytest.mark.parametrize("form", FORMS)
def test_a_query_on_sqlite_compares_moments_whatever_their_form(tmp_path: Path, form: str, hour: int) -> None:
    """By their letters ``<= :end`` lost midnight, ``>= :start`` the first day, and a T came after every blank."""
    window = Window("at", WINDOW.start + hour * HOURS, END + hour * HOURS, END)
    bounds = {"start": window.start, "end": window.end}
    if form == "days":
        moments = [WINDOW.start + timedelta(days=days) for days in (-1, 0, 1, 29, 30, 31)]
    else:
        moments = [bound + hours * HOURS for bound in bounds.values() for hours in (-30, -1, 0, 1, 30)]
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute(f"CREATE TABLE orders (at {'INTEGER' if form == 'epoch' else 'TEXT'}, n INTEGER)")
        cells = [(FORMS[form](moment), n) for n, moment in enumerate(moments)]
        connection.executemany("INSERT INTO orders VALUES (?, ?)", cells)
    connection.close()
    for name, bound in bounds.items():
        asked = f"unixepoch(:{name})" if form == "epoch" else f":{name}"
        for sign, holds in (("<", lt), ("<=", le), (">", gt), (">=", ge), ("=", eq), ("<>", ne)):
            for condition, swapped in ((f"at {sign} {asked}", False), (f"{asked} {sign} at", True)):
                inside = f"SELECT '{WINDOW.start:%Y-%m-%d 12:00}' AS at, n"
                query = f"{inside} FROM (SELECT * FROM orders WHERE {condition})"  # noqa: S608
                found = ask(f"sqlite:///{tmp_path / 'shop.db'}", window, query=query).table["n"].to_pylist()
                sides = ((bound, moment) if swapped else (moment, bound) for moment in moments)
                assert sorted(found) == [n for n, (left, right) in enumerate(sides) if holds(left, right)], condition


def test_the_moments_of_a_query_on_sqlite_work_in_ranges_functions_and_subqueries(tmp_path: Path) -> None:
    days = [WINDOW.start - timedelta(days=1), WINDOW.start, END - timedelta(days=1), END]
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE orders (at TEXT, n INTEGER)")
        cells = [(f"{day:%Y-%m-%d}", n) for n, day in enumerate(days)]
        connection.executemany("INSERT INTO orders VALUES (?, ?)", [*cells, ("soon", 9), (None, 10)])
    connection.close()
    query = """
        SELECT at, n, (SELECT count(*) FROM orders WHERE at <= :as_of) AS before, :start AS first, date(:end, '-1 day') AS last
        FROM orders WHERE at BETWEEN :start AND :end AND at < date(:end)
    """
    found = ask(f"sqlite:///{tmp_path / 'shop.db'}", WINDOW, query=query)
    assert found.table.drop_columns("at").to_pydict() == {
        "n": [1, 2],
        "before": [4, 4],
        "first": [f"{WINDOW.start:%Y-%m-%d %H:%M:%S}"] * 2,
        "last": [f"{END - timedelta(days=1):%Y-%m-%d}"] * 2,
    }


@pytest.mark.parametrize("asked", [{"table": "customers"}, {"query": "SELECT * FROM customers"}])
def test_rows_without_a_time_are_asked_for_and_rows_outside_the_window_are_not(
    customers: str, asked: dict[str, str]
) -> None:
    engine = sa.create_engine(customers)
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO customers (id, at) VALUES (-1, NULL), (-2, '2020-01-01')"))
    try:
        found = ask(customers, WINDOW, **asked)
    finally:
        with engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM customers WHERE id < 0"))
        engine.dispose()
    ids = found.table["id"].to_pylist()
    assert (-1 in ids, -2 in ids) == (True, False)
    assert found.rows == found.table.num_rows
    assert found.table["at"].null_count == 1


def test_text_in_sqlite_that_is_not_utf8_is_refused_without_its_text(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE orders (what TEXT)")
        connection.execute("INSERT INTO orders VALUES (CAST(X'6361FF6E617279' AS TEXT))")
    connection.close()
    with pytest.raises(DataRejected, match=r"refuses the query: Could not decode to UTF-8 column 'what'") as said:
        ask(f"sqlite:///{tmp_path / 'shop.db'}", table="orders")
    assert "nary" not in str(said.value)
