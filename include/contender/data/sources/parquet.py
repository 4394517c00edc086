"""Parquet files."""

from __future__ import annotations

from typing import ClassVar, Literal

from contender.data.reading.request import ReadRequest, ReadResult
from contender.data.sources.files import FileSource


class ParquetSource(FileSource):
    """Parquet: a file, a glob, or a folder of dated drops."""

    kind: Literal["parquet"]
    suffix: ClassVar[str] = "parquet"

    def read(self, request: ReadRequest) -> ReadResult:
        """All rows, or those of the window."""
        from contender.data.reading.parquet import read_parquet

        return read_parquet(self.files(request.connect), request)
