"""The same rows are the same snapshot, wherever they are kept and however they are laid out."""

from __future__ import annotations

import csv
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from builders import AS_OF, make_run, make_table
from contender.aws import s3_client
from contender.data.reading.connections import fields_of
from contender.data.snapshot import read_snapshot, take_snapshot
from contender.store.local import LocalStore

if TYPE_CHECKING:
    from s3servers import S3Server

pytestmark = pytest.mark.integration
ROWS = 400
CONTRACT = {
    "id": "integer", "at": "timestamp", "x": "number", "noise": "number", "region": "text", "y": "text", "price": "number",
    "visits": "integer", "loyal": "boolean", "note": "text",
}  # fmt: skip
SQL_TYPES = {
    "id": "bigint", "at": "timestamptz", "x": "double precision", "noise": "double precision", "region": "varchar(20)",
    "y": "text", "price": "numeric(10, 2)", "visits": "integer", "loyal": "boolean", "note": "text",
}  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """Every kind of column, with what is awkward in each; half of them before the window."""
    table = make_table(ROWS)
    chance = random.Random(5)  # noqa: S311
    notes = ["plain", 'said "no"', "a, b; c", "two\nlines", "Jürgen ❄", "007", "NA", " padded ", None]
    columns = {
        "price": pa.array([chance.randrange(10_000) / 4 for _ in range(ROWS)]),
        "visits": pa.array([chance.choice([None, 0, 7, 2**31 - 1]) for _ in range(ROWS)]),
        "loyal": pa.array([chance.choice([True, False, None]) for _ in range(ROWS)]),
        "note": pa.array([chance.choice(notes) for _ in range(ROWS)]),
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    place = table.column_names.index("y")
    return table.set_column(
        place, "y", pa.array([None if row % 50 == 0 else y for row, y in enumerate(table["y"].to_pylist())])
    )


def shuffled(table: pa.Table, seed: int) -> pa.Table:
    return table.take(random.Random(seed).sample(range(len(table)), len(table)))  # noqa: S311


def one_file(folder: Path, rows: pa.Table) -> dict[str, Any]:
    pq.write_table(rows, folder / "all.parquet")
    return {"kind": "parquet", "uri": str(folder / "all.parquet")}


def dated_drops(folder: Path, rows: pa.Table) -> dict[str, Any]:
    """In folders of regions, in files of days, in another order, in small row groups, of narrower and wider types."""
    rows = shuffled(rows, 1)
    price = rows["price"].cast(pa.decimal128(12, 2))
    rows = rows.set_column(rows.column_names.index("price"), "price", price)
    rows = rows.set_column(rows.column_names.index("id"), "id", rows["id"].cast(pa.int32()))
    rows = rows.set_column(rows.column_names.index("note"), "note", rows["note"].dictionary_encode())
    for number, day in enumerate(sorted(set(pc.floor_temporal(rows["at"], unit="week").to_pylist()))):
        part = rows.filter(pc.equal(pc.floor_temporal(rows["at"], unit="week"), day))
        ds.write_dataset(
            part, folder, format="parquet", min_rows_per_group=1, max_rows_per_group=7,
            partitioning=ds.partitioning(pa.schema([("region", pa.string())]), flavor="hive"),
            basename_template=f"week-{number}-{{i}}.parquet", existing_data_behavior="overwrite_or_ignore",
        )  # fmt: skip
    return {"kind": "parquet", "uri": str(folder)}


def delimited(folder: Path, rows: pa.Table) -> dict[str, Any]:
    rows = shuffled(rows, 2)
    with (folder / "all.csv").open("w", encoding="utf-16", newline="") as stream:
        writer = csv.writer(stream, delimiter=";")
        writer.writerow(reversed(rows.column_names))
        for row in rows.to_pylist():
            cells = ["" if row[name] is None else row[name] for name in reversed(rows.column_names)]
            writer.writerow(str(cell).replace(".", ",") if isinstance(cell, float) else cell for cell in cells)
    types = {name: kind for name, kind in CONTRACT.items() if name in ("note", "region", "y")}
    return {"kind": "csv", "uri": str(folder), "delimiter": ";", "encoding": "utf-16", "decimal": ",", "types": types}


def sqlite(folder: Path, rows: pa.Table) -> dict[str, Any]:
    with sqlite3.connect(folder / "shop.db") as connection:
        columns = ", ".join(f"{name} {'TIMESTAMP' if name == 'at' else kind}" for name, kind in SQL_TYPES.items())
        connection.execute(f"CREATE TABLE customers ({columns})")
        marks = ", ".join("?" * len(SQL_TYPES))
        cells = [
            [str(row[name]) if name == "at" else row[name] for name in SQL_TYPES]
            for row in shuffled(rows, 3).to_pylist()
        ]
        connection.executemany(f"INSERT INTO customers VALUES ({marks})", cells)  # noqa: S608
    connection.close()
    return {"kind": "sql", "conn_id": "lite", "table": "customers"}


@pytest.fixture(scope="module")
def shop(postgres: str, rows: pa.Table) -> Iterator[str]:
    """A PostgreSQL whose sessions are in another zone than UTC."""
    engine = sa.create_engine(postgres)
    columns = ", ".join(f"{name} {kind}" for name, kind in SQL_TYPES.items())
    with engine.begin() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {engine.url.database} SET timezone TO 'America/New_York'"))
        connection.execute(sa.text(f"CREATE TABLE kept ({columns})"))
    engine.dispose()
    zoned = rows.set_column(1, "at", rows["at"].cast(pa.timestamp("us", "UTC")))
    with engine.begin() as connection:
        statement = sa.text(f"INSERT INTO kept VALUES ({', '.join(f':{name}' for name in SQL_TYPES)})")  # noqa: S608
        connection.execute(statement, shuffled(zoned, 4).to_pylist())
    engine.dispose()
    yield postgres
    with engine.begin() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {engine.url.database} RESET timezone"))
        connection.execute(sa.text("DROP TABLE kept"))
    engine.dispose()


@pytest.mark.parametrize("contract", [{}, CONTRACT], ids=["found out", "declared"])
def test_the_same_window_is_one_snapshot_wherever_it_is_read_from(
    tmp_path: Path, rows: pa.Table, shop: str, moto: S3Server, contract: dict[str, str]
) -> None:
    folders = {make.__name__: tmp_path / make.__name__ for make in (one_file, dated_drops, delimited, sqlite)}
    for folder in folders.values():
        folder.mkdir()
    sources = {make.__name__: make(folders[make.__name__], rows) for make in (one_file, dated_drops, delimited, sqlite)}
    sources["a table"] = {"kind": "sql", "conn_id": "shop", "table": "kept"}
    sources["a query"] = {"kind": "sql", "conn_id": "shop", "query": "SELECT * FROM kept WHERE at < :end -- all of it"}
    bucket, s3 = moto.bucket(), s3_client(moto.fields())
    for path in folders["dated_drops"].rglob("*.parquet"):
        key = str(path.relative_to(folders["dated_drops"]))
        s3.upload_file(str(path), bucket, f"lake/{key}")
    s3.upload_file(str(folders["delimited"] / "all.csv"), bucket, "csv/all.csv")
    sources["drops in s3"] = {**sources["dated_drops"], "uri": f"s3://{bucket}/lake/", "conn_id": "lake"}
    sources["text in s3"] = {**sources["delimited"], "uri": f"s3://{bucket}/csv/", "conn_id": "lake"}
    connections = {
        "shop": fields_of(shop), "lite": fields_of(f"sqlite:///{folders['sqlite'] / 'shop.db'}"), "lake": moto.fields()
    }  # fmt: skip

    taken, tables = {}, {}
    for name, source in sources.items():
        data = {"source": source, "time": "at", "window": "40d", "label_delay": "2d", "columns": contract}
        run, store = make_run(data=data), LocalStore(tmp_path / "stores" / name.replace(" ", "-"))
        taken[name] = take_snapshot(run, store, connections.__getitem__)
        tables[name] = read_snapshot(taken[name], run.pipeline, store)

    assert {name: tables["one_file"].equals(table) for name, table in tables.items()} == dict.fromkeys(tables, True)
    assert len({snapshot.id for snapshot in taken.values()}) == 1
    first = taken["one_file"]
    assert 100 < first.rows < ROWS - 100
    assert all(
        (one.rows, one.unlabelled, one.uncoerced) == (first.rows, first.unlabelled, ()) for one in taken.values()
    )
    assert all(bool(one.sources) != bool(one.query) for one in taken.values())
    assert tables["one_file"]["at"].to_pylist()[-1] < AS_OF.replace(tzinfo=None)
