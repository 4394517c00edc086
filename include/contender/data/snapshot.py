"""Snapshots: one window of rows in canonical form, named by its content.

Canonical form: six column types, columns in name order, rows sorted by time, id, then every other column. The id is a
SHA-256 over the schema and the columns' values, so row order, file layout and library versions do not matter.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contender.data.columns import Column, ColumnType
from contender.data.connections import Connect, from_environment
from contender.data.request import ReadRequest, Window
from contender.documents import Run, Snapshot
from contender.errors import DataRejected, DataUnavailable, did_you_mean

if TYPE_CHECKING:
    from contender.spec import DataSpec
    from contender.store.base import ArtifactStore

ARROW: dict[ColumnType, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "text": pa.large_string(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
}


def window_of(run: Run) -> Window | None:
    """``[as_of - window, as_of - label_delay)``, or None without a time column."""
    data = run.spec.data
    if data.time is None or data.window is None:
        return None
    return Window(data.time, run.as_of - data.window, run.as_of - data.label_delay, run.as_of)


def take_snapshot(run: Run, store: ArtifactStore, connect: Connect = from_environment) -> Snapshot:
    """Read the run's window and keep it under its content id. The same content is written once.

    Raises:
        DataUnavailable: no source, or no labelled row in the window.
        DataRejected: a column is missing, stands twice, or has a type no model can use.
    """
    labelled, snapshot = read_window(run, connect)
    place = snapshot.key(run.pipeline, "data.parquet")
    if not store.exists(place):
        sink = pa.BufferOutputStream()
        pq.write_table(labelled, sink, compression="zstd")
        store.write(place, sink.getvalue().to_pybytes())
    return snapshot


def read_window(run: Run, connect: Connect) -> tuple[pa.Table, Snapshot]:
    """The labelled rows of the run's window in canonical form, and the snapshot they are; nothing is kept.

    Raises:
        DataUnavailable, DataRejected: see ``take_snapshot``.
    """
    data = run.spec.data
    window = window_of(run)
    found = data.source.read(ReadRequest(window=window, exclude=frozenset(data.exclude), connect=connect))
    table = canonical(found.table, data)
    labelled = table.filter(pc.is_valid(table[data.target]))
    if not labelled.num_rows:
        where = "in the source" if window is None else f"from {window.start:%Y-%m-%d} up to {window.end:%Y-%m-%d}"
        msg = f"data.source: no row with a value of {data.target!r} {where}; check the source, window and label_delay"
        raise DataUnavailable(msg)
    return labelled, Snapshot(
        id=content_id(labelled),
        rows=labelled.num_rows,
        columns=tuple(Column(name=field.name, type=_kind(field.type)) for field in labelled.schema),
        unlabelled=table.num_rows - labelled.num_rows,
        sources=found.files,
        query=found.query,
        as_of=run.as_of,
        window=None if window is None else (window.start, window.end),
        code=run.code,
    )


def read_snapshot(snapshot: Snapshot, pipeline: str, store: ArtifactStore) -> pa.Table:
    """The snapshot's rows in canonical order (a row's position is its identity), memory-mapped where it can be."""
    return pq.read_table(store.local(snapshot.key(pipeline, "data.parquet")), memory_map=True)


def canonical(table: pa.Table, data: DataSpec) -> pa.Table:
    """The table in canonical form, without the excluded columns.

    Raises:
        DataRejected: see ``take_snapshot``.
    """
    table = _derived(table, data)
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        msg = f"data.source: the columns {twice[:10]} stand more than once"
        raise DataRejected(msg)
    excluded = (("exclude", name) for name in data.exclude)  # a misspelt one would become a feature
    for role, name in (("target", data.target), ("id", data.id), ("time", data.time), *excluded):
        if name is not None and name not in table.column_names:
            msg = f"data.{role}: no column {name!r} in the source." + did_you_mean(name, table.column_names)
            raise DataRejected(msg)
    names = sorted(set(table.column_names) - set(data.exclude))
    columns = {name: _canonical_column(name, table[name]) for name in names}
    first = [name for name in (data.time, data.id) if name is not None]
    order = [*first, *(name for name in names if name not in first)]
    return pa.table(columns).sort_by([(name, "ascending") for name in order]).combine_chunks()


def _derived(table: pa.Table, data: DataSpec) -> pa.Table:
    """The table with the columns that ``data.derive`` makes of others."""
    for name, elapsed in data.derive.items():
        if name in table.column_names:
            msg = f"data.derive: the source has a column {name!r} already; choose another name"
            raise DataRejected(msg)
        for column in elapsed.minutes:
            if column not in table.column_names:
                msg = f"data.derive.{name}: no column {column!r} in the source."
                raise DataRejected(msg + did_you_mean(column, table.column_names))
            if not pa.types.is_temporal(table[column].type):
                msg = f"data.derive.{name}: column {column!r} is {table[column].type}, expected a timestamp"
                raise DataRejected(msg)
        start, end = (_canonical_column(column, table[column]).cast(pa.int64()) for column in elapsed.minutes)
        table = table.append_column(name, pc.divide(pc.subtract(end, start).cast(pa.float64()), 60e6))
    return table


def content_id(table: pa.Table) -> str:
    """Hex SHA-256 of a canonical table: schema, then per column which values are there, then the values."""
    digest = hashlib.sha256()
    for field in table.schema:
        digest.update(f"{field.name}\x00{_kind(field.type)}\x00{table.num_rows}\x00".encode())
        column = table[field.name].combine_chunks()
        digest.update(_bytes(column.is_valid().cast(pa.uint8())))
        if pa.types.is_large_string(field.type):
            text = column.fill_null("")
            digest.update(_bytes(pc.binary_length(text)))
            digest.update("".join(text.to_pylist()).encode())
        elif pa.types.is_boolean(field.type):
            digest.update(_bytes(column.cast(pa.uint8())))
        else:
            digest.update(_bytes(column.cast(pa.int64()) if pa.types.is_temporal(field.type) else column))
    return digest.hexdigest()


def _bytes(column: Any) -> bytes:
    array = column.fill_null(0).to_numpy(zero_copy_only=False)
    return bytes(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


def _canonical_column(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return column.cast(pa.timestamp("us", tz="UTC"), safe=False).cast(pa.timestamp("us"))
    try:
        wanted = ARROW[_kind(kind)]
    except KeyError:
        msg = f"data.source: column {name!r} is {kind}, which no model can use; put it under data.exclude"
        raise DataRejected(msg) from None
    try:  # a decimal may be rounded, an integer must not wrap
        column = column.cast(wanted, safe=pa.types.is_integer(kind))
    except pa.ArrowInvalid:
        msg = f"data.source: column {name!r} holds integers beyond 64 bits; use text, or put it under data.exclude"
        raise DataRejected(msg) from None
    if pa.types.is_floating(wanted):  # one spelling of zero and of missing
        column = pc.add(column, 0.0)
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
    return column


def _kind(kind: pa.DataType) -> ColumnType:
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return "number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "timestamp"
    raise KeyError(kind)
