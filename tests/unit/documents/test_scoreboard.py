"""The scoreboard: finite numbers only, found by contestant, opponent and metric."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from contender.documents.scoreboard import Comparison, Scoreboard, Scorecard, Verdict

NUMBERS: dict[str, Any] = {
    "rows": 500, "candidate": 0.8, "other": 0.7, "difference": 0.1, "low": 0.05, "high": 0.15, "confidence": 0.95,
}  # fmt: skip
CARD = Scorecard(contestant="candidate", estimator="A", rows=500, metrics={"roc_auc": 0.8})
AGAINST = Comparison(opponent="champion", metric="roc_auc", **NUMBERS)
BOARD = Scoreboard(metric="roc_auc", cards=(CARD,), comparisons=(AGAINST,), absent={"trivial": "nobody asked"})


def test_a_card_is_found_by_its_contestant() -> None:
    assert BOARD.card("candidate") == CARD
    assert BOARD.card("champion") is None


def test_a_comparison_is_found_by_opponent_and_metric() -> None:
    assert BOARD.comparison("champion", "roc_auc") == AGAINST
    assert BOARD.comparison("champion", "f1") is None
    assert BOARD.comparison("baseline", "roc_auc") is None


def test_a_scoreboard_reads_back_as_it_was_stored() -> None:
    assert Scoreboard.model_validate_json(BOARD.model_dump_json()) == BOARD


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("field", ["candidate", "other", "difference", "low", "high", "confidence"])
def test_a_comparison_has_finite_numbers(field: str, number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Comparison(opponent="champion", metric="roc_auc", **{**NUMBERS, field: number})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_cards_and_verdicts_have_finite_numbers(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Scorecard(contestant="candidate", estimator="A", rows=5, metrics={"roc_auc": number})
    with pytest.raises(ValidationError, match="finite"):
        Verdict(gate="g", status="passed", reason="so", observed=number)
