"""The bootstrap: the interval keeps its error rates, and rows of one customer are not counted as independent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from contender.documents.scoreboard import Comparison
from contender.metrics.predictions import Predictions
from contender.stats import bootstrap as module
from contender.stats.bootstrap import compare


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer draws, for speed: nothing tested here depends on their number."""
    monkeypatch.setattr(module, "DRAWS", 60)


def probabilities(score: np.ndarray) -> Predictions:
    one = 1 / (1 + np.exp(-score))
    return Predictions(np.column_stack([1 - one, one]))


def held(ours: Predictions, theirs: Predictions, target: np.ndarray, **changed: Any) -> Comparison:
    arguments: dict[str, Any] = {"metric": "roc_auc", "groups": np.arange(len(target)), "seed": 0} | changed
    return compare(ours, theirs, opponent="champion", target=target, **arguments)


def two_scores(seed: int, rows: int = 150) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A target and two scores that know equally much of it, each with a noise of its own."""
    random = np.random.default_rng(seed)
    truth = random.normal(size=rows)
    target = (truth + random.normal(size=rows) > 0).astype(int)
    return target, truth + random.normal(size=rows), truth + random.normal(size=rows)


@pytest.mark.parametrize("metric", ["roc_auc", "neg_log_loss", "accuracy"])
def test_a_model_does_not_differ_from_itself(metric: str) -> None:
    target, score, _ = two_scores(0)
    found = held(probabilities(score), probabilities(score), target, metric=metric)
    assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_comparison_says_what_was_compared() -> None:
    target, ours, theirs = two_scores(0)
    found = held(probabilities(ours), probabilities(theirs), target)
    assert (found.opponent, found.metric, found.rows, found.confidence) == ("champion", "roc_auc", 150, 0.9)
    assert found.candidate == probabilities(ours).score("roc_auc", target)
    assert found.difference == found.candidate - found.other
    assert found.low <= found.difference <= found.high


def test_swapping_the_two_swaps_the_interval() -> None:
    target, ours, theirs = two_scores(1)
    one, other = (
        held(probabilities(ours), probabilities(theirs), target),
        held(probabilities(theirs), probabilities(ours), target),
    )
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))


def test_a_clearly_better_one_is_seen() -> None:
    target, score, _ = two_scores(0)
    random = np.random.default_rng(1)
    assert held(probabilities(score), probabilities(random.normal(size=len(target))), target).low > 0


def test_a_clearly_better_regression_is_seen() -> None:
    random = np.random.default_rng(0)
    target = random.normal(size=100)
    ours, theirs = Predictions(target + random.normal(size=100) / 4), Predictions(target + random.normal(size=100))
    assert held(ours, theirs, target, metric="neg_mean_squared_error").low > 0


def test_the_same_seed_gives_the_same_interval() -> None:
    target, ours, theirs = two_scores(0)
    one, same, other = (held(probabilities(ours), probabilities(theirs), target, seed=seed) for seed in (4, 4, 5))
    assert one == same
    assert (one.low, one.high) != (other.low, other.high)


@pytest.mark.slow
def test_without_a_difference_few_are_called_superior(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each end of the interval is a one-sided 95 % bound: of 40 fair comparisons about 2 err on each side.

    More than 6 would come by chance once in about 100 times; these 40 are always the same.
    """
    monkeypatch.setattr(module, "DRAWS", 100)
    found = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        target = random.normal(size=100)
        ours, theirs = (Predictions(target + random.normal(size=100)) for _ in range(2))
        found.append(held(ours, theirs, target, metric="neg_mean_absolute_error"))
    assert sum(one.low > 0 for one in found) <= 6
    assert sum(one.high < 0 for one in found) <= 6
    assert len({one.difference > 0 for one in found}) == 2


def test_rows_of_one_customer_are_not_independent() -> None:
    target, ours, theirs = two_scores(2, rows=60)
    many = np.repeat(np.arange(60), 5)
    ours, theirs = probabilities(ours[many]), probabilities(theirs[many])
    naive = held(ours, theirs, target[many], groups=np.arange(300))
    clustered = held(ours, theirs, target[many], groups=many)
    assert clustered.difference == naive.difference
    assert clustered.high - clustered.low > 1.5 * (naive.high - naive.low)


def test_copies_of_rows_under_one_id_add_no_certainty() -> None:
    target, ours, theirs = two_scores(2, rows=60)
    many = np.repeat(np.arange(60), 5)
    once = held(probabilities(ours), probabilities(theirs), target)
    copied = held(probabilities(ours[many]), probabilities(theirs[many]), target[many], groups=many)
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))


def test_more_rows_narrow_the_interval() -> None:
    widths = []
    for rows in (50, 800):
        target, ours, theirs = two_scores(3, rows=rows)
        found = held(probabilities(ours), probabilities(theirs), target)
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 2


def test_a_handful_of_rows_still_gives_a_finite_interval() -> None:
    target = np.array([0, 1, 1])
    found = held(probabilities(np.array([-1.0, 0.5, 1])), probabilities(np.array([0.0, 1, -1])), target)
    assert np.isfinite([found.low, found.high]).all()


def test_a_regression_whose_target_never_changes_has_an_interval() -> None:
    target = np.full(20, 3.0)
    ours, theirs = Predictions(target + 0.1), Predictions(target + np.linspace(0.2, 0.4, 20))
    found = held(ours, theirs, target, metric="neg_mean_absolute_error")
    assert found.low > 0


def test_a_metric_that_is_undefined_in_some_resamples_only_gives_no_warning() -> None:
    """scikit-learn warns of precision without a positive prediction; three hundred warnings say no more than one."""
    target, ours, theirs = two_scores(0, rows=30)
    held(probabilities(ours), probabilities(theirs - 2.5), target, metric="precision")


def test_one_class_only_cannot_be_compared() -> None:
    score = probabilities(np.array([0.1, 0.2]))
    with pytest.raises(ValueError, match="roc_auc is not defined on these 2 rows"):
        held(score, score, np.array([1, 1]))
