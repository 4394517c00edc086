"""Learning curves of a fitted model: what it recorded while it was fitted, and its score on the test rows by stage.

They show people whether a model was still learning, and decide nothing. So a curve that raises is left out: estimators,
some of them the user's own, may raise anything.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from contender.metrics.predictions import Predictions
from contender.words import thinned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Curve = tuple[tuple[int, float], ...]

POINTS = 100
STAGES = 20  # of a boosted ensemble that are scored
_RECORDED = {  # attributes of fitted estimators, by the name of their curve
    "loss_curve_": "loss",
    "train_score_": "train_score",
    "validation_scores_": "validation_score",  # MLP
    "validation_score_": "validation_score",  # HistGradientBoosting
}
_LEAST_SECONDS = 0.1  # for the scores by stage, however short the fits were


def curves(model: Any, features: Any, target: np.ndarray, metric: str, *, seconds: float) -> dict[str, Curve]:
    """Curves by name: steps with finite values, at most ``POINTS`` of them, the first and the last included.

    ``loss``, ``train_score`` and ``validation_score`` are what the estimator recorded, in its own units. ``test_score``
    is the metric after at most ``STAGES`` stages of a boosted ensemble (scikit-learn, LightGBM, XGBoost), unless
    scoring them takes more than a tenth of the fits.

    Args:
        features: the test rows as the fitted model takes them, shape (n, ...); target: shape (n,).
        seconds: how long the trial's fits took.
    """
    found: dict[str, Curve] = {}
    estimator = model[-1] if hasattr(model, "steps") else model
    for attribute, name in _RECORDED.items():
        with suppress(Exception):
            values = getattr(estimator, attribute)
            before = len(values) > getattr(estimator, "n_iter_", math.inf)  # one value from before any step
            found[name] = _finite(enumerate(values, 0 if before else 1))
    with suppress(Exception):
        prepared = features if estimator is model else model[:-1].transform(features)
        until = time.perf_counter() + max(seconds / 10, _LEAST_SECONDS)
        found["test_score"] = _scores_by_stage(estimator, prepared, target, metric, until)
    return {name: curve for name, curve in found.items() if curve}


def _scores_by_stage(estimator: Any, features: Any, target: np.ndarray, metric: str, until: float) -> Curve:
    """The metric by stage; empty when the time runs out before the last stage."""
    points = []
    for stage, answer in _predictions_by_stage(estimator, features):
        if time.perf_counter() > until:
            return ()
        if answer is not None:
            points.append((stage, Predictions(np.asarray(answer)).score(metric, target)))
    return _finite(points)


def _predictions_by_stage(estimator: Any, features: Any) -> Iterator[tuple[int, Any]]:
    """Stage and predictions of an ensemble, None for the stages that ``_shown`` leaves out."""
    method = "predict_proba" if hasattr(estimator, "predict_proba") else "predict"
    if hasattr(estimator, "booster_"):  # LightGBM
        for stage in _shown(estimator.n_estimators_):
            yield stage, getattr(estimator, method)(features, num_iteration=stage)
    elif hasattr(estimator, "get_booster"):  # XGBoost
        for stage in _shown(estimator.get_booster().num_boosted_rounds()):
            yield stage, getattr(estimator, method)(features, iteration_range=(0, stage))
    else:
        shown = _shown(getattr(estimator, "n_iter_", None) or len(estimator.estimators_))
        for stage, answer in enumerate(getattr(estimator, f"staged_{method}")(features), 1):
            yield stage, answer if stage in shown else None


def _shown(stages: int) -> list[int]:
    """At most ``STAGES`` stages, evenly spread, the first and the last included."""
    return sorted(set(np.linspace(1, stages, STAGES).round().astype(int).tolist()))


def _finite(points: Iterable[tuple[int, Any]]) -> Curve:
    return tuple(thinned([(step, float(value)) for step, value in points if math.isfinite(value)], POINTS))
