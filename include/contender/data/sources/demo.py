"""The simulated worlds of ``contender.demo``."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from contender.data.reading.places import place_of
from contender.data.reading.request import ReadRequest, ReadResult
from contender.data.sources.base import Source
from contender.data.sources.parquet import ParquetSource
from contender.errors import ConfigError


class DemoSource(Source):
    """A simulated world: publishes the dated drops that are missing up to as_of, then reads them as Parquet."""

    location_fields: ClassVar[frozenset[str]] = frozenset({"uri"})
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

    @property
    def location(self) -> str:
        """The folder of the drops, as declared."""
        return self.uri

    def read(self, request: ReadRequest) -> ReadResult:
        """The rows of the window; the world has no rows outside time.

        Raises:
            ConfigError: the pipeline has no time column.
        """
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
