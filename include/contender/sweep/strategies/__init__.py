"""The strategy family: which trials are tried. One line joins the members."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contender.documents.sweep import History, Point, Tried
from contender.sweep.strategies.base import MAX_TRIALS
from contender.sweep.strategies.grid import GridStrategy
from contender.sweep.strategies.halving import HalvingStrategy
from contender.sweep.strategies.random_search import RandomStrategy
from contender.sweep.strategies.tpe import TpeStrategy

AnyStrategy = Annotated[GridStrategy | RandomStrategy | HalvingStrategy | TpeStrategy, Field(discriminator="kind")]

__all__ = [
    "MAX_TRIALS",
    "AnyStrategy",
    "GridStrategy",
    "HalvingStrategy",
    "History",
    "Point",
    "RandomStrategy",
    "TpeStrategy",
    "Tried",
]
