"""The types of columns, as the YAML names them. How values are converted to them is in ``data``."""

from __future__ import annotations

from typing import Literal

ColumnType = Literal["integer", "number", "text", "boolean", "timestamp"]

#: Types of the cells of a text file: ``timestamp`` cells have no time zone and are UTC, ``timestamptz`` cells name
#: theirs.
CsvType = Literal["number", "integer", "text", "boolean", "timestamp", "timestamptz"]
