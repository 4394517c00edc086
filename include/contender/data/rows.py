"""The rows a run trains and judges with: kept rows of its snapshot as features and target, with their roles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from contender.data.columns import Column
from contender.data.snapshot import read_snapshot
from contender.data.split import Positions, Split, check_gate, folds, split
from contender.documents import Quarantine, Run, Snapshot
from contender.errors import DataRejected
from contender.store.base import require_document

if TYPE_CHECKING:
    from contender.store.base import ArtifactStore


@dataclass(frozen=True)
class Rows:
    """Kept rows in canonical order.

    Attributes:
        frame: all columns of the snapshot, a row each.
        features: what a model sees; shape (n, features).
        target: 0/1 with 1 the positive class, or float for regression; shape (n,).
        labels: the target's values behind 0 and 1, or None for regression.
    """

    run: Run
    frame: pd.DataFrame
    columns: tuple[Column, ...]
    target: np.ndarray
    labels: tuple[str, str] | None

    @cached_property
    def features(self) -> pd.DataFrame:
        """The feature columns as a model sees them."""
        return as_features(self.frame, self.columns)

    @cached_property
    def split(self) -> Split:
        """Which rows judge."""
        return split(self.run, self.frame)

    @cached_property
    def folds(self) -> list[tuple[Positions, Positions]]:
        """Train and test positions of each fold, counted in the sweep rows."""
        sweep = self.split.sweep
        return list(folds(self.run, self.frame.iloc[sweep], self.target[sweep]))

    def check_roles(self) -> None:
        """See that there is enough to fold and to judge with.

        Raises:
            DataRejected: there is not; it says how many rows or classes are needed.
        """
        check_gate(self.run, self.target[self.split.gate])
        self.folds  # noqa: B018 - made here or not at all

    @property
    def groups(self) -> np.ndarray:
        """What a row is about, as integer codes; shape (n,). Without an id every row is its own."""
        name = self.run.spec.data.id
        return np.arange(len(self.frame)) if name is None else pd.factorize(self.frame[name])[0]


def load_rows(run: Run, store: ArtifactStore) -> Rows:
    """The run's snapshot without its quarantined rows.

    Raises:
        DataRejected: the target cannot be used.
    """
    snapshot = require_document(store, run.key("snapshot.json"), Snapshot)
    quarantine = require_document(store, run.key("quarantine.json"), Quarantine)
    return kept_rows(run, snapshot, quarantine, read_snapshot(snapshot, run.pipeline, store))


def kept_rows(run: Run, snapshot: Snapshot, quarantine: Quarantine, table: pa.Table) -> Rows:
    """The snapshot's rows (``table``) without the quarantined ones.

    Raises:
        DataRejected: the target cannot be used.
    """
    if quarantine.rows:
        keep = np.ones(table.num_rows, dtype=bool)
        keep[list(quarantine.rows)] = False
        table = table.filter(keep)
    target, labels = target_of(run, table[run.spec.data.target])
    columns = tuple(
        column for column in snapshot.columns if column.name not in run.spec.non_features.union(quarantine.dropped)
    )
    if not columns:
        msg = "data: no feature is left; target, id, time and data.exclude name every column"
        raise DataRejected(msg)
    return Rows(run=run, frame=as_frame(table), columns=columns, target=target, labels=labels)


def as_frame(table: pa.Table) -> pd.DataFrame:
    """A canonical table as pandas. Integers and truth values become floats: a column that is complete today may miss
    a value tomorrow, and a model's signature must not break on that.
    """
    columns = {}
    for field in table.schema:
        column = table[field.name]
        table = table.remove_column(0)
        series = column.cast("double").to_pandas() if str(field.type) in ("int64", "bool") else column.to_pandas()
        columns[field.name] = series.astype("str") if str(field.type) == "large_string" else series
        del column
        pa.default_memory_pool().release_unused()  # unless the caller holds the table, its columns go one by one
    return pd.DataFrame(columns, copy=False)


def as_features(frame: pd.DataFrame, columns: tuple[Column, ...]) -> pd.DataFrame:
    """The named columns, in order.

    Raises:
        DataRejected: one is missing or holds something else now.
    """
    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing:
        msg = f"the columns {missing[:10]} that the model needs are not in the data"
        raise DataRejected(msg)
    for column in columns:
        dtype = str(frame[column.name].dtype)
        if dtype != {"text": "str", "timestamp": "datetime64[us]"}.get(column.type, "float64"):
            msg = f"column {column.name!r} was {column.type} when the model was made, now it is {dtype}"
            raise DataRejected(msg)
    return frame[[column.name for column in columns]]


def target_of(run: Run, column: pa.ChunkedArray) -> tuple[np.ndarray, tuple[str, str] | None]:
    """The target's column as 0/1 with the two values behind them, or as float with None; shape (n,).

    Raises:
        DataRejected: it is not two classes, or not finite numbers.
    """
    data = run.spec.data
    if data.positive is None:
        if str(column.type) not in ("int64", "double"):
            found = str(column.type).removeprefix("large_")
            msg = f"data.target: {data.target!r} holds {found}s; for a class give data.positive, else use numbers"
            raise DataRejected(msg)
        numbers = column.cast("double").to_numpy()
        if not np.isfinite(numbers).all():
            count = int((~np.isfinite(numbers)).sum())
            msg = f"data.target: {count} of {len(numbers)} values of {data.target!r} are infinite; mend the source"
            raise DataRejected(msg)
        return numbers, None
    text = column.cast("large_string")
    classes = sorted(pc.unique(text).to_pylist())
    if data.positive not in classes or len(classes) != 2:
        few = ", ".join(map(repr, classes))  # classes are no secret, but a column of the wrong kind may be
        shown = few if len(classes) < 6 else f"{len(classes)} values"
        msg = f"data.positive: {data.target!r} takes {shown}; expected two values, one of them {data.positive!r}"
        raise DataRejected(msg)
    [negative] = [value for value in classes if value != data.positive]
    return pc.equal(text, data.positive).cast("int64").to_numpy(), (negative, data.positive)
