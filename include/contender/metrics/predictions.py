"""Stored predictions and their scores on weighted rows, so that an interval predicts nothing again."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import UndefinedMetricWarning

from contender.errors import ConfigError, DataRejected
from contender.metrics.ranges import bound_of
from contender.metrics.scorers import score
from contender.telling import raised
from contender.words import metric_label

if TYPE_CHECKING:
    from collections.abc import Sequence


class NotFinite(DataRejected, ValueError):
    """A prediction is NaN or infinite. A retry does not help."""


class NoNumber(ValueError):
    """A metric gives no number for these predictions, or for these rows. The message says why, without values of the data."""


@dataclass(frozen=True)
class Predictions:
    """One model's predictions for n rows.

    Attributes:
        values: probabilities of class 0 and 1, shape (n, 2), or predicted numbers, shape (n,).
        labels: a classifier's own answers, 0 or 1, shape (n,), where they are not those of the larger probability: it may
            have a threshold of its own. Metrics of labels go by them.
    """

    values: np.ndarray
    labels: np.ndarray | None = None

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
        if not classification:
            return cls(values)
        if not np.array_equal(getattr(model, "classes_", ()), (0, 1)):  # an adopted model answers in names of its own
            return cls(values)
        labels = np.asarray(model.predict(features)).astype(np.intp)
        return cls(values, None if np.array_equal(labels, values.argmax(axis=1)) else labels)

    @classmethod
    def joined(cls, parts: Sequence[tuple[np.ndarray, Predictions]]) -> Predictions:
        """Predictions for n rows from those for parts of them: positions, shape (k,), and the predictions for these."""
        count = sum(len(where) for where, _ in parts)
        values = np.empty((count, *parts[0][1].values.shape[1:]))
        for where, part in parts:
            values[where] = part.values
        if all(part.labels is None for _, part in parts):
            return cls(values)
        labels = values.argmax(axis=1)
        for where, part in parts:
            labels[where] = part.values.argmax(axis=1) if part.labels is None else part.labels
        return cls(values, labels)

    def on(self, rows: np.ndarray) -> Predictions:
        """The predictions for some of the rows, a mask or positions."""
        return Predictions(self.values[rows], None if self.labels is None else self.labels[rows])

    @property
    def decided(self) -> np.ndarray:
        """The values as metrics of labels see them: a classifier's answers as certain probabilities; shape as ``values``."""
        return self.values if self.labels is None else np.eye(2)[self.labels]

    def number(self, metric: str, target: np.ndarray, weights: np.ndarray | None = None) -> float:
        """The scorer's value (greater is better) on the rows, each counted ``weights`` times; shape (n,).

        Raises:
            NoNumber: the scorer raised something, or its value is not finite.
        """
        try:
            value = self.score(metric, target, weights)
        except Exception as error:
            raise NoNumber(f"{metric_label(metric)} {self._why(metric, target, error)}") from error
        if not math.isfinite(value):
            raise NoNumber(f"{metric_label(metric)} is {value}")
        return value

    def score(self, metric: str, target: np.ndarray, weights: np.ndarray | None = None) -> float:
        """What the scorer says, which may be NaN or infinite, or whatever it raises.

        scikit-learn's warnings of an undefined metric and NumPy's of an overflow are left out: an interval would repeat them.
        """
        stored = _StoredClassifier(self.values, self.labels) if self.values.ndim == 2 else _StoredRegressor(self.values)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            return score(metric, stored, _NoFeatures(), target, weights)

    def scores(self, metrics: Sequence[str], target: np.ndarray) -> tuple[dict[str, float], dict[str, str]]:
        """Every metric on all rows, unweighted; and for those that give no number the reason."""
        found: dict[str, float] = {}
        why: dict[str, str] = {}
        for metric in metrics:
            try:
                found[metric] = self.number(metric, target)
            except NoNumber as error:
                why[metric] = str(error)
        return found, why

    def _why(self, metric: str, target: np.ndarray, error: Exception) -> str:
        """Why a scorer raised an error, which may quote values of the data."""
        bound = bound_of(metric)
        if bound is not None and self.values.ndim == 1:
            what = f"needs predictions {bound.words} and targets {bound.target_words}"
            wrong = int((~bound.holds(self.values)).sum()), int((~bound.target_holds(target)).sum())
            return f"{what}; of {len(target)} rows {wrong[0]} predictions and {wrong[1]} targets are not"
        return f"cannot be computed on {len(target)} rows ({raised(error)})"


class _NoFeatures:
    """Takes the place of the features: a scorer can only pass it to the model, which returns its stored predictions."""


class _StoredClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier as scorers take it that returns stored probabilities, for all rows at once and in their order."""

    def __init__(self, values: Any = None, labels: Any = None) -> None:
        self.values = values
        self.labels = labels
        self.classes_ = np.array([0, 1])

    def predict_proba(self, _: _NoFeatures) -> Any:
        return self.values

    def predict(self, _: _NoFeatures) -> Any:
        return self.values.argmax(axis=1) if self.labels is None else self.labels

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
