"""Delimited text files."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from contender.data.reading.dialect import Dialect
from contender.data.reading.request import ReadRequest, ReadResult
from contender.data.sources.files import FileSource

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from contender.spec.columns import ColumnType, CsvType


class CsvSource(Dialect, FileSource):
    """Delimited text. Dialect and types are written down (``contender init`` finds them out); a run guesses nothing."""

    kind: Literal["csv"]
    suffix: ClassVar[str] = "csv"

    def read(self, request: ReadRequest) -> ReadResult:
        """All rows, or those of the window."""
        from contender.data.reading.delimited import read_delimited

        return read_delimited(self.files(request.connect), self, request)

    @property
    def declared(self) -> Mapping[str, ColumnType]:
        """The types under ``types``. A time zone is a matter of how cells are written."""
        return {name: "timestamp" if kind == "timestamptz" else kind for name, kind in self.types.items()}

    def widened(self, *, exact: Collection[str], text: Collection[str]) -> Self:
        """Text carries no types, so its columns are as wide as ``types`` declares them."""
        types: dict[str, CsvType] = {
            name: "number" if kind == "integer" and name not in exact else kind for name, kind in self.types.items()
        }
        return self.model_copy(update={"types": types | dict.fromkeys(text, "text")})
