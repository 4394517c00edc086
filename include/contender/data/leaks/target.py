"""Columns that give the target away, each with its evidence. The caller decides what to do about them.

Of the rows passed, which are sweep rows, at most ``ROWS`` are looked at. A single column is scored by target encoding (the mean target per
level) out of fold; several columns by a linear model of at most eight of them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold

from contender.data.leaks.sample import ROWS, sample_positions
from contender.spec.data import LeakKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LEAST, _CELLS = 2_000, 2_000_000  # at most so many cells, but never fewer rows
NEAR_PERFECT = 0.98  # ROC AUC, or R2 of ranks, of one column
_TERMS = 8  # columns of a weighted sum
_EXACT = 1e-9  # of the target's variance that a sum leaves open
_NEARLY, _CLOSE = (
    0.98,
    1e-6,
)  # share of rows in which a sum holds, and how closely, in standard deviations of the target
_DRAWS, _DRAWN = 30, 60  # samples, and rows of each, in which such a sum is looked for
_HUGE = 1e100  # squares of larger numbers may overflow
_SEPARATE = 0.9999  # ROC AUC of a weighted sum
_LATER = 0.05  # share of rows
_LEVELS, _BINS = 256, 128  # numbers with more distinct values are binned
_FEW = 30  # rows, below which nothing is said
_RARE = 10  # rows of a class, or with a missing cell
_MANY = 500  # rows, below which a few honest columns may well tell classes apart together


@dataclass(frozen=True)
class Leak:
    """A suspicion: its columns (none if it is about rows) and the evidence, in numbers and never in values."""

    kind: LeakKind
    columns: tuple[str, ...]
    evidence: str


def find_leaks(
    features: pd.DataFrame, target: np.ndarray, *, classification: bool, time: pd.Series | None = None
) -> list[Leak]:
    """All leaks, each column in at most one; exact sums first.

    Args:
        features: shape (n, features), float64, str or datetime64.
        target: 0/1 or float, shape (n,).
        time: when each row was observed, shape (n,).
    """
    chosen = sample_positions(len(features), max(_LEAST, min(ROWS, _CELLS // max(1, features.shape[1]))))
    features, target = features.iloc[chosen], target[chosen]
    time = None if time is None else time.iloc[chosen]
    if len(target) < _FEW or target.min() == target.max() or (classification and _rarer(target) < _RARE):
        return []
    return first_per_column(
        [
            *_exact_sums(features, target),
            *(_known_later(features, time) if time is not None else ()),
            *_single_columns(features, target, classification=classification),
            *(_separating_sums(features, target) if classification else ()),
        ]
    )


def first_per_column(leaks: list[Leak]) -> list[Leak]:
    """The leaks without those that share a column with an earlier one."""
    found: list[Leak] = []
    taken: set[str] = set()
    for leak in leaks:
        if not taken & set(leak.columns):
            found.append(leak)
            taken |= set(leak.columns)
    return found


def _exact_sums(features: pd.DataFrame, target: np.ndarray) -> Iterator[Leak]:
    """Columns whose weighted sum is the target in all rows, or in all but few, until there are no more."""
    numbers, wanted = _complete(features, target)
    while len(numbers.columns):
        rows = np.ones(len(wanted), dtype=bool)
        found = _sum_of(numbers, wanted)
        if found is None:
            rows = _agreeing(numbers, wanted)
            found = _sum_of(numbers[rows], wanted[rows]) if rows.mean() >= _NEARLY else None
        if found is None:
            return
        words = " + ".join(
            name if abs(weight - 1) < 1e-6 else f"{weight:.4g} * {name}" for name, weight in found.items()
        )
        where = "" if rows.all() else f", in {rows.mean():.1%} of the rows"
        yield Leak("determines", tuple(found), f"{words} is the target, exactly{where}")
        numbers = numbers.drop(columns=[*found])


def _sum_of(numbers: pd.DataFrame, target: np.ndarray) -> dict[str, float] | None:
    """The weights of the few columns whose sum is the target exactly, by orthogonal matching pursuit; None if there is none."""
    numbers, wanted = numbers.loc[:, numbers.std() > 0], target - target.mean()
    if not len(numbers.columns) or not wanted.any():
        return None
    columns, chosen = _pursue(numbers, wanted)

    def weights(used: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.lstsq(columns[:, used], wanted)[0])

    def exact(used: np.ndarray) -> bool:
        rest = wanted - columns[:, used] @ weights(used)
        return bool(rest @ rest <= _EXACT * (wanted @ wanted))

    if not exact(chosen):
        return None
    needed = _needed(chosen, exact)
    names = numbers.columns[needed]
    return dict(zip(names, weights(needed) / numbers[names].std(), strict=True))


def _agreeing(numbers: pd.DataFrame, target: np.ndarray) -> np.ndarray:
    """The rows in which a weighted sum is the target, if it is in nearly all, else none; shape (n,), bool.

    Least squares over all rows would be pulled aside by a few wrong ones, so the sum is looked for in few rows, of which
    most draws hold no wrong one (random sample consensus, Fischler and Bolles 1981), and asked of all.
    """
    values, counts = np.unique(target, return_counts=True)
    rarer = target != values[counts.argmax()]  # a target that is nearly always the same is met by no sum at all
    if len(values) == 2:  # a column that is nearly one of two classes is told as near perfect
        return np.zeros(len(target), dtype=bool)
    for draw in range(_DRAWS):
        some = np.sort(np.random.default_rng(draw).permutation(len(target))[:_DRAWN])
        found = _sum_of(numbers.iloc[some], target[some])
        if found is None:
            continue
        rest = target - numbers[[*found]].to_numpy() @ np.array([*found.values()])
        agrees = np.abs(rest - np.median(rest)) <= _CLOSE * target.std()
        if min(agrees.mean(), agrees[rarer].mean()) >= _NEARLY:
            return np.asarray(agrees)
    return np.zeros(len(target), dtype=bool)


def _separating_sums(features: pd.DataFrame, target: np.ndarray) -> Iterator[Leak]:
    """Columns whose weighted sum separates the classes."""
    from sklearn.linear_model import LogisticRegression

    numbers, classes = _complete(features, target)
    if len(numbers.columns) < 2 or len(numbers) < _MANY or _rarer(classes) < _RARE:
        return
    columns, chosen = _pursue(numbers, classes - classes.mean())

    def score(used: np.ndarray) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the weights of separated classes do not converge
            fitted = LogisticRegression(C=1e3, max_iter=200).fit(columns[:, used], classes)
        return float(roc_auc_score(classes, fitted.decision_function(columns[:, used])))

    if score(chosen) >= _SEPARATE:
        needed = _needed(chosen, lambda used: score(used) >= _SEPARATE)
        names = tuple(numbers.columns[needed])
        yield Leak("determines", names, f"a weighted sum of {' and '.join(names)} reaches ROC AUC {score(needed):.4f}")


def _complete(features: pd.DataFrame, target: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """The numeric columns that vary and have values in nearly all rows, and the target, both in the rows complete in them.

    Without columns when the rows are too few.
    """
    numbers = features.select_dtypes("float64")
    usable = numbers.abs() < _HUGE
    names = usable.columns[usable.mean() > 0.95]
    rows = usable[names].all(axis=1).to_numpy() & (np.abs(target) < _HUGE)
    numbers, target = numbers.loc[rows, names], target[rows]
    few = len(target) < _FEW or target.min() == target.max()
    return numbers.loc[:, (numbers.std() > 0) & (not few)], target


def _pursue(numbers: pd.DataFrame, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The columns standardised, and the positions of the few whose weighted sum is closest, by ascending weight."""
    from sklearn.linear_model import orthogonal_mp

    columns = ((numbers - numbers.mean()) / numbers.std()).to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns when fewer terms than allowed explain everything
        weights = np.atleast_1d(orthogonal_mp(columns, wanted, n_nonzero_coefs=min(_TERMS, columns.shape[1])))
    return columns, np.argsort(np.abs(weights), kind="stable")[-np.count_nonzero(weights) :]


def _needed(chosen: np.ndarray, enough: Callable[[np.ndarray], bool]) -> np.ndarray:
    """The columns without which the others are not enough; superfluous ones are left out, so that none is accused wrongly."""
    for place in chosen:
        rest = chosen[chosen != place]
        if len(rest) and enough(rest):
            chosen = rest
    return np.sort(chosen)


def _known_later(features: pd.DataFrame, time: pd.Series) -> Iterator[Leak]:
    """Timestamps after the time of their row."""
    by_day = bool((time.dropna() == time.dropna().dt.normalize()).all())
    for name in features.select_dtypes("datetime"):
        known = features[name].notna() & time.notna()
        moments = (
            features[name].dt.normalize() if by_day else features[name]
        )  # a time that is a day stands for all its hours
        later = float((moments > time)[known].mean()) if known.sum() >= _RARE else 0.0
        if later > _LATER:
            yield Leak(
                "afterwards", (name,), f"is later than {time.name} in {later:.0%} of the rows: known only afterwards"
            )


def _single_columns(features: pd.DataFrame, target: np.ndarray, *, classification: bool) -> Iterator[Leak]:
    """Columns that predict the target nearly perfectly, by their values or by whether they are missing."""
    missing = features.isna()
    missing = missing.loc[:, (missing.sum() >= _RARE) & ((~missing).sum() >= _RARE)]
    by_absence = dict(
        zip(missing, column_scores(missing.astype(int), target, classification=classification), strict=True)
    )
    codes = features.apply(level_codes)
    for name, score in zip(codes, column_scores(codes, target, classification=classification), strict=True):
        if by_absence.get(name, 0) > NEAR_PERFECT:
            words = f"{_reached(by_absence[name], classification)} by whether it is missing, alone"
            yield Leak("missingness", (name,), words)
        elif score > NEAR_PERFECT:
            exactly = _exactly(features[name], target, classification=classification)
            words = f"{_reached(score, classification)} alone"
            yield Leak(
                *(("determines", (name,), f"{words}: {exactly}") if exactly else ("near_perfect", (name,), words))
            )


def column_scores(codes: pd.DataFrame, target: np.ndarray, *, classification: bool) -> list[float]:
    """How well each column of codes predicts the target by itself: the ROC AUC, or the R2 of the target's ranks.

    Ranks, so that a few huge values do not hide that all others agree, and a copy on another scale is found.
    """
    from sklearn.preprocessing import TargetEncoder

    if codes.empty:
        return []
    wanted = target if classification else pd.Series(target).rank().to_numpy()
    folds = (StratifiedKFold if classification else KFold)(3, shuffle=True, random_state=0)
    encoder = TargetEncoder(target_type="binary" if classification else "continuous", cv=folds)
    guessed = encoder.fit_transform(codes.to_numpy(), wanted)
    if not classification:
        return [float(r2_score(wanted, column)) for column in guessed.T]
    # The share of pairs that are in order (Hanley and McNeil 1982), for all columns at once.
    positive = wanted.astype(bool)
    ranks = pd.DataFrame(guessed).rank().to_numpy()[positive].sum(axis=0)
    count = int(positive.sum())
    return [float(one) for one in (ranks - count * (count + 1) / 2) / (count * (len(wanted) - count))]


def level_codes(column: pd.Series) -> np.ndarray:
    """An integer code per distinct value, -1 where it is missing; many distinct numbers in quantile bins."""
    text = str(column.dtype) == "str"
    codes, values = pd.factorize(column, sort=not text)
    if text or len(values) <= _LEVELS:
        return np.asarray(codes)
    edges = np.quantile(codes[codes >= 0], np.linspace(0, 1, _BINS + 1)[1:-1])
    return np.where(codes < 0, -1, np.searchsorted(edges, codes))


def _exactly(column: pd.Series, target: np.ndarray, *, classification: bool) -> str:
    """How a column determines the target exactly, as words; empty if it does not."""
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
    """The number of rows of the rarer class."""
    return int(min(target.sum(), len(target) - target.sum()))


def _reached(score: float, classification: bool) -> str:  # noqa: FBT001 - one word of a sentence
    return f"reaches {'ROC AUC' if classification else 'R2 (of ranks)'} {score:.3f}"
