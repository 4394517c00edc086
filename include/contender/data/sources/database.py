"""Tables and queries of a database."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from contender.data.reading.connections import database_url
from contender.data.reading.request import ReadRequest, ReadResult
from contender.data.sources.base import Source


class SqlSource(Source):
    """A table or a query of the database behind an Airflow connection. The window is part of what is asked of it."""

    location_fields: ClassVar[frozenset[str]] = frozenset({"conn_id", "table", "query"})
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
    def location(self) -> str:
        """The connection, and the table or query."""
        return f"{self.conn_id}: {self.table or self.query}"

    def read(self, request: ReadRequest) -> ReadResult:
        """All rows, or those of the window.

        Raises:
            ConfigError: there is no such connection, or no driver for it.
            DataUnavailable: the database does not answer, or has no such table yet.
            DataRejected: it refuses the query.
        """
        from contender.data.reading.sql import read_sql

        url = database_url(self.conn_id, request.connect(self.conn_id))
        return read_sql(url, self.conn_id, self.table, self.query, request)
