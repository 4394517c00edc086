"""Delimited text files as one table.

Arrow splits blocks of a file into cells of text, and then casts each column to its type. So a cell that does not
fit is kept as it is written, and memory is bounded by the rows of the window.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from contender.data.reading.batches import Batches, check_time_column, check_unique, no_column
from contender.data.reading.dialect import Dialect
from contender.data.reading.files import DataFile, Files, reading_failed
from contender.data.reading.fitting import LADDER, Fitter, Spelling, possible
from contender.data.reading.partitions import Partitions
from contender.data.reading.request import ReadRequest, ReadResult
from contender.data.reading.text_stream import TextStream, check_records, lines_of
from contender.errors import DataRejected
from contender.spec.columns import CsvType

_NO_TEXT = pa.scalar(None, pa.string())


def read_delimited(files: Files, dialect: Dialect, request: ReadRequest) -> ReadResult:
    """All rows, or those of the window.

    Raises:
        DataUnavailable: there is no file.
        DataRejected: a file is not in this dialect, or was changed while it was read.
        BackendError: S3 does not answer.
    """
    partitions = Partitions(files.listed(), request)
    reading = _Reading(files.filesystem(), dialect, request, partitions)
    batches = Batches(request.window)
    digests = {file.uri: files.digest(file, reading.add(batches, file)) for file in partitions.files}
    return files.counted(batches.result(request, reading.names(), files.sources(partitions.files, digests)))


class _Reading:
    """One read: the columns' types, and the cells cast to them."""

    def __init__(self, filesystem: Any, dialect: Dialect, request: ReadRequest, partitions: Partitions) -> None:
        self._filesystem, self._dialect, self._request, self._partitions = filesystem, dialect, request, partitions
        self._spelling = Spelling(
            dialect.decimal, dialect.timestamp_format, dialect.first_year, dialect.thousands, dialect.units
        )
        self._names: dict[str, None] = dict.fromkeys(partitions.names)
        self._kinds, self._open = self._declared()
        self._kinds = self._inferred() | self._kinds

    def add(self, batches: Batches, file: DataFile) -> str:
        """Read a file's rows of the window.

        Returns:
            Hex SHA-256 of the file.

        Raises:
            DataRejected, BackendError: see ``read_delimited``.
        """
        fitter = Fitter(self._kinds, self._spelling, self._open)
        row = 0
        firsts: dict[str, int] = {}
        with self._opened(file) as stream:
            for cells in self._cells(stream, file):
                columns, unread = fitter.fit_all(cells, file.uri)
                rows = len(next(iter(columns.values()), ()))
                self._partitions.add(file, columns, unread, rows)
                for name, position in batches.add(columns, unread).items():
                    firsts.setdefault(name, row + position)
                row += rows
            if stream.odd_quotes:
                self._check_records(file, len(stream.header))
        self._locate(batches, file, stream, {name: at for name, at in firsts.items() if name not in batches.first}, row)
        return stream.sha256

    def names(self) -> list[str]:
        """The columns of all files.

        Raises:
            DataRejected: no file has a column that the dialect or the request names.
        """
        names = list(self._names)
        check_time_column(self._request, names)
        for role, declared in (("types", self._dialect.types), ("levels", self._dialect.levels)):
            for name in declared:
                if name not in names:
                    others = [one for one in names if one not in self._dialect.types]
                    msg = f"data.source.{role}: {no_column(name, others)} If it is gone for good, remove it there"
                    raise DataRejected(f"{msg} and put it under data.exclude")
        return names

    def _declared(self) -> tuple[dict[str, CsvType], frozenset[str]]:
        """The declared types, and the timestamps of which the YAML does not say whether they have a time zone."""
        written = self._dialect.types
        kinds: dict[str, CsvType] = {**written, **self._request.types}
        if self._request.window is not None:
            kinds.setdefault(self._request.window.column, "timestamp")
        for name, kind in kinds.items():
            if kind == "timestamp" and written.get(name) == "timestamptz":
                kinds[name] = "timestamptz"
        moments = {name for name, kind in kinds.items() if kind == "timestamp"}
        return kinds, frozenset(name for name in moments if written.get(name) not in ("timestamp", "timestamptz"))

    def _inferred(self) -> dict[str, CsvType]:
        """The types of all other columns: the first of the ladder that every cell of every file fits."""
        left: dict[str, list[CsvType]] = {}
        filled = set()
        for file in self._partitions.files:
            with self._opened(file) as stream:
                if set(stream.header) - self._request.exclude <= self._kinds.keys():
                    continue
                for batch in self._cells(stream, file):
                    for name in batch.keys() - self._kinds.keys():
                        cells = batch[name].drop_null()
                        left[name] = possible(cells, left.get(name, LADDER), self._spelling)
                        filled |= {name} if len(cells) else set()
        return {name: kinds[0] if name in filled else "number" for name, kinds in left.items()}

    @contextmanager
    def _opened(self, file: DataFile) -> Iterator[TextStream]:
        try:
            with self._filesystem.open_input_stream(file.path, compression=None) as raw:
                stream = TextStream(raw, self._dialect, file.uri)
                self._check_header(stream.header, file.uri)
                yield stream
        except (pa.ArrowException, OSError) as error:
            raise reading_failed(file, error, "csv") from None

    def _check_header(self, header: list[str], where: str) -> None:
        delimiter = self._dialect.delimiter
        other = next((sign for sign in ",;\t|" if sign in header[0] and sign != delimiter), None)
        if len(header) == 1 and other is not None:
            expected = f", expected {len(self._kinds)}" if len(self._kinds) > 1 else ""
            msg = f"data.source.uri: {where}: 1 column found{expected}; it is not {delimiter!r} that stands "
            raise DataRejected(msg + f"between cells: delimiter: {other!r}?")
        check_unique([name for name in header if name not in self._request.exclude], where)
        self._names |= dict.fromkeys(header)

    def _cells(self, stream: TextStream, file: DataFile) -> Iterator[dict[str, pa.Array]]:
        """The file's cells in batches, null where missing. The first batch is empty: a file without rows has columns."""
        dialect, header = self._dialect, stream.header
        places = {str(place): name for place, name in enumerate(header) if name not in self._request.exclude}
        yield {name: pa.array([], pa.string()) for name in places.values()}
        if not places:
            return
        levels = {cell for cells in dialect.levels.values() for cell in cells}
        parse = csv.ParseOptions(delimiter=dialect.delimiter, quote_char=dialect.quote, newlines_in_values=True)
        convert = csv.ConvertOptions(
            column_types=dict.fromkeys(places, pa.string()),
            include_columns=list(places),
            null_values=[cell for cell in dialect.null_values if cell not in levels],
            strings_can_be_null=True,
            check_utf8=False,  # the stream has decoded it
        )
        width = [str(place) for place in range(len(header))]
        try:
            for block in stream.blocks():
                if not block.strip(b"\r\n"):
                    continue
                read = csv.ReadOptions(column_names=width, block_size=len(block), use_threads=False)
                for batch in csv.read_csv(_of_arrow(block), read, parse, convert).to_batches():
                    cells = zip(places.values(), batch.columns, strict=True)
                    yield {name: self._without_levels(name, column, levels) for name, column in cells}
        except ValueError as error:  # Arrow's ArrowInvalid is one
            self._check_records(file, len(header))
            raise reading_failed(file, error, "csv") from None

    def _without_levels(self, name: str, cells: pa.Array, levels: set[str]) -> pa.Array:
        """Null where a cell means missing in this column and is a level of another."""
        missing = levels.intersection(self._dialect.null_values).difference(self._dialect.levels.get(name, ()))
        if not missing:
            return cells
        return pc.if_else(pc.is_in(cells, pa.array(sorted(missing), pa.string())), _NO_TEXT, cells)

    def _check_records(self, file: DataFile, width: int) -> None:
        with self._lines(file) as lines:
            check_records(lines, self._dialect, file.uri, width)

    def _locate(self, batches: Batches, file: DataFile, stream: TextStream, firsts: dict[str, int], rows: int) -> None:
        """Note file and line of the first cell that does not fit, by column; ``firsts`` has its row among the ``rows``."""
        if not firsts:
            return
        if stream.plain(rows):
            lines = {row: row + 1 + stream.lines for row in firsts.values()}
        else:
            with self._lines(file) as text:
                lines = lines_of(text, self._dialect, firsts.values())
        batches.first |= {name: f"{file.name}:{lines[row]}" for name, row in firsts.items()}

    @contextmanager
    def _lines(self, file: DataFile) -> Iterator[IO[str]]:
        with (
            self._filesystem.open_input_stream(file.path, compression=None) as raw,
            io.TextIOWrapper(raw, self._dialect.encoding, "replace", newline="") as lines,
        ):
            yield lines


def _of_arrow(block: bytes) -> pa.BufferReader:
    """The block in memory that Arrow frees without Python."""
    copy = pa.BufferOutputStream()
    copy.write(block)
    return pa.BufferReader(copy.getvalue())
