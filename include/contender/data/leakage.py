"""Columns that give the target away. Each finding names its columns and its evidence; what to do about it is the caller's.

The checks look at rows that a model would be trained on, at most ``ROWS`` of them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 20_000
NEAR_PERFECT = 0.98
_TERMS = 8
_EXACT = 1e-9
_LEVELS = 200


@dataclass(frozen=True)
class Leak:
    """Columns that together determine the target, nearly do, or are known only after it."""

    kind: Literal["sum", "near_perfect", "missingness", "afterwards"]
    columns: tuple[str, ...]
    evidence: str


def find_leaks(
    features: pd.DataFrame, target: np.ndarray, *, classification: bool, time: pd.Series | None = None
) -> list[Leak]:
    """All findings, each column in at most one; first those that explain the target exactly.

    Args:
        features: shape (n, features), float64, str or datetime64.
        target: 0/1 or float, shape (n,).
        time: when each row was observed, shape (n,).
    """
    step = max(1, len(features) // ROWS)
    features, target = features.iloc[::step], target[::step]
    time = None if time is None else time.iloc[::step]
    found: list[Leak] = []
    taken: set[str] = set()
    checks = (
        _sums(features, target) if not classification else iter(()),
        _afterwards(features, time) if time is not None else iter(()),
        _near_perfect(features, target, classification=classification),
    )
    for check in checks:
        for leak in check:
            if not taken & set(leak.columns):
                found.append(leak)
                taken |= set(leak.columns)
    return found


def _sums(features: pd.DataFrame, target: np.ndarray) -> Iterator[Leak]:
    """Columns whose weighted sum is the target, by orthogonal matching pursuit, until nothing is left to find."""
    from sklearn.linear_model import orthogonal_mp

    numbers = features.select_dtypes("float64")
    numbers = numbers.loc[:, numbers.notna().mean() > 0.95]
    rows = numbers.notna().all(axis=1).to_numpy() & np.isfinite(target)
    numbers, wanted = numbers[rows], target[rows] - target[rows].mean()
    numbers = numbers.loc[:, numbers.std() > 0]
    if len(numbers) < 30 or not wanted.any():
        return
    while len(numbers.columns):
        scale = numbers.std().to_numpy()
        columns = ((numbers - numbers.mean()) / scale).to_numpy()
        terms = min(_TERMS, columns.shape[1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns when fewer terms than allowed explain everything
            weights = np.atleast_1d(orthogonal_mp(columns, wanted, n_nonzero_coefs=terms))
        rest = wanted - columns @ weights
        if (rest @ rest) > _EXACT * (wanted @ wanted):
            return
        named = [
            (name, weight / size)
            for name, weight, size in zip(numbers.columns, weights, scale, strict=True)
            if abs(weight) > 1e-6 * np.abs(weights).max()
        ]
        words = " + ".join(name if abs(weight - 1) < 1e-6 else f"{weight:.4g} * {name}" for name, weight in named)
        yield Leak("sum", tuple(name for name, _ in named), f"{words} is the target, exactly")
        numbers = numbers.drop(columns=[name for name, _ in named])


def _afterwards(features: pd.DataFrame, time: pd.Series) -> Iterator[Leak]:
    for name in features.select_dtypes("datetime"):
        known = features[name].notna() & time.notna()
        later = float((features[name] > time)[known].mean()) if known.any() else 0.0
        if later > 0.95:
            yield Leak(
                "afterwards", (name,), f"is later than {time.name} in {later:.0%} of the rows: known only afterwards"
            )


def _near_perfect(features: pd.DataFrame, target: np.ndarray, *, classification: bool) -> Iterator[Leak]:
    for name in features:
        column = features[name]
        missing = column.isna()
        if 0.005 < missing.mean() < 0.995:
            score = _alone(missing.to_numpy(dtype=float), target, classification=classification)
            if score > NEAR_PERFECT:
                yield Leak("missingness", (name,), f"{_scored(score, classification)} by whether it is missing, alone")
                continue
        codes = pd.factorize(column)[0].astype(float) if str(column.dtype) == "str" else column.to_numpy()
        if str(column.dtype).startswith("datetime"):
            codes = column.astype("int64").to_numpy(dtype=float)
        if str(column.dtype) == "str" and codes.max() >= _LEVELS:
            continue
        score = _alone(codes, target, classification=classification)
        if score > NEAR_PERFECT:
            yield Leak("near_perfect", (name,), f"{_scored(score, classification)} alone")


def _alone(column: np.ndarray, target: np.ndarray, *, classification: bool) -> float:
    """What a small tree on this one column reaches, cross-validated; 0 where it cannot be said."""
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    settings = {"max_leaf_nodes": 64, "min_samples_leaf": 5, "random_state": 0}
    tree = DecisionTreeClassifier(**settings) if classification else DecisionTreeRegressor(**settings)
    if len(target) < 30 or (classification and min(np.bincount(target.astype(int), minlength=2)) < 3):
        return 0.0
    folds = (StratifiedKFold if classification else KFold)(3, shuffle=True, random_state=0)
    scoring = "roc_auc" if classification else "r2"
    return float(cross_val_score(tree, column.reshape(-1, 1), target, cv=folds, scoring=scoring).mean())


def _scored(score: float, classification: bool) -> str:  # noqa: FBT001 - one word of a sentence
    return f"reaches {'ROC AUC' if classification else 'R2'} {score:.3f}"
