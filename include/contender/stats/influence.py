"""The influence values of scikit-learn's scorers: how much each row moves a metric, so that its error needs no resampling.

A metric on n rows is its true value plus the mean of the rows' influence values, up to terms of order 1 / n (Hampel, The
influence curve and its role in robust estimation, JASA 1974). Nearly all scorers are a ratio of two means, mean(a) /
mean(b), whose influence values are (a - ratio b) / mean(b); ROC AUC has DeLong's placement values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_Numbers = tuple[float, np.ndarray]  # a metric's value, and the influence values of its n rows; shape (n,), mean 0
_Form = Callable[[np.ndarray, np.ndarray], _Numbers]


def influence(metric: str, values: np.ndarray, target: np.ndarray) -> _Numbers | None:
    """The scorer's value on n rows (greater is better), and what each row adds to it; None for a metric without this form.

    Args:
        values: probabilities of class 0 and 1, shape (n, 2), both classes among the rows; or predicted numbers, shape (n,).
        target: shape (n,); 0 and 1, or numbers. A value may be infinite or NaN where scikit-learn's is not defined.
    """
    classification = values.ndim == 2
    form = (_CLASSIFIERS if classification else _REGRESSORS).get(metric)
    if form is None:
        return None
    with np.errstate(all="ignore"):
        return form(values, target)


def differ(metric: str, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The rows of which two models say something else, as far as the metric can see; shape (n,), bool."""
    if metric in OF_LABELS:
        one, other = one.argmax(axis=1), other.argmax(axis=1)
    return np.asarray((one != other).reshape(len(one), -1).any(axis=1))


def _ratio(top: np.ndarray, bottom: np.ndarray | None = None) -> _Numbers:
    """mean(top) / mean(bottom), of nothing 0, as scikit-learn's precision without a positive prediction."""
    if bottom is None:
        value = float(np.mean(top, dtype=float))
        return value, top - value
    below = float(np.mean(bottom, dtype=float))
    if below == 0:
        return 0.0, np.zeros(len(top))
    value = float(np.mean(top, dtype=float)) / below
    return value, (top - value * bottom) / below


def _negative(numbers: _Numbers) -> _Numbers:
    return -numbers[0], -numbers[1]


def _root(numbers: _Numbers) -> _Numbers:
    """The square root of a mean; where it is 0 every row is, and moves nothing."""
    value = numbers[0] ** 0.5
    return value, numbers[1] / (2 * value) if value else numbers[1]


def _explained(loss: np.ndarray, constant: np.ndarray) -> _Numbers:
    """One minus the model's loss over that of the best constant.

    The constant is estimated, too, but has no influence: it is where its loss is least.
    """
    if not constant.any():  # the targets are all the same
        return float("nan"), np.zeros(len(loss))
    value, rows = _ratio(loss, constant)
    return 1 - value, -rows


def _right(values: np.ndarray, target: np.ndarray) -> Any:
    return (values.argmax(axis=1) == target).astype(float)


def _surprise(values: np.ndarray, target: np.ndarray) -> Any:
    """Each row's log loss, with scikit-learn's limit."""
    share = np.where(target == 1, values[:, 1], values[:, 0])
    tiny = np.finfo(float).eps
    return -np.log(np.clip(share, tiny, 1 - tiny))


def _squared(values: np.ndarray, target: np.ndarray) -> Any:
    return np.square(target - (values[:, 1] if values.ndim == 2 else values))


def _balanced(values: np.ndarray, target: np.ndarray) -> _Numbers:
    right = _right(values, target)
    (one, rows), (other, others) = (_ratio(right * own, own) for own in (target == 1, target == 0))
    return (one + other) / 2, (rows + others) / 2


def _flags(hits: float, said: float, true: float, both: float) -> _Form:
    """A ratio of counts of rows: hits, over those of which the class is said, those of which it is true, and the hits."""

    def form(values: np.ndarray, target: np.ndarray) -> _Numbers:
        says, is_so = values.argmax(axis=1).astype(float), (target == 1).astype(float)
        hit = says * is_so
        return _ratio(hits * hit, said * says + true * is_so + both * hit)

    return form


def _steps(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order of n rows by score, and the number of each row's distinct score, counted from the lowest; shape (n,) each."""
    order = np.argsort(score)
    ranked = score[order]
    step = np.empty(len(score), dtype=np.intp)
    step[order] = np.concatenate([[0], np.cumsum(ranked[1:] != ranked[:-1])])
    return order, step


def _roc_auc(values: np.ndarray, target: np.ndarray) -> _Numbers:
    """The share of the other class that a row is on the right side of, a tie counting half.

    DeLong, DeLong and Clarke-Pearson, Comparing the areas under two or more correlated receiver operating characteristic
    curves, Biometrics 1988; by ranks as Sun and Xu, Fast implementation of DeLong's algorithm, IEEE SPL 2014.
    """
    positive = target == 1
    _, step = _steps(values[:, 1])
    above, below = (np.bincount(step, weights=own, minlength=int(step.max()) + 1) for own in (positive, ~positive))
    passed = (np.cumsum(below) - below / 2) / below.sum()
    missed = 1 - (np.cumsum(above) - above / 2) / above.sum()
    placement = np.where(positive, passed[step], missed[step])
    value = float(np.mean(placement[positive]))
    share = np.where(positive, np.mean(positive), np.mean(~positive))
    return value, (placement - value) / share


def _average_precision(values: np.ndarray, target: np.ndarray) -> _Numbers:
    """The mean precision at the scores of the positive rows.

    A row counts among the positives by its own precision, and in the precision at every score up to its own.
    """
    positive = (target == 1).astype(float)
    _, step = _steps(values[:, 1])
    rows, hits = np.bincount(step), np.bincount(step, weights=positive)
    reached, found = np.cumsum(rows[::-1])[::-1], np.cumsum(hits[::-1])[::-1]
    precision = found / reached
    share = positive.mean()
    value = float(hits @ precision) / positive.sum()
    gain, loss = np.cumsum(hits / reached), np.cumsum(hits * precision / reached)
    rows_part = positive * (precision[step] - value) + positive * gain[step] - loss[step]
    return value, rows_part / share


def _deviations(values: np.ndarray, target: np.ndarray) -> Any:
    error = target - values
    return np.square(error - error.mean())


def _prior_surprise(target: np.ndarray) -> Any:
    share = np.mean(target == 1)
    return np.where(target == 1, -np.log(share), -np.log(1 - share))


def _log_errors(values: np.ndarray, target: np.ndarray) -> Any:
    return np.square(np.log1p(target) - np.log1p(values))


def _poisson(values: np.ndarray, target: np.ndarray) -> Any:
    logs = np.where(target > 0, target * np.log(np.where(target > 0, target, 1) / values), 0)
    return 2 * (logs - target + values)


OF_LABELS = {"accuracy", "balanced_accuracy", "precision", "recall", "f1", "jaccard"}
_CLASSIFIERS: dict[str, _Form] = {
    **dict.fromkeys(
        ("roc_auc", "roc_auc_ovo", "roc_auc_ovo_weighted", "roc_auc_ovr", "roc_auc_ovr_weighted"), _roc_auc
    ),
    "average_precision": _average_precision,
    "accuracy": lambda p, y: _ratio(_right(p, y)),
    "balanced_accuracy": _balanced,
    "neg_log_loss": lambda p, y: _negative(_ratio(_surprise(p, y))),
    "neg_brier_score": lambda p, y: _negative(_ratio(_squared(p, y))),
    "d2_log_loss_score": lambda p, y: _explained(_surprise(p, y), _prior_surprise(y)),
    "d2_brier_score": lambda p, y: _explained(_squared(p, y), (y - np.mean(y)) ** 2),
    "precision": _flags(1, 1, 0, 0),
    "recall": _flags(1, 0, 1, 0),
    "f1": _flags(2, 1, 1, 0),
    "jaccard": _flags(1, 1, 1, -1),
}
_REGRESSORS: dict[str, _Form] = {
    "neg_mean_squared_error": lambda f, y: _negative(_ratio(_squared(f, y))),
    "neg_root_mean_squared_error": lambda f, y: _negative(_root(_ratio(_squared(f, y)))),
    "neg_mean_absolute_error": lambda f, y: _negative(_ratio(np.abs(y - f))),
    "neg_mean_absolute_percentage_error": lambda f, y: _negative(
        _ratio(np.abs(y - f) / np.maximum(np.abs(y), np.finfo(float).eps))
    ),
    "neg_mean_squared_log_error": lambda f, y: _negative(_ratio(_log_errors(f, y))),
    "neg_root_mean_squared_log_error": lambda f, y: _negative(_root(_ratio(_log_errors(f, y)))),
    "neg_mean_poisson_deviance": lambda f, y: _negative(_ratio(_poisson(f, y))),
    "neg_mean_gamma_deviance": lambda f, y: _negative(_ratio(2 * (np.log(f / y) + y / f - 1))),
    "r2": lambda f, y: _explained(_squared(f, y), (y - np.mean(y)) ** 2),
    "explained_variance": lambda f, y: _explained(_deviations(f, y), (y - np.mean(y)) ** 2),
    "d2_absolute_error_score": lambda f, y: _explained(np.abs(y - f), np.abs(y - np.median(y))),
}
