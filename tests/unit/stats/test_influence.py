"""Influence values: those of every scorer are what the scorer itself does when one row counts a little more."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import get_scorer_names

from contender.metrics.predictions import Predictions
from contender.stats.influence import _CLASSIFIERS, _REGRESSORS, influence


def example(*, classification: bool, rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Predictions, some of them tied, and a target that they know something of."""
    random = np.random.default_rng(0)
    if classification:
        target = (random.random(rows) < 0.3).astype(int)
        share = 1 / (1 + np.exp(-np.round(random.normal(size=rows) + target, 1)))
        return np.column_stack([1 - share, share]), target
    target = np.exp(random.normal(size=rows))
    return target * np.exp(0.3 * random.normal(size=rows)), target


@pytest.mark.parametrize("metric", [*_CLASSIFIERS, *_REGRESSORS])
def test_a_row_moves_the_scorer_as_its_influence_value_says(metric: str) -> None:
    """The infinitesimal jackknife (Jaeckel 1972): the slope of the scorer in the row's weight."""
    values, target = example(classification=metric in _CLASSIFIERS)
    found = influence(metric, values, target)
    assert found is not None
    value, rows = found
    predicted = Predictions(values)
    assert value == pytest.approx(predicted.number(metric, target), abs=1e-12)
    assert rows.mean() == pytest.approx(0, abs=1e-12)
    for row in range(0, len(target), 20):
        weights = np.ones(len(target))
        weights[row] += 1e-4
        slope = (predicted.number(metric, target, weights) - value) / 1e-4 * len(target)
        assert slope == pytest.approx(rows[row], rel=1e-3, abs=1e-3 * rows.std())


def test_every_name_is_a_scorer_of_scikit_learn() -> None:
    assert {*_CLASSIFIERS, *_REGRESSORS} <= set(get_scorer_names())


@pytest.mark.parametrize("metric", ["neg_median_absolute_error", "neg_max_error", "mypkg.profit"])
def test_a_metric_of_single_rows_or_of_the_user_has_none(metric: str) -> None:
    assert influence(metric, *example(classification=False)) is None


def test_the_area_has_delongs_variance_by_hand() -> None:
    """Two positive rows and two others, of which one pair of four is out of order: placements 1, .5 and .5, 1."""
    share = np.array([0.1, 0.4, 0.35, 0.8])
    found = influence("roc_auc", np.column_stack([1 - share, share]), np.array([0, 0, 1, 1]))
    assert found is not None
    assert found[0] == 0.75
    assert found[1].tolist() == [0.5, -0.5, -0.5, 0.5]


def test_a_constant_guess_moves_no_area() -> None:
    target = np.array([0, 1, 1, 0, 1])
    found = influence("roc_auc", np.full((5, 2), 0.5), target)
    assert found is not None
    assert (found[0], found[1].tolist()) == (0.5, [0.0] * 5)


def test_no_positive_prediction_is_a_precision_of_nothing() -> None:
    found = influence("precision", np.tile([0.9, 0.1], (4, 1)), np.array([0, 1, 0, 1]))
    assert found is not None
    assert (found[0], found[1].tolist()) == (0.0, [0.0] * 4)
