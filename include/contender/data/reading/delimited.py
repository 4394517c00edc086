"""Delimited text as one table. Arrow splits it into cells, and makes of each column what it holds.

All cells are read as text first, block by block: so one that does not fit is still there to be shown where it stands,
and memory is bounded by the rows of the window.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from contender.data.columns import CsvType
from contender.data.reading.files import DataFile, Files, reading_failed
from contender.data.reading.fitting import LADDER, Fitter, Spelling, possible
from contender.data.reading.gathering import Gathering, no_column, see_time, see_unique
from contender.data.reading.intake import BLOCK, Intake, lines_of, see_structure
from contender.data.reading.parquet import Folders
from contender.data.reading.request import Found, ReadRequest
from contender.errors import DataRejected

if TYPE_CHECKING:
    from contender.data.sources import CsvSource

_NO_TEXT = pa.scalar(None, pa.string())


def read_csv(files: Files, source: CsvSource, request: ReadRequest) -> Found:
    """All rows, or those of the window.

    Raises:
        DataUnavailable: there is no file.
        DataRejected: one is no such text, or was changed while it was read.
        BackendError: S3 does not answer.
    """
    folders = Folders(files.listed(), request)
    reading = _Reading(files.filesystem(), source, request, folders)
    gathered = Gathering()
    digests = {file.uri: files.digest(file, reading.add(gathered, file)) for file in folders.files}
    return gathered.found(request, reading.seen_names(), files.sources(folders.files, digests))


class _Reading:
    """One read: what the columns hold, and how their cells come to be that."""

    def __init__(self, filesystem: Any, source: CsvSource, request: ReadRequest, folders: Folders) -> None:
        self._filesystem, self._source, self._request, self._folders = filesystem, source, request, folders
        self._spelling = Spelling(source.decimal, source.timestamp_format)
        self._names: dict[str, None] = dict.fromkeys(folders.names)
        self._kinds, self._open = self._declared()
        self._kinds = self._inferred() | self._kinds

    def add(self, gathered: Gathering, file: DataFile) -> str:
        """Read a file's rows of the window.

        Returns:
            Hex SHA-256 of the file.

        Raises:
            DataRejected, BackendError: see ``read_csv``.
        """
        fitter = Fitter(self._kinds, self._spelling, self._open)
        window, row = self._request.window, 0
        firsts: dict[str, int] = {}
        with self._opened(file) as intake:
            for batch in self._batches(intake, file):
                columns: dict[str, pa.Array] = {}
                unread: dict[str, pa.Array] = {}
                for name, cells in batch.items():
                    columns[name], misfits = fitter.fit(name, cells)
                    if misfits is not None:
                        unread[name] = misfits
                rows = len(next(iter(columns.values()), ()))
                self._folders.add(file, columns, unread, rows)
                if window is None or window.column in columns:
                    for name, place in gathered.add(columns, unread, window).items():
                        firsts.setdefault(name, row + place)
                row += rows
            if intake.odd_quotes:
                self._see_structure(file, len(intake.header))
        self._say_where(
            gathered, file, intake, {name: one for name, one in firsts.items() if name not in gathered.first}, row
        )
        return intake.sha256

    def seen_names(self) -> list[str]:
        """The columns of all the files.

        Raises:
            DataRejected: one that the source or the request names is in none of them.
        """
        names = list(self._names)
        see_time(self._request, names)
        for role, declared in (("types", self._source.types), ("levels", self._source.levels)):
            for name in declared:
                if name not in names:
                    others = [one for one in names if one not in self._source.types]
                    msg = f"data.source.{role}: {no_column(name, others)} If it is gone for good, remove it there"
                    raise DataRejected(f"{msg} and put it under data.exclude")
        return names

    def _declared(self) -> tuple[dict[str, CsvType], frozenset[str]]:
        """What columns hold as far as it is said, and of which timestamps nobody said whether they have a zone."""
        written = self._source.types
        kinds: dict[str, CsvType] = {**written, **self._request.types}
        if self._request.window is not None:
            kinds.setdefault(self._request.window.column, "timestamp")
        for name, kind in kinds.items():
            if kind == "timestamp" and written.get(name) == "timestamptz":
                kinds[name] = "timestamptz"
        moments = {name for name, kind in kinds.items() if kind == "timestamp"}
        return kinds, frozenset(name for name in moments if written.get(name) not in ("timestamp", "timestamptz"))

    def _inferred(self) -> dict[str, CsvType]:
        """What the other columns hold, of which nobody said it, by every cell of every file."""
        left: dict[str, list[CsvType]] = {}
        filled = set()
        for file in self._folders.files:
            with self._opened(file) as intake:
                if set(intake.header) - self._request.exclude <= self._kinds.keys():
                    continue
                for batch in self._batches(intake, file):
                    for name in batch.keys() - self._kinds.keys():
                        cells = batch[name].drop_null()
                        left[name] = possible(cells, left.get(name, LADDER), self._spelling)
                        filled |= {name} if len(cells) else set()
        return {name: kinds[0] if name in filled else "number" for name, kinds in left.items()}

    @contextmanager
    def _opened(self, file: DataFile) -> Iterator[Intake]:
        try:
            with self._filesystem.open_input_stream(file.path, compression=None) as raw:
                intake = Intake(raw, self._source, file.uri)
                self._see_header(intake.header, file.uri)
                yield intake
        except (pa.ArrowException, OSError) as error:
            raise reading_failed(file, error, "csv") from None

    def _see_header(self, header: list[str], where: str) -> None:
        other = next((sign for sign in ",;\t|" if sign in header[0] and sign != self._source.delimiter), None)
        if len(header) == 1 and other is not None:
            expected = f", expected {len(self._kinds)}" if len(self._kinds) > 1 else ""
            msg = (
                f"data.source.uri: {where}: 1 column found{expected}; it is not {self._source.delimiter!r} that stands "
            )
            raise DataRejected(msg + f"between cells: delimiter: {other!r}?")
        see_unique([name for name in header if name not in self._request.exclude], where)
        self._names |= dict.fromkeys(header)

    def _batches(self, intake: Intake, file: DataFile) -> Iterator[dict[str, pa.Array]]:
        """The cells of the file's columns, null where one means missing; the first batch is empty."""
        source, header = self._source, intake.header
        places = {str(place): name for place, name in enumerate(header) if name not in self._request.exclude}
        yield {name: pa.array([], pa.string()) for name in places.values()}
        if not places:
            return
        levels = {cell for cells in source.levels.values() for cell in cells}
        try:
            reader = csv.open_csv(
                pa.PythonFile(intake, mode="r"),
                read_options=csv.ReadOptions(
                    column_names=[str(place) for place in range(len(header))], block_size=BLOCK
                ),
                parse_options=csv.ParseOptions(
                    delimiter=source.delimiter, quote_char=source.quote, newlines_in_values=True
                ),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(places, pa.string()),
                    include_columns=list(places),
                    null_values=[cell for cell in source.null_values if cell not in levels],
                    strings_can_be_null=True,
                    check_utf8=False,  # it was decoded on its way in
                ),
            )
            for batch in reader:
                cells = zip(places.values(), batch.columns, strict=True)
                yield {name: self._without_levels(name, column, levels) for name, column in cells}
        except pa.ArrowInvalid as error:
            if "Empty CSV file" in str(error):
                return
            self._see_structure(file, len(header))
            raise reading_failed(file, error, "csv") from None

    def _without_levels(self, name: str, cells: pa.Array, levels: set[str]) -> pa.Array:
        """What means missing and is a value of another column, as missing."""
        missing = levels.intersection(self._source.null_values).difference(self._source.levels.get(name, ()))
        if not missing:
            return cells
        return pc.if_else(pc.is_in(cells, pa.array(sorted(missing), pa.string())), _NO_TEXT, cells)

    def _see_structure(self, file: DataFile, width: int) -> None:
        with self._lines(file) as lines:
            see_structure(lines, self._source, file.uri, width)

    def _say_where(
        self, gathered: Gathering, file: DataFile, intake: Intake, firsts: dict[str, int], rows: int
    ) -> None:
        if not firsts:
            return
        if intake.plain(rows):
            lines = {row: row + 1 + intake.lines for row in firsts.values()}
        else:
            with self._lines(file) as text:
                lines = lines_of(text, self._source, firsts.values())
        gathered.first |= {name: f"{file.name}:{lines[row]}" for name, row in firsts.items()}

    @contextmanager
    def _lines(self, file: DataFile) -> Iterator[IO[str]]:
        with (
            self._filesystem.open_input_stream(file.path, compression=None) as raw,
            io.TextIOWrapper(raw, self._source.encoding, "replace", newline="") as lines,
        ):
            yield lines
