"""Text on its way from a file to Arrow: decoded, hashed and looked over, block by block; and where in it something stands."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections.abc import Collection, Iterator
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

from contender.errors import DataRejected, one_line

if TYPE_CHECKING:
    from contender.data.sources import CsvSource

#: Arrow's block: no row is longer, so memory stays bounded whatever a file says.
BLOCK = 1 << 20
_END = "\x00end"  # no file has it: NUL is refused
_KINDS = (
    (b"PAR1", "it is a Parquet file: kind: parquet"),
    (b"\x1f\x8b", "it is packed with gzip; unpack it"),
    (b"PK\x03\x04", "it is a zip archive or a spreadsheet; unpack or export it"),
    (codecs.BOM_UTF16_LE, "it is UTF-16: encoding: utf-16"),
    (codecs.BOM_UTF16_BE, "it is UTF-16: encoding: utf-16"),
)


class Intake(io.RawIOBase):
    """A delimited text file as UTF-8 without its header, for Arrow to read.

    Attributes:
        header: the column names of its first row; those of the source when it says them.
        lines: how many lines stand before the first row of data.
        sha256: of the file's own bytes, once all has been read.
    """

    def __init__(self, raw: Any, source: CsvSource, where: str) -> None:
        """Read as far as the header.

        Args:
            raw: the file's bytes.
            where: the file, as messages name it.

        Raises:
            DataRejected: the file is empty, no text, or its header is none.
        """
        super().__init__()
        self._raw, self._source, self._where = raw, source, where
        self._hash, self._read, self._start = hashlib.sha256(), 0, b""
        self._utf8 = codecs.lookup(source.encoding).name == "utf-8"
        self._decoder = codecs.getincrementaldecoder(source.encoding)()
        self._quotes, self._newlines, self._returns, self._ends = 0, 0, 0, True
        self._rest = b""
        while len(self._rest) < BLOCK and (block := self._block()) is not None:
            self._rest += block
        self._rest = self._rest.removeprefix(codecs.BOM_UTF8)
        if not self._rest.strip():
            raise DataRejected(f"data.source.uri: {where} is an empty file ({self._read} bytes); have it written again")
        self.header, self.lines = (list(source.columns), 0) if source.columns else self._header()
        self._look(self._rest)

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of the bytes that were read."""
        return self._hash.hexdigest()

    @property
    def odd_quotes(self) -> bool:
        """Whether a quote may not be closed."""
        return self._quotes % 2 == 1

    def plain(self, records: int) -> bool:
        """Whether so many records are as many lines: no quoted line ends, no blank lines, one kind of line end."""
        lines = self._newlines + (not self._ends)
        return lines == records and self._returns in (0, self._newlines)

    def readable(self) -> bool:
        """See ``io``."""
        return True

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002 - blocks are Arrow's own
        """The next block; empty at the end.

        Raises:
            DataRejected: it is no text in the declared encoding.
        """
        block: bytes | None = self._rest
        self._rest = b""
        while block == b"":
            block = self._block()
            self._look(block or b"")
        return block or b""

    def _block(self) -> bytes | None:
        """The next of the file as UTF-8; it may be empty in the middle of a character. None at the end."""
        data = bytes(self._raw.read(BLOCK))
        self._start = self._start or data[:4]
        pending = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeError as error:
            place = self._read - pending + getattr(error, "start", 0)
            raise self._no_text(f"byte {place} is not {self._source.encoding}") from None
        if "\x00" in text:
            raise self._no_text(f"there is a NUL in the block that begins at byte {self._read}")
        self._hash.update(data)
        self._read += len(data)
        return None if not data and not text else data if self._utf8 else text.encode(errors="replace")

    def _no_text(self, why: str) -> DataRejected:
        known = [hint for start, hint in _KINDS if self._start.startswith(start)]
        hint = (
            known[0] if known else "say its encoding under data.source.encoding, such as latin-1, cp1252 or utf-16-le"
        )
        return DataRejected(f"data.source.uri: {self._where} is not text: {why}; {hint}")

    def _look(self, block: bytes) -> None:
        self._quotes += block.count(self._source.quote.encode())
        self._newlines += block.count(b"\n")
        self._returns += block.count(b"\r")
        self._ends = block.endswith((b"\n", b"\r")) if block else self._ends

    def _header(self) -> tuple[list[str], int]:
        lines = io.StringIO(self._rest.decode(errors="ignore"), newline="")
        start, cells, _ = next(records(lines, self._source))
        if cells is None:
            raise DataRejected(f"data.source.uri: {self._where}:{start}: {_unclosed(self._source)}")
        end = lines.tell()
        before = lines.getvalue()[:end]
        self._rest = self._rest[len(before.encode()) :]
        return cells, before.count("\n") or before.count("\r")


def records(lines: IO[str], source: CsvSource) -> Iterator[tuple[int, list[str] | None, int]]:
    """Each record with something in it, as Arrow counts them: its first line, its cells, and its width.

    The cells are None, and the record the last, where a quote is not closed or a cell is longer than Arrow's block.
    """
    csv.field_size_limit(max(csv.field_size_limit(), BLOCK))
    first = next(lines, "").removeprefix("\ufeff")
    reader = csv.reader(chain([first], lines, ["\n", _END]), delimiter=source.delimiter, quotechar=source.quote)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except csv.Error:
            yield line, None, 0
            return
        if cells == [_END]:
            return
        if cells and cells[-1].endswith(_END):
            yield line, None, 0
            return
        if cells:
            yield line, cells, len(cells)


def see_structure(lines: IO[str], source: CsvSource, where: str, width: int) -> None:
    """See that every record is as wide as the header, and every quote closed.

    Raises:
        DataRejected: the first record that is not, by its line.
    """
    for line, cells, found in records(lines, source):
        if cells is None:
            raise DataRejected(f"data.source.uri: {where}:{line}: {_unclosed(source)}")
        if found != width:
            named = "data.source.columns says" if source.columns else "the header names"
            msg = f"data.source.uri: {where}:{line}: {found} cells, but {named} {width}; "
            raise DataRejected(msg + f"is there a {one_line(source.delimiter)!r} inside a cell that is not quoted?")


def lines_of(lines: IO[str], source: CsvSource, rows: Collection[int]) -> dict[int, int]:
    """The first lines of rows of data, which are counted from 0 after the header."""
    wanted, last = set(rows), max(rows)
    rest = enumerate(records(lines, source), start=0 if source.columns else -1)
    found = {}
    for row, (line, _, _) in rest:
        if row in wanted:
            found[row] = line
        if row >= last:
            break
    return found


def _unclosed(source: CsvSource) -> str:
    return (
        f"a quote ({one_line(source.quote)}) opens here that is not closed, or a row is longer than {BLOCK >> 20} MiB"
    )
