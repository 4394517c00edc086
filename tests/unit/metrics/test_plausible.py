"""A score that is too good to be true is told, whatever metric the pipeline asks for."""

from __future__ import annotations

import pytest

from contender.documents.scoreboard import Scoreboard, Scorecard
from contender.metrics.plausible import too_good_candidate


def board(candidate: dict[str, float], trivial: dict[str, float] | None = None) -> Scoreboard:
    cards = [Scorecard(contestant="candidate", estimator="A", rows=9, metrics=candidate)]
    if trivial is not None:
        cards.append(Scorecard(contestant="trivial", estimator="B", rows=9, metrics=trivial))
    return Scoreboard(metric=next(iter(candidate)), cards=tuple(cards))


@pytest.mark.parametrize(
    ("candidate", "trivial", "told"),
    [
        ({"roc_auc": 0.995}, None, "roc_auc 0.9950 is too good to be true"),
        ({"roc_auc": 0.95}, {"roc_auc": 0.5}, None),
        ({"neg_log_loss": -0.1, "average_precision": 0.999}, None, "average_precision 0.9990"),
        ({"neg_root_mean_squared_error": -0.5}, {"neg_root_mean_squared_error": -10.0}, "r2 0.9975"),
        ({"neg_root_mean_squared_error": -5.0}, {"neg_root_mean_squared_error": -10.0}, None),
        ({"neg_mean_squared_error": -0.05}, {"neg_mean_squared_error": -10.0}, "r2 0.9950"),
        ({"neg_mean_squared_error": -1.0}, None, None),
        ({"neg_root_mean_squared_error": 0.0}, {"neg_root_mean_squared_error": 0.0}, None),
        ({"r2": 0.9}, {"r2": 0.0}, None),
    ],
)
def test_a_candidate_beyond_what_is_plausible_is_told(
    candidate: dict[str, float], trivial: dict[str, float] | None, told: str | None
) -> None:
    found = too_good_candidate(board(candidate, trivial))
    assert found is None if told is None else told in str(found)


def test_without_a_candidate_there_is_nothing_to_suspect() -> None:
    assert too_good_candidate(Scoreboard(metric="roc_auc", cards=())) is None
