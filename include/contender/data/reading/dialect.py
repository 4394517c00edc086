"""How a delimited text file is written and what its columns hold. Read at DAG parse, so nothing heavy is imported."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from contender.frozen import Frozen
from contender.spec.columns import CsvType

#: The directives that Arrow's strptime and Python's both read, and alike.
_DIRECTIVES = ("%Y", "%y", "%m", "%d", "%b", "%B", "%a", "%A", "%H", "%I", "%p", "%M", "%S", "%z", "%%")


class Dialect(Frozen):
    """All that a reader of delimited text has to know; it guesses nothing."""

    delimiter: str = Field(",", min_length=1, max_length=1, description="What stands between two cells")
    quote: str = Field('"', min_length=1, max_length=1, description="What may surround a cell")
    encoding: str = Field("utf8", description="A Python codec, such as utf8, latin-1 or utf-16")
    decimal: Literal[".", ","] = Field(".", description="The decimal sign of its numbers")
    thousands: Literal[".", ",", " ", "'"] | None = Field(
        None, description="What stands between groups of three digits in its numbers, such as , in 1,234"
    )
    units: tuple[str, ...] = Field((), description="What stands before or after its numbers, such as $, % or kg")
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

    first_year: int | None = Field(
        None,
        ge=1000,
        le=9900,
        description="The first of the hundred years that two-digit years (%y) mean: with 1930, 29 is 2029 and 30 is 1930; "
        "absent: 69 to 99 are 1969 to 1999, 00 to 29 are 2000 to 2029, and 30 to 68 are not read",
    )

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
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
        if self.thousands == self.decimal:
            msg = f"decimal and thousands must differ, got {self.decimal!r} twice"
            raise ValueError(msg)
        for directive in re.findall("%.?", self.timestamp_format or ""):
            if directive not in _DIRECTIVES:
                msg = f"timestamp_format: {directive} cannot be read, expected some of {' '.join(_DIRECTIVES)}"
                raise ValueError(msg)
        if self.first_year is not None and "%y" not in re.findall("%.", self.timestamp_format or ""):
            raise ValueError("first_year is for two-digit years: it needs a %y in timestamp_format")
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
