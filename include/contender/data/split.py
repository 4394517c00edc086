"""The split into gate rows, which judge, and sweep rows, which train in folds. A model is never judged by rows it was trained on.

With a time column the gate is the newest part of the window, and rows shortly before it, whose labels were still open
when it began, are not trained on (the embargo). Without one a row's role is a hash of its id (else of its content) with
the pipeline's salt, so that it stays the same every week while the data grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contender.documents.release import TrainedOn
from contender.errors import DataRejected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from contender.documents.run import Run

Positions = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Split:
    """Disjoint positions into the run's rows: ``sweep`` trains in folds, ``gate`` judges. Rows of the embargo are in neither."""

    sweep: Positions
    gate: Positions


def split(run: Run, rows: pd.DataFrame) -> Split:
    """Split a run's rows.

    Raises:
        DataRejected: one side is empty.
    """
    data = run.spec.data
    if data.time is not None:
        boundary = gate_start(run)
        judges = (rows[data.time] >= _naive(boundary)).to_numpy()
        trains = (rows[data.time] < _naive(boundary - run.spec.embargo)).to_numpy()
    else:
        judges = _fraction(rows[_decisive(run, rows)], run.spec.salt) < run.spec.gate_share
        trains = ~judges
    found = Split(sweep=np.flatnonzero(trains), gate=np.flatnonzero(judges))
    if not len(found.sweep) or not len(found.gate):
        msg = (
            f"split: {len(found.sweep)} rows to train on and {len(found.gate)} to judge with; both are needed. "
            "Check split.gate, split.embargo, data.window and how far the source reaches"
        )
        raise DataRejected(msg)
    return found


def check_gate(run: Run, target: np.ndarray) -> None:
    """Check that the gate rows are enough to judge by.

    Args:
        target: of the gate rows, shape (n,).

    Raises:
        DataRejected: they are fewer than two, or all of one class.
    """
    classes = len(np.unique(target))
    needed = 2 if run.spec.data.classification else 1
    if len(target) >= 2 and classes >= needed:
        return
    found = f"{len(target)} rows" + (", all of one class" if classes < needed else "")
    msg = f"split.gate: the part that judges has {found}; at least 2 rows"
    msg += " and one of each class are" if run.spec.data.classification else " are"
    raise DataRejected(f"{msg} needed. Make split.gate larger, or wait for more data")


def gate_start(run: Run) -> datetime:
    """The first moment of the gate: ``as_of - label_delay - gate``."""
    return run.as_of - run.spec.data.label_delay - run.spec.gate_span


def trained_on(run: Run, rows: pd.DataFrame) -> TrainedOn:
    """The rows that a model of this run is trained on after the refit of the spec, as a rule for later runs."""
    data = run.spec.data
    columns = {name: str(rows[name].dtype) for name in _decisive(run, rows)}
    if data.time is None:
        return TrainedOn(columns=columns, salt=run.spec.salt, gate=run.spec.gate_share)
    refitted = run.spec.refit_rows == "all_rows"
    return TrainedOn(columns=columns, through=run.as_of - data.label_delay if refitted else gate_start(run))


def was_held_out(rows: pd.DataFrame, seen: TrainedOn) -> np.ndarray:
    """Which rows a model was certainly not trained on; shape (n,), bool.

    All False when a column that the rule needs is missing or has another type.
    """
    if any(name not in rows or str(rows[name].dtype) != kind for name, kind in seen.columns.items()):
        return np.zeros(len(rows), dtype=bool)
    if seen.through is not None:
        [time] = seen.columns
        return np.asarray(rows[time] >= _naive(seen.through))
    if seen.salt is None or seen.gate is None:
        return np.zeros(len(rows), dtype=bool)
    return _fraction(rows[list(seen.columns)], seen.salt) < seen.gate


def folds(run: Run, rows: pd.DataFrame, target: np.ndarray) -> Iterator[tuple[Positions, Positions]]:
    """Train and test positions of each fold over the sweep rows, in order.

    With a time column each fold is tested on rows after those it is trained on (scikit-learn's TimeSeriesSplit over the
    distinct moments, so that no moment is on both sides). Without one a row's fold is a hash of its id. Folds have no
    embargo: they only rank trials with each other. The gate has one.

    Raises:
        DataRejected: too few rows, moments or classes; the message says how many are needed.
    """
    count = run.spec.split.folds
    data = run.spec.data
    if data.classification:
        rarest = int(np.bincount(target.astype(int), minlength=2).min())
        if rarest < count:
            msg = f"split.folds: the rarer class of {data.target!r} has {rarest} of the {len(target)} rows that are folded; "
            raise DataRejected(msg + f"{count} folds need at least {count} of them. Use fewer folds or more data")
    parts = _folds_in_time(run, rows[data.time]) if data.time is not None else _folds_by_hash(run, rows)
    for number, (train, test) in enumerate(parts, start=1):
        for side, positions in (("train", train), ("test", test)):
            found = len(np.unique(target[positions])) if data.classification else len(positions)
            if found < 2:
                msg = (
                    f"split.folds: the {side} part of fold {number} of {count} has {found} "
                    f"{'classes' if data.classification else 'rows'} ({len(target)} rows in all), at least 2 are needed; "
                    "use fewer folds or more data"
                )
                raise DataRejected(msg)
        yield train, test


def _folds_in_time(run: Run, time: pd.Series) -> list[tuple[Positions, Positions]]:
    from sklearn.model_selection import TimeSeriesSplit

    count = run.spec.split.folds
    moments = time.rank(method="dense").to_numpy(dtype=int) - 1
    distinct = int(moments.max()) + 1 if len(moments) else 0
    if distinct <= count:
        msg = f"split.folds: {count} time-ordered folds need at least {count + 1} distinct times, got {distinct}"
        raise DataRejected(msg)
    return [
        (np.flatnonzero(np.isin(moments, train)), np.flatnonzero(np.isin(moments, test)))
        for train, test in TimeSeriesSplit(n_splits=count).split(np.arange(distinct))
    ]


def _folds_by_hash(run: Run, rows: pd.DataFrame) -> list[tuple[Positions, Positions]]:
    count = run.spec.split.folds
    fold = (_fraction(rows[_decisive(run, rows)], run.spec.salt + "/folds") * count).astype(int)
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(count)]


def returning(run: Run, rows: pd.DataFrame, found: Split) -> np.ndarray | None:
    """Which gate rows have an id that sweep rows have, too; shape (gate rows,), bool. None without an id."""
    name = run.spec.data.id
    if name is None:
        return None
    ids = rows[name]
    return np.asarray(ids.iloc[found.gate].isin(ids.iloc[found.sweep]))


def _decisive(run: Run, rows: pd.DataFrame) -> list[str]:
    """The columns that decide a row's role: the time, else the id, else all."""
    data = run.spec.data
    named = data.time or data.id
    return list(rows.columns) if named is None else [named]


def _fraction(rows: pd.DataFrame, salt: str) -> np.ndarray:
    """A number in [0, 1) per row, a hash (pandas' SipHash) of its content and the salt; shape (n,)."""
    content = pd.util.hash_pandas_object(rows, index=False).astype(str)
    salted = np.array([f"{salt}\x00{value}" for value in content], dtype=object)
    hashed = pd.util.hash_array(salted, categorize=True)
    return np.asarray(hashed >> np.uint64(11), dtype=np.float64) / 2.0**53  # a float holds 53 bits exactly


def _naive(moment: datetime) -> pd.Timestamp:
    """UTC without a time zone, as snapshots keep timestamps."""
    return pd.Timestamp(moment).tz_convert("UTC").tz_localize(None)
