"""Tables and queries of a database as one table, by SQLAlchemy. Rows are fetched in parts, so memory is bounded by the result."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import exc

from contender.data.reading.batches import Batches, check_time_column, check_unique
from contender.data.reading.fitting import Fitter, shortened
from contender.data.reading.request import ReadRequest, ReadResult, Window
from contender.errors import ConfigError, DataRejected, DataUnavailable
from contender.patience import patient
from contender.spec.columns import ColumnType
from contender.telling import without_secrets

_ROWS = 50_000
_MOMENTS = ("start", "end", "as_of")
_MOMENT = rf"(?<![:\w\\]):({'|'.join(_MOMENTS)})\b"
_COLLATION = "contender_moments"
# A database reads naive timestamps in its session's time zone; ours are UTC.
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
# SQLite raises OperationalError for everything; these say that the database cannot be reached.
_SQLITE_UNREACHABLE = ("unable to open", "database is locked", "disk i/o", "database disk")
_AWAY = re.compile(
    r"refused|timed? ?out|starting up|shutting down|too many (clients|connections)|reset by peer|unreachable|locked"
    r"|server closed|lost connection|can't connect to",
    re.IGNORECASE,
)
# Classes of SQLSTATE whose messages hold names of the statement and of the server: connections, transactions, rights,
# databases and schemas, syntax and access, resources, state, operator, system.
_OF_NAMES = re.compile(r"(08|25|28|3D|3F|42|53|55|57|58)[0-9A-Z]{3}")
_MYSQL_OF_NAMES = frozenset(
    [
        "1044",
        "1045",
        "1049",
        "1052",
        "1054",
        "1064",
        "1142",
        "1143",
        "1146",
        "1149",
        "1305",
        "2002",
        "2003",
        "2005",
        "2006",
        "2013",
    ]
)
_SQLITE_OF_NAMES = (*_SQLITE_UNREACHABLE, "no such ", "near ", "ambiguous column", "could not decode to utf-8 column")


def read_sql(url: str, conn_id: str, table: str | None, query: str | None, request: ReadRequest) -> ReadResult:
    """All rows of the table or query, or those of the window; in any order. No message carries the URL.

    Raises:
        ConfigError: the driver is not installed, or the query uses the window and there is none.
        DataUnavailable: the database does not answer, or has no such table yet.
        DataRejected: it refuses the query.
    """
    try:
        engine = sa.create_engine(url)
    except (ImportError, exc.ArgumentError) as error:
        module = getattr(error, "name", None) or "its driver"
        msg = f"data.source: connection {conn_id!r} needs {module}, which is not installed (PostgreSQL: contender[postgres])"
        raise ConfigError(msg) from None
    where = f"connection {conn_id!r}"
    try:
        with _translated(conn_id, table), _connected(engine) as connection:
            if zone := _UTC.get(connection.dialect.name):
                connection.execute(sa.text(zone))
            columns, kinds = _table(connection, table) if table else _query(connection, query or "", request.window)
            check_unique(list(columns), where)
            check_time_column(request, columns)
            return _fetched(connection, columns, kinds, request, where)
    finally:
        engine.dispose()


def _connected(engine: sa.Engine) -> sa.Connection:
    """A connection that only reads, made as soon as the server answers."""
    return patient(_is_away)(engine.connect).execution_options(postgresql_readonly=True)


def _is_away(error: BaseException) -> bool:
    """Whether no connection was made because the server is away or full; drivers have no code for it."""
    return isinstance(error, exc.OperationalError) and _AWAY.search(str(error.orig)) is not None


def _fetched(
    connection: sa.Connection,
    columns: dict[str, sa.ColumnElement[Any]],
    kinds: dict[str, ColumnType],
    request: ReadRequest,
    where: str,
) -> ReadResult:
    window = request.window
    chosen = {name: column for name, column in columns.items() if name not in request.exclude}
    lite = connection.dialect.name == "sqlite"
    if lite:  # SQLite does not enforce column types, so each cell keeps the type that it is stored with
        chosen = {name: sa.type_coerce(column, sa.types.NullType()).label(name) for name, column in chosen.items()}
        kinds = kinds if window is None else {**kinds, window.column: "timestamp"}
    statement = sa.select(*chosen.values())
    if window is not None:
        statement = statement.where(_in_window(columns[window.column], window, lite=lite))
    if kinds.get(str(request.identity)) == "number":
        kinds = {**kinds, str(request.identity): "text"}
    either = frozenset(kinds) | frozenset(request.types)
    fitter = Fitter({**kinds, **request.types}, either=either, identity=request.identity)
    batches = Batches(window)
    options = {"stream_results": True, "yield_per": _ROWS}
    result = connection.execute(statement, _moments(window, lite=lite), execution_options=options)
    nothing: Sequence[sa.Row[Any]] = ()
    for part in chain([nothing], result.partitions()):  # a result without rows has columns, too
        cells = zip(*part, strict=True) if part else [()] * len(chosen)
        named = zip(chosen, cells, strict=True)
        batch = {
            name: _column(
                values,
                request.types.get(name) or kinds.get(name) or ("text" if name == request.identity else None),
                identity=name == request.identity,
            )
            for name, values in named
        }
        batches.add(*fitter.fit_all(batch, where), sift=lite)
    return batches.result(request, columns, query=str(statement))


def _table(connection: sa.Connection, table: str) -> tuple[dict[str, sa.ColumnElement[Any]], dict[str, ColumnType]]:
    """The table's columns, and the types of those whose SQL type has one of ours."""
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
    """The query's columns, found by running it for no rows. Their types are known only from rows."""
    used = re.findall(_MOMENT, query)
    if used and window is None:
        msg = (
            f"data.source.query: :{used[0]} is a moment of the window, and there is none; set data.time and data.window"
        )
        raise ConfigError(msg)
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.create_collation(_COLLATION, _earlier_or_later)
        query = re.sub(_MOMENT, rf"(:\1 COLLATE {_COLLATION})", query)
    asked = sa.text(query.rstrip().rstrip(";") + "\n")  # the line end closes a comment at its end
    probe = sa.select(sa.text("*")).select_from(asked.columns().subquery("asked")).where(sa.false())
    with connection.execute(probe, _moments(window, lite=connection.dialect.name == "sqlite")) as result:
        names = list(result.keys())
    check_unique(names, "in the query")
    found = asked.columns(*(sa.column(name) for name in names)).subquery("asked")
    return {name: found.c[name] for name in names}, {}


def _in_window(column: sa.ColumnElement[Any], window: Window, *, lite: bool) -> sa.ColumnElement[bool]:
    """The condition of the window, and of no time at all. On SQLite a wider one: it compares timestamps as text, whatever their zone.

    So SQLite gives the days on which the window is anywhere on earth, and ``Batches.add`` keeps the rows inside it. Cells
    that are no date are given too, to be reported.
    """
    if lite:
        text = sa.type_coerce(column, sa.String())
        first: sa.BindParameter[str] = sa.bindparam("first_day", f"{window.start - timedelta(days=1):%Y-%m-%d}")
        after: sa.BindParameter[str] = sa.bindparam("day_after", f"{window.end + timedelta(days=2):%Y-%m-%d}")
        no_day = text.op("NOT GLOB", is_comparison=True)(
            sa.literal_column("'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'")
        )
        return sa.or_(sa.and_(text >= first, text < after), no_day, column.is_(None))
    known = column.type
    if not isinstance(known, sa.types.NullType | sa.Date | sa.DateTime):
        msg = f"data.time: column {window.column!r} is {known!r}, expected a date or a timestamp"
        raise DataRejected(msg)
    moment = sa.DateTime(timezone=bool(getattr(known, "timezone", False)))
    start, end = (sa.bindparam(name, type_=moment) for name in ("start", "end"))
    return sa.or_(sa.and_(column >= start, column < end), column.is_(None))


def _moments(window: Window | None, *, lite: bool) -> dict[str, Any]:
    """The parameters that a statement may name, naive UTC; text for SQLite, which has no type for moments."""
    if window is None:
        return {}
    naive = {name: getattr(window, name).astimezone(UTC).replace(tzinfo=None) for name in _MOMENTS}
    return {name: str(moment) for name, moment in naive.items()} if lite else naive


def _earlier_or_later(one: str, other: str) -> int:
    """How SQLite compares ``:start``, ``:end`` and ``:as_of`` with a cell: as moments, in whatever form of ISO 8601 it is.

    By their letters 2026-01-31 comes before 2026-01-31 00:00:00, and 2026-01-31T07:00 after 2026-01-31 08:00:00. A cell
    that is no moment is compared by its letters.
    """
    if not (
        len(one) == len(other) == 19 and one[10] == other[10] and one[16] == other[16] == ":"
    ):  # as most are: quick
        first, second = _moment(one), _moment(other)
        if first is not None and second is not None:
            return (first > second) - (first < second)
    return (one > other) - (one < other)


@lru_cache(maxsize=100_000)  # one side of every comparison is a parameter, and days repeat
def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text[4:5] == text[7:8] == "-" else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


def _column(values: Sequence[Any], wanted: ColumnType | None, *, identity: bool) -> pa.Array:
    """Python values as an Arrow array: decimals as exact text where an integer or text is wanted, foreign types as text."""
    if any(isinstance(value, Decimal) for value in values):
        if wanted not in ("integer", "text"):
            return pa.array([None if value is None else float(value) for value in values])
        digits = pa.array([None if value is None else format(value, "f") for value in values], pa.string())
        return shortened(digits) if identity else digits
    try:
        column = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        column = None
    if column is None or isinstance(column.type, pa.BaseExtensionType):  # a type of the database's own, such as uuid
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return column


@contextmanager
def _translated(conn_id: str, table: str | None) -> Iterator[None]:
    """Raise the database's errors as errors of ours."""
    try:
        yield
    except exc.NoSuchTableError:
        raise DataUnavailable(f"data.source.table: connection {conn_id!r} has no table {table!r}") from None
    except exc.SQLAlchemyError as error:
        said = _first_line(error)
        lite = "sqlite" in type(getattr(error, "orig", None)).__module__
        unreachable = not lite or said.lower().startswith(_SQLITE_UNREACHABLE)
        if isinstance(error, exc.OperationalError) and unreachable:
            raise DataUnavailable(f"data.source: the database of {conn_id!r} does not answer: {said}") from None
        raise DataRejected(f"data.source: the database of {conn_id!r} refuses the query: {said}") from None


def _first_line(error: exc.SQLAlchemyError) -> str:
    """The first line of the database's message, without statement, parameters, address or values of the data.

    It is told where it can hold names only: of a connection that was not made, of a statement that is wrong, of a server
    that is busy. Of data that the database could not handle, what comes before the first quote or number.
    """
    reason: BaseException = getattr(error, "orig", None) or error
    lines = str(error.args[0] if reason is error else reason).strip().splitlines()
    text = re.sub(r"password\S*|(user|for) \"[^\"]*\"", "...", lines[0] if lines else "")[:200]
    code = str(getattr(reason, "sqlstate", None) or (reason.args or ("",))[0])
    of_names = isinstance(reason, exc.SQLAlchemyError) or code in _MYSQL_OF_NAMES or _OF_NAMES.fullmatch(code)
    if of_names or getattr(error, "statement", None) is None or text.lower().startswith(_SQLITE_OF_NAMES):
        return re.sub(r"(?<= with text) .*", "(not shown)", without_secrets(text))
    if code.startswith("22") or type(reason).__name__ == "DataError":
        return re.sub(r":? *[\"':\d].*", ": (not shown)", text)
    return type(reason).__name__ + (f", code {code}" if re.fullmatch(r"[0-9A-Z]{4,5}", code) else "")
