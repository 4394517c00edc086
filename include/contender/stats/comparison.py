"""A comparison: candidate minus opponent on the same rows, with an interval that rows of one entity do not narrow.

The difference of two metrics has the difference of their influence values as its own (``influence``); a metric without
them is computed again with a part of the entities left out. Both end in the error of ``clusters``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import sklearn

from contender.documents.scoreboard import Comparison, Opponent
from contender.metrics.predictions import NoNumber
from contender.stats.clusters import CONFIDENCE, Error, clustered, counted, half_width, influence_error
from contender.stats.influence import OF_LABELS, differ, influence
from contender.words import metric_label

if TYPE_CHECKING:
    from contender.metrics.predictions import Predictions

ENTITIES = (
    10  # with fewer no interval is told; from here on it errs as often as it says (``make bench ONLY=false_claims``)
)
RAREST = 5  # the same of the entities that have a row of the rarer class
BLOCKS = 50  # parts of the entities that are left out in turn where a metric has no influence values


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
        seed: of the parts of the entities that are left out; of no matter for scikit-learn's smooth metrics.

    Raises:
        NoNumber: the metric gives no number on these rows, or they are about too few entities for an interval.
    """
    classes = candidate.values.ndim == 2
    label = metric_label(metric)
    if classes and np.min(target) == np.max(target):
        raise NoNumber(f"{label} is not defined on these {len(target)} rows, which are all of one class")
    strata = target.astype(np.intp) if classes else np.zeros(len(target), dtype=np.intp)
    codes = _without_gaps(groups)
    cells = counted(codes, strata)
    entities, rarest = cells.shape[1], int(np.count_nonzero(cells, axis=1).min())
    one_sees, other_sees = (p.decided if metric in OF_LABELS else p.values for p in (candidate, other))
    ours, theirs = influence(metric, one_sees, target), influence(metric, other_sees, target)
    if ours is None or theirs is None:
        one, two = candidate.number(metric, target), other.number(metric, target)
        _enough(label, len(target), entities, rarest if classes else None)
        found = _left_out(candidate, other, metric, target, codes, strata, one - two, seed)
    else:
        (one, _), (two, _) = ours, theirs
        for predicted, value in ((candidate, one), (other, two)):
            if not math.isfinite(value):
                predicted.number(metric, target)  # raises with the reason
                msg = f"{label} is not defined on these {len(target)} rows, whose targets are all the same"
                raise NoNumber(msg)
        _enough(label, len(target), entities, rarest if classes else None)
        with np.errstate(all="ignore"):
            found = influence_error(ours[1] - theirs[1], codes, strata)
    # Where a few entities alone tell two models apart, as in an accuracy, each of them is a coin that was thrown.
    apart = np.count_nonzero(np.bincount(codes, weights=differ(metric, one_sees, other_sees)))
    found = Error(found.error, min(found.degrees, max(1.0, apart - 1.0)))
    half = half_width(found.error, found.degrees)
    if not math.isfinite(one - two) or not math.isfinite(half):
        raise NoNumber(f"{label} differs by more than a number can hold")
    return Comparison(
        opponent=opponent,
        metric=metric,
        rows=len(target),
        candidate=one,
        other=two,
        difference=one - two,
        low=one - two - half,
        high=one - two + half,
        confidence=CONFIDENCE,
        error=found.error,
        degrees=found.degrees,
        entities=entities,
    )


def _without_gaps(groups: np.ndarray) -> np.ndarray:
    """The same codes, counted from 0 without one that no row has; shape (n,). It sorts nothing, unlike ``np.unique``."""
    above = groups - groups.min()
    return np.asarray((np.cumsum(np.bincount(above) > 0) - 1)[above])


def _enough(label: str, rows: int, entities: int, rarest: int | None) -> None:
    """See that there are entities enough for an interval; ``rarest`` of them have a row of the rarer class.

    Raises:
        NoNumber: there are not.
    """
    what = f"{label} has no interval on {rows} rows, too few entities"
    if entities < ENTITIES:
        raise NoNumber(f"{what}: {entities} of {ENTITIES}")
    if rarest is not None and rarest < RAREST:
        raise NoNumber(f"{what} with a row of the rarer class: {rarest} of {RAREST}")


def _left_out(
    candidate: Predictions,
    other: Predictions,
    metric: str,
    target: np.ndarray,
    codes: np.ndarray,
    strata: np.ndarray,
    difference: float,
    seed: int,
) -> Error:
    """The error of a difference by a jackknife of up to 50 blocks of entities.

    Kott, The delete-a-group jackknife, Journal of Official Statistics 2001; one entity is a block where there are at
    most as many. It serves a median, too, which leaving out single rows does not (Shao and Wu, A general theory for
    jackknife variance estimation, Annals of Statistics 1989).

    Raises:
        NoNumber: the metric gives none without one of the blocks.
    """
    cells = counted(codes, strata)
    rarer = cells[cells.sum(axis=1).argmin()]
    order = np.lexsort(
        (np.random.default_rng(seed).random(cells.shape[1]), rarer)
    )  # so that no block has all of a class
    blocks = np.empty(cells.shape[1], dtype=np.intp)
    blocks[order] = np.arange(cells.shape[1]) % BLOCKS
    of_rows = blocks[codes]
    cells = counted(of_rows, strata)
    moved = np.empty(cells.shape[1])
    with sklearn.config_context(skip_parameter_validation=True, assume_finite=True):  # checked by the two scores before
        for block in range(len(moved)):
            weights = (of_rows != block).astype(float)
            try:
                rest = candidate.number(metric, target, weights) - other.number(metric, target, weights)
            except NoNumber as error:
                msg = f"{error} without some of the rows; give a finite number for every sample_weight"
                raise NoNumber(msg) from error
            moved[block] = difference - rest
    # What is left out moves a mean by its sum over what remains. Each class counts alike, as in a balanced metric.
    sums = moved * (1 - cells.sum(axis=0) / len(target))
    return clustered(sums, cells, 1 / cells.sum(axis=1)) if moved.any() else Error(0.0, 1.0)
