"""From a path or a database to a declared source, as the YAML has it under ``data.source``, and the table that it reads."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contender.data.reading.connections import Connect, fields_of, from_environment
from contender.data.reading.request import ReadRequest
from contender.data.sources import AnySource, CsvSource, ParquetSource, SqlSource
from contender.draft.cells import Cells, compact_dates, read_cells, sentinels, spellings_of
from contender.draft.dialect import detect
from contender.errors import ConfigError, DataRejected, did_you_mean

if TYPE_CHECKING:
    from contender.draft.asking import Talk

_TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".tab", ".dat")


@dataclass(frozen=True)
class Reading:
    """A declared source.

    Attributes:
        table: all rows of today.
        unusable: columns that cannot be features as they are, with the reason.
    """

    source: AnySource
    table: pa.Table
    unusable: dict[str, str]
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
        return Reading(source, table, _nested(table))
    return _read_csv(uri, talk, time)


def _read_csv(uri: str, talk: Talk, time: str | None) -> Reading:
    first = Path(CsvSource(kind="csv", uri=uri).files().listed()[0].path)
    dialect, names = detect(first, talk)
    declared: dict[str, Any] = {"kind": "csv", "uri": uri, **dialect.model_dump(exclude_defaults=True)}
    as_text = CsvSource(**declared, null_values=(), types=dict.fromkeys(names, "text"))
    text = as_text.read(ReadRequest()).table
    if not text.num_rows:
        raise DataRejected(f"{first}: a header and no rows; nothing can be learned from it")
    cells = {name: read_cells(text[name]) for name in text.column_names}
    unusable = _settle_numbers(cells, dialect.delimiter, talk)
    declared["decimal"] = "," if any(one.kind == "number" and one.decimal == "," for one in cells.values()) else "."
    if time in cells and cells[time].kind == "integer" and compact_dates(text[time]):
        cells[time] = Cells("timestamp", cells[time].missing, formats=("%Y%m%d",))
    unusable |= _settle_moments(cells, text, talk, declared, time)
    missing = {spelling for one in cells.values() if one.kind != "text" for spelling in one.missing}
    missing |= {spelling for one in cells.values() for spelling in one.missing if not spelling.strip()}
    missing |= _numeric_sentinels(cells, text, declared["decimal"], talk)
    declared["null_values"] = ("", *sorted(missing - {""}))
    declared["types"] = {name: one.kind for name, one in cells.items()}
    declared["levels"] = _levels(cells, text, missing, talk)
    source = CsvSource.model_validate(declared)
    return Reading(source, source.read(ReadRequest()).table, unusable)


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
    if not read_rows.num_rows:
        raise DataRejected(f"{table or 'the query'} has no rows; nothing can be learned from it")
    talk.say(f"a database, {read_rows.num_rows:,} rows of {read_rows.num_columns} columns")
    return Reading(source, read_rows, _nested(read_rows), connect)


def _nested(table: pa.Table) -> dict[str, str]:
    """The columns of types that no model can use, with the reason."""
    types = pa.types
    return {
        field.name: f"is {field.type}, which no model can use"
        for field in table.schema
        if types.is_nested(field.type)
        or types.is_binary(field.type)
        or types.is_large_binary(field.type)
        or types.is_fixed_size_binary(field.type)
        or types.is_time(field.type)
        or types.is_duration(field.type)
    }


def _settle_numbers(cells: dict[str, Cells], delimiter: str, talk: Talk) -> dict[str, str]:
    """Settle on one decimal sign for the file. Columns with another become text.

    Returns:
        Those columns, with the reason.
    """
    unusable = {}
    surely = {one.decimal for one in cells.values() if one.kind == "number" and one.decimal and not one.grouped}
    for name, one in cells.items():
        if not one.grouped:
            continue
        decimal = one.kind == "number" and surely != {"."} and delimiter != ","
        if decimal and "," not in surely:
            question = f"Is the comma in {name!r} (as in 1,234) a decimal comma or one of thousands?"
            decimal = talk.choose(question, ["decimal", "thousands"], safer="thousands") == "decimal"
        if not decimal:
            cells[name] = Cells("text")
            unusable[name] = "has numbers with thousands separators, which are read as text; write them without"
    signs = [one.decimal for one in cells.values() if one.kind == "number" and one.decimal]
    sign = max(sorted(set(signs)), key=signs.count, default=".")
    for name, one in cells.items():
        if one.kind == "number" and one.decimal not in (None, sign):
            cells[name] = Cells("text")
            unusable[name] = f"writes its decimals with {one.decimal!r}, other columns with {sign!r}"
    if sign == ",":
        talk.say("numbers with a decimal comma")
    return unusable


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
    unusable = {}
    for name in [*formats, *iso]:
        if formats.get(name) != chosen:
            cells[name] = Cells("text")
            unusable[name] = f"writes its dates in another way than {leading!r}; write both alike to use it"
    return unusable


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


def _numeric_sentinels(cells: dict[str, Cells], text: pa.Table, decimal: str, talk: Talk) -> set[str]:
    """Spellings of numbers that mean missing, such as -999, unless another column has them as numbers."""
    counted = {name: spellings_of(text[name]) for name, one in cells.items() if one.kind in ("number", "integer")}
    found: dict[str, list[str]] = {}
    for name, spellings in counted.items():
        for value, spelt in sentinels(spellings, decimal).items():
            share = sum(spellings[one] for one in spelt) / text.num_rows
            question = f"{name!r} is {value:g} in {share:.1%} of the rows, far from all others. Does it mean missing?"
            if talk.choose(question, ["yes", "no"], safer="yes") == "yes":
                found |= {one: [*found.get(one, []), name] for one in spelt}
    kept = set()
    for spelling, names in found.items():
        elsewhere = [name for name, spellings in counted.items() if name not in names and spelling in spellings]
        if elsewhere:
            talk.say(f"{spelling} stays a number in {names}: in {elsewhere[:3]} it is one, and a file has one meaning")
        else:
            kept.add(spelling)
    return kept


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
