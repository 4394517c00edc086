"""From a path or a database to a declared source, as the YAML has it under ``data.source``, and the table that it reads."""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contender.data.leaks.ids import DISTINCT
from contender.data.reading.connections import Connect, fields_of, from_environment
from contender.data.reading.request import ReadRequest
from contender.data.reading.text_stream import records
from contender.data.sources import AnySource, CsvSource, ParquetSource, SqlSource
from contender.draft.cells import Cells, compact_dates, read_cells, spellings_of
from contender.draft.dialect import detect
from contender.draft.odd import epoch, odd_name, odd_values, settle
from contender.draft.sentinels import numeric_sentinels
from contender.errors import ConfigError, DataRejected, did_you_mean, one_line
from contender.spec.loading import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from contender.draft.asking import Talk
    from contender.draft.written import Decimal
    from contender.spec.columns import ColumnType

_TOTAL = re.compile(
    r"(grand )?(sub)?totals?:?|sum(me|a)?:?|(ins)?gesamt:?|somme:?|totale?( general| g.n.ral)?:?",
    re.IGNORECASE,
)
_PER_TYPE = 14  # bytes that the YAML needs for a column's type beside its name
_RARE = 0.05  # share of the rows up to which a word among numbers is read as missing without a question
_TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".tab", ".dat")


@dataclass(frozen=True)
class Reading:
    """A declared source.

    Attributes:
        table: all rows of today.
        unusable: columns that cannot be features as they are, with the reason.
        columns: the types by which a run has to read columns of other types, for ``data.columns``.
    """

    source: AnySource
    table: pa.Table
    unusable: dict[str, str]
    columns: dict[str, ColumnType] = field(default_factory=dict)
    connect: Connect = from_environment


def read(path: Path, talk: Talk, *, time: str | None = None) -> Reading:
    """Declare the source of a file or folder, and read it as a run does.

    Args:
        time: the time column, if the user names one; it decides the timestamp format, and 20240131 in it is a date.

    Raises:
        ConfigError: there is no such file, or it is of a kind that cannot be read.
        DataRejected: its content cannot be read.
    """
    if not path.exists():
        readable = (*_TEXT_ENDINGS, ".parquet")
        siblings = [one.name for one in path.parent.glob("*") if one.suffix.lower() in readable]
        raise ConfigError(f"{path}: no such file or folder." + did_you_mean(path.name, siblings))
    if path.is_dir():
        endings = {
            one.suffix.lower() for one in path.rglob("*") if one.is_file() and not one.name.startswith((".", "_"))
        }
        kinds = [kind for kind in (".parquet", ".csv") if kind in endings]
        if len(kinds) != 1:
            raise ConfigError(f"{path}: expected a folder of .parquet or of .csv files, found {sorted(endings)[:8]}")
        parquet = kinds == [".parquet"]
    elif path.is_file():
        parquet = path.suffix.lower() in (".parquet", ".pq")
        if not parquet and path.suffix.lower() not in _TEXT_ENDINGS:
            talk.say(f"the ending {path.suffix or '(none)'} is not one I know; I read it as delimited text")
    else:
        raise ConfigError(f"{path}: not a regular file; save the data to one")
    uri = os.path.abspath(path)  # noqa: PTH100 - not resolved: a link to the newest file stays one
    if parquet:
        source = ParquetSource(kind="parquet", uri=uri)
        table = source.read(ReadRequest()).table
        talk.say(f"Parquet, {table.num_rows:,} rows of {table.num_columns} columns")
        return _settled(Reading(source, table, {}), str(path))
    return _read_csv(uri, talk, time)


def _read_csv(uri: str, talk: Talk, time: str | None) -> Reading:
    first = Path(CsvSource(kind="csv", uri=uri).files().listed()[0].path)
    dialect, names = detect(first, talk)
    if sum(len(name.encode()) + _PER_TYPE for name in names) > MAX_BYTES:
        msg = f"{first}: {len(names):,} columns, whose types do not fit into a YAML of {MAX_BYTES >> 10} KiB; write a file of "
        raise DataRejected(msg + "those that matter, or write it as Parquet, which carries its types itself")
    declared: dict[str, Any] = {"kind": "csv", "uri": uri, **dialect.model_dump(exclude_defaults=True)}
    as_text = CsvSource(**declared, null_values=(), types=dict.fromkeys(names, "text"))
    text = as_text.read(ReadRequest()).table
    if not text.num_rows:
        raise DataRejected(f"{first}: a header and no rows; nothing can be learned from it")
    _check_rows(as_text, text, talk)
    cells = {name: read_cells(text[name]) for name in text.column_names}
    unusable = _settle_numbers(cells, dialect.delimiter, talk)
    declared |= _spelling(cells)
    if time in cells and cells[time].kind == "integer" and compact_dates(text[time]):
        cells[time] = Cells("timestamp", cells[time].missing, formats=("%Y%m%d",))
    unusable |= _settle_moments(cells, text, talk, declared, time)
    unusable |= _look_alike(cells, text, talk)
    _tell_words(cells, text, talk)
    missing = {spelling for one in cells.values() if one.kind != "text" for spelling in one.missing}
    missing |= {spelling for one in cells.values() for spelling in one.missing if not spelling.strip()}
    numbers = {name: spellings_of(text[name]) for name, one in cells.items() if one.kind in ("number", "integer")}
    missing |= numeric_sentinels(numbers, text.num_rows, declared["decimal"], talk)
    declared["null_values"] = ("", *sorted(missing - {""}))
    declared["types"] = {name: one.kind for name, one in cells.items()}
    declared["levels"] = _levels(cells, text, missing, talk)
    source = CsvSource.model_validate(declared)
    table = source.read(ReadRequest()).table
    for name in table.column_names:
        if (reason := odd_name(name) or odd_values(table[name])) is not None:
            unusable[name] = reason
    return Reading(source, table, unusable)


def _check_rows(source: CsvSource, text: pa.Table, talk: Talk) -> None:
    """Refuse rows that are none: the header again, or the sum of the others below them.

    Raises:
        DataRejected: there are some; with the line of the first.
    """
    names = tuple(text.column_names)
    again = functools.reduce(pc.and_, [pc.equal(text[name], name) for name in names])
    if pc.any(again).as_py():
        msg = f"{_second(source, names)}: the header stands here again ({pc.sum(again).as_py()} times below the first)"
        raise DataRejected(f"{msg}; remove these lines")
    for name in names:
        cell = (text[name][-1].as_py() or "").strip()
        if (
            _TOTAL.fullmatch(cell)
            and pc.sum(pc.match_substring_regex(text[name], f"(?i)^({_TOTAL.pattern})$")).as_py() == 1
        ):
            question = (
                f"The last row has {one_line(cell)!r} in {name!r}. Is it the sum of the others, or a row of its own?"
            )
            if talk.choose(question, ["sum", "row"], safer="sum") == "sum":
                msg = f"{source.uri}: the last of {text.num_rows:,} rows is no row but the sum of the others; remove it"
                raise DataRejected(msg)


def _second(source: CsvSource, names: tuple[str, ...]) -> str:
    """The file and line where the header stands for the second time."""
    for file in source.files().listed():
        with Path(file.path).open(encoding=source.encoding, errors="replace", newline="") as lines:
            found = [line for line, cells in records(lines, source) if cells is not None and tuple(cells) == names]
        if len(found) > 1:
            return f"{file.path}:{found[1]}"
    return source.uri


def read_database(url: str, conn_id: str, table: str | None, query: str | None, talk: Talk) -> Reading:
    """Declare the source of a table or query of a database, and read it as a run does.

    Raises:
        ConfigError, DataUnavailable, DataRejected: see ``SqlSource.read``.
    """
    if (table is None) == (query is None):
        raise ConfigError("a database needs either --table or --query")

    if query is not None and re.search(r":(start|end|as_of)\b", query):
        msg = (
            "--query: init looks at all rows; leave :start, :end and :as_of out here and put them into the YAML's query"
        )
        raise ConfigError(msg)

    def connect(_: str) -> dict[str, Any]:
        return fields_of(url)

    source = SqlSource(kind="sql", conn_id=conn_id, table=table, query=query)
    read_rows = source.read(ReadRequest(connect=connect)).table
    talk.say(f"a database, {read_rows.num_rows:,} rows of {read_rows.num_columns} columns")
    return _settled(Reading(source, read_rows, {}, connect=connect), table or "the query")


def _settled(reading: Reading, where: str) -> Reading:
    """A reading of a source that has types, with its odd columns settled.

    Raises:
        DataRejected: it has no rows.
    """
    if not reading.table.num_rows:
        raise DataRejected(f"{where} has no rows; nothing can be learned from it")
    table, columns, unusable = settle(reading.table)
    return replace(reading, table=table, columns=columns, unusable=unusable)


def _settle_numbers(cells: dict[str, Cells], delimiter: str, talk: Talk) -> dict[str, str]:
    """Settle on one decimal sign for the file, and on one sign between thousands. Columns with another become text.

    Returns:
        Those columns, with the reason.
    """
    surely = {one.decimal for one in cells.values() if one.kind == "number" and one.decimal and not one.grouped}
    for name, one in cells.items():
        if one.grouped is not None:
            decimal = _is_decimal(name, one.grouped, surely, delimiter, talk)
            cells[name] = replace(one, grouped=None) if decimal else replace(one, decimal=None, thousands=one.grouped)
    numbers = {name: one for name, one in cells.items() if one.kind == "number"}
    group = _most(one.thousands for one in numbers.values())
    sign = _most(one.decimal for one in numbers.values()) or ("," if group == "." else ".")
    group = _most(one.thousands for one in numbers.values() if one.thousands != sign)
    unusable = {}
    for name, one in numbers.items():
        if one.decimal not in (None, sign):
            unusable[name] = f"writes its decimals with {one.decimal!r}, other columns with {sign!r}"
        elif one.thousands not in (None, group):
            unusable[name] = (
                f"has {one.thousands!r} between its thousands, other columns {group or sign!r}; write them without"
            )
    cells |= dict.fromkeys(unusable, Cells("text"))
    if sign == ",":
        talk.say("numbers with a decimal comma")
    if group is not None:
        talk.say(f"numbers with {group!r} between thousands")
    for name, one in cells.items():
        if one.units:
            talk.say(f"{name!r} is a number with {one.units[0]!r}, which is taken off")
    return unusable


def _spelling(cells: dict[str, Cells]) -> dict[str, Any]:
    """The dialect's settings for numbers."""
    numbers = [one for one in cells.values() if one.kind == "number"]
    group = _most(one.thousands for one in numbers)
    sign = _most(one.decimal for one in numbers) or ("," if group == "." else ".")
    return {
        "decimal": sign,
        "thousands": group,
        "units": tuple(sorted({unit for one in numbers for unit in one.units})),
    }


def _look_alike(cells: dict[str, Cells], text: pa.Table, talk: Talk) -> dict[str, str]:
    """The columns that look like numbers or moments and are none, with the reason: they would else be called ids."""
    unusable = {}
    for name, one in cells.items():
        why = one.why
        if one.kind == "integer":
            why = epoch(text[name].filter(pc.invert(pc.is_in(text[name], pa.array(one.missing, pa.string())))))
        if why is None:
            continue
        if one.kind == "integer" or pc.count_distinct(text[name]).as_py() > DISTINCT * text.num_rows:
            unusable[name] = why
        else:
            talk.say(f"{name!r} stays text: it {why}")
    return unusable


def _tell_words(cells: dict[str, Cells], text: pa.Table, talk: Talk) -> None:
    """Ask what a word means that a large share of a column of numbers is."""
    for name, one in cells.items():
        for word in one.words:
            share = pc.sum(pc.equal(pc.utf8_trim_whitespace(text[name]), word)).as_py() / text.num_rows
            shown = one_line(word)
            if share <= _RARE:
                talk.say(
                    f"{name!r} is {shown!r} in {share:.1%} of the rows and a number in the others; read as missing"
                )
                continue
            question = (
                f"{name!r} is {shown!r} in {share:.1%} of the rows and a number in the others. Is it a missing number?"
            )
            if talk.choose(question, ["missing", "a value"], safer="missing") != "missing":
                cells[name] = Cells("text")
                break


def _is_decimal(name: str, sign: Decimal, surely: Collection[str | None], delimiter: str, talk: Talk) -> bool:
    """Whether the sign in 1.234 or 1,234 is the decimal sign: as other columns have it, else ask."""
    if len(surely) == 1:
        return sign in surely
    if sign == "," == delimiter:
        return False
    word = {",": "comma", ".": "point"}[sign]
    question = f"Is the {word} in {name!r} (as in 1{sign}234) a decimal {word} or one of thousands?"
    return talk.choose(question, ["decimal", "thousands"], safer="thousands") == "decimal"


def _most(signs: Iterable[str | None]) -> str | None:
    """The most frequent of the signs that are not None."""
    there = [sign for sign in signs if sign is not None]
    return max(sorted(set(there)), key=there.count, default=None)


def _settle_moments(
    cells: dict[str, Cells], text: pa.Table, talk: Talk, declared: dict[str, Any], time: str | None
) -> dict[str, str]:
    """Settle on one timestamp format for the file, that of the time column if it has one. Columns with another become text.

    Returns:
        Those columns, with the reason.
    """
    formats: dict[str, str] = {}
    for name, one in cells.items():
        if len(one.formats) > 1:
            formats[name] = _day_or_month_first(name, text[name], one, talk)
        elif one.formats:
            formats[name] = one.formats[0]
    iso = [name for name, one in cells.items() if one.kind == "timestamp" and not one.formats]
    if not formats:
        return {}
    leading = time if time in formats or time in iso else (iso or [*formats])[0]
    chosen = formats.get(leading)
    if chosen is not None:
        declared["timestamp_format"] = chosen
        talk.say(f"{leading!r} is written as {chosen}")
        if "%y" in chosen:
            first = _first_year([name for name in formats if formats[name] == chosen], text, chosen, talk)
            declared |= {} if first is None else {"first_year": first}
    unusable = {}
    for name in [*formats, *iso]:
        if formats.get(name) != chosen:
            cells[name] = Cells("text")
            unusable[name] = f"writes its dates in another way than {leading!r}; write both alike to use it"
    return unusable


def _first_year(names: list[str], text: pa.Table, form: str, talk: Talk) -> int | None:
    """The first of the hundred years that two-digit years mean; None where none is open, or the user leaves it so."""
    years = {
        (1970 + int(year)) % 100
        for name in names
        for year in np.unique(_parse(text[name], form).astype("M8[Y]").astype(int))
    }
    if not any(30 <= year <= 68 for year in years):
        talk.say("its two-digit years are 1969 to 2029; first_year in the YAML says otherwise")
        return None
    past = datetime.now(UTC).year - 99
    spans = {f"{first} to {first + 99}": first for first in (past, 1969)}
    question = f"{', '.join(map(repr, names))}: some two-digit years are 30 to 68. Of which hundred years are they?"
    return spans[talk.choose(question, [*spans], safer=next(iter(spans)))]


def _day_or_month_first(name: str, column: pa.ChunkedArray, one: Cells, talk: Talk) -> str:
    """The format of dates in which no day is above 12: the one that puts rows in order or spans much less time, else ask."""
    moments = {form: _parse(column, form) for form in one.formats}
    sorted_ones = [form for form, values in moments.items() if bool((np.diff(values) >= np.timedelta64(0)).all())]
    if len(sorted_ones) == 1:
        talk.say(f"{name!r} could be day or month first; read as {sorted_ones[0]}, in which its rows are in order")
        return sorted_ones[0]
    spans = {form: float((values.max() - values.min()) / np.timedelta64(1, "D")) for form, values in moments.items()}
    short, long = sorted(spans, key=lambda form: (spans[form], form))
    if spans[long] > 3 * max(spans[short], 1.0):
        talk.say(
            f"{name!r} could be day or month first; read as {short}, by which it spans {spans[short]:.0f} days and not "
            f"{spans[long]:.0f}"
        )
        return short
    return talk.choose(f"Is {name!r} written day or month first?", list(one.formats), safer=one.formats[0])


def _parse(column: pa.ChunkedArray, form: str) -> np.ndarray:
    stripped = pc.utf8_trim_whitespace(column)
    return np.asarray(pc.strptime(stripped, form, "us", error_is_null=True).drop_null().to_numpy())


def _levels(cells: dict[str, Cells], text: pa.Table, missing: set[str], talk: Talk) -> dict[str, tuple[str, ...]]:
    """Cells of text columns that are values there and mean missing elsewhere, by column."""
    levels = {}
    for name, one in cells.items():
        if one.kind == "text":
            kept = sorted({cell for cell in pc.unique(text[name]).to_pylist() if cell in missing and cell.strip()})
            if kept:
                levels[name] = tuple(kept)
                talk.say(f"{', '.join(map(repr, kept[:3]))} is a value of {name!r}, and means missing in other columns")
    return levels
