"""Reading a window of a database's rows as an Arrow table, with SQLAlchemy. Rows come in parts: memory is bounded by them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import exc

from contender.data.columns import ColumnType
from contender.data.reading.fitting import Fitter
from contender.data.reading.gathering import Gathering, see_time, see_unique
from contender.data.reading.request import Found, ReadRequest, Window
from contender.errors import ConfigError, DataRejected, DataUnavailable

_ROWS = 50_000
_MOMENTS = ("start", "end", "as_of")
#: A session's zone is where its naive moments are; ours are UTC.
_UTC = {"postgresql": "SET LOCAL TIME ZONE 'UTC'", "mysql": "SET time_zone = '+00:00'"}
_KINDS: tuple[tuple[type[sa.types.TypeEngine[Any]], ColumnType], ...] = (
    (sa.Boolean, "boolean"),
    (sa.Integer, "integer"),
    (sa.Numeric, "number"),
    (sa.Date, "timestamp"),
    (sa.DateTime, "timestamp"),
    (sa.String, "text"),
    (sa.Uuid, "text"),
)
_SQLITE_IS_SOUND = ("unable to open", "database is locked", "disk i/o", "database disk")


def read_sql(url: str, conn_id: str, table: str | None, query: str | None, request: ReadRequest) -> Found:
    """All rows of the table or query, or those of the window; in any order.

    Raises:
        ConfigError, DataUnavailable, DataRejected: see ``SqlSource.read``; no message carries the URL.
    """
    try:
        engine = sa.create_engine(url)
    except (ImportError, exc.ArgumentError) as error:
        module = getattr(error, "name", None) or "its driver"
        msg = f"data.source: connection {conn_id!r} needs {module}, which is not installed (PostgreSQL: contender[postgres])"
        raise ConfigError(msg) from None
    where = f"connection {conn_id!r}"
    try:
        with _said(conn_id, table), engine.connect().execution_options(postgresql_readonly=True) as connection:
            if zone := _UTC.get(connection.dialect.name):
                connection.execute(sa.text(zone))
            rows, kinds = _table(connection, table) if table else _query(connection, query or "", request.window)
            see_unique(list(rows), f"of {where}")
            see_time(request, rows.keys())
            return _gathered(connection, rows, kinds, request, where)
    finally:
        engine.dispose()


def _gathered(
    connection: sa.Connection,
    rows: dict[str, sa.ColumnElement[Any]],
    kinds: dict[str, ColumnType],
    request: ReadRequest,
    where: str,
) -> Found:
    window = request.window
    chosen = {name: column for name, column in rows.items() if name not in request.exclude}
    lite = connection.dialect.name == "sqlite"
    if lite:  # it has no types: what a cell is, we see
        chosen = {name: sa.type_coerce(column, sa.types.NullType()).label(name) for name, column in chosen.items()}
        kinds = kinds if window is None else {**kinds, window.column: "timestamp"}
    statement = sa.select(*chosen.values())
    if window is not None:
        statement = statement.where(_in_window(rows[window.column], window, lite=lite))
    fitter = Fitter({**kinds, **request.types}, either=frozenset(kinds) | frozenset(request.types))
    gathered = Gathering()
    options = {"stream_results": True, "yield_per": _ROWS}
    result = connection.execute(statement, _moments(window, lite=lite), execution_options=options)
    nothing: Sequence[sa.Row[Any]] = ()
    for part in chain([nothing], result.partitions()):
        columns, unread = {}, {}
        cells = zip(*part, strict=True) if part else [()] * len(chosen)
        for name, values in zip(chosen, cells, strict=True):
            wanted = request.types.get(name) or kinds.get(name)
            column = _column(values, wanted)
            try:
                columns[name], misfits = fitter.fit(name, column)
            except pa.ArrowNotImplementedError:
                msg = f"data.source: column {name!r} of {where} is {column.type}, expected {wanted}; put it under data.exclude"
                raise DataRejected(msg) from None
            if misfits is not None:
                unread[name] = misfits
        gathered.add(columns, unread, window if lite else None)
    return gathered.found(request, rows, query=str(statement))


def _table(connection: sa.Connection, table: str) -> tuple[dict[str, sa.ColumnElement[Any]], dict[str, ColumnType]]:
    """The table's columns, and what those hold whose type says it."""
    schema, _, name = table.rpartition(".")
    reflected = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=connection)
    kinds = {
        column.name: kind
        for column in reflected.columns
        for kind in [next((kind for known, kind in _KINDS if isinstance(column.type, known)), None)]
        if kind is not None
    }
    return {column.name: column for column in reflected.columns}, kinds


def _query(
    connection: sa.Connection, query: str, window: Window | None
) -> tuple[dict[str, sa.ColumnElement[Any]], dict[str, ColumnType]]:
    """The query's columns. What they hold, only the rows say."""
    used = [name for name in _MOMENTS if re.search(rf"(?<![:\w\\]):{name}\b", query)]
    if used and window is None:
        msg = (
            f"data.source.query: :{used[0]} is a moment of the window, and there is none; set data.time and data.window"
        )
        raise ConfigError(msg)
    asked = sa.text(query.rstrip().rstrip(";") + "\n")  # it may end in a comment
    probe = sa.select(sa.text("*")).select_from(asked.columns().subquery("asked")).where(sa.false())
    with connection.execute(probe, _moments(window, lite=connection.dialect.name == "sqlite")) as result:
        names = list(result.keys())
    see_unique(names, "in the query")
    found = asked.columns(*(sa.column(name) for name in names)).subquery("asked")
    return {name: found.c[name] for name in names}, {}


def _in_window(column: sa.ColumnElement[Any], window: Window, *, lite: bool) -> sa.ColumnElement[bool]:
    # It compares text, so moments are compared when they are read, and here the days on which they are anywhere on earth.
    if lite:
        text = sa.type_coerce(column, sa.String())
        first: sa.BindParameter[str] = sa.bindparam("first_day", f"{window.start - timedelta(days=1):%Y-%m-%d}")
        after: sa.BindParameter[str] = sa.bindparam("day_after", f"{window.end + timedelta(days=2):%Y-%m-%d}")
        no_day = text.op("NOT GLOB", is_comparison=True)(
            sa.literal_column("'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'")
        )
        return sa.or_(sa.and_(text >= first, text < after), no_day)
    known = column.type
    if not isinstance(known, sa.types.NullType | sa.Date | sa.DateTime):
        msg = f"data.time: column {window.column!r} is {known!r}, expected a date or a timestamp"
        raise DataRejected(msg)
    moment = sa.DateTime(timezone=bool(getattr(known, "timezone", False)))
    start, end = (sa.bindparam(name, type_=moment) for name in ("start", "end"))
    return sa.and_(column >= start, column < end)


def _moments(window: Window | None, *, lite: bool) -> dict[str, Any]:
    """The moments that a statement may name, all UTC; SQLite has them as text."""
    if window is None:
        return {}
    naive = {name: getattr(window, name).astimezone(UTC).replace(tzinfo=None) for name in _MOMENTS}
    return {name: str(moment) for name, moment in naive.items()} if lite else naive


def _column(values: Sequence[Any], wanted: ColumnType | None) -> pa.Array:
    if any(isinstance(value, Decimal) for value in values):
        exact = wanted in ("integer", "text")
        return pa.array([None if v is None else format(v, "f") if exact else float(v) for v in values])
    try:
        column = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        column = None
    if column is None or isinstance(column.type, pa.BaseExtensionType):  # a type of the database's own, such as uuid
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return column


@contextmanager
def _said(conn_id: str, table: str | None) -> Iterator[None]:
    """What the database says against it, as an error of ours."""
    try:
        yield
    except exc.NoSuchTableError:
        raise DataUnavailable(f"data.source.table: connection {conn_id!r} has no table {table!r}") from None
    except exc.SQLAlchemyError as error:
        said = _first_line(error)
        lite = "sqlite" in type(getattr(error, "orig", None)).__module__
        sound = not lite or said.lower().startswith(_SQLITE_IS_SOUND)  # SQLite calls everything operational
        if isinstance(error, exc.OperationalError) and sound:
            raise DataUnavailable(f"data.source: the database of {conn_id!r} does not answer: {said}") from None
        raise DataRejected(f"data.source: the database of {conn_id!r} refuses the query: {said}") from None


def _first_line(error: exc.SQLAlchemyError) -> str:
    """What the database says, without the statement, its parameters, the address, or a value of the data."""
    reason = str(getattr(error, "orig", None) or error.args[0]).strip().splitlines()
    said = re.sub(r"password\S*|(user|for) \"[^\"]*\"", "...", reason[0] if reason else type(error).__name__)
    return re.sub(r": (\"|').*", ": (not shown)", said)[:200]
