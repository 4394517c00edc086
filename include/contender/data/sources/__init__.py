"""The source family: where rows come from. One line joins the members; ``base`` says what each must answer."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contender.data.sources.base import Source
from contender.data.sources.database import SqlSource
from contender.data.sources.delimited import CsvSource
from contender.data.sources.demo import DemoSource
from contender.data.sources.parquet import ParquetSource

AnySource = Annotated[ParquetSource | CsvSource | SqlSource | DemoSource, Field(discriminator="kind")]

__all__ = ["AnySource", "CsvSource", "DemoSource", "ParquetSource", "Source", "SqlSource"]
