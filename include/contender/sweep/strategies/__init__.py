"""The strategy family: which trials are tried. One line joins the members."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contender.sweep.strategies.base import MAX_TRIALS, History, Point, Tried
from contender.sweep.strategies.grid import GridStrategy
from contender.sweep.strategies.random import RandomStrategy

AnyStrategy = Annotated[GridStrategy | RandomStrategy, Field(discriminator="kind")]

__all__ = ["MAX_TRIALS", "AnyStrategy", "GridStrategy", "History", "Point", "RandomStrategy", "Tried"]
