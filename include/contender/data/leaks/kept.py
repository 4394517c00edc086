"""A few of the kept rows of a snapshot, always the same ones, without a copy of all the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from contender.data.leaks.telling import some
from contender.data.rows import as_features, as_frame, target_of
from contender.data.split import split
from contender.errors import DataRejected

if TYPE_CHECKING:
    from contender.data.columns import Column
    from contender.data.split import Split
    from contender.documents import Quarantine, Run, Snapshot


@dataclass(frozen=True)
class Few:
    """Some rows: all their columns, and their target (0/1 or float), shape (n,)."""

    frame: pd.DataFrame
    target: np.ndarray

    def sides(self, run: Run) -> Split | None:
        """Which of them judge, as among all rows; None when too few of them are on one side to say anything."""
        try:
            return split(run, self.frame)
        except DataRejected:
            return None


@dataclass(frozen=True)
class KeptRows:
    """The kept rows of a run's snapshot.

    Attributes:
        table: all rows of the snapshot.
        features: the columns that a model of this run may see.
    """

    run: Run
    table: pa.Table
    positions: np.ndarray
    features: tuple[Column, ...]
    target: np.ndarray

    @classmethod
    def of(cls, run: Run, snapshot: Snapshot, quarantine: Quarantine, table: pa.Table) -> KeptRows:
        """The rows of ``table`` that are not set aside.

        Raises:
            DataRejected: the target cannot be used.
        """
        positions = np.delete(np.arange(table.num_rows), list(quarantine.rows))
        target, _ = target_of(run, table[run.spec.data.target].take(pa.array(positions)))
        features = tuple(column for column in snapshot.columns if column.name not in run.spec.non_features)
        return cls(run, table, positions, features, target)

    def take(self, chosen: np.ndarray) -> Few:
        """Rows by their places among the kept ones."""
        return Few(as_frame(self.table.take(pa.array(self.positions[chosen]))), self.target[chosen])

    @cached_property
    def few_places(self) -> np.ndarray:
        """Which of the kept rows are in the sample of all."""
        return some(len(self.positions))

    @cached_property
    def few(self) -> Few:
        """A sample of all."""
        return self.take(self.few_places)

    @cached_property
    def trained(self) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
        """Of the sample the rows that a model is trained on: all columns, features, target."""
        sides = self.few.sides(self.run)
        rows = np.arange(len(self.few.target)) if sides is None else sides.sweep
        frame = self.few.frame.iloc[rows].reset_index(drop=True)
        return frame, as_features(frame, self.features), self.few.target[rows]

    def alike(self, names: list[str], most: int) -> Few:
        """About ``most`` rows, such that of rows with equal values in these columns all are there or none is."""
        if len(self.positions) <= most:
            return self.take(np.arange(len(self.positions)))
        mixed = np.zeros(self.table.num_rows, dtype=np.uint64)
        for name in names:
            mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + _hashed(self.table[name])
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
        share = most / len(self.positions)
        return self.take(np.flatnonzero(mixed[self.positions] < np.uint64(share * 2.0**64)))


def _hashed(column: pa.ChunkedArray) -> np.ndarray:
    """A number per value, the same for equal ones; shape (n,), uint64."""
    if pa.types.is_large_string(column.type):  # by its number in this table: cheaper than by its letters
        column = column.combine_chunks().dictionary_encode().indices
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.int64())
    return np.asarray(pd.util.hash_array(pc.fill_null(column.cast(pa.float64(), safe=False), 0.0).to_numpy()))
