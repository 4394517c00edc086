"""The source family: where rows come from. A member answers a ReadRequest with what it Found.

Contract: ``read`` touches nothing outside its source, returns the rows of the half-open window in any order, raises
DataUnavailable when nothing is there yet and DataRejected when what is there cannot be read.
"""

from __future__ import annotations

import codecs
import os
import re
from datetime import timedelta
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from contender.data.connections import database_url
from contender.data.request import Found, ReadRequest, Window
from contender.errors import ConfigError, DataRejected, DataUnavailable, did_you_mean, one_line
from contender.frozen import Frozen, Guarded

if TYPE_CHECKING:
    import pyarrow as pa

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WILD = set("*?[")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
#: ``timestamp`` cells say no time zone (they are UTC), ``timestamptz`` cells say theirs.
CsvType = Literal["number", "integer", "text", "boolean", "timestamp", "timestamptz"]


def expand(uri: str) -> Path:
    """A local path with ``${NAME}`` taken from the environment.

    Raises:
        ConfigError: a variable is not set, or the path is not local; the message names it.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            msg = f"data.source.uri: {uri!r} needs the environment variable {name}, which is not set"
            raise ConfigError(msg)
        return os.environ[name]

    try:
        return Path(_local(_VARIABLE.sub(value, uri))).expanduser()
    except ValueError as error:
        raise ConfigError(f"data.source.uri: {error}") from None


def _local(path: str) -> str:
    """The path, unless it is an address, of which only the scheme is said: the rest may hold a password."""
    remote = _REMOTE.match(path)
    if remote:
        msg = f"got an address ({remote[0][:20]}...), which is not a local path; remote storage is not supported yet, "
        raise ValueError(msg + "mount it")
    return path


class _FileSource(Guarded):
    suffix: ClassVar[str]
    uri: str = Field(
        min_length=1,
        max_length=1_000,
        title="Data path",
        description="A file, a folder or a glob; ${NAME} is taken from the environment",
    )
    _uri_is_local = field_validator("uri")(_local)
    roots: tuple[str, ...] = Field(
        (), description="Folders that all files must lie in, links followed; needed to make uri overridable"
    )

    def limits(self, name: str) -> dict[str, Any]:
        """A trigger's uri lies below the roots, or is empty and stays as it is."""
        if name != "uri":
            return {}
        where = f"A file, a folder or a glob below {' or '.join(self.roots)}; empty: as the pipeline says"
        return {"type": ["string", "null"], "description": where}

    def check_override(self, name: str, value: Any) -> None:
        """Refuse a uri that leads out of the roots, or that reads the environment where the pipeline does not."""
        if name != "uri":
            return
        known = {name for text in (self.uri, *self.roots) for name in _VARIABLE.findall(text)}
        if not known.issuperset(_VARIABLE.findall(value)):
            msg = "names an environment variable that the pipeline itself does not use; write the path out"
            raise ValueError(msg)
        try:
            base, pattern = _base(expand(value))
            base.exists()
            inside = self._inside([base]) and ".." not in Path(pattern).parts
        except ConfigError as error:
            raise ValueError(str(error).removeprefix("data.source.uri: ")) from None
        except (OSError, RuntimeError, ValueError):  # a loop of links, a name that no file can have
            inside = False
        if not inside:
            msg = (
                f"{one_line(value)!r} is outside the roots {list(self.roots)}; name an absolute path below one of them"
            )
            raise ValueError(msg)

    def _inside(self, paths: list[Path]) -> bool:
        roots = [expand(root).resolve() for root in self.roots]
        return all(any(path.resolve().is_relative_to(root) for root in roots) for path in paths)

    def files(self) -> list[Path]:
        """The files behind the uri, sorted; hidden ones are not data.

        Raises:
            DataUnavailable: there is none.
            ConfigError: one is outside the roots.
        """
        found = self._found()
        if self.roots and not self._inside(found):
            msg = f"data.source.uri: {self.uri!r} leads to files outside the roots {list(self.roots)}"
            raise ConfigError(msg)
        return found

    def _found(self) -> list[Path]:
        path = expand(self.uri)
        if path.is_file():
            return [path]
        base, pattern = path, f"**/*.{self.suffix}"
        if not path.is_dir() and set(str(path)) & _WILD:
            base, pattern = _base(path)
        found = sorted(file for file in base.glob(pattern) if file.is_file() and not _hidden(file.relative_to(base)))
        if not found:
            msg = f"data.source.uri: no {self.suffix} file at {path}; check the path or wait for the data"
            raise DataUnavailable(msg)
        return found

    def _scan(self, files: list[Path], form: Any, window: Window | None) -> pa.Table:
        import pyarrow as pa
        import pyarrow.dataset as ds

        try:
            dataset = ds.dataset([str(file) for file in files], format=form, schema=self._schema(files, form))
            return dataset.to_table(filter=None if window is None else _within(dataset.schema, window))
        except (pa.ArrowException, OSError) as error:
            msg = f"data.source.uri: {self.uri} cannot be read as {self.suffix}: {_without_values(str(error))[:400]}"
            raise DataRejected(msg) from None

    def _schema(self, files: list[Path], form: Any) -> pa.Schema:
        """One schema over all files: integers widen to floats and a column that a file lacks is null in it."""
        import pyarrow as pa
        import pyarrow.dataset as ds

        schemas = [ds.dataset(str(file), format=form).schema for file in files]
        distinct = list(dict.fromkeys(schemas))
        return pa.unify_schemas(distinct, promote_options="permissive")


def _base(path: Path) -> tuple[Path, str]:
    """The folder that a glob starts from, and the rest of it; a path without wildcards is all folder."""
    base = Path(*takewhile(lambda part: not set(part) & _WILD, path.parts))
    return base, str(path.relative_to(base))


def _hidden(file: Path) -> bool:
    """What Spark, Dask and editors have not finished or keep for themselves."""
    return any(part.startswith((".", "_")) for part in file.parts)


def _without_values(message: str) -> str:
    """Arrow quotes the cell or the row it stumbled on; a message names places, never values."""
    return re.sub(
        r"((?:Integer|Float) value) \S+|(invalid value|got \d+:) .*", r"\1\2 (not shown)", message, flags=re.DOTALL
    )


def _within(schema: pa.Schema, window: Window) -> Any:
    import pyarrow as pa
    import pyarrow.dataset as ds

    if window.column not in schema.names:
        msg = f"data.time: no column {window.column!r} in the source." + did_you_mean(window.column, schema.names)
        raise DataRejected(msg)
    kind = schema.field(window.column).type
    if not (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        msg = f"data.time: column {window.column!r} is {kind}, expected a date or a timestamp"
        raise DataRejected(msg)
    zone = None if pa.types.is_date(kind) else kind.tz
    bounds = [moment if zone else moment.replace(tzinfo=None) for moment in (window.start, window.end)]
    if pa.types.is_date(kind):  # a date is its midnight: the first one at or after the bound
        ceiling = [(bound + timedelta(days=1, microseconds=-1)).date() for bound in bounds]
        start, end = (pa.scalar(bound, type=pa.date32()) for bound in ceiling)
    else:
        start, end = (pa.scalar(bound, type=pa.timestamp("us", tz=zone)) for bound in bounds)
    field = ds.field(window.column)
    return (field >= start) & (field < end)


class ParquetSource(_FileSource):
    """Parquet: a file, a glob, or a folder of dated drops."""

    kind: Literal["parquet"]
    suffix: ClassVar[str] = "parquet"

    def read(self, request: ReadRequest) -> Found:
        """All rows, or those of the window."""
        return Found(self._scan(self.files(), "parquet", request.window))


class CsvSource(_FileSource):
    """Delimited text. Dialect and types are written down (``contender init`` finds them out); a run guesses nothing."""

    kind: Literal["csv"]
    suffix: ClassVar[str] = "csv"
    delimiter: str = Field(",", min_length=1, max_length=1, description="What stands between two cells")
    quote: str = Field('"', min_length=1, max_length=1, description="What may surround a cell")
    encoding: str = Field("utf8", description="A Python codec, such as utf8, latin-1 or utf-16")
    decimal: Literal[".", ","] = Field(".", description="The decimal sign of its numbers")
    columns: tuple[str, ...] | None = Field(
        None, min_length=1, description="Column names of a file without a header row; absent: the first row names them"
    )
    null_values: tuple[str, ...] = Field(("",), description="Cells that mean missing, in every column")
    levels: dict[str, tuple[str, ...]] = Field(
        {}, description="Cells that null_values names and that are values all the same, by text column: {region: [NA]}"
    )
    types: dict[str, CsvType] = Field({}, description="Column types; a column that is not named is read as it looks")
    timestamp_format: str | None = Field(
        None, description="How timestamps are written, such as %d/%m/%Y %H:%M; absent: ISO 8601"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            msg = f"encoding: unknown codec {self.encoding[:60]!r}, expected one of Python's, such as utf8 or latin-1"
            raise ValueError(msg) from None
        if self.delimiter == self.quote:
            msg = f"delimiter and quote must differ, got {self.delimiter!r} twice"
            raise ValueError(msg)
        for name in self.levels:
            if self.types.get(name) != "text":
                msg = f"levels: {name!r} must be declared as text under types"
                raise ValueError(msg)
        return self

    def read(self, request: ReadRequest) -> Found:
        """All rows, or those of the window."""
        import pyarrow.dataset as ds
        from pyarrow import csv

        form = ds.CsvFileFormat(
            parse_options=csv.ParseOptions(delimiter=self.delimiter, quote_char=self.quote, newlines_in_values=True),
            read_options=csv.ReadOptions(
                encoding=self.encoding, column_names=None if self.columns is None else list(self.columns)
            ),
            convert_options=csv.ConvertOptions(
                null_values=list(self.null_values),
                strings_can_be_null=False,  # text cells become missing below, where levels is respected
                decimal_point=self.decimal,
                column_types={name: _arrow_type(kind) for name, kind in self.types.items()},
                timestamp_parsers=None if self.timestamp_format is None else [self.timestamp_format],
            ),
        )
        table = self._scan(self.files(), form, request.window)
        for role, names in (("types", self.types), ("levels", self.levels)):
            for name in names:
                if name not in table.column_names:
                    msg = f"data.source.{role}: no column {name!r} in the source."
                    if table.num_columns == 1 and len(self.types) > 1:
                        msg += f" It has one column: is {self.delimiter!r} still what stands between cells (delimiter)?"
                    raise DataRejected(msg + did_you_mean(name, table.column_names))
        return Found(self._without_null_values(table))

    def _without_null_values(self, table: pa.Table) -> pa.Table:
        """Text cells that mean missing, as missing."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for place, field in enumerate(table.schema):
            missing = set(self.null_values) - set(self.levels.get(field.name, ()))
            if missing and pa.types.is_string(field.type):
                column = table[field.name]
                means_missing = pc.is_in(column, value_set=pa.array(sorted(missing), pa.string()))
                table = table.set_column(place, field, pc.if_else(means_missing, pa.scalar(None, pa.string()), column))
        return table


def _arrow_type(kind: CsvType) -> pa.DataType:
    import pyarrow as pa

    return {
        "number": pa.float64(),
        "integer": pa.int64(),
        "text": pa.string(),
        "boolean": pa.bool_(),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", tz="UTC"),
    }[kind]


class SqlSource(Frozen):
    """A table or a query of the database behind an Airflow connection. The window is part of what is asked of it."""

    kind: Literal["sql"]
    conn_id: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$", description="An Airflow connection to a database")
    table: str | None = Field(None, min_length=1, description="table or schema.table")
    query: str | None = Field(
        None, min_length=1, description="A select instead of a table; may use :start, :end and :as_of (UTC)"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.table is None) == (self.query is None):
            msg = "give either table or query"
            raise ValueError(msg)
        return self

    @property
    def uri(self) -> str:
        """What it reads, as a snapshot's manifest names it."""
        return f"{self.conn_id}: {self.table or self.query}"

    def read(self, request: ReadRequest) -> Found:
        """All rows, or those of the window.

        Raises:
            ConfigError: there is no such connection, or no driver for it.
            DataUnavailable: the database does not answer, or has no such table yet.
            DataRejected: it refuses the query.
        """
        from contender.data.sql import read_sql

        url = database_url(self.conn_id, request.connect(self.conn_id))
        return Found(
            read_sql(url, self.conn_id, self.table, self.query, request.window), query=self.table or self.query
        )


class DemoSource(Frozen):
    """A simulated world: publishes the dated drops that are missing up to as_of, then reads them as Parquet."""

    kind: Literal["demo"]
    world: Literal["churn", "bikes"] = Field("churn", description="Customers who leave, or bikes rented by the hour")
    uri: str = Field("${CONTENDER_HOME}/demo", description="Where the drops are published, a folder per scenario")
    scenario: Literal["none", "covariate", "concept", "schema", "broken"] = Field(
        "none", description="What goes wrong in the world"
    )
    onset: str | None = Field(None, pattern=r"^\d{4}-\d{2}-\d{2}$", description="The day the scenario begins")
    seed: int = Field(7, ge=0, description="What its chance is drawn from")
    rows: int | None = Field(
        None, ge=1, le=10_000, description="Observations a day; default: 100 customers, or the 24 hours of bikes"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.world == "bikes" and (self.rows or 0) > 24:
            msg = f"rows: a day of bikes has 24 hours, got {self.rows}"
            raise ValueError(msg)
        return self

    def read(self, request: ReadRequest) -> Found:
        """The rows of the window; the world has no rows outside time.

        Raises:
            ConfigError: the pipeline has no time column.
        """
        from datetime import date

        from contender.demo import WORLDS, write_drops

        window = request.window
        if window is None:
            msg = "data.source: the demo needs data.time (observed_on, or observed_at for bikes) and a window"
            raise ConfigError(msg)
        onset = None if self.onset is None else date.fromisoformat(self.onset)
        rows = WORLDS[self.world].rows if self.rows is None else self.rows
        folder = expand(self.uri) / f"{self.world}-{self.seed}-{rows}-{self.scenario}{self.onset or ''}"
        write_drops(
            folder,
            until=window.as_of.date(),
            days=(window.as_of - window.start).days + 1,
            seed=self.seed,
            scenario=self.scenario,
            onset=onset,
            rows=rows,
            world=self.world,
        )
        return ParquetSource(kind="parquet", uri=str(folder)).read(request)


AnySource = Annotated[ParquetSource | CsvSource | SqlSource | DemoSource, Field(discriminator="kind")]
