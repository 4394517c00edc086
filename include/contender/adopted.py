"""A model that somebody else made, asked as Contender asks its own.

It gets each column as its maker's pandas would have it (whole numbers as integers while none is missing), and its two
answers come out in Contender's order: the negative class, then the positive one. What it raises is told without a value
of the data.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from contender.errors import ConfigError, DataRejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contender.data.columns import ColumnType
    from contender.documents import Adopted

WHOLE = ("int64", "int32", "bool")
_DTYPES: dict[ColumnType, str] = {"integer": "int64", "boolean": "bool"}
# MLflow's names for what a signature asks for: the contract's types that can be it, and the type it is handed as.
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
    """Predicts as scikit-learn's models do, whatever is behind MLflow's ``loaded`` pyfunc."""

    def __init__(self, loaded: Any, recipe: Adopted) -> None:
        self._loaded = loaded
        self._recipe = recipe

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        """Probabilities of the negative and the positive class, shape (n, 2)."""
        values, _ = ask(self._loaded, features, self._recipe.inputs, classification=True)
        return values if self._recipe.positive == 1 else values[:, ::-1]

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        """Predicted numbers, shape (n,)."""
        return ask(self._loaded, features, self._recipe.inputs, classification=False)[0]


def native(loaded: Any) -> Any:
    """The model behind MLflow's wrapper if it follows the scikit-learn API (also LightGBM's and XGBoost's), else None."""
    try:
        raw = loaded.get_raw_model()
    except NotImplementedError:
        return None
    return raw if hasattr(raw, "get_params") and hasattr(raw, "predict") else None


def input_type(column: str, kind: ColumnType, wanted: str | None) -> str | None:
    """The type a column is handed over as; None: as the contract has it.

    Args:
        wanted: MLflow's name of the type that the signature asks for; None without one.

    Raises:
        ConfigError: the data's column cannot be what the signature asks for.
    """
    if wanted is None:
        return _DTYPES.get(kind)
    kinds, dtype = _SIGNATURE.get(wanted, ((), None))
    if kind not in kinds:
        msg = f"the model's signature wants column {column!r} as {wanted}, the data has it as {kind}"
        raise ConfigError(msg)
    return dtype


def ask(
    loaded: Any, features: pd.DataFrame, inputs: dict[str, str], *, classification: bool
) -> tuple[np.ndarray, list[Any] | None]:
    """The model's answers, and the classes they are of where it names them.

    Returns:
        Probabilities, shape (n, 2), in the model's own order, or numbers, shape (n,).

    Raises:
        ConfigError: it gives something else.
        DataRejected: it cannot predict on these rows.
    """
    raw = native(loaded)
    if raw is not None and classification and not hasattr(raw, "predict_proba"):
        last = raw[-1] if hasattr(raw, "steps") else raw
        msg = f"{type(last).__name__} gives no probabilities (predict_proba), which judging needs"
        raise ConfigError(msg)
    asked = loaded.predict if raw is None else raw.predict_proba if classification else raw.predict
    handed = _dressed(features, inputs, strict=raw is None and loaded.metadata.signature is not None)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X has feature names")  # its maker fitted it on a bare array
            answer = asked(handed)
    except Exception as error:  # noqa: BLE001 - whatever somebody's model raises
        msg = f"on these {len(features)} rows the model raises {said(error)}"
        raise DataRejected(msg) from None
    names = _class_names(raw, answer) if classification else None
    try:
        values = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        msg = f"the model answers with {'labels' if classification else 'something else than numbers'}"
        raise ConfigError(f"{msg}; expected {_EXPECTED[classification]}") from None
    return (_probabilities if classification else _numbers)(values, len(features)), names


_EXPECTED = {True: "the probabilities of two classes", False: "one number for each row"}


def positive_answer(classes: list[Any] | None, labels: tuple[str, str], chosen: str | None) -> int:
    """Which of two answers is of the positive class.

    By name where the model's classes are the target's values. Else of 0 and 1 (or false and true, or two columns without
    names) 1 is the positive class, unless the target's values sort the other way round: then both readings are common.

    Args:
        classes: of the answers, in their order; None when they have no names.
        labels: the target's values: negative, positive.
        chosen: what the user says, one of the classes.

    Raises:
        ConfigError: nobody can tell.
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
    """Class values as text, spelt as those of the target are."""
    plain = np.asarray(values).tolist()
    try:
        return [str(value) for value in pa.array(plain).cast(pa.large_string()).to_pylist()]
    except (pa.ArrowException, TypeError):
        return [str(value) for value in plain]


def said(error: Exception) -> str:
    """What a model raised, in one line, without what it quotes: that may be a value of the data."""
    text = str(error).strip()
    if "Failed to enforce schema of data" in text:  # MLflow shows the whole table first
        text = text.rpartition("Error: ")[2]
    text = re.sub(r"\B'[^']*'|\"[^\"]*\"|\[[^\]]*\]|\{[^}]*\}", "(not shown)", (text.splitlines() or [""])[0][:2_000])
    return f"{type(error).__name__}: {text[:300]}"


def _dressed(features: pd.DataFrame, inputs: dict[str, str], *, strict: bool) -> pd.DataFrame:
    """The columns as the model wants them. One that is not whole today stays a float, as pandas would have it; MLflow
    would refuse that (``strict``).
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
    """Shape (n, 2); one column is that of class 1."""
    if values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1):
        one = values.reshape(-1)
        if len(one) > 1 and np.isin(one, (0, 1)).all():
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
