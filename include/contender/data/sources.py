"""The source family: where rows come from. A member answers a ReadRequest with what it Found.

Contract: ``read`` touches nothing outside its source, returns the rows of the half-open window in any order, raises
DataUnavailable when nothing is there yet and DataRejected when what is there cannot be read.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from contender.data.columns import CsvType
from contender.data.reading.connections import Connect, database_url, from_environment
from contender.data.reading.places import Place, checked, place_of, variables
from contender.data.reading.request import Found, ReadRequest
from contender.errors import ConfigError, one_line
from contender.frozen import Frozen, Guarded

if TYPE_CHECKING:
    from contender.data.reading.files import Files


#: What Arrow and Python both read, and alike.
_DIRECTIVES = ("%Y", "%y", "%m", "%d", "%b", "%B", "%a", "%A", "%H", "%I", "%p", "%M", "%S", "%z", "%%")


class _FileSource(Guarded):
    suffix: ClassVar[str]
    uri: str = Field(
        min_length=1,
        max_length=1_000,
        title="Data path",
        description="A file, a folder or a glob, local or s3://bucket/prefix; ${NAME} is taken from the environment",
    )
    _uri_can_be_read = field_validator("uri")(checked)
    conn_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.-]{1,200}$",
        description="An Airflow connection of type aws, for s3:// uris; absent: the environment's own credentials",
    )
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
        if not variables(self.uri, *self.roots).issuperset(variables(value)):
            msg = "names an environment variable that the pipeline itself does not use; write the path out"
            raise ValueError(msg)
        try:
            place = place_of(value)
            inside = any(place.inside(root) for root in self._roots())
        except ConfigError as error:
            raise ValueError(str(error).removeprefix("data.source.uri: ")) from None
        except (OSError, RuntimeError, ValueError):  # a loop of links, a name that no file can have
            inside = False
        if not inside:
            msg = (
                f"{one_line(value)!r} is outside the roots {list(self.roots)}; name an absolute path below one of them"
            )
            raise ValueError(msg)

    def files(self, connect: Connect = from_environment) -> Files:
        """What is behind the uri.

        Raises:
            ConfigError: it is outside the roots, or cannot be asked.
        """
        from contender.data.reading.files import open_files

        return open_files(place_of(self.uri), self.suffix, self._roots(), self.conn_id, connect)

    def _roots(self) -> list[Place]:
        return [place_of(root) for root in self.roots]


class ParquetSource(_FileSource):
    """Parquet: a file, a glob, or a folder of dated drops."""

    kind: Literal["parquet"]
    suffix: ClassVar[str] = "parquet"

    def read(self, request: ReadRequest) -> Found:
        """All rows, or those of the window."""
        from contender.data.reading.parquet import read_parquet

        return read_parquet(self.files(request.connect), request)


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
    def _dialect_is_one(self) -> Self:
        try:
            "a".encode(self.encoding)
        except (LookupError, UnicodeError):
            msg = f"encoding: unknown codec {self.encoding[:60]!r}, expected one of Python's, such as utf8 or latin-1"
            raise ValueError(msg) from None
        if self.delimiter == self.quote:
            msg = f"delimiter and quote must differ, got {self.delimiter!r} twice"
            raise ValueError(msg)
        for sign in (self.delimiter, self.quote):
            if not sign.isascii() or sign in "\r\n\0":
                msg = f"delimiter and quote must be ASCII signs and no line ends, got {sign!r}"
                raise ValueError(msg)
        for directive in re.findall("%.?", self.timestamp_format or ""):
            if directive not in _DIRECTIVES:
                msg = f"timestamp_format: {directive} cannot be read, expected some of {' '.join(_DIRECTIVES)}"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        for name in self.columns or ():
            if (self.columns or ()).count(name) > 1:
                msg = f"columns: {name!r} stands more than once"
                raise ValueError(msg)
        for name in self.levels:
            if self.types.get(name) != "text":
                msg = f"levels: {name!r} must be declared as text under types"
                raise ValueError(msg)
        return self

    def read(self, request: ReadRequest) -> Found:
        """All rows, or those of the window."""
        from contender.data.reading.delimited import read_csv

        return read_csv(self.files(request.connect), self, request)


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
        from contender.data.reading.sql import read_sql

        url = database_url(self.conn_id, request.connect(self.conn_id))
        return read_sql(url, self.conn_id, self.table, self.query, request)


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
        folder = Path(place_of(self.uri).path) / f"{self.world}-{self.seed}-{rows}-{self.scenario}{self.onset or ''}"
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
