"""A few of the kept rows of a snapshot, always the same ones, without a copy of all the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from contender.data.leaks.telling import some
from contender.data.rows import as_features, target_of
from contender.data.snapshot import read_snapshot
from contender.data.split import split
from contender.errors import DataRejected

if TYPE_CHECKING:
    from contender.data.columns import Column
    from contender.data.split import Split
    from contender.documents import Quarantine, Run, Snapshot
    from contender.store.base import ArtifactStore


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
        frame: all rows of the snapshot.
        positions: which of them are kept, shape (n,).
        features: the columns that a model of this run may see.
        target: of the kept ones, 0/1 or float, shape (n,).
    """

    run: Run
    frame: pd.DataFrame
    positions: np.ndarray
    features: tuple[Column, ...]
    target: np.ndarray

    @classmethod
    def of(
        cls, run: Run, snapshot: Snapshot, quarantine: Quarantine, frame: pd.DataFrame, store: ArtifactStore
    ) -> KeptRows:
        """The rows of ``frame`` (the whole snapshot) that are not set aside.

        Raises:
            DataRejected: the target cannot be used.
        """
        positions = np.delete(np.arange(len(frame)), list(quarantine.rows))
        name = run.spec.data.target
        cells = read_snapshot(snapshot, run.pipeline, store, [name])[name]  # as it is written: a frame has floats
        target, _ = target_of(run, cells.take(pa.array(positions)))
        features = tuple(column for column in snapshot.columns if column.name not in run.spec.non_features)
        return cls(run, frame, positions, features, target)

    def take(self, chosen: np.ndarray) -> Few:
        """Rows by their places among the kept ones."""
        return Few(self.frame.take(self.positions[chosen]).reset_index(drop=True), self.target[chosen])

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
        mixed = np.zeros(len(self.frame), dtype=np.uint64)
        for name in names:
            column = self.frame[name]
            cells = (
                pd.factorize(column)[0] if str(column.dtype) == "str" else column.to_numpy()
            )  # its letters take longer
            mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + pd.util.hash_array(cells)
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
        share = most / len(self.positions)
        return self.take(np.flatnonzero(mixed[self.positions] < np.uint64(share * 2.0**64)))
