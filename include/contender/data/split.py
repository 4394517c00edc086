"""The split into gate rows, which judge, and sweep rows, which train in folds. A model is never judged by rows it was trained on.

With a time column the gate is the newest part of the window, and rows shortly before it, whose labels were still open
when it began, are not trained on (the embargo). Without one a row's role is a hash of its id (else of its features) with
the pipeline's salt, so that it stays the same every week while the data grow. The target decides no role: where few rows
are possible, a role that follows the label would teach a model the opposite of what it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contender.data.reading.fitting import EXACT
from contender.documents.release import TrainedOn
from contender.dtypes import TEXT
from contender.errors import DataRejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from contender.documents.run import Run

Positions = np.ndarray[Any, Any]

_SPELT = (
    "Int64"  # in a release: ids were numbers and hashed as text; ``float64`` there: hashed as floats, by version 0.1.0
)


@dataclass(frozen=True)
class Split:
    """Disjoint positions into the run's rows: ``sweep`` trains in folds, ``gate`` judges. Rows of the embargo are in neither.

    Without id and time ``sweep`` is in the order of the hash: a model that folds rows as they come (``LassoCV``) must not
    get them sorted by their target.
    """

    sweep: Positions
    gate: Positions


def split(run: Run, rows: pd.DataFrame, features: Sequence[str] | None = None) -> Split:
    """Split a run's rows.

    Args:
        features: the columns of the model; None: all but the roles. They decide where there is neither id nor time.

    Raises:
        DataRejected: one side is empty.
    """
    data = run.spec.data
    if data.time is not None:
        boundary = gate_start(run)
        judges = (rows[data.time] >= naive(boundary)).to_numpy()
        trains = (rows[data.time] < naive(boundary - run.spec.embargo)).to_numpy()
    else:
        hashed = _fraction(_decisive(run, rows, features), run.spec.salt)
        judges = hashed < run.spec.gate_share
        trains = ~judges
    sweep = np.flatnonzero(trains)
    if data.time is None and data.id is None:  # rows are sorted by all columns, of which the target may be the first
        sweep = sweep[np.argsort(hashed[sweep], kind="stable")]
    found = Split(sweep=sweep, gate=np.flatnonzero(judges))
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


def trained_on(run: Run, rows: pd.DataFrame, features: Sequence[str] | None = None) -> TrainedOn:
    """The rows that a model of this run is trained on after the refit of the spec, as a rule for later runs."""
    data = run.spec.data
    columns = {name: str(kind) for name, kind in _decisive(run, rows, features).dtypes.items()}
    if data.time is None and data.id is not None and _is_number(rows[data.id]):
        columns = {data.id: _SPELT}
    if data.time is None:
        return TrainedOn(columns=columns, salt=run.spec.salt, gate=run.spec.gate_share)
    refitted = run.spec.refit_rows == "all_rows"
    return TrainedOn(columns=columns, through=run.as_of - data.label_delay if refitted else gate_start(run))


def was_held_out(rows: pd.DataFrame, seen: TrainedOn) -> np.ndarray:
    """Which rows a model was certainly not trained on; shape (n,), bool.

    The model's own rule decides, which may be an older version's: then the target or the float of an id is part of its
    hash. All False when a column that the rule needs is missing or has another type.
    """
    unknown = np.zeros(len(rows), dtype=bool)
    if any(name not in rows for name in seen.columns):
        return unknown
    as_then = {name: _as_kind(rows[name], kind) for name, kind in seen.columns.items()}
    if any(column is None for column in as_then.values()):
        return unknown
    if seen.through is not None:
        [time] = seen.columns
        return np.asarray(as_then[time] >= naive(seen.through))
    if seen.salt is None or seen.gate is None:
        return unknown
    columns = pd.DataFrame(as_then)
    known = np.ones(len(rows), dtype=bool)
    for name, column in columns.items():
        known &= (column.notna() | rows[name].isna()).to_numpy()
    return known & (_fraction(columns, seen.salt) < seen.gate)


def folds(
    run: Run, rows: pd.DataFrame, target: np.ndarray, features: Sequence[str] | None = None
) -> Iterator[tuple[Positions, Positions]]:
    """Train and test positions of each fold over the sweep rows, in order.

    With a time column each fold is tested on rows after those it is trained on (scikit-learn's TimeSeriesSplit over the
    distinct moments, so that no moment is on both sides). Without one a row's fold is a hash like its role. Folds have
    no embargo: they only rank trials with each other. The gate has one.

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
    parts = (
        _folds_in_time(run, rows[data.time])
        if data.time is not None
        else _folds_by_hash(run, _decisive(run, rows, features))
    )
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


def _folds_by_hash(run: Run, decisive: pd.DataFrame) -> list[tuple[Positions, Positions]]:
    count = run.spec.split.folds
    fold = (_fraction(decisive, run.spec.salt + "/folds") * count).astype(int)
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(count)]


def returning(run: Run, rows: pd.DataFrame, train: Positions, judge: Positions) -> np.ndarray | None:
    """Which of the rows that judge have an id that is trained on, too; shape (len(judge),), bool. None without an id.

    A row whose id is missing comes back from nowhere. It is left out before ids are compared: pandas makes floats of large
    integers that stand beside a missing one.
    """
    name = run.spec.data.id
    if name is None:
        return None
    ids = rows[name]
    return np.asarray(ids.iloc[judge].isin(ids.iloc[train].dropna()), dtype=bool)


def _decisive(run: Run, rows: pd.DataFrame, features: Sequence[str] | None) -> pd.DataFrame:
    """The columns that decide a row's role: the time, else the id as text, else the features."""
    data = run.spec.data
    if data.time is not None:
        return rows[[data.time]]
    if data.id is not None:
        return as_text(rows[data.id]).to_frame()
    names = [name for name in rows.columns if name != data.target] if features is None else features
    return rows[names].astype(dict.fromkeys(rows[names].select_dtypes("Int64"), "float64"))  # as a model gets them


def as_text(ids: pd.Series) -> pd.Series:
    """Ids in one spelling: the integer 5, the number 5.0 and the text 5 are one entity. Timestamps stay as they are."""
    return ids.astype(TEXT).str.removesuffix(".0") if _is_number(ids) else ids


def _as_kind(column: pd.Series, kind: str) -> pd.Series | None:
    """A column as it was hashed when a model was made, null in the cells of which that is not certain; None if of none.

    A number is the text that spells it, and the other way round; a text that is a number now may have been another (007).
    """
    now = str(column.dtype)
    if kind == now == "Int64":
        return as_text(column)
    if kind == now:
        return column
    if kind not in (_SPELT, "float64") or now not in ("Int64", "float64", "str"):
        return None
    numbers = pd.to_numeric(column, errors="coerce")
    spelt = as_text(numbers) == as_text(column)
    small = numbers.astype("float64").abs() < EXACT
    if kind == "float64":
        return numbers.astype("float64").where(spelt & small)
    return as_text(column).where(spelt & small if now == "float64" else spelt)


def _is_number(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column.dtype))


def _fraction(rows: pd.DataFrame, salt: str) -> np.ndarray:
    """A number in [0, 1) per row, a hash (pandas' SipHash) of its content and the salt; shape (n,)."""
    content = pd.util.hash_pandas_object(rows, index=False).astype(str)
    salted = np.array([f"{salt}\x00{value}" for value in content], dtype=object)
    hashed = pd.util.hash_array(salted, categorize=False)  # pandas 2 takes categories for equal up to a NUL
    return np.asarray(hashed >> np.uint64(11), dtype=np.float64) / 2.0**53  # a float holds 53 bits exactly


def naive(moment: datetime) -> pd.Timestamp:
    """A moment as snapshots keep it: UTC without a time zone."""
    return pd.Timestamp(moment).tz_convert("UTC").tz_localize(None)
