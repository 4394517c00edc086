"""Learning curves of a fitted model: what it kept while it was fitted, and its score on the fold's test rows by stage.

They show whether a model was still learning. They judge nothing, so one that cannot be had is left out: estimators, some
of them the user's own, may raise anything when they are asked.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from contender.judge.metrics import Predictions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Curve = tuple[tuple[int, float], ...]

POINTS = 100
STAGES = 20
_KEPT = {
    "loss_curve_": "loss",
    "train_score_": "train_score",
    "validation_scores_": "validation_score",  # MLP
    "validation_score_": "validation_score",  # HistGradientBoosting
}
_LEAST_SECONDS = 0.1


def curves(model: Any, features: Any, target: np.ndarray, metric: str, *, seconds: float) -> dict[str, Curve]:
    """Step and finite value by name of curve; at most ``POINTS`` of them, the first and the last one included.

    ``loss``, ``train_score`` and ``validation_score`` are what the estimator kept, in its own units. ``test_score`` is the
    metric after some stages of a boosted ensemble (at most ``STAGES``; scikit-learn's, LightGBM's, XGBoost's), unless that
    takes more than a tenth of fitting.

    Args:
        features: the test rows as the fitted model takes them, shape (n, ...); target: shape (n,).
        seconds: how long the trial's fits took.
    """
    found: dict[str, Curve] = {}
    estimator = model[-1] if hasattr(model, "steps") else model
    for attribute, name in _KEPT.items():
        with suppress(Exception):
            values = getattr(estimator, attribute)
            before = len(values) > getattr(estimator, "n_iter_", math.inf)  # the first one is before any step
            found[name] = _thinned(enumerate(values, 0 if before else 1))
    with suppress(Exception):
        seen = features if estimator is model else model[:-1].transform(features)
        until = time.perf_counter() + max(seconds / 10, _LEAST_SECONDS)
        found["test_score"] = _staged(estimator, seen, target, metric, until)
    return {name: curve for name, curve in found.items() if curve}


def _staged(estimator: Any, features: Any, target: np.ndarray, metric: str, until: float) -> Curve:
    points = []
    for stage, answer in _answers(estimator, features):
        if time.perf_counter() > until:
            return ()
        if answer is not None:
            points.append((stage, Predictions(np.asarray(answer)).score(metric, target)))
    return _thinned(points)


def _answers(estimator: Any, features: Any) -> Iterator[tuple[int, Any]]:
    """What an ensemble answers after some of its stages, the first and the last included; of those between, None."""
    asked = "predict_proba" if hasattr(estimator, "predict_proba") else "predict"
    if hasattr(estimator, "booster_"):  # LightGBM
        for stage in _shown(estimator.n_estimators_):
            yield stage, getattr(estimator, asked)(features, num_iteration=stage)
    elif hasattr(estimator, "get_booster"):  # XGBoost
        for stage in _shown(estimator.get_booster().num_boosted_rounds()):
            yield stage, getattr(estimator, asked)(features, iteration_range=(0, stage))
    else:
        shown = _shown(getattr(estimator, "n_iter_", None) or len(estimator.estimators_))
        for stage, answer in enumerate(getattr(estimator, f"staged_{asked}")(features), 1):
            yield stage, answer if stage in shown else None


def _shown(stages: int) -> list[int]:
    return sorted(set(np.linspace(1, stages, STAGES).round().astype(int).tolist()))


def _thinned(points: Iterable[tuple[int, Any]]) -> Curve:
    finite = [(step, float(value)) for step, value in points if math.isfinite(value)]
    places = np.linspace(0, len(finite) - 1, min(POINTS, len(finite))).round().astype(int)
    return tuple(finite[place] for place in places)
