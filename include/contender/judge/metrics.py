"""Scoring stored predictions with scikit-learn's scorers, with row weights, so that a bootstrap costs no prediction."""

from __future__ import annotations

import difflib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer, get_scorer_names

from contender.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence


def check_metric(name: str, place: str, *, classification: bool) -> None:
    """See that scikit-learn has the scorer and that it can judge this kind of target on weighted rows.

    Raises:
        ConfigError: it has not, with a suggestion, or it cannot, with its reason.
    """
    names = get_scorer_names()
    if name not in names:
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
        rows = np.arange(len(target)).reshape(-1, 1)
        arguments = {} if weights is None else {"sample_weight": weights}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            return float(get_scorer(metric)(stored, rows, target, **arguments))

    def scores(self, metrics: Sequence[str], target: np.ndarray) -> dict[str, float]:
        """All the metrics on all the rows."""
        return {metric: self.score(metric, target) for metric in metrics}


class _StoredClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Looks predictions up by row number: what a scorer asks for when the model has already answered."""

    def __init__(self, values: Any = None) -> None:
        self.values = values
        self.classes_ = np.array([0, 1])

    def predict_proba(self, rows: Any) -> Any:
        return self.values[rows[:, 0]]

    def predict(self, rows: Any) -> Any:
        return self.values[rows[:, 0]].argmax(axis=1)

    def __sklearn_is_fitted__(self) -> bool:
        return True


class _StoredRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    def __init__(self, values: Any = None) -> None:
        self.values = values

    def predict(self, rows: Any) -> Any:
        return self.values[rows[:, 0]]

    def __sklearn_is_fitted__(self) -> bool:
        return True
