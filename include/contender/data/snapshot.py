"""Snapshots: the rows of one window in canonical form, with a hash of their content as id.

Canonical form: five column types, columns in name order, rows sorted by time, id, then every other column. The id is a
SHA-256 over the schema and the columns' values, so row order, file layout and library versions do not matter. A cell that
does not fit its column's type is null there and kept as text in a misfit column, named ``__unread__`` and the column. A
missing time is such a cell, too, with an empty text: its row is in no window, and is kept to be quarantined.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contender.data.coercion import ARROW, coerce, kind_of
from contender.data.content import content_id
from contender.data.contract import check_columns, contracted, frozen_columns
from contender.data.reading.batches import check_unique
from contender.data.reading.connections import Connect, from_environment
from contender.data.reading.request import ReadRequest, ReadResult, Unread, Window
from contender.documents.columns import Column
from contender.documents.data import Accounts, Snapshot, Uncoerced
from contender.documents.run import Run
from contender.errors import BackendError, DataRejected, DataUnavailable, did_you_mean
from contender.profile.statistics import statistics
from contender.store.base import read_document, write_document

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from contender.spec.columns import ColumnType
    from contender.spec.data import DataSpec
    from contender.store.base import ArtifactStore

_MISFITS = "__unread__"  # prefix of the columns of cells that do not fit; part of the stored format


def window_of(run: Run) -> Window | None:
    """``[as_of - window, as_of - label_delay)``, or None without a time column."""
    data = run.spec.data
    if data.time is None or data.window is None:
        return None
    return Window(data.time, run.as_of - data.window, run.as_of - data.label_delay, run.as_of)


def take_snapshot(run: Run, store: ArtifactStore, connect: Connect = from_environment) -> Snapshot:
    """Read the run's window and store rows and document under the content id.

    The same content is written once; and again when its file is gone or cut.

    Raises:
        DataUnavailable: the source has nothing yet, or no labelled row in the window.
        DataRejected: a column is missing, occurs twice, or has a type that no model can use.
    """
    labelled, snapshot = read_window(run, store, connect)
    return _stored(labelled, snapshot, run, store)


def keep_snapshot(run: Run, snapshot: Snapshot, store: ArtifactStore, connect: Connect = from_environment) -> None:
    """See that the file of a snapshot that was taken before is whole; else read the run's window again and write it.

    Raises:
        DataRejected: the file is gone or cut, and the source has other rows now.
        DataUnavailable: see ``take_snapshot``.
    """
    if _is_whole(snapshot, run, store):
        return
    labelled, now = read_window(run, store, connect)
    if now.id != snapshot.id:
        place = store.url(snapshot.key(run.pipeline, "data.parquet"))
        msg = f"snapshot {snapshot.id[:12]}: {place} is gone or cut, and the source has other rows now than it had; "
        raise DataRejected(msg + "restore the file, or trigger a new run")
    _stored(labelled, snapshot, run, store)


def _stored(labelled: pa.Table, snapshot: Snapshot, run: Run, store: ArtifactStore) -> Snapshot:
    """The snapshot with the hash of its file, which is written unless it is there and whole."""
    place, beside = (snapshot.key(run.pipeline, name) for name in ("data.parquet", "snapshot.json"))
    first = read_document(store, beside, Snapshot)
    if first is not None and first.sha256 is not None and store.holds(place, first.sha256):
        return snapshot.model_copy(update={"sha256": first.sha256})
    with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
        file = Path(scratch) / "data.parquet"
        pq.write_table(labelled, file, compression="zstd")
        digest = store.put_file(place, file)
    snapshot = snapshot.model_copy(update={"sha256": digest})
    write_document(store, beside, snapshot)
    return snapshot


def _is_whole(snapshot: Snapshot, run: Run, store: ArtifactStore) -> bool:
    """Whether the snapshot's file is there and holds its rows."""
    place = snapshot.key(run.pipeline, "data.parquet")
    if not store.exists(place):  # asked first: a cache may still have it
        return False
    if snapshot.sha256 is not None and store.holds(place, snapshot.sha256):
        return True
    try:
        _file(snapshot, run.pipeline, store)
    except (KeyError, BackendError):
        return False
    return True


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
    needed: dict[str, ColumnType] = {
        column: "timestamp" for elapsed in data.derive.values() for column in elapsed.minutes
    }
    request = ReadRequest(
        window=window,
        exclude=frozenset(data.exclude) - needed.keys(),
        types={name: kind for name, kind in (needed | types).items() if name not in data.derive},
        connect=connect,
        identity=data.id,
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
    accounts = _accounts(labelled, table, found, data.time)
    if not accounts.in_window:
        where = "in the source" if window is None else f"from {window.start:%Y-%m-%d} up to {window.end:%Y-%m-%d}"
        what = "no row at all" if accounts.rows_read == accounts.outside else f"no row with a value of {data.target!r}"
        check = f"check the source{'' if window is None else ', window and label_delay'}"
        raise DataUnavailable(f"data.source: {what} {where} ({accounts.words}); {check}")
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
        uncoerced=_uncoerced(labelled, columns, found, data),
        types={name: kind for name, kind in found.types.items() if name in labelled.column_names},
        ignored=tuple(sorted(set(found.table.column_names) - set(table.column_names) - set(data.exclude))),
        code=run.code,
        statistics=statistics(labelled.select([column.name for column in columns]), id_=data.id),
        accounts=accounts,
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
    unread = _with_missing_times(table, data, unread)
    table, unread = _derived(table, data, unread)
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
        columns[name], misfits = coerce(name, table[name], types.get(name), identity=name == data.id)
        if name in unread:
            cells = unread[name].cells.cast(pa.large_string())
            misfits = cells if misfits is None else pc.coalesce(cells, misfits)
        if misfits is not None:
            beside[_MISFITS + name] = misfits
    first = [name for name in (data.time, data.id) if name is not None]
    order = [*first, *(name for name in names if name not in first), *sorted(beside)]
    ordered = pa.table(columns | dict(sorted(beside.items()))).sort_by([(name, "ascending") for name in order])
    return ordered.combine_chunks()


def _with_missing_times(table: pa.Table, data: DataSpec, unread: Mapping[str, Unread]) -> Mapping[str, Unread]:
    """The cells that do not fit, with an empty text for each missing time."""
    if data.time is None or data.time not in table.column_names or not table[data.time].null_count:
        return unread
    cells = pc.if_else(pc.is_null(table[data.time]), "", pa.scalar(None, pa.string()))
    known = unread.get(data.time)
    if known is None:
        return {**unread, data.time: Unread(cells)}
    return {**unread, data.time: Unread(pc.coalesce(known.cells, cells), known.first)}


def _derived(table: pa.Table, data: DataSpec, unread: Mapping[str, Unread]) -> tuple[pa.Table, Mapping[str, Unread]]:
    """The table with the columns of ``data.derive``; what is derived from a cell that cannot be read cannot be read either."""
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
        moments = [coerce(column, table[column]) for column in elapsed.minutes]
        # As floats, which do not wrap; until 2255 they hold every microsecond.
        start, end = (moment.cast(pa.int64()).cast(pa.float64(), safe=False) for moment, _ in moments)
        table = table.append_column(name, pc.divide(pc.subtract(end, start), 60e6))
        odd = [unread[column] for column in elapsed.minutes if column in unread]
        odd += [Unread(misfits) for _, misfits in moments if misfits is not None]
        if odd:
            cells = pc.coalesce(*(one.cells.cast(pa.large_string()) for one in odd))
            unread = {**unread, name: Unread(cells, next((one.first for one in odd if one.first), ""))}
    return table, unread


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


def _accounts(labelled: pa.Table, table: pa.Table, found: ReadResult, time: str | None) -> Accounts:
    """Where every row and file went.

    Args:
        table: the rows of the window and those without a time; ``labelled`` are those of them with a label.
    """
    read = table.num_rows if found.rows is None else found.rows
    without_time = 0 if time is None else labelled[time].null_count
    return Accounts(
        rows_read=read,
        in_window=labelled.num_rows - without_time,
        outside=read - table.num_rows,
        without_time=without_time,
        unlabelled=table.num_rows - labelled.num_rows,
        files_found=found.files_found,
        files_read=len(found.files) if found.files_found else 0,
        files_outside=max(0, found.files_found - len(found.files) - sum(found.files_other.values())),
        files_other=dict(sorted(found.files_other.items())),
    )


def _uncoerced(
    table: pa.Table, columns: tuple[Column, ...], source: ReadResult, data: DataSpec
) -> tuple[Uncoerced, ...]:
    first = {name: unread.first for name, unread in source.unread.items()}
    if data.time is not None:
        first[data.time] = source.no_time
    found = []
    for column in columns:
        if _MISFITS + column.name not in table.column_names:
            continue
        cells = table[_MISFITS + column.name]
        parts = data.derive[column.name].minutes if column.name in data.derive else ()
        found.append(
            Uncoerced(
                column=column.name,
                expected=column.type,
                rows=len(cells) - cells.null_count,
                first=next((first[name] for name in (column.name, *parts) if first.get(name)), ""),
                missing=pc.sum(pc.equal(cells, "")).as_py() if column.name == data.time else 0,
                derived_from=tuple(name for name in parts if name in source.unread) or parts,
            )
        )
    return tuple(found)


def _is_misfits(name: str) -> bool:
    return name.startswith(_MISFITS)


def _read(snapshot: Snapshot, pipeline: str, store: ArtifactStore, columns: list[str]) -> pa.Table:
    file = _file(snapshot, pipeline, store)
    return pq.read_table(file, columns=columns, memory_map=True).cast(_schema(snapshot, columns))


def _schema(snapshot: Snapshot, columns: list[str]) -> pa.Schema:
    """The canonical types, which a file that somebody else wrote does not keep."""
    kinds = {column.name: ARROW[column.type] for column in snapshot.columns}
    return pa.schema([(name, kinds.get(name, ARROW["text"])) for name in columns])


def _file(snapshot: Snapshot, pipeline: str, store: ArtifactStore) -> Path:
    """The snapshot's file: its bytes hash to what was written, or its rows to the snapshot's id.

    A file that was lost and that another version of pyarrow wrote again has the same rows in other bytes. The document
    beside it knows their hash; where it does not, the rows are hashed.

    Raises:
        KeyError: there is no file.
        BackendError: it was changed or cut.
    """
    place = snapshot.key(pipeline, "data.parquet")
    try:
        return store.local(place, sha256=snapshot.sha256)
    except BackendError:
        beside = read_document(store, snapshot.key(pipeline, "snapshot.json"), Snapshot)
        if beside is not None and beside.sha256 != snapshot.sha256:
            with suppress(BackendError):
                return store.local(place, sha256=beside.sha256)
        with suppress(pa.ArrowException, OSError, ValueError):  # no Parquet, or without these columns
            if _holds_rows(file := store.local(place), snapshot):
                return file
        raise


def _holds_rows(file: Path, snapshot: Snapshot) -> bool:
    beside = sorted(_MISFITS + one.column for one in snapshot.uncoerced)
    names = [*(column.name for column in snapshot.columns), *beside]
    return content_id(pq.read_table(file, columns=names, memory_map=True).cast(_schema(snapshot, names))) == snapshot.id
