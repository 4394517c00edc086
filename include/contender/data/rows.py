"""The rows of a run: those of its snapshot that are not quarantined, as features and target, with their split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from contender.data.snapshot import read_snapshot
from contender.data.split import Positions, Split, check_gate, folds, split, trained_on
from contender.documents.columns import Column
from contender.documents.release import TrainedOn
from contender.documents.run import Run
from contender.dtypes import TEXT
from contender.errors import DataRejected
from contender.store.runs import inputs_of

if TYPE_CHECKING:
    from contender.documents.data import Quarantine, Snapshot
    from contender.store.base import ArtifactStore


@dataclass(frozen=True)
class Rows:
    """The rows that are not quarantined, in canonical order.

    Attributes:
        frame: all columns of the snapshot; n rows.
        columns: the feature columns.
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
        """The feature columns; shape (n, features)."""
        return as_features(self.frame, self.columns)

    @cached_property
    def split(self) -> Split:
        """The positions of the sweep rows and of the gate rows."""
        return split(self.run, self.frame, self._names)

    @cached_property
    def folds(self) -> list[tuple[Positions, Positions]]:
        """Train and test positions of each fold, as positions into the sweep rows."""
        sweep = self.split.sweep
        return list(folds(self.run, self.frame.iloc[sweep], self.target[sweep], self._names))

    @property
    def trained_on(self) -> TrainedOn:
        """The rows that a model of this run is trained on, as a rule for later runs."""
        return trained_on(self.run, self.frame, self._names)

    @property
    def _names(self) -> list[str]:
        return [column.name for column in self.columns]

    def check_roles(self) -> None:
        """Check that there are enough rows, classes and values for the folds and the gate.

        Raises:
            DataRejected: there are not; with how many are needed.
        """
        check_gate(self.run, self.target[self.split.gate])
        known = self.features.iloc[self.split.sweep].notna().any(axis="columns").to_numpy()
        for number, (train, _) in enumerate(self.folds):
            if not known[train].any():
                msg = f"split.folds: no feature has a value in the {len(train)} rows that fold {number} trains on; "
                raise DataRejected(
                    msg + "use fewer folds, a shorter window, or features that are filled from the start"
                )

    @property
    def groups(self) -> np.ndarray:
        """An integer code per row, equal for rows of the same id; shape (n,). Without an id each row has its own."""
        name = self.run.spec.data.id
        return np.arange(len(self.frame)) if name is None else pd.factorize(self.frame[name])[0]


def load_rows(run: Run, store: ArtifactStore) -> Rows:
    """The run's snapshot without its quarantined rows.

    Raises:
        DataRejected: the target cannot be used.
        Conflict: the quarantine is of another snapshot.
    """
    snapshot, quarantine = inputs_of(run, store)
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
    return Rows(run=run, frame=as_frame(table, run.spec.data.id), columns=columns, target=target, labels=labels)


def as_frame(table: pa.Table, id_: str | None) -> pd.DataFrame:
    """A canonical table as pandas. Integers and booleans become floats, which can hold a missing value: a column that
    is complete today may miss one tomorrow, and must then still fit the model's signature.

    Each column is released once it is converted, so that a table that the caller does not hold is never in memory twice.

    Args:
        id_: the column that identifies entities; its integers stay exact (``Int64``), because a float would take
            several large ones for one.
    """
    columns = {}
    for field in table.schema:
        column = table[field.name]
        table = table.remove_column(0)
        if field.name == id_ and pa.types.is_integer(field.type):
            series = column.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        elif str(field.type) in ("int64", "bool"):
            series = column.cast("double", safe=False).to_pandas()
        else:
            series = column.to_pandas()
        columns[field.name] = series.astype(TEXT) if str(field.type) == "large_string" else series
        del column
        pa.default_memory_pool().release_unused()
    return pd.DataFrame(columns, copy=False)


def as_features(frame: pd.DataFrame, columns: tuple[Column, ...]) -> pd.DataFrame:
    """The columns of a model, in its order.

    Raises:
        DataRejected: one is missing or of another type.
    """
    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing:
        msg = f"the columns {missing[:10]} that the model needs are not in the data"
        raise DataRejected(msg)
    for column in columns:
        dtype = str(frame[column.name].dtype).replace("Int64", "float64")
        if dtype != {"text": "str", "timestamp": "datetime64[us]"}.get(column.type, "float64"):
            msg = f"column {column.name!r} was {column.type} when the model was made, now it is {dtype}"
            raise DataRejected(msg)
    features = frame[[column.name for column in columns]]
    return features.astype(dict.fromkeys(features.select_dtypes("Int64"), "float64"))


def target_of(run: Run, column: pa.ChunkedArray) -> tuple[np.ndarray, tuple[str, str] | None]:
    """The target as 0/1, shape (n,), and the two values behind them; for regression as float, and None.

    Raises:
        DataRejected: it has not two classes, or is not finite numbers.
    """
    data = run.spec.data
    if data.positive is None:
        if str(column.type) not in ("int64", "double"):
            found = str(column.type).removeprefix("large_")
            msg = f"data.target: {data.target!r} holds {found}s; for a class give data.positive, else use numbers"
            raise DataRejected(msg)
        numbers = column.cast("double", safe=False).to_numpy()
        if not np.isfinite(numbers).all():
            count = int((~np.isfinite(numbers)).sum())
            msg = f"data.target: {count} of {len(numbers)} values of {data.target!r} are infinite; mend the source"
            raise DataRejected(msg)
        return numbers, None
    text = column.cast("large_string")
    classes = sorted(pc.unique(text).to_pylist())
    if data.positive not in classes or len(classes) != 2:
        few = ", ".join(map(repr, classes))  # class names may be shown; many distinct values may be personal data
        shown = few if len(classes) < 6 else f"{len(classes)} values"
        msg = f"data.positive: {data.target!r} takes {shown}; expected two values, one of them {data.positive!r}"
        raise DataRejected(msg)
    [negative] = [value for value in classes if value != data.positive]
    return pc.equal(text, data.positive).cast("int64").to_numpy(), (negative, data.positive)
