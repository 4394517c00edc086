"""Stored predictions and their scores on weighted rows, so that a bootstrap predicts nothing again."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import UndefinedMetricWarning

from contender.errors import ConfigError, DataRejected
from contender.metrics.scorers import score

if TYPE_CHECKING:
    from collections.abc import Sequence


class NotFinite(DataRejected, ValueError):
    """A prediction is NaN or infinite. A retry does not help."""


@dataclass(frozen=True)
class Predictions:
    """One model's predictions for n rows.

    Attributes:
        values: probabilities of class 0 and 1, shape (n, 2), or predicted numbers, shape (n,).
    """

    values: np.ndarray

    @classmethod
    def of(cls, model: Any, features: Any, *, classification: bool) -> Predictions:
        """The predictions of a fitted model.

        Raises:
            ConfigError: a classifier without probabilities.
            NotFinite: a prediction that is not finite.
        """
        if classification and not hasattr(model, "predict_proba"):
            last = model[-1] if hasattr(model, "steps") else model
            msg = f"{type(last).__name__} gives no probabilities (predict_proba), which judging needs"
            raise ConfigError(msg)
        values = np.asarray(model.predict_proba(features) if classification else model.predict(features), dtype=float)
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            msg = f"{int((~finite).sum())} of {len(values)} predictions are not finite"
            raise NotFinite(msg)
        return cls(values)

    def score(self, metric: str, target: np.ndarray, weights: np.ndarray | None = None) -> float:
        """The scorer's value (greater is better) on the rows, each counted ``weights`` times; shape (n,).

        An undefined metric has scikit-learn's value (0 or NaN), without its warning: a bootstrap would repeat it.
        """
        stored = _StoredClassifier(self.values) if self.values.ndim == 2 else _StoredRegressor(self.values)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            return score(metric, stored, _NoFeatures(), target, weights)

    def scores(self, metrics: Sequence[str], target: np.ndarray) -> dict[str, float]:
        """Every metric on all rows, unweighted."""
        return {metric: self.score(metric, target) for metric in metrics}


class _NoFeatures:
    """Takes the place of the features: a scorer can only pass it to the model, which returns its stored predictions."""


class _StoredClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier as scorers take it that returns stored probabilities, for all rows at once and in their order."""

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
    """The same for stored numbers."""

    def __init__(self, values: Any = None) -> None:
        self.values = values

    def predict(self, _: _NoFeatures) -> Any:
        return self.values

    def __sklearn_is_fitted__(self) -> bool:
        return True
