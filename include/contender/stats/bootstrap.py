"""A comparison: candidate minus opponent on the same rows, with an interval from a paired cluster bootstrap.

It draws entities (customers), each with all its rows, because rows of one entity are not independent (Field and Welsh,
Bootstrapping clustered data, JRSS B 2007). The interval is the percentile interval (Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, section 13.3).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import sklearn

from contender.documents.scoreboard import Comparison, Opponent
from contender.metrics.predictions import NoNumber
from contender.words import metric_label

if TYPE_CHECKING:
    from contender.metrics.predictions import Predictions

DRAWS = 300  # so that each end, a 5 % quantile, has 15 resamples beyond it
CONFIDENCE = 0.90  # two-sided, so that each end is a one-sided 95 % bound


def compare(
    candidate: Predictions,
    other: Predictions,
    *,
    opponent: Opponent,
    metric: str,
    target: np.ndarray,
    groups: np.ndarray,
    seed: int,
) -> Comparison:
    """Candidate minus opponent on the same n rows.

    Args:
        target: shape (n,). groups: integer code of each row's entity, shape (n,).
        seed: of the bootstrap; the same seed draws the same entities.

    Raises:
        NoNumber: the metric gives no number on these rows, or on too many of those that were drawn from them.
    """
    if candidate.values.ndim == 2 and len(np.unique(target)) < 2:
        msg = f"{metric_label(metric)} is not defined on these {len(target)} rows, which are all of one class"
        raise NoNumber(msg)
    ours, theirs = candidate.number(metric, target), other.number(metric, target)
    if not math.isfinite(ours - theirs):
        msg = f"{metric_label(metric)} differs by more than a number can hold"
        raise NoNumber(msg)
    classes = len(np.unique(target)) if candidate.values.ndim == 2 else 0
    codes = np.unique(groups, return_inverse=True)[1]
    count = int(codes.max()) + 1
    generator = np.random.default_rng(seed)
    differences = []
    with sklearn.config_context(skip_parameter_validation=True, assume_finite=True):  # checked by the two scores above
        for _ in range(DRAWS):
            # An entity that is drawn k times gives weight k to all its rows.
            weights = np.bincount(generator.integers(count, size=count), minlength=count)[codes].astype(float)
            if classes and len(np.unique(target[weights > 0])) < classes:
                continue  # most metrics are undefined without one of the classes
            try:
                drawn = candidate.number(metric, target, weights) - other.number(metric, target, weights)
            except NoNumber as error:  # a metric of the user's own; scikit-learn's are defined on both classes
                msg = f"{error} on some resampled rows; give a finite number for every sample_weight"
                raise NoNumber(msg) from error
            differences.append(drawn)
    if 2 * len(differences) < DRAWS:
        msg = f"{metric_label(metric)} has no interval: most draws from {count} entities have one class only"
        raise NoNumber(msg)
    if not np.isfinite(differences).all():
        msg = f"{metric_label(metric)} differs by more than a number can hold on some resampled rows"
        raise NoNumber(msg)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    return Comparison(
        opponent=opponent,
        metric=metric,
        rows=len(target),
        candidate=ours,
        other=theirs,
        difference=ours - theirs,
        low=float(low),
        high=float(high),
        confidence=CONFIDENCE,
    )
