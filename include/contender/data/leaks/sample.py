"""The rows of a run that are not quarantined, and samples of them. Samples are deterministic and copy no other rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from contender.data.reading.fitting import EXACT
from contender.data.rows import as_features, as_frame, target_of
from contender.data.snapshot import read_snapshot
from contender.data.split import split
from contender.errors import DataRejected

if TYPE_CHECKING:
    from contender.data.split import Split
    from contender.documents.columns import Column
    from contender.documents.data import Quarantine, Snapshot
    from contender.documents.run import Run
    from contender.store.base import ArtifactStore

ROWS = 20_000
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: the multiplier of Fibonacci hashing


def sample_positions(count: int, most: int = ROWS) -> np.ndarray:
    """At most ``most`` of ``count`` positions, ascending: random ones, but the same in every call."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False, shuffle=False))


@dataclass(frozen=True)
class Sample:
    """Some rows with all columns, and their target (0/1 or float), shape (n,)."""

    frame: pd.DataFrame
    target: np.ndarray

    def sides(self, run: Run, features: list[str] | None = None) -> Split | None:
        """Their split, by the same rule as for all rows of a model with these features; None when one side is empty."""
        try:
            return split(run, self.frame, features)
        except DataRejected:
            return None


@dataclass(frozen=True)
class KeptRows:
    """The rows of a run's snapshot that are not quarantined.

    Attributes:
        frame: all rows of the snapshot. Integers that a float cannot hold are exact (``Int64``), because an id that is no
            feature yet may be among them.
        positions: the rows that are kept, as positions into the frame; shape (n,).
        features: the columns that a model of this run may see.
        target: of the kept rows, 0/1 or float; shape (n,).
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
        """The rows of ``frame`` (the whole snapshot) that are not quarantined.

        Raises:
            DataRejected: the target cannot be used.
        """
        positions = np.delete(np.arange(len(frame)), list(quarantine.rows))
        name = run.spec.data.target
        cells = read_snapshot(snapshot, run.pipeline, store, [name])[name]  # in the frame integers have become floats
        target, _ = target_of(run, cells.take(pa.array(positions)))
        features = tuple(column for column in snapshot.columns if column.name not in run.spec.non_features)
        large = [one.name for one in features if one.type == "integer" and (frame[one.name].abs() >= EXACT).any()]
        exact = {one: as_frame(read_snapshot(snapshot, run.pipeline, store, [one]), one)[one] for one in large}
        return cls(run, frame.assign(**exact), positions, features, target)

    def take(self, chosen: np.ndarray) -> Sample:
        """Rows by their positions among the kept ones."""
        return Sample(self.frame.take(self.positions[chosen]).reset_index(drop=True), self.target[chosen])

    @cached_property
    def sample(self) -> Sample:
        """A random sample."""
        return self.take(sample_positions(len(self.positions)))

    @cached_property
    def trained(self) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
        """The sweep rows of the sample: all columns, features, target."""
        sides = self.sample.sides(self.run)
        rows = np.arange(len(self.sample.target)) if sides is None else sides.sweep
        frame = self.sample.frame.iloc[rows].reset_index(drop=True)
        return frame, as_features(frame, self.features), self.sample.target[rows]

    def sample_groups(self, names: list[str], most: int) -> Sample:
        """About ``most`` rows in whole groups: of rows with equal values in these columns all are taken or none is."""
        if len(self.positions) <= most:
            return self.take(np.arange(len(self.positions)))
        mixed = np.zeros(len(self.frame), dtype=np.uint64)
        for name in names:
            column = self.frame[name]
            # Codes of a text column are faster to hash than its characters.
            cells = pd.factorize(column)[0] if str(column.dtype) in ("str", "Int64") else column.to_numpy()
            mixed = mixed * _MIX + pd.util.hash_array(cells)
        mixed = (mixed ^ (mixed >> np.uint64(32))) * _MIX
        share = most / len(self.positions)
        return self.take(np.flatnonzero(mixed[self.positions] < np.uint64(share * 2.0**64)))
