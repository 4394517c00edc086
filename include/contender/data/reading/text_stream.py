"""A delimited text file as the UTF-8 blocks that Arrow reads: decoded, hashed, counted and cut between two rows.

Arrow reads no stream of ours, only blocks in memory of its own: a thread of it that needs Python when Python ends would
abort the process. Arrow reports neither lines nor unclosed quotes, so Python's csv module reads a file again where a
message needs them.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
from collections.abc import Collection, Iterator
from itertools import chain
from typing import IO, Any

from contender.data.reading.dialect import Dialect
from contender.errors import DataRejected, one_line

#: The size of blocks in bytes, which no row may exceed; so memory is bounded.
BLOCK = 1 << 20
_END = "\x00end"  # appended as the last record; a file cannot hold it, because NUL is refused
# The first bytes of files that are often taken for text, and what to do about each.
_MAGIC = (
    (b"PAR1", "it is a Parquet file: kind: parquet"),
    (b"\x1f\x8b", "it is packed with gzip; unpack it"),
    (b"PK\x03\x04", "it is a zip archive or a spreadsheet; unpack or export it"),
    (codecs.BOM_UTF16_LE, "it is UTF-16: encoding: utf-16"),
    (codecs.BOM_UTF16_BE, "it is UTF-16: encoding: utf-16"),
)


class TextStream:
    """The rows of a delimited text file as UTF-8, without the header.

    Attributes:
        header: the column names: the dialect's ``columns``, else the first row.
        lines: the number of lines before the first row of data.
    """

    def __init__(self, raw: Any, dialect: Dialect, where: str) -> None:
        """Read as far as the header.

        Args:
            raw: the file's bytes.
            where: the file, as messages name it.

        Raises:
            DataRejected: the file is empty or no text, or a quote in its header is not closed.
        """
        self._raw, self._dialect, self._where = raw, dialect, where
        self._hash, self._read, self._start = hashlib.sha256(), 0, b""
        self._utf8 = codecs.lookup(dialect.encoding).name == "utf-8"
        self._decoder = codecs.getincrementaldecoder(dialect.encoding)()
        self._quotes, self._newlines, self._returns, self._ends = 0, 0, 0, True
        self._rest = b""
        self._rows = _whole_rows(dialect)
        while len(self._rest) < BLOCK and (block := self._block()) is not None:
            self._rest += block
        self._rest = self._rest.removeprefix(codecs.BOM_UTF8)
        if not self._rest.strip():
            raise DataRejected(f"data.source.uri: {where} is an empty file ({self._read} bytes); have it written again")
        self.header, self.lines = (list(dialect.columns), 0) if dialect.columns else self._header()

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of the file's bytes that have been read so far."""
        return self._hash.hexdigest()

    @property
    def odd_quotes(self) -> bool:
        """Whether the number of quotes is odd, so that one of them may not be closed."""
        return self._quotes % 2 == 1

    def plain(self, records: int) -> bool:
        """Whether each of the records is one line: no line end in quotes, no blank line, one kind of line end."""
        lines = self._newlines + (not self._ends)
        return lines == records and self._returns in (0, self._newlines)

    def blocks(self) -> Iterator[bytes]:
        """The rows, some at a time and each whole; they are read once.

        Raises:
            DataRejected: there are bytes that are no text in the declared encoding.
            ValueError: a row is longer than a block.
        """
        block: bytes | None = self._rest
        rest = b"\n"  # the sign before a row, by which the pattern knows that a cell begins there
        while block is not None:
            self._count(block)
            rest += block
            quoted = self._dialect.quote.encode() in rest
            end = next(self._rows.finditer(rest, 1)).end() if quoted else max(rest.rfind(b"\n"), rest.rfind(b"\r")) + 1
            if end > 1:
                yield rest[1:end]
                rest = rest[end - 1 :]
            if len(rest) > BLOCK + 1:
                msg = f"a row is longer than {BLOCK >> 20} MiB"
                raise ValueError(msg)
            block = self._block()
        if len(rest) > 1:
            yield rest[1:]

    def _block(self) -> bytes | None:
        """The file's next block as UTF-8; None at the end. It may be empty where a block ends inside a character."""
        data = bytes(self._raw.read(BLOCK))
        self._start = self._start or data[:4]
        pending = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeError as error:
            place = self._read - pending + getattr(error, "start", 0)
            raise self._not_text(f"byte {place} is not {self._dialect.encoding}") from None
        if "\x00" in text:
            raise self._not_text(f"there is a NUL in the block that begins at byte {self._read}")
        self._hash.update(data)
        self._read += len(data)
        return None if not data and not text else data if self._utf8 else text.encode(errors="replace")

    def _not_text(self, why: str) -> DataRejected:
        known = [hint for start, hint in _MAGIC if self._start.startswith(start)]
        hint = (
            known[0] if known else "say its encoding under data.source.encoding, such as latin-1, cp1252 or utf-16-le"
        )
        return DataRejected(f"data.source.uri: {self._where} is not text: {why}; {hint}")

    def _count(self, block: bytes) -> None:
        self._quotes += block.count(self._dialect.quote.encode())
        self._newlines += block.count(b"\n")
        self._returns += block.count(b"\r")
        self._ends = block.endswith((b"\n", b"\r")) if block else self._ends

    def _header(self) -> tuple[list[str], int]:
        lines = io.StringIO(self._rest.decode(errors="ignore"), newline="")
        start, cells = next(records(lines, self._dialect))
        if cells is None:
            raise DataRejected(f"data.source.uri: {self._where}:{start}: {_unclosed(self._dialect)}")
        end = lines.tell()
        before = lines.getvalue()[:end]
        self._rest = self._rest[len(before.encode()) :]
        return cells, before.count("\n") or before.count("\r")


def _whole_rows(dialect: Dialect) -> re.Pattern[bytes]:
    r"""All rows that end. As for Arrow, a quote that does not begin a cell is a sign like others, and \r ends a row, too."""
    quote, delimiter = re.escape(dialect.quote.encode()), re.escape(dialect.delimiter.encode())
    begins = rb"[%b\r\n]" % delimiter
    quoted = rb"(?<=%b)%b[^%b]*+(?:%b%b[^%b]*+)*+%b" % (begins, *[quote] * 6)
    return re.compile(rb"(?:(?:[^%b\r\n]++|%b|(?<!%b)%b)*+[\r\n])*+" % (quote, quoted, begins, quote))


def records(lines: IO[str], dialect: Dialect) -> Iterator[tuple[int, list[str] | None]]:
    """The first line and the cells of each record that is not blank, which are those that Arrow counts.

    The cells of the last record are None where a quote is not closed or a cell is longer than Arrow's block.
    """
    csv.field_size_limit(max(csv.field_size_limit(), BLOCK))
    first = next(lines, "").removeprefix("\ufeff")
    reader = csv.reader(chain([first], lines, ["\n", _END]), delimiter=dialect.delimiter, quotechar=dialect.quote)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except csv.Error:
            yield line, None
            return
        if cells == [_END]:
            return
        if cells and cells[-1].endswith(_END):
            yield line, None
            return
        if cells:
            yield line, cells


def check_records(lines: IO[str], dialect: Dialect, where: str, width: int) -> None:
    """Check that every record has as many cells as the header, and that every quote is closed.

    Raises:
        DataRejected: a record has not; with the line of the first one.
    """
    for line, cells in records(lines, dialect):
        if cells is None:
            raise DataRejected(f"data.source.uri: {where}:{line}: {_unclosed(dialect)}")
        if len(cells) != width:
            named = "data.source.columns says" if dialect.columns else "the header names"
            msg = f"data.source.uri: {where}:{line}: {len(cells)} cells, but {named} {width}; "
            raise DataRejected(msg + f"is there a {one_line(dialect.delimiter)!r} inside a cell that is not quoted?")


def lines_of(lines: IO[str], dialect: Dialect, rows: Collection[int]) -> dict[int, int]:
    """The first line of each of the rows, which are counted from 0 after the header."""
    wanted, last = set(rows), max(rows)
    found = {}
    for row, (line, _) in enumerate(records(lines, dialect), start=0 if dialect.columns else -1):
        if row in wanted:
            found[row] = line
        if row >= last:
            break
    return found


def _unclosed(dialect: Dialect) -> str:
    return (
        f"a quote ({one_line(dialect.quote)}) opens here that is not closed, or a row is longer than {BLOCK >> 20} MiB"
    )
