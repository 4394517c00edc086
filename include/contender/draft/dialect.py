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
_NUMBER = re.compile(r"\s*[-+]?[0-9][0-9.,:/ \-]*\s*")


def detect(file: Path, talk: Talk) -> tuple[Dialect, tuple[str, ...]]:
    """The dialect of a file from its beginning (the encoding from all of it), and the names of its columns.

    Raises:
        DataRejected: the file is empty or no text, or names a column twice.
    """
    with file.open("rb") as stream:
        start = stream.read(_LOOK)
    if not start.strip():
        raise DataRejected(f"{file}: the file is empty")
    encoding = _encoding(file, start, talk)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(start).removeprefix("\ufeff")
    if "\x00" in text:
        raise DataRejected(f"{file}: not text (it holds NUL bytes); a Parquet file needs the ending .parquet")
    whole_lines = text if len(start) < _LOOK else text[: text.rfind("\n") + 1]
    delimiter, quote = _delimiter(whole_lines)
    rows = [row for row in csv.reader(io.StringIO(whole_lines), delimiter=delimiter, quotechar=quote) if row][:1_000]
    header = _header(rows, talk)
    columns = tuple(rows[0]) if header else tuple(f"column_{number}" for number in range(1, len(rows[0]) + 1))
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        places = [place for place, name in enumerate(columns, start=1) if name == twice[0]]
        raise DataRejected(f"{file}:1: the header names {twice[0]!r} more than once (columns {places}); rename one")
    named = {"\t": "tabs", ",": "commas"}.get(delimiter, repr(delimiter))
    first = "the first line names them" if header else "no header line, so they are column_1, column_2, ..."
    talk.say(f"{encoding} text, {len(columns)} columns between {named}; {first}")
    return Dialect(encoding=encoding, delimiter=delimiter, quote=quote, columns=None if header else columns), columns


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
    found = from_bytes(around, cp_isolation=_CODE_PAGES).best()
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

    try:
        found = clevercsv.Sniffer().sniff(text[: 1 << 15], delimiters=[",", ";", "\t", "|"])
    except clevercsv.Error:
        return ",", '"'
    return found.delimiter or ",", found.quotechar or '"'


def _header(rows: list[list[str]], talk: Talk) -> bool:
    """Whether the first row is a header: it has no number above a column of numbers. Without such a column, ask."""
    first, below = rows[0], rows[1:]
    if not below:
        return True
    numeric = [
        place
        for place in range(len(first))
        if all(_NUMBER.fullmatch(row[place]) for row in below if place < len(row) and row[place].strip())
        and any(place < len(row) and row[place].strip() for row in below)
    ]
    if numeric:
        return not any(_NUMBER.fullmatch(first[place]) for place in numeric)
    repeated = any(any(row[place : place + 1] == [name] for row in below) for place, name in enumerate(first))
    if len(set(first)) < len(first) or "" in first or repeated:
        return False
    line = ", ".join(first)[:120]
    return talk.choose(f"Is the first line ({line}) the names of the columns?", ["yes", "no"], safer="yes") == "yes"
