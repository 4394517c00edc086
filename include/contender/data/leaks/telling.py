"""Columns that give the target away. Each leak names its columns and its evidence; what to do about it is the caller's.

The looks see rows that a model would be trained on, at most ``ROWS`` of them. None of them fits more than it takes to
tell a coincidence from a leak: a column alone is scored by the target's mean per level, out of fold.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold

from contender.spec import LeakKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS = 20_000
_LEAST, _CELLS = 2_000, 2_000_000  # of a table with hundreds of columns fewer rows do
NEAR_PERFECT = 0.98
_TERMS = 8
_EXACT = 1e-9
_HUGE = 1e100  # beyond it, squares are no numbers any more
_SEPARATE = 0.9999
_LATER = 0.05
_LEVELS, _BINS = 256, 128
_FEW = 30  # rows, below which nothing is said
_RARE = 10  # rows of a class, or with a missing cell
_MANY = 500  # rows, below which a few honest columns may well tell classes apart together


@dataclass(frozen=True)
class Leak:
    """Columns (none where rows are the matter) and what is suspected of them, in numbers and never in values."""

    kind: LeakKind
    columns: tuple[str, ...]
    evidence: str


def some(count: int, most: int = ROWS) -> np.ndarray:
    """At most ``most`` of ``count`` positions, ascending: always the same, and at no regular distance."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False, shuffle=False))


def find_leaks(
    features: pd.DataFrame, target: np.ndarray, *, classification: bool, time: pd.Series | None = None
) -> list[Leak]:
    """All leaks, each column in at most one; first those that explain the target exactly.

    Args:
        features: shape (n, features), float64, str or datetime64.
        target: 0/1 or float, shape (n,).
        time: when each row was observed, shape (n,).
    """
    chosen = some(len(features), max(_LEAST, min(ROWS, _CELLS // max(1, features.shape[1]))))
    features, target = features.iloc[chosen], target[chosen]
    time = None if time is None else time.iloc[chosen]
    if len(target) < _FEW or target.min() == target.max() or (classification and _rarer(target) < _RARE):
        return []
    return without_repeats(
        [
            *_sums(features, target),
            *(_afterwards(features, time) if time is not None else ()),
            *_alone(features, target, classification=classification),
            *(_separating(features, target) if classification else ()),
        ]
    )


def without_repeats(leaks: list[Leak]) -> list[Leak]:
    """Those whose columns no earlier one has named."""
    found: list[Leak] = []
    taken: set[str] = set()
    for leak in leaks:
        if not taken & set(leak.columns):
            found.append(leak)
            taken |= set(leak.columns)
    return found


def _sums(features: pd.DataFrame, target: np.ndarray) -> Iterator[Leak]:
    """Columns whose weighted sum is the target, by orthogonal matching pursuit, until nothing is left to find."""
    numbers, wanted = _complete(features, target)
    wanted = wanted - wanted.mean()
    while len(numbers.columns):
        columns, chosen = _pursue(numbers, wanted)

        def weights(used: np.ndarray) -> np.ndarray:
            return np.asarray(np.linalg.lstsq(columns[:, used], wanted)[0])  # noqa: B023 - called in this turn only

        def exact(used: np.ndarray) -> bool:
            rest = wanted - columns[:, used] @ weights(used)  # noqa: B023 - the same
            return bool(rest @ rest <= _EXACT * (wanted @ wanted))

        if not exact(chosen):
            return
        needed = _needed(chosen, exact)
        names = numbers.columns[needed]
        named = zip(names, weights(needed) / numbers[names].std(), strict=True)
        words = " + ".join(name if abs(weight - 1) < 1e-6 else f"{weight:.4g} * {name}" for name, weight in named)
        yield Leak("determines", tuple(names), f"{words} is the target, exactly")
        numbers = numbers.drop(columns=names)


def _separating(features: pd.DataFrame, target: np.ndarray) -> Iterator[Leak]:
    """Columns of which a weighted sum is on one side of a limit for one class and on the other for the other."""
    from sklearn.linear_model import LogisticRegression

    numbers, classes = _complete(features, target)
    if len(numbers.columns) < 2 or len(numbers) < _MANY or _rarer(classes) < _RARE:
        return
    columns, chosen = _pursue(numbers, classes - classes.mean())

    def score(used: np.ndarray) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where the classes are apart the weights grow without end
            fitted = LogisticRegression(C=1e3, max_iter=200).fit(columns[:, used], classes)
        return float(roc_auc_score(classes, fitted.decision_function(columns[:, used])))

    if score(chosen) >= _SEPARATE:
        needed = _needed(chosen, lambda used: score(used) >= _SEPARATE)
        names = tuple(numbers.columns[needed])
        yield Leak("determines", names, f"a weighted sum of {' and '.join(names)} reaches ROC AUC {score(needed):.4f}")


def _complete(features: pd.DataFrame, target: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """The numbers that vary and are there in nearly all rows, and the rows in which they are; no columns if too few."""
    numbers = features.select_dtypes("float64")
    usable = numbers.abs() < _HUGE
    names = usable.columns[usable.mean() > 0.95]
    rows = usable[names].all(axis=1).to_numpy() & (np.abs(target) < _HUGE)
    numbers, target = numbers.loc[rows, names], target[rows]
    few = len(target) < _FEW or target.min() == target.max()
    return numbers.loc[:, (numbers.std() > 0) & (not few)], target


def _pursue(numbers: pd.DataFrame, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The columns with mean 0 and deviation 1, and which few have the sum that comes closest, the least of them first."""
    from sklearn.linear_model import orthogonal_mp

    columns = ((numbers - numbers.mean()) / numbers.std()).to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns when fewer terms than allowed explain everything
        weights = np.atleast_1d(orthogonal_mp(columns, wanted, n_nonzero_coefs=min(_TERMS, columns.shape[1])))
    return columns, np.argsort(np.abs(weights), kind="stable")[-np.count_nonzero(weights) :]


def _needed(chosen: np.ndarray, enough: Callable[[np.ndarray], bool]) -> np.ndarray:
    """Those without which the others are not enough: what merely stood by is not accused."""
    for place in chosen:
        rest = chosen[chosen != place]
        if len(rest) and enough(rest):
            chosen = rest
    return np.sort(chosen)


def _afterwards(features: pd.DataFrame, time: pd.Series) -> Iterator[Leak]:
    by_day = bool((time.dropna() == time.dropna().dt.normalize()).all())
    for name in features.select_dtypes("datetime"):
        known = features[name].notna() & time.notna()
        moments = features[name].dt.normalize() if by_day else features[name]  # a day has all its hours
        later = float((moments > time)[known].mean()) if known.sum() >= _RARE else 0.0
        if later > _LATER:
            yield Leak(
                "afterwards", (name,), f"is later than {time.name} in {later:.0%} of the rows: known only afterwards"
            )


def _alone(features: pd.DataFrame, target: np.ndarray, *, classification: bool) -> Iterator[Leak]:
    """Columns that nearly do it alone, by what is in them or by being there at all."""
    missing = features.isna()
    missing = missing.loc[:, (missing.sum() >= _RARE) & ((~missing).sum() >= _RARE)]
    by_absence = dict(zip(missing, scores(missing.astype(int), target, classification=classification), strict=True))
    codes = features.apply(levels)
    for name, score in zip(codes, scores(codes, target, classification=classification), strict=True):
        if by_absence.get(name, 0) > NEAR_PERFECT:
            words = f"{_reached(by_absence[name], classification)} by whether it is missing, alone"
            yield Leak("missingness", (name,), words)
        elif score > NEAR_PERFECT:
            exactly = _exactly(features[name], target, classification=classification)
            words = f"{_reached(score, classification)} alone"
            yield Leak(
                *(("determines", (name,), f"{words}: {exactly}") if exactly else ("near_perfect", (name,), words))
            )


def scores(codes: pd.DataFrame, target: np.ndarray, *, classification: bool) -> list[float]:
    """How well each column of codes tells the target by itself: the ROC AUC, or the R2 of the target's ranks.

    Ranks, for a few huge values would hide that all the others agree, and a copy on another scale is a copy.
    """
    from sklearn.preprocessing import TargetEncoder

    if codes.empty:
        return []
    wanted = target if classification else pd.Series(target).rank().to_numpy()
    folds = (StratifiedKFold if classification else KFold)(3, shuffle=True, random_state=0)
    encoder = TargetEncoder(target_type="binary" if classification else "continuous", cv=folds)
    guessed = encoder.fit_transform(codes.to_numpy(), wanted)
    return [float((roc_auc_score if classification else r2_score)(wanted, column)) for column in guessed.T]


def levels(column: pd.Series) -> np.ndarray:
    """A code per value, -1 where it is missing; numbers of many values in bins of about as many rows each."""
    text = str(column.dtype) == "str"
    codes, values = pd.factorize(column, sort=not text)
    if text or len(values) <= _LEVELS:
        return np.asarray(codes)
    edges = np.quantile(codes[codes >= 0], np.linspace(0, 1, _BINS + 1)[1:-1])
    return np.where(codes < 0, -1, np.searchsorted(edges, codes))


def _exactly(column: pd.Series, target: np.ndarray, *, classification: bool) -> str:
    """In which way a column is the target under another name, if it is."""
    codes, values = pd.factorize(column, sort=str(column.dtype) != "str")
    pure = pd.Series(target).groupby(codes).nunique().max() == 1
    if pure and len(values) <= len(codes) / (20 if classification else 2):
        return f"each of its {len(values):,} values goes with one of the target, in all {len(codes):,} rows"
    if str(column.dtype) == "str" or (codes < 0).any():
        return ""
    if classification:
        apart = abs(roc_auc_score(target, codes) - 0.5) == 0.5
        return f"one limit on it tells the classes apart, in all {len(codes):,} rows" if apart else ""
    same = abs(np.corrcoef(pd.Series(codes).rank(), pd.Series(target).rank())[0, 1]) > 1 - _EXACT
    return f"it puts all {len(codes):,} rows in the target's order" if same else ""


def _rarer(target: np.ndarray) -> int:
    return int(min(target.sum(), len(target) - target.sum()))


def _reached(score: float, classification: bool) -> str:  # noqa: FBT001 - one word of a sentence
    return f"reaches {'ROC AUC' if classification else 'R2 (of ranks)'} {score:.3f}"
