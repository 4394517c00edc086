"""Predictions of a model that Contender did not make, in the form of Contender's own models.

Each column is passed with the dtype that pandas would have given its author (whole numbers as integers while none is
missing). Probabilities come out in Contender's order: negative class, positive class. Error messages contain no value
of the data. Finding and loading such a model is in ``tracking.foreign``.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from contender.errors import ConfigError, DataRejected
from contender.telling import raised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contender.documents.release import Adopted
    from contender.spec.columns import ColumnType

WHOLE = ("int64", "int32", "bool")  # dtypes without a missing value
_DTYPES: dict[ColumnType, str] = {"integer": "int64", "boolean": "bool"}  # without a signature; others as they are
# By MLflow's type name in a signature: the contract's types that fit it, and the dtype to pass (None: as it is).
_NUMBERS: tuple[ColumnType, ...] = ("integer", "number", "boolean")
_SIGNATURE: dict[str, tuple[tuple[ColumnType, ...], str | None]] = {
    "long": (_NUMBERS, "int64"),
    "integer": (_NUMBERS, "int32"),
    "boolean": (_NUMBERS, "bool"),
    "float": (_NUMBERS, "float32"),
    "double": (_NUMBERS, None),
    "string": (("text",), None),
    "datetime": (("timestamp",), None),
}


class AdoptedModel:
    """A scikit-learn-like model around MLflow's ``loaded`` pyfunc."""

    def __init__(self, loaded: Any, recipe: Adopted) -> None:
        self._loaded = loaded
        self._recipe = recipe

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        """Probabilities of the negative and the positive class, shape (n, 2)."""
        values, _ = predict_foreign(self._loaded, features, self._recipe.inputs, classification=True)
        return values if self._recipe.positive == 1 else values[:, ::-1]

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        """Predicted numbers, shape (n,)."""
        return predict_foreign(self._loaded, features, self._recipe.inputs, classification=False)[0]


def native_model(loaded: Any) -> Any:
    """The model inside MLflow's wrapper if it has the scikit-learn API (also LightGBM's and XGBoost's), else None."""
    try:
        raw = loaded.get_raw_model()
    except NotImplementedError:
        return None
    return raw if hasattr(raw, "get_params") and hasattr(raw, "predict") else None


def input_type(column: str, kind: ColumnType, wanted: str | None) -> str | None:
    """The dtype a column is passed with; None leaves it as the contract has it.

    Args:
        wanted: MLflow's type name in the signature; None without a signature.

    Raises:
        ConfigError: the column's type does not fit the signature.
    """
    if wanted is None:
        return _DTYPES.get(kind)
    kinds, dtype = _SIGNATURE.get(wanted, ((), None))
    if kind not in kinds:
        msg = f"the model's signature wants column {column!r} as {wanted}, the data has it as {kind}"
        raise ConfigError(msg)
    return dtype


def predict_foreign(
    loaded: Any, features: pd.DataFrame, inputs: dict[str, str], *, classification: bool
) -> tuple[np.ndarray, list[Any] | None]:
    """The model's predictions, and the names of its classes if it has any.

    Returns:
        Probabilities, shape (n, 2), in the model's own order of classes, or numbers, shape (n,).

    Raises:
        ConfigError: the predictions have another form.
        DataRejected: the model raises on these rows.
    """
    raw = native_model(loaded)
    if raw is not None and classification and not hasattr(raw, "predict_proba"):
        last = raw[-1] if hasattr(raw, "steps") else raw
        msg = f"{type(last).__name__} gives no probabilities (predict_proba), which judging needs"
        raise ConfigError(msg)
    asked = loaded.predict if raw is None else raw.predict_proba if classification else raw.predict
    # Only the pyfunc enforces the signature; a native model is called without it.
    handed = _as_inputs(features, inputs, strict=raw is None and loaded.metadata.signature is not None)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X has feature names")  # raised by a model that was fitted on an array
            answer = asked(handed)
    except Exception as error:  # noqa: BLE001 - a foreign model may raise anything
        msg = f"on these {len(features)} rows the model raises {raised(error)}"
        raise DataRejected(msg) from None
    names = _class_names(raw, answer) if classification else None
    try:
        values = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        msg = f"the model answers with {'labels' if classification else 'something else than numbers'}"
        raise ConfigError(f"{msg}; expected {_EXPECTED[classification]}") from None
    return (_probabilities if classification else _numbers)(values, len(features)), names


_EXPECTED = {True: "the probabilities of two classes", False: "one number for each row"}


def positive_index(classes: list[Any] | None, labels: tuple[str, str], chosen: str | None) -> int:
    """The index (0 or 1) of the positive class among the model's two classes.

    It is found by name when the classes are the target's values. Of 0 and 1 (or false and true, or classes without
    names) 1 is the positive class, unless the target's values sort the other way round: both encodings are then common.

    Args:
        classes: the model's classes, in the order of its probabilities; None when they have no names.
        labels: the target's values: negative, positive.
        chosen: the user's choice, one of the classes.

    Raises:
        ConfigError: the classes do not tell, or the chosen one does not exist.
    """
    names = ["0", "1"] if classes is None else as_text(classes)
    if chosen is not None:
        if chosen not in names:
            msg = f"--positive: the model has no class {chosen[:60]!r}; it tells {_listed(names)} apart"
            raise ConfigError(msg)
        return names.index(chosen)
    if sorted(names) == sorted(labels):
        return names.index(labels[1])
    if names in (["0", "1"], ["false", "true"]) and labels[0] < labels[1]:
        return 1
    msg = f"cannot tell which of the model's classes {_listed(names)} is {labels[1]!r}; say it with --positive CLASS"
    raise ConfigError(msg)


def as_text(values: Sequence[Any]) -> list[str]:
    """Class values as text, converted by Arrow as the target's values are, so that both can be compared."""
    plain = np.asarray(values).tolist()
    try:
        return [str(value) for value in pa.array(plain).cast(pa.large_string()).to_pylist()]
    except (pa.ArrowException, TypeError):
        return [str(value) for value in plain]


def _as_inputs(features: pd.DataFrame, inputs: dict[str, str], *, strict: bool) -> pd.DataFrame:
    """The features with the dtypes of the model's inputs.

    A whole-number column with a missing or fractional value stays float, as in pandas. With ``strict`` it is refused,
    as MLflow's signature check would refuse it.
    """
    handed = features.copy()
    for name, dtype in inputs.items():
        column = features[name]
        if dtype in WHOLE:
            whole = column.isin((0, 1)) if dtype == "bool" else column.notna() & (column % 1 == 0)
            if not whole.all():
                if strict:
                    msg = f"the model wants column {name!r} as {dtype}; {int((~whole).sum())} of {len(whole)} values are not"
                    raise DataRejected(msg)
                continue
        handed[name] = column.astype(dtype)
    return handed


def _class_names(raw: Any, answer: Any) -> list[Any] | None:
    if raw is not None:
        return list(raw.classes_) if hasattr(raw, "classes_") else None
    named = isinstance(answer, pd.DataFrame) and not isinstance(answer.columns, pd.RangeIndex) and answer.shape[1] == 2
    return list(answer.columns) if named else None


def _probabilities(values: np.ndarray, rows: int) -> np.ndarray:
    """Probabilities, shape (n, 2). A single column is taken as the probability of class 1."""
    if values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1):
        one = values.reshape(-1)
        if len(one) > 1 and np.isin(one, (0, 1)).all():  # a single row may be certain, but not all of several
            msg = f"the model answers with labels; expected {_EXPECTED[True]}"
            raise ConfigError(msg)
        values = np.column_stack([1 - one, one])
    if values.shape != (rows, 2):
        msg = f"the model answers {rows} rows in the shape {values.shape}; expected {_EXPECTED[True]}"
        raise ConfigError(msg)
    finite = values[np.isfinite(values).all(axis=1)]
    if (finite < 0).any() or (finite > 1).any() or (abs(finite.sum(axis=1) - 1) > 1e-3).any():
        msg = f"the model's answers are no probabilities; expected {_EXPECTED[True]}, which add up to 1"
        raise ConfigError(msg)
    return values


def _numbers(values: np.ndarray, rows: int) -> np.ndarray:
    if values.size != rows:
        msg = f"the model answers {rows} rows in the shape {values.shape}; expected {_EXPECTED[False]}"
        raise ConfigError(msg)
    return values.reshape(rows)


def _listed(names: list[str]) -> str:
    return " and ".join(repr(name[:60]) for name in names[:5])
