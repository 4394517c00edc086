"""Snapshots: the rows of one window in canonical form, with a hash of their content as id.

Canonical form: five column types, columns in name order, rows sorted by time, id, then every other column. The id is a
SHA-256 over the schema and the columns' values, so row order, file layout and library versions do not matter. A cell that
does not fit its column's type is null there and kept as text in a misfit column, named ``__unread__`` and the column.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contender.data.coercion import coerce, kind_of
from contender.data.contract import check_columns, contracted, frozen_columns
from contender.data.reading.batches import check_unique
from contender.data.reading.connections import Connect, from_environment
from contender.data.reading.request import ReadRequest, Unread, Window
from contender.documents.columns import Column
from contender.documents.data import Snapshot, Uncoerced
from contender.documents.run import Run
from contender.errors import DataRejected, DataUnavailable, did_you_mean
from contender.profile.statistics import statistics
from contender.store.base import read_document, write_document

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from contender.spec.columns import ColumnType
    from contender.spec.data import DataSpec
    from contender.store.base import ArtifactStore

_MISFITS = "__unread__"  # prefix of the columns of cells that do not fit; part of the stored format
_ROWS_AT_ONCE = 1 << 20


def window_of(run: Run) -> Window | None:
    """``[as_of - window, as_of - label_delay)``, or None without a time column."""
    data = run.spec.data
    if data.time is None or data.window is None:
        return None
    return Window(data.time, run.as_of - data.window, run.as_of - data.label_delay, run.as_of)


def take_snapshot(run: Run, store: ArtifactStore, connect: Connect = from_environment) -> Snapshot:
    """Read the run's window and store rows and document under the content id. The same content is written once.

    Raises:
        DataUnavailable: the source has nothing yet, or no labelled row in the window.
        DataRejected: a column is missing, occurs twice, or has a type that no model can use.
    """
    labelled, snapshot = read_window(run, store, connect)
    beside = snapshot.key(run.pipeline, "snapshot.json")
    first = read_document(store, beside, Snapshot)
    if first is not None:
        return snapshot.model_copy(update={"sha256": first.sha256})
    with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
        file = Path(scratch) / "data.parquet"
        pq.write_table(labelled, file, compression="zstd")
        digest = store.put_file(snapshot.key(run.pipeline, "data.parquet"), file)
    snapshot = snapshot.model_copy(update={"sha256": digest})
    write_document(store, beside, snapshot)
    return snapshot


def read_window(run: Run, store: ArtifactStore, connect: Connect) -> tuple[pa.Table, Snapshot]:
    """The labelled rows of the run's window in canonical form, and their snapshot; nothing is stored.

    The table has the snapshot's columns and the misfit columns (see ``unread_among``).

    Raises:
        DataUnavailable, DataRejected: see ``take_snapshot``.
    """
    data = run.spec.data
    window = window_of(run)
    frozen = frozen_columns(run.pipeline, store)
    types = contracted(data, frozen)
    needed = {column for elapsed in data.derive.values() for column in elapsed.minutes}
    request = ReadRequest(
        window=window,
        exclude=frozenset(data.exclude) - needed,
        types={name: kind for name, kind in types.items() if name not in data.derive},
        connect=connect,
    )
    found = data.source.read(request)
    table = canonical(
        found.table,
        data,
        types=types,
        unread=found.unread,
        left_out=found.left_out,
        frozen=frozen,
    )
    labelled = _labelled(table, data.target)
    if not labelled.num_rows:
        where = "in the source" if window is None else f"from {window.start:%Y-%m-%d} up to {window.end:%Y-%m-%d}"
        what = f"no row with a value of {data.target!r}" if table.num_rows else "no row at all"
        msg = f"data.source: {what} {where}; check the source{'' if window is None else ', window and label_delay'}"
        raise DataUnavailable(msg)
    columns = tuple(
        Column(name=field.name, type=kind_of(field.type)) for field in labelled.schema if not _is_misfits(field.name)
    )
    return labelled, Snapshot(
        id=content_id(labelled),
        rows=labelled.num_rows,
        columns=columns,
        unlabelled=table.num_rows - labelled.num_rows,
        sources=found.files,
        query=found.query,
        as_of=run.as_of,
        window=None if window is None else (window.start, window.end),
        uncoerced=_uncoerced(labelled, columns, found.unread),
        types={name: kind for name, kind in found.types.items() if name in labelled.column_names},
        ignored=tuple(sorted(set(found.table.column_names) - set(table.column_names) - set(data.exclude))),
        code=run.code,
        statistics=statistics(labelled.select([column.name for column in columns]), id_=data.id),
    )


def read_snapshot(
    snapshot: Snapshot, pipeline: str, store: ArtifactStore, columns: list[str] | None = None
) -> pa.Table:
    """The snapshot's rows in canonical order, in which a row's position is its identity; memory-mapped where possible.

    Args:
        columns: the columns to read; None: all.
    """
    names = [column.name for column in snapshot.columns] if columns is None else columns
    return _read(snapshot, pipeline, store, names)


def unread_rows(snapshot: Snapshot, pipeline: str, store: ArtifactStore) -> tuple[tuple[str, np.ndarray], ...]:
    """Per column with cells that do not fit: the reason, and the ascending positions of their rows."""
    if not snapshot.uncoerced:
        return ()
    return unread_among(
        _read(snapshot, pipeline, store, [_MISFITS + one.column for one in snapshot.uncoerced]), snapshot
    )


def unread_among(table: pa.Table, snapshot: Snapshot) -> tuple[tuple[str, np.ndarray], ...]:
    """The same for a table of ``read_window``."""
    return tuple(
        (one.reason, np.flatnonzero(table[_MISFITS + one.column].is_valid().to_numpy())) for one in snapshot.uncoerced
    )


def canonical(
    table: pa.Table,
    data: DataSpec,
    *,
    types: Mapping[str, ColumnType] | None = None,
    unread: Mapping[str, Unread] | None = None,
    left_out: Collection[str] = (),
    frozen: Collection[str] = (),
) -> pa.Table:
    """A source's table in canonical form, without the excluded columns and with the misfit columns.

    Args:
        types: the contract's types.
        unread: cells that do not fit the types by which the source read them.
        left_out: excluded columns that the source has and did not read.
        frozen: the contract's columns; empty before the first run.

    Raises:
        DataRejected: see ``take_snapshot``.
    """
    types = data.columns if types is None else types
    unread = {} if unread is None else unread
    table = _derived(table, data)
    known = {*left_out, *frozen}
    excluded = (
        ("exclude", name) for name in data.exclude if name not in known
    )  # a misspelt name would leave its column a feature
    for role, name in (("target", data.target), ("id", data.id), ("time", data.time), *excluded):
        if name is not None and name not in table.column_names:
            msg = f"data.{role}: no column {name!r} in the source." + did_you_mean(
                name, table.column_names, listed="There are"
            )
            raise DataRejected(msg)
    names = check_columns(data, table.column_names, types, frozen)
    columns: dict[str, pa.ChunkedArray] = {}
    beside: dict[str, pa.ChunkedArray] = {}
    for name in names:
        if _is_misfits(name):
            msg = f"data.source: column {name!r} has a name that is kept for cells that cannot be read; put it under data.exclude"
            raise DataRejected(msg)
        columns[name], misfits = coerce(name, table[name], types.get(name))
        if name in unread:
            cells = unread[name].cells.cast(pa.large_string())
            misfits = cells if misfits is None else pc.coalesce(cells, misfits)
        if misfits is not None:
            beside[_MISFITS + name] = misfits
    first = [name for name in (data.time, data.id) if name is not None]
    order = [*first, *(name for name in names if name not in first), *sorted(beside)]
    ordered = pa.table(columns | dict(sorted(beside.items()))).sort_by([(name, "ascending") for name in order])
    return ordered.combine_chunks()


def _derived(table: pa.Table, data: DataSpec) -> pa.Table:
    """The table with the columns of ``data.derive``."""
    check_unique(table.column_names, "the source")
    for name, elapsed in data.derive.items():
        if name in table.column_names:
            msg = f"data.derive: the source has a column {name!r} already; choose another name"
            raise DataRejected(msg)
        for column in elapsed.minutes:
            if column not in table.column_names:
                msg = f"data.derive.{name}: no column {column!r} in the source."
                raise DataRejected(msg + did_you_mean(column, table.column_names, listed="There are"))
            if not pa.types.is_temporal(table[column].type):
                msg = f"data.derive.{name}: column {column!r} is {table[column].type}, expected a timestamp"
                raise DataRejected(msg)
        start, end = (coerce(column, table[column])[0].cast(pa.int64()) for column in elapsed.minutes)
        table = table.append_column(name, pc.divide(pc.subtract(end, start).cast(pa.float64()), 60e6))
    return table


def _labelled(table: pa.Table, target: str) -> pa.Table:
    """The rows with a label, and those whose label does not fit its type: they are bad data, not labels still to come.

    Misfit columns that are empty in these rows are left out.
    """
    if not table.num_rows:
        return table
    known = pc.is_valid(table[target])
    if _MISFITS + target in table.column_names:
        known = pc.or_(known, pc.is_valid(table[_MISFITS + target]))
    table = table.filter(known)
    return table.drop_columns([n for n in table.column_names if _is_misfits(n) and table[n].null_count == len(table)])


def _uncoerced(table: pa.Table, columns: tuple[Column, ...], unread: Mapping[str, Unread]) -> tuple[Uncoerced, ...]:
    return tuple(
        Uncoerced(
            column=column.name,
            expected=column.type,
            rows=len(table) - table[_MISFITS + column.name].null_count,
            first=unread[column.name].first if column.name in unread else "",
        )
        for column in columns
        if _MISFITS + column.name in table.column_names
    )


def content_id(table: pa.Table) -> str:
    """Hex SHA-256 of a canonical table: per column its name, type and length, its validity mask, then its values."""
    digest = hashlib.sha256()
    for field in table.schema:
        digest.update(f"{field.name}\x00{kind_of(field.type)}\x00{table.num_rows}\x00".encode())
        parts = list(_parts(table[field.name]))
        for part in parts:
            digest.update(_little(part.is_valid().cast(pa.uint8())))
        if pa.types.is_large_string(field.type):
            for part in parts:
                digest.update(_little(pc.binary_length(part.fill_null(""))))
            for part in parts:
                digest.update(_characters(part.fill_null("")))
            continue
        for part in parts:
            plain = part.cast(pa.uint8()) if pa.types.is_boolean(field.type) else part
            plain = plain.cast(pa.int64()) if pa.types.is_temporal(field.type) else plain
            digest.update(_little(plain.fill_null(0)))
    return digest.hexdigest()


def _little(numbers: pa.Array) -> Any:
    """The bytes of numbers without nulls, little-endian on every machine."""
    array = numbers.to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).data


def _parts(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    """The column in slices, so that only a slice is ever copied."""
    for chunk in column.chunks:
        for start in range(0, len(chunk), _ROWS_AT_ONCE):
            yield chunk.slice(start, _ROWS_AT_ONCE)


def _characters(text: pa.Array) -> memoryview:
    """The UTF-8 bytes of a text column without nulls, one after another, without a copy."""
    _, offsets, characters = text.buffers()
    if characters is None or not len(text):
        return memoryview(b"")
    ends = np.frombuffer(offsets, dtype=np.int64)
    return memoryview(characters)[ends[text.offset] : ends[text.offset + len(text)]]


def _is_misfits(name: str) -> bool:
    return name.startswith(_MISFITS)


def _read(snapshot: Snapshot, pipeline: str, store: ArtifactStore, columns: list[str]) -> pa.Table:
    place = snapshot.key(pipeline, "data.parquet")
    return pq.read_table(store.local(place, sha256=snapshot.sha256), columns=columns, memory_map=True)
