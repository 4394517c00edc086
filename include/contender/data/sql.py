"""Reading a window of a database's rows as an Arrow table, with SQLAlchemy."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import exc

from contender.errors import ConfigError, DataRejected, DataUnavailable, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contender.data.request import Window

_ROWS = 50_000


def read_sql(url: str, conn_id: str, table: str | None, query: str | None, window: Window | None) -> pa.Table:
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
    try:
        with engine.connect().execution_options(stream_results=True, yield_per=_ROWS) as connection:
            statement, parameters = _statement(connection, table, query, window)
            result = connection.execute(statement, parameters)
            names = list(result.keys())
            parts = [_arrow(names, rows) for rows in result.partitions()]
    except exc.NoSuchTableError:
        raise DataUnavailable(f"data.source.table: connection {conn_id!r} has no table {table!r}") from None
    except exc.OperationalError as error:
        raise DataUnavailable(
            f"data.source: the database of {conn_id!r} does not answer: {_first_line(error)}"
        ) from None
    except exc.SQLAlchemyError as error:
        raise DataRejected(
            f"data.source: the database of {conn_id!r} refuses the query: {_first_line(error)}"
        ) from None
    finally:
        engine.dispose()
    return (
        pa.concat_tables(parts, promote_options="permissive")
        if parts
        else pa.table({name: pa.array([]) for name in names})
    )


def _statement(
    connection: sa.Connection, table: str | None, query: str | None, window: Window | None
) -> tuple[sa.Executable, dict[str, Any]]:
    if table is not None:
        schema, _, name = table.rpartition(".")
        reflected = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=connection)
        statement = sa.select(reflected)
        if window is not None:
            if window.column not in reflected.columns:
                hint = did_you_mean(window.column, list(reflected.columns.keys()))
                raise DataRejected(f"data.time: no column {window.column!r} in the source.{hint}")
            column = reflected.columns[window.column]
            zoned = bool(getattr(column.type, "timezone", False))
            start, end = (moment if zoned else _naive(moment) for moment in (window.start, window.end))
            statement = statement.where(column >= start, column < end)
        return statement, {}
    text = f"SELECT * FROM ({(query or '').rstrip().rstrip(';')}) AS asked"  # noqa: S608 - the pipeline's own query
    if window is None:
        return sa.text(text), {}
    column_name = connection.dialect.identifier_preparer.quote_identifier(window.column)
    text += f" WHERE {column_name} >= :start AND {column_name} < :end"  # the name is quoted, the moments are parameters
    moments = {"start": window.start, "end": window.end, "as_of": window.as_of}
    return sa.text(text), {name: _naive(moment) for name, moment in moments.items() if re.search(rf":{name}\b", text)}


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _arrow(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table([_column(values) for values in columns], names=list(names))


def _column(values: Sequence[Any]) -> pa.Array:
    if any(isinstance(value, Decimal) for value in values):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    try:
        column = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        column = None
    if column is None or isinstance(column.type, pa.BaseExtensionType):  # a type of the database's own, such as uuid
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return column


def _first_line(error: exc.SQLAlchemyError) -> str:
    """What the database says, without the statement, its parameters or the address."""
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()
    return re.sub(r"password\S*|(user|for) \"[^\"]*\"", "...", reason[0] if reason else type(error).__name__)[:200]
