"""Parquet files as one table: the columns and row groups that are asked for, whatever types and layout each file has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from contender.data.columns import ColumnType
from contender.data.reading.files import DataFile, Files, reading_failed
from contender.data.reading.fitting import LADDER, PLAIN, Fitter, fit, possible, within
from contender.data.reading.gathering import Gathering, see_time, see_unique
from contender.data.reading.request import Found, ReadRequest, Window
from contender.errors import DataRejected

_OPEN_AT_ONCE = 16
_TEXTS = dict.fromkeys(("large_string", "string_view"), "string")
_STRAY = 0.01  # of the rows: a file of February has a few of January


def read_parquet(files: Files, request: ReadRequest) -> Found:
    """All rows, or those of the window.

    Raises:
        DataUnavailable: there is no file.
        DataRejected: one is no Parquet, was changed while it was read, or the files' columns contradict each other.
        BackendError: S3 does not answer.
    """
    folders = Folders(files.listed(), request)
    reading = _Reading(files.filesystem(), folders, request)
    with ThreadPoolExecutor(2) as hashing:  # beside the reading: the hash needs a core, not the interpreter
        digests = {file.uri: hashing.submit(files.digest, file) for file in reading.chosen}
        try:
            gathered = reading.gather()
        except BaseException:
            hashing.shutdown(cancel_futures=True)
            raise
        sources = files.sources(reading.chosen, {uri: digest.result() for uri, digest in digests.items()})
    return replace(gathered.found(request, reading.names, sources), types=reading.types())


class Folders:
    """The columns that folders name (``day=2026-01-01``), and the files that they leave of the window."""

    def __init__(self, files: list[DataFile], request: ReadRequest) -> None:
        self.names = dict.fromkeys(sorted(name for file in files for name in file.keys))
        self.files = files
        self._columns: dict[str, tuple[pa.Array, pa.Array | None]] = {}
        self._place = {file.uri: place for place, file in enumerate(files)}
        for name in self.names.keys() - request.exclude:
            cells = pa.array([file.keys.get(name) for file in files], pa.string())
            declared = request.types.get(name)
            kind = declared or possible(cells.drop_null(), LADDER, PLAIN)[0]
            self._columns[name] = fit(cells, kind)
        window = request.window
        if window is not None and window.column in self.names:
            self.files = self._within(window) or files[:1]

    def add(self, file: DataFile, columns: dict[str, pa.Array], unread: dict[str, pa.Array], rows: int) -> None:
        """The file's values of those columns, for so many rows.

        Raises:
            DataRejected: the file has a column of the same name.
        """
        for name, (values, misfits) in self._columns.items():
            if name in columns:
                msg = (
                    f"data.source.uri: column {name!r} stands in {file.uri} and in its folder's name; rename the folder"
                )
                raise DataRejected(msg)
            place = self._place[file.uri]
            columns[name] = pa.repeat(values[place], rows)
            if misfits is not None and misfits[place].is_valid:
                unread[name] = pa.repeat(misfits[place], rows)

    def _within(self, window: Window) -> list[DataFile]:
        moments, misfits = self._columns[window.column]
        if not pa.types.is_timestamp(moments.type):
            msg = f"data.time: the folders' {window.column!r} is {moments.type}, expected dates such as {window.column}=2026-01-31"
            raise DataRejected(msg)
        mask = pc.fill_null(within(moments, window), fill_value=False).to_pylist()
        unknown = [False] * len(mask) if misfits is None else misfits.is_valid().to_pylist()
        return [file for file, one, other in zip(self.files, mask, unknown, strict=True) if one or other]


class _Reading:
    """One read: the fragments of the chosen files, and what is taken of them."""

    def __init__(self, filesystem: Any, folders: Folders, request: ReadRequest) -> None:
        self._request, self._folders, self._filesystem = request, folders, filesystem
        self._format = ds.ParquetFileFormat()
        with ThreadPoolExecutor(_OPEN_AT_ONCE) as pool:
            looked = list(zip(folders.files, pool.map(self._look, folders.files), strict=True))
        schemas = {file.uri: fragment.physical_schema for file, fragment in looked}
        self.names = {name for schema in schemas.values() for name in schema.names} | folders.names.keys()
        see_time(request, self.names)
        self._types = _agreed(schemas, request)
        kept = [one for one in looked if one[1].split_by_row_group(self._filter(one[1].physical_schema))] or looked[:1]
        self.chosen = [file for file, _ in kept]
        self._file = {fragment.path: file for file, fragment in kept}
        self._rows: dict[str, Counter[str]] = defaultdict(Counter)
        self._groups: dict[pa.Schema, list[Any]] = {}
        for _, fragment in kept:
            self._groups.setdefault(fragment.physical_schema.remove_metadata(), []).append(fragment)

    def gather(self) -> Gathering:
        """All rows of the request.

        Raises:
            DataRejected, BackendError: see ``read_parquet``.
        """
        gathered = Gathering()
        types = self._types
        for schema, fragments in self._groups.items():
            names = [name for name in schema.names if name not in self._request.exclude]
            dataset = ds.FileSystemDataset(fragments, schema, self._format, self._filesystem)
            fitters = {fragment.path: Fitter(types, either=frozenset(types)) for fragment in fragments}
            empty = pa.RecordBatch.from_pylist([], pa.schema([schema.field(name) for name in names]))
            self._add(gathered, self._file[fragments[0].path], empty, Fitter(types))
            with self._located(fragments, names, schema):
                for tagged in dataset.scanner(columns=names, filter=self._filter(schema)).scan_batches():
                    path = tagged.fragment.path
                    self._add(gathered, self._file[path], tagged.record_batch, fitters[path])
        return gathered

    def types(self) -> dict[str, str]:
        """What the files of the gathered rows call the columns' types, but those of a few stray rows."""
        return {
            name: " and ".join(sorted(kind for kind, rows in kinds.items() if rows >= _STRAY * kinds.total()))
            for name, kinds in sorted(self._rows.items())
        }

    def _look(self, file: DataFile) -> Any:
        fragment = self._format.make_fragment(file.path, self._filesystem)
        try:
            fragment.ensure_complete_metadata()
        except (pa.ArrowException, OSError) as error:
            raise reading_failed(file, error, "parquet") from None
        see_unique(fragment.physical_schema.names, file.uri)
        return fragment

    def _filter(self, schema: pa.Schema) -> Any:
        """What of a file with this schema lies in the window, as far as Arrow can tell without our reading; None: all."""
        window = self._request.window
        if window is None or window.column in self._folders.names:
            return None
        if window.column not in schema.names:  # rows without a time are in no window
            return pc.scalar(False)  # noqa: FBT003 - an expression
        kind = schema.field(window.column).type
        if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            return _within(kind, window)
        if window.column in self._request.types:
            return None
        msg = f"data.time: column {window.column!r} is {kind}, expected a date or a timestamp"
        raise DataRejected(msg)

    def _add(self, gathered: Gathering, file: DataFile, batch: pa.RecordBatch, fitter: Fitter) -> None:
        columns, unread = {}, {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if batch.num_rows:
                kind = str(column.type.value_type if pa.types.is_dictionary(column.type) else column.type)
                self._rows[name][_TEXTS.get(kind, kind)] += batch.num_rows
            try:
                columns[name], misfits = fitter.fit(name, column)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                kind = self._types[name]
                msg = (
                    f"data.source: column {name!r} of {file.uri} is {column.type}, expected {kind}; have it written so"
                )
                raise DataRejected(msg) from None
            if misfits is not None:
                unread[name] = misfits
        self._folders.add(file, columns, unread, batch.num_rows)
        window = self._request.window
        pushed = window is None or self._filter(batch.schema) is not None
        for name in gathered.add(columns, unread, None if pushed else window):
            gathered.first[name] = min(file.name, gathered.first.get(name, file.name))

    @contextmanager
    def _located(self, fragments: list[Any], names: list[str], schema: pa.Schema) -> Iterator[None]:
        """Arrow does not always say which file it stumbled on: then each is read by itself."""
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            for fragment in fragments:
                try:
                    for _ in fragment.to_batches(schema, columns=names, filter=self._filter(schema)):
                        pass
                except (pa.ArrowException, OSError) as found:
                    raise reading_failed(self._file[fragment.path], found, "parquet") from None
            raise reading_failed(self._file[fragments[0].path], error, "parquet") from None


def _agreed(schemas: Mapping[str, pa.Schema], request: ReadRequest) -> dict[str, ColumnType]:
    """What columns hold, where the contract says it or the files only differ in how they say moments.

    Raises:
        DataRejected: their types have none in common; with some of them, and where they are.
    """
    types: dict[str, dict[pa.DataType, str]] = {}
    for uri, schema in schemas.items():
        for column in schema:
            kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
            types.setdefault(column.name, {}).setdefault(kind, uri)
    agreed = dict(request.types)
    for name, found in types.items():
        if len(found) > 1 and name not in request.types and name not in request.exclude:
            if all(pa.types.is_timestamp(kind) or pa.types.is_date(kind) for kind in found):
                agreed[name] = "timestamp"
                continue
            try:
                pa.unify_schemas([pa.schema([(name, kind)]) for kind in found], promote_options="permissive")
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                places = [f"{kind} in {uri}" for kind, uri in found.items()]
                msg = f"data.source.uri: column {name!r} is {' and '.join(places[:3])}; write one type, "
                raise DataRejected(msg + f"or say under data.columns what {name!r} holds") from None
    return agreed


def _within(kind: pa.DataType, window: Window) -> Any:
    zone = None if pa.types.is_date(kind) else kind.tz
    bounds = [moment if zone else moment.replace(tzinfo=None) for moment in (window.start, window.end)]
    if pa.types.is_date(kind):  # a date is its midnight: the first one at or after the bound
        ceiling = [(bound + timedelta(days=1, microseconds=-1)).date() for bound in bounds]
        start, end = (pa.scalar(bound, type=pa.date32()) for bound in ceiling)
    else:
        start, end = (pa.scalar(bound, type=pa.timestamp("us", tz=zone)) for bound in bounds)
    field = ds.field(window.column)
    return (field >= start) & (field < end)
