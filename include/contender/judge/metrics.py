"""Scoring stored predictions with scikit-learn's scorers, with row weights, so that a bootstrap costs no prediction."""

from __future__ import annotations

import difflib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer_names

from contender.errors import ConfigError
from contender.owncode import import_path
from contender.sweep.scoring import is_own, score

if TYPE_CHECKING:
    from collections.abc import Sequence


def metric_names() -> list[str]:
    """What scikit-learn calls its scorers."""
    return list(get_scorer_names())


def check_metric(name: str, place: str, *, classification: bool, ranks: bool = True) -> None:
    """See that there is such a scorer and that it can judge this kind of target on weighted rows.

    Args:
        ranks: whether models are compared by it, so that greater must be better.

    Raises:
        ConfigError: it has not, with a suggestion, or it cannot, with its reason.
    """
    if is_own(name):
        _check_own(name, place, classification=classification, ranks=ranks)
        return
    names = get_scorer_names()
    if name not in names:
        if f"neg_{name}" in names:
            msg = f"{place}: {name} is less for a better model; give scikit-learn's neg_{name}, which is greater"
            raise ConfigError(msg)
        close = difflib.get_close_matches(name, names, n=3) or ["roc_auc", "neg_log_loss", "r2"]
        msg = f"{place}: scikit-learn has no scorer {name!r}. Did you mean {' or '.join(map(repr, close))}?"
        raise ConfigError(msg)
    says, is_so = np.array([0.2, 0.4, 0.6, 0.8]), np.array([0, 1, 0, 1])
    example = Predictions(np.column_stack([1 - says, says])) if classification else Predictions(says)
    try:
        example.score(name, is_so if classification else says[::-1], weights=np.array([1.0, 2.0, 1.0, 1.0]))
    except Exception as error:  # noqa: BLE001 - a scorer may raise anything on what it is not made for
        kind = "classification" if classification else "regression"
        msg = f"{place}: {name} cannot judge a {kind} with weighted rows: {str(error)[:200]}"
        raise ConfigError(msg) from None


def _check_own(name: str, place: str, *, classification: bool, ranks: bool) -> None:
    """See that a scorer of the user's own asks for predictions only, and counts a row as often as its weight says: a
    bootstrap draws nothing but weights.
    """
    import_path(name, place, kind="scorer")
    counts = np.array([1, 2, 0, 3, 1, 1, 2, 1])
    says, is_so = np.array([0.1, 0.3, 0.4, 0.2, 0.6, 0.9, 0.7, 0.8]), np.array([0, 1, 0, 0, 1, 0, 1, 1])
    target = is_so if classification else says[::-1].copy()
    right, wrong = (np.where(is_so, 0.95, 0.05), np.where(is_so, 0.05, 0.95)) if classification else (target, says)
    examples = (np.column_stack([1 - one, one]) if classification else one for one in (says, right, wrong))
    some, best, worst = (Predictions(values) for values in examples)
    copies = np.repeat(np.arange(len(says)), counts)
    try:
        weighted = some.score(name, target, weights=counts.astype(float))
        copied = Predictions(some.values[copies]).score(name, target[copies])
        high, low = best.score(name, target), worst.score(name, target)
    except ConfigError as error:
        msg = (
            f"{place}: {str(error)[:400]}; expected a scorer, as sklearn.metrics.make_scorer gives one, or a function "
            "(estimator, X, y, sample_weight=None) that asks the estimator for predictions of X and nothing else of X"
        )
        raise ConfigError(msg) from None
    if not np.isclose(weighted, copied, rtol=1e-6, atol=1e-9, equal_nan=True):
        msg = (
            f"{place}: {name} gives {weighted:.6g} for weighted rows and {copied:.6g} for rows repeated as often; "
            "count each row sample_weight times, else no interval means anything"
        )
        raise ConfigError(msg)
    if ranks and high < low:
        msg = (
            f"{place}: {name} gives {high:.6g} for right answers and {low:.6g} for wrong ones, but greater must be "
            "better: turn its sign round, as make_scorer(..., greater_is_better=False) does"
        )
        raise ConfigError(msg)


@dataclass(frozen=True)
class Predictions:
    """What one contestant says about n rows.

    Attributes:
        values: probabilities of class 0 and 1, shape (n, 2), or predicted numbers, shape (n,).
    """

    values: np.ndarray

    @classmethod
    def of(cls, model: Any, features: Any, *, classification: bool) -> Predictions:
        """Ask a fitted model.

        Raises:
            ConfigError: a classifier without probabilities.
            ValueError: a prediction that is not finite.
        """
        if classification and not hasattr(model, "predict_proba"):
            last = model[-1] if hasattr(model, "steps") else model
            msg = f"{type(last).__name__} gives no probabilities (predict_proba), which judging needs"
            raise ConfigError(msg)
        values = np.asarray(model.predict_proba(features) if classification else model.predict(features), dtype=float)
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            msg = f"{int((~finite).sum())} of {len(values)} predictions are not finite"
            raise ValueError(msg)
        return cls(values)

    def score(self, metric: str, target: np.ndarray, weights: np.ndarray | None = None) -> float:
        """The scorer's value (greater is better) on the rows, each counted ``weights`` times; shape (n,).

        Where it is undefined it is what scikit-learn makes of it (0 or NaN), without a warning for each resample.
        """
        stored = _StoredClassifier(self.values) if self.values.ndim == 2 else _StoredRegressor(self.values)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            return score(metric, stored, _NoFeatures(), target, weights)

    def scores(self, metrics: Sequence[str], target: np.ndarray) -> dict[str, float]:
        """All the metrics on all the rows."""
        return {metric: self.score(metric, target) for metric in metrics}


class _NoFeatures:
    """Stands where a scorer gets the features: it can hand them to the model, which has already answered, and no more."""


class _StoredClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What a scorer asks when the model has already answered: for all rows at once, in their order."""

    def __init__(self, values: Any = None) -> None:
        self.values = values
        self.classes_ = np.array([0, 1])

    def predict_proba(self, _: _NoFeatures) -> Any:
        return self.values

    def predict(self, _: _NoFeatures) -> Any:
        return self.values.argmax(axis=1)

    def __sklearn_is_fitted__(self) -> bool:
        return True


class _StoredRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    def __init__(self, values: Any = None) -> None:
        self.values = values

    def predict(self, _: _NoFeatures) -> Any:
        return self.values

    def __sklearn_is_fitted__(self) -> bool:
        return True
