"""Parquet files as one table. Only the requested columns and the row groups of the window are read; files may differ in types."""

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

from contender.data.reading.batches import Batches, check_time_column, check_unique
from contender.data.reading.files import DataFile, Files, reading_failed
from contender.data.reading.fitting import Fitter, is_text
from contender.data.reading.partitions import Partitions
from contender.data.reading.request import ReadRequest, ReadResult, Window
from contender.errors import DataRejected
from contender.spec.columns import ColumnType

_OPEN_AT_ONCE = 16
_TEXTS = dict.fromkeys(("large_string", "string_view"), "string")
_STRAY = 0.01  # share of the rows; a file of February may hold a few of January


def read_parquet(files: Files, request: ReadRequest) -> ReadResult:
    """All rows, or those of the window.

    Raises:
        DataUnavailable: there is no file.
        DataRejected: a file is no Parquet or was changed while it was read, or the files' types have none in common.
        BackendError: S3 does not answer.
    """
    partitions = Partitions(files.listed(), request)
    reading = _Reading(files.filesystem(), partitions, request)
    with ThreadPoolExecutor(2) as hashing:  # hashlib releases the GIL, so files are hashed while they are read
        digests = {file.uri: hashing.submit(files.digest, file) for file in reading.chosen}
        try:
            batches = reading.batches()
        except BaseException:
            hashing.shutdown(cancel_futures=True)
            raise
        sources = files.sources(reading.chosen, {uri: digest.result() for uri, digest in digests.items()})
    result = batches.result(request, reading.names, sources, rows=reading.rows)
    return replace(files.counted(result), types=reading.types())


class _Reading:
    """One read: the files that have rows of the window, as Arrow fragments, and the rows taken from them.

    Attributes:
        rows: the rows of all files that were opened.
    """

    def __init__(self, filesystem: Any, partitions: Partitions, request: ReadRequest) -> None:
        self._request, self._partitions, self._filesystem = request, partitions, filesystem
        # Spark's oldest kind of timestamp would be read in nanoseconds, in which 9999 wraps to 1816. Extensions: files of
        # other writers say that 16 bytes are a UUID in Parquet's words only.
        self._format = ds.ParquetFileFormat(coerce_int96_timestamp_unit="us", arrow_extensions_enabled=True)
        with ThreadPoolExecutor(_OPEN_AT_ONCE) as pool:
            looked = list(zip(partitions.files, pool.map(self._look, partitions.files), strict=True))
        self.rows = sum(fragment.metadata.num_rows for _, fragment in looked)
        schemas = {file.uri: fragment.physical_schema for file, fragment in looked}
        self.names = {name for schema in schemas.values() for name in schema.names} | partitions.names.keys()
        check_time_column(request, self.names)
        self._types = _agreed(schemas, request)
        kept = [one for one in looked if one[1].split_by_row_group(self._filter(one[1].physical_schema))] or looked[:1]
        self.chosen = [file for file, _ in kept]
        self._file = {fragment.path: file for file, fragment in kept}
        self._rows: dict[str, Counter[str]] = defaultdict(Counter)
        self._groups: dict[pa.Schema, list[Any]] = {}
        for _, fragment in kept:
            self._groups.setdefault(fragment.physical_schema.remove_metadata(), []).append(fragment)

    def batches(self) -> Batches:
        """All rows of the request.

        Raises:
            DataRejected, BackendError: see ``read_parquet``.
        """
        batches = Batches(self._request.window)
        types = self._types
        for schema, fragments in self._groups.items():
            names = [name for name in schema.names if name not in self._request.exclude]
            dataset = ds.FileSystemDataset(fragments, schema, self._format, self._filesystem)
            fitters = {
                fragment.path: Fitter(types, either=frozenset(types), identity=self._request.identity)
                for fragment in fragments
            }
            empty = pa.RecordBatch.from_pylist([], pa.schema([schema.field(name) for name in names]))
            self._add(batches, self._file[fragments[0].path], empty, Fitter(types))
            with self._located(fragments, names, schema):
                for tagged in dataset.scanner(columns=names, filter=self._filter(schema)).scan_batches():
                    path = tagged.fragment.path
                    self._add(batches, self._file[path], tagged.record_batch, fitters[path])
        return batches

    def types(self) -> dict[str, str]:
        """The columns' Parquet types among the rows read, without those of a few stray rows."""
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
        check_unique(fragment.physical_schema.names, file.uri)
        return fragment

    def _filter(self, schema: pa.Schema) -> Any:
        """The window as an Arrow filter for files of this schema; None where the rows must be cast before they are filtered."""
        window = self._request.window
        if window is None or window.column in self._partitions.names:
            return None
        if window.column not in schema.names:  # rows without a time are kept, to be told
            return pc.scalar(True)  # noqa: FBT003 - an expression
        kind = schema.field(window.column).type
        if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            return _within(kind, window)
        if window.column in self._request.types:
            return None
        msg = f"data.time: column {window.column!r} is {kind}, expected a date or a timestamp"
        raise DataRejected(msg)

    def _add(self, batches: Batches, file: DataFile, batch: pa.RecordBatch, fitter: Fitter) -> None:
        given = dict(zip(batch.schema.names, batch.columns, strict=True))
        for name, column in given.items() if batch.num_rows else ():
            _check_utf8(name, column, file)
            kind = str(column.type.value_type if pa.types.is_dictionary(column.type) else column.type)
            self._rows[name][_TEXTS.get(kind, kind)] += batch.num_rows
        columns, unread = fitter.fit_all(given, file.uri)
        self._partitions.add(file, columns, unread, batch.num_rows)
        window = self._request.window
        pushed = window is None or self._filter(batch.schema) is not None
        for name in batches.add(columns, unread, sift=not pushed):
            batches.first[name] = min(file.name, batches.first.get(name, file.name))

    @contextmanager
    def _located(self, fragments: list[Any], names: list[str], schema: pa.Schema) -> Iterator[None]:
        """Find the file that Arrow cannot read, which its error does not always name: each is read by itself.

        Raises:
            DataRejected, BackendError: see ``read_parquet``; for text that is not UTF-8 with its column.
        """

        def failing(fragment: Any, columns: list[str]) -> Exception | None:
            try:
                for _ in fragment.to_batches(schema, columns=columns, filter=self._filter(schema)):
                    pass
            except (pa.ArrowException, OSError) as found:
                return found
            return None

        try:
            yield
        except (pa.ArrowException, OSError) as error:
            found = next(((one, why) for one in fragments if (why := failing(one, names))), (fragments[0], error))
            file = self._file[found[0].path]
            if "UTF8" in str(found[1]):
                for name in names:
                    if failing(found[0], [name]):
                        raise _not_utf8(name, file) from None
            raise reading_failed(file, found[1], "parquet") from None


def _agreed(schemas: Mapping[str, pa.Schema], request: ReadRequest) -> dict[str, ColumnType]:
    """The types that columns are cast to: the contract's, and timestamp where files differ in their kind of timestamp.

    Raises:
        DataRejected: the types of a column have none in common; with some of them and their files.
    """
    types: dict[str, dict[pa.DataType, str]] = {}
    for uri, schema in schemas.items():
        for column in schema:
            kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
            kind = pa.string() if isinstance(kind, pa.UuidType) else kind
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
    """The window as an Arrow filter on a column of dates or timestamps. A missing one is kept, to be told."""
    zone = None if pa.types.is_date(kind) else kind.tz
    bounds = [moment if zone else moment.replace(tzinfo=None) for moment in (window.start, window.end)]
    if pa.types.is_date(kind):  # a date is its midnight: the first one at or after the bound
        ceiling = [(bound + timedelta(days=1, microseconds=-1)).date() for bound in bounds]
        start, end = (pa.scalar(bound, type=pa.date32()) for bound in ceiling)
    else:
        start, end = (pa.scalar(bound, type=pa.timestamp("us", tz=zone)) for bound in bounds)
    field = ds.field(window.column)
    return ((field >= start) & (field < end)) | field.is_null()


def _check_utf8(name: str, column: pa.Array, file: DataFile) -> None:
    """Check text, which Arrow takes from Parquet as it is.

    Raises:
        DataRejected: it is not UTF-8; with file and column.
    """
    values = column.dictionary if pa.types.is_dictionary(column.type) else column
    if is_text(values.type):
        try:
            values.validate(full=True)
        except pa.ArrowInvalid:
            raise _not_utf8(name, file) from None


def _not_utf8(name: str, file: DataFile) -> DataRejected:
    msg = f"data.source: column {name!r} of {file.uri} is declared as text and is not UTF-8; "
    return DataRejected(msg + "have it written as UTF-8, or put it under data.exclude")
