"""The ranges of metrics are those of scikit-learn's own scorers, by their whole names."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from sklearn.metrics import get_scorer_names

from builders import make_spec
from contender.errors import ConfigError
from contender.metrics import ranges
from contender.metrics.check import check_metric
from contender.metrics.predictions import NoNumber, Predictions
from contender.metrics.ranges import metric_range
from contender.metrics.scorers import metric_names


def accepted(name: str, *, classification: bool) -> bool:
    try:
        check_metric(name, "metric", classification=classification)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("classification", [True, False])
def test_whatever_is_predicted_a_metric_stays_in_its_range(classification: bool) -> None:
    random = np.random.default_rng(0)
    known = 0
    for name in [one for one in metric_names() if accepted(one, classification=classification)]:
        low, high = metric_range(name)
        known += (low, high) != (-inf, inf)
        for size in (2, 3, 40):
            target = np.arange(size) % 2 if classification else np.exp(random.normal(size=size))
            says = random.random((size, 1))
            said = Predictions(np.hstack([1 - says, says]) if classification else np.exp(3 * random.normal(size=size)))
            try:
                assert low <= said.number(name, target) <= high
            except NoNumber:
                continue
    assert known > 10


@pytest.mark.parametrize(
    "own", ["recall_campaign.metrics.money_saved", "neg_pkg.cost", "f1_team.points", "r2", "roc_auc_of_mine", "d2_x"]
)
def test_a_name_that_only_begins_like_a_scorer_has_no_known_range(own: str) -> None:
    known = own in get_scorer_names()
    assert (metric_range(own) == (-inf, inf)) != known
    gate = {"kind": "threshold", "metric": own, "min": 500}
    assert (make_spec(gates=[gate]).gates[0].never_passes() is None) != known


def test_every_name_with_a_range_or_a_bound_is_a_scorers() -> None:
    named = {*ranges._SHARES, *ranges._AT_MOST_ONE, *ranges._LOSSES, *ranges._BOUNDS, "matthews_corrcoef"}
    assert named <= set(get_scorer_names())
    assert {name for name in get_scorer_names() if name.startswith("neg_")} == ranges._LOSSES
