"""Detects the dialect of a delimited text file: encoding, delimiter, quote, header.

Encodings by byte order marks, by the rules of UTF-8 and by charset-normalizer; delimiters and quotes by CleverCSV (van den
Burg, Nazabal and Sutton, Wrangling messy CSV files by detecting row and type patterns, 2019).
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from typing import TYPE_CHECKING

from contender.data.reading.dialect import Dialect
from contender.errors import DataRejected

if TYPE_CHECKING:
    from pathlib import Path

    from contender.draft.asking import Talk

_LOOK = 1 << 18  # bytes from the beginning of the file
_MARKS = ((codecs.BOM_UTF8, "utf8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_WESTERN = "cp1252"
_CODE_PAGES = [_WESTERN, "cp1250", "cp1251", "cp932", "gb18030", "euc_kr", "big5"]
_SINGLE_BYTE = 3  # so many of them have letters of one byte
_ROWS, _TOP = 1_000, 30  # records that are looked at, and lines that may stand above a header
_CONVERT = "convert it, such as with pandas: read_{}(file{}).to_parquet(other)"
_KINDS = (
    (b"PAR1", "a Parquet file", "give it the ending .parquet"),
    (b"\x1f\x8b", "packed with gzip", "unpack it with gunzip"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "unpack it, or export the sheet as CSV"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "unpack it with unzstd"),
    (b"BZh", "packed with bzip2", "unpack it with bunzip2"),
    (b"\xfd7zXZ", "packed with xz", "unpack it with unxz"),
    (b"7z\xbc\xaf", "packed with 7-Zip", "unpack it"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file", "export the sheet as CSV"),
    (b"SQLite format 3\x00", "an SQLite database", "name it as sqlite:///FILE with --table"),
    (b"ARROW1", "an Arrow file", _CONVERT.format("feather", "")),
    (b"ORC", "an ORC file", _CONVERT.format("orc", "")),
    (b"Obj\x01", "an Avro file", "convert it to Parquet"),
    (b"\x89HDF", "an HDF5 file", _CONVERT.format("hdf", "")),
    (b"\x80\x04", "a pickle", "write its table as Parquet where it was made"),
    (b"%PDF", "a PDF", "export its table as CSV"),
)
_JSON = re.compile(rb"(\[\s*)?\{\s*(\"[^\"]*\"\s*:|\})")
_SEPARATOR = re.compile(r"\"?sep=.?\"?\s*", re.IGNORECASE)
_NUMBER = re.compile(r"\s*[-+]?[0-9][0-9.,:/ \-]*\s*")


def detect(file: Path, talk: Talk) -> tuple[Dialect, tuple[str, ...]]:
    """The dialect of a file from its beginning (the encoding from all of it), and the names of its columns.

    Raises:
        DataRejected: the file is no table of delimited text, names a column twice, or has lines above its header.
    """
    with file.open("rb") as stream:
        start = stream.read(_LOOK)
    if not start.strip():
        raise DataRejected(f"{file}: the file is empty")
    _check_kind(file, start)
    encoding = _encoding(file, start, talk)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(start).removeprefix("\ufeff")
    if "\x00" in text:
        line = 1 + text.count("\n", 0, text.index("\x00"))
        raise DataRejected(f"{file}:{line}: not text (a NUL byte stands here); have it written again, or as Parquet")
    if len(start) == _LOOK:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1]
    delimiter, quote = _delimiter(text)
    rows = _rows(file, text, delimiter, quote)
    _check_top(file, rows, delimiter, quote)
    first = rows[0][1]
    header = _header([row for _, row in rows], talk)
    columns = tuple(first) if header else tuple(f"column_{number}" for number in range(1, len(first) + 1))
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        places = [place for place, name in enumerate(columns, start=1) if name == twice[0]]
        raise DataRejected(f"{file}:1: the header names {twice[0]!r} more than once (columns {places}); rename one")
    named = {"\t": "tabs", ",": "commas"}.get(delimiter, repr(delimiter))
    how = "the first line names them" if header else "no header line, so they are column_1, column_2, ..."
    talk.say(f"{encoding} text, {len(columns)} columns between {named}; {how}")
    return Dialect(encoding=encoding, delimiter=delimiter, quote=quote, columns=None if header else columns), columns


def _check_kind(file: Path, start: bytes) -> None:
    """Refuse a file that is no delimited text, by its first bytes.

    Raises:
        DataRejected: it is of another kind; with how to make a table of it.
    """
    kind = next(((name, way) for magic, name, way in _KINDS if start.startswith(magic)), None)
    plain = start.removeprefix(codecs.BOM_UTF8).lstrip()
    if kind is None and (found := _JSON.match(plain)):
        kind = (
            ("JSON", _CONVERT.format("json", ""))
            if found[1]
            else ("JSON lines", _CONVERT.format("json", ", lines=True"))
        )
    if kind is None and plain[:15].lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<table")):
        kind = ("HTML or XML", _CONVERT.format("html", ""))
    if kind is not None:
        raise DataRejected(f"{file}: {kind[0]}, expected delimited text or Parquet; {kind[1]}")


def _rows(file: Path, text: str, delimiter: str, quote: str) -> list[tuple[int, list[str]]]:
    """The first records with their lines.

    Raises:
        DataRejected: there is none, or one that cannot be read.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _LOOK))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote)
    rows: list[tuple[int, list[str]]] = []
    try:
        while len(rows) < _ROWS:
            line = reader.line_num + 1
            row = next(reader)
            if row:
                rows.append((line, row))
    except StopIteration:
        pass
    except csv.Error as error:
        raise DataRejected(f"{file}:{reader.line_num}: {error}; have the file written again") from None
    if not rows:
        raise DataRejected(f"{file}:1: the first line is longer than {_LOOK >> 10} KiB; is it delimited text?")
    return rows


def _check_top(file: Path, rows: list[tuple[int, list[str]]], delimiter: str, quote: str) -> None:
    """Refuse lines above the header, and blanks before quotes.

    Raises:
        DataRejected: there are some; with the line of the header or of the blank.
    """
    first = rows[0][1]
    if _SEPARATOR.fullmatch(delimiter.join(first).strip()):
        raise DataRejected(
            f"{file}:1: the line sep= tells Excel what stands between cells; remove it, and nothing else"
        )
    widths = [len(row) for _, row in rows]
    width = max(sorted(set(widths)), key=widths.count)
    filled = [sum(bool(cell.strip()) for cell in row) if len(row) == width else 0 for _, row in rows]
    top = next((place for place, count in enumerate(filled) if 2 * count > width), 0)
    shorter = widths[0] < width - 1 or (widths[0] == width and 2 * filled[0] < width)
    if shorter and 0 < top <= _TOP and widths[top:].count(width) > 0.8 * len(widths[top:]):
        line = rows[top][0]
        msg = f"{file}:{line}: the header seems to stand here, in the first row of {width} cells; remove the "
        raise DataRejected(msg + f"{line - 1} lines above it (with tail -n +{line})")
    for line, row in rows:
        if width > 2 and any("\n" in cell and cell.count(delimiter) >= width - 1 for cell in row):
            raise DataRejected(
                f"{file}:{line}: a quote ({quote}) opens here and closes whole rows later; close or double it"
            )
        if any(cell[:1].isspace() and cell.lstrip()[:1] == quote for cell in row[1:]):
            msg = f"{file}:{line}: a blank stands between {delimiter!r} and {quote}, so the quotes would be part of "
            raise DataRejected(msg + "the cells; have the file written without these blanks")


def _encoding(file: Path, start: bytes, talk: Talk) -> str:
    marked = next((encoding for mark, encoding in _MARKS if start.startswith(mark)), None)
    if marked is not None:
        return marked
    pairs = start[: len(start) // 2 * 2]
    if pairs.count(0) > len(pairs) / 4:  # UTF-16 without a mark: every other byte of plain letters is zero
        return "utf-16-le" if pairs[1::2].count(0) > pairs[::2].count(0) else "utf-16-be"
    place = _first_outside_utf8(file)
    if place is None:
        return "utf8"
    from charset_normalizer import from_bytes

    with file.open("rb") as stream:
        stream.seek(max(0, place - _LOOK // 2))
        around = stream.read(_LOOK)
    # Letters of two bytes stand in words of such letters; bytes that stand alone are accents and signs of one byte.
    foreign = re.findall(rb"[\x80-\xff]+", around)
    alone = 2 * sum(len(one) == 1 for one in foreign) > len(foreign)
    found = from_bytes(around, cp_isolation=_CODE_PAGES[:_SINGLE_BYTE] if alone else _CODE_PAGES).best()
    # cp1252 and cp1250 differ in a few letters, so statistics cannot tell them apart; most files are cp1252.
    encoding = _WESTERN if found is None or found.encoding == "cp1250" else found.encoding
    word = re.search(rb"[\w\x80-\xff]*[\x80-\xff][\w\x80-\xff]*", around)
    shown = "" if word is None else f" Is {word.group()[:40].decode(encoding, 'replace')!r} a word?"
    talk.say(f"not UTF-8 (byte {place}), read as {encoding}.{shown} If not, change encoding in the YAML")
    return encoding


def _first_outside_utf8(file: Path) -> int | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    read = 0
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                return read - pending + error.start
            read += len(block)
    return read if decoder.getstate()[0] else None


def _delimiter(text: str) -> tuple[str, str]:
    import clevercsv

    sample = re.sub(r"(\w{50})\w+", r"\1", text)[
        : 1 << 15
    ]  # its patterns take seconds for a word of thousands of letters
    try:
        found = clevercsv.Sniffer().sniff(sample, delimiters=[",", ";", "\t", "|"])
    except clevercsv.Error:
        found = None
    if found is None:  # no dialect fits
        return ",", '"'
    return found.delimiter or ",", found.quotechar or '"'


def _header(rows: list[list[str]], talk: Talk) -> bool:
    """Whether the first row is a header: it has no number above a column of numbers. Without such a column, ask."""
    first, below = rows[0], [row for row in rows[1:] if row != rows[0]]  # a header that is repeated below is one
    if not below:
        return True
    numeric = [place for place in range(len(first)) if _mostly_numbers([row[place : place + 1] for row in below])]
    if numeric:
        return not any(_NUMBER.fullmatch(first[place]) for place in numeric)
    if any(any(row[place : place + 1] == [name] for row in below) for place, name in enumerate(first)):
        return False
    line = ", ".join(first)[:120]
    return talk.choose(f"Is the first line ({line}) the names of the columns?", ["yes", "no"], safer="yes") == "yes"


def _mostly_numbers(cells: list[list[str]]) -> bool:
    filled = [cell for one in cells for cell in one if cell.strip()]
    return 2 * sum(bool(_NUMBER.fullmatch(cell)) for cell in filled) > len(filled)
