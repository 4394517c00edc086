"""What each gate asks and how it answers. What holds for every gate is in the contracts."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import ValidationError

from contender.documents.scoreboard import Comparison, GateAnswer, Opponent, Scoreboard, Scorecard
from contender.judge.gates import NO_CHAMPION, BeatsGate, CustomGate, ThresholdGate

Policy = Literal["superior", "non_inferior", "unless_worse"]


def scored(value: float) -> Scoreboard:
    card = Scorecard(contestant="candidate", estimator="A", rows=420, metrics={"roc_auc": value})
    return Scoreboard(metric="roc_auc", cards=(card,))


def compared(
    low: float, difference: float, high: float, *, rows: int = 500, opponent: Opponent = "champion"
) -> Scoreboard:
    against = Comparison(
        opponent=opponent, metric="roc_auc", rows=rows, candidate=0.8, other=0.8 - difference,
        difference=difference, low=low, high=high, confidence=0.95,
    )  # fmt: skip
    return Scoreboard(metric="roc_auc", cards=(), comparisons=(against,))


@pytest.mark.parametrize(
    ("bounds", "value", "status", "reason"),
    [
        ({"min": 0.7}, 0.7, "passed", "roc_auc 0.7000 on 420 rows"),
        ({"min": 0.7}, 0.69, "failed", "roc_auc 0.6900 on 420 rows is below 0.7"),
        ({"max": 0.9}, 0.9, "passed", "roc_auc 0.9000 on 420 rows"),
        ({"max": 0.9}, 0.91, "failed", "roc_auc 0.9100 on 420 rows is above 0.9"),
        ({"min": 0.7, "max": 0.9}, 0.8, "passed", "roc_auc 0.8000 on 420 rows"),
        ({"min": 0.7, "max": 0.9}, 0.95, "failed", "roc_auc 0.9500 on 420 rows is above 0.9"),
        ({"min": 0.7, "max": 0.9}, 0.6, "failed", "roc_auc 0.6000 on 420 rows is below 0.7"),
        ({"min": 0.0}, -0.1, "failed", "roc_auc -0.1000 on 420 rows is below 0"),
    ],
)
def test_a_threshold_names_the_number_the_rows_and_the_bound(
    bounds: dict[str, float], value: float, status: str, reason: str
) -> None:
    verdict = ThresholdGate(kind="threshold", metric="roc_auc", **bounds).ask(scored(value))
    assert (verdict.status, verdict.reason, verdict.observed) == (status, reason, value)
    assert verdict.required in bounds.values()


@pytest.mark.parametrize(
    ("bounds", "label"),
    [({"min": 0.75}, "roc_auc >= 0.75"), ({"max": 2}, "roc_auc <= 2"), ({"min": 0, "max": 1}, "roc_auc >= 0 and <= 1")],
)
def test_a_threshold_is_called_by_its_bounds(bounds: dict[str, float], label: str) -> None:
    gate = ThresholdGate(kind="threshold", metric="roc_auc", **bounds)
    assert gate.label == gate.ask(scored(0.5)).gate == label


def test_a_metric_that_the_candidate_has_not_fails() -> None:
    verdict = ThresholdGate(kind="threshold", metric="f1", min=0.1).ask(scored(0.9))
    assert (verdict.status, verdict.reason) == ("failed", "the candidate has no f1 on the gate rows (420 rows)")


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({}, "give min, max, or both"),
        ({"min": 0.9, "max": 0.7}, "min 0.9 is above max 0.7, so nothing could ever pass"),
        ({"min": float("nan")}, "finite"),
        ({"max": float("inf")}, "finite"),
        ({"min": 0.5, "metric": ""}, "at least 1 character"),
    ],
)
def test_a_threshold_that_asks_nothing_is_refused(bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ThresholdGate(**{"kind": "threshold", "metric": "roc_auc", **bounds})


@pytest.mark.parametrize(
    ("policy", "margin", "interval", "status"),
    [
        ("superior", 0.0, (0.01, 0.03, 0.05), "passed"),
        ("superior", 0.0, (0.0, 0.03, 0.06), "undecided"),
        ("superior", 0.0, (-0.01, 0.03, 0.07), "undecided"),
        ("superior", 0.0, (-0.05, -0.03, 0.0), "failed"),
        ("superior", 0.02, (0.01, 0.03, 0.05), "undecided"),
        ("superior", 0.02, (0.021, 0.03, 0.05), "passed"),
        ("superior", 0.02, (-0.01, 0.005, 0.02), "failed"),
        ("non_inferior", 0.02, (-0.01, 0.0, 0.01), "passed"),
        ("non_inferior", 0.02, (-0.02, 0.0, 0.02), "undecided"),
        ("non_inferior", 0.02, (-0.05, -0.03, -0.02), "failed"),
        ("non_inferior", 0.0, (-0.01, 0.01, 0.03), "undecided"),
        ("unless_worse", 0.005, (-0.2, -0.005, 0.2), "passed"),
        ("unless_worse", 0.005, (-0.2, -0.006, 0.2), "failed"),
        ("unless_worse", 0.0, (-0.2, 0.0, 0.2), "passed"),
    ],
)
def test_each_policy_reads_the_interval_its_own_way(
    policy: Policy, margin: float, interval: tuple[float, float, float], status: str
) -> None:
    verdict = BeatsGate(kind="beats", opponent="champion", policy=policy, margin=margin).ask(compared(*interval))
    assert verdict.status == status
    assert verdict.observed == interval[1]
    assert verdict.required == (margin if policy == "superior" else -margin)


def test_the_reason_gives_both_scores_the_difference_its_interval_and_the_rows() -> None:
    verdict = BeatsGate(kind="beats", opponent="champion").ask(compared(0.01, 0.03, 0.05))
    assert verdict.gate == "beats champion (superior, margin 0)"
    assert verdict.reason == "roc_auc 0.8000 against 0.7700: +0.0300 [+0.0100, +0.0500] on 500 rows"


@pytest.mark.parametrize("policy", ["superior", "non_inferior", "unless_worse"])
def test_too_few_rows_decide_nothing(policy: Policy) -> None:
    gate = BeatsGate(kind="beats", opponent="champion", policy=policy, min_rows=100)
    assert gate.ask(compared(0.01, 0.03, 0.05, rows=100)).status == "passed"
    verdict = gate.ask(compared(0.01, 0.03, 0.05, rows=99))
    assert (verdict.status, verdict.observed) == ("undecided", None)
    assert verdict.reason == "only 99 gate rows are newer than what the champion was trained on, 100 are needed"


def test_without_a_champion_the_gate_does_not_apply() -> None:
    board = Scoreboard(metric="roc_auc", cards=(), absent={"champion": NO_CHAMPION})
    verdict = BeatsGate(kind="beats", opponent="champion").ask(board)
    assert (verdict.status, verdict.reason) == ("not_applicable", "no champion yet")


@pytest.mark.parametrize(
    ("opponent", "absent", "reason"),
    [
        (
            "champion",
            {"champion": "version 3 cannot predict on today's data"},
            "version 3 cannot predict on today's data",
        ),
        ("champion", {}, "there is no comparison with the champion on roc_auc"),
        ("baseline", {"baseline": NO_CHAMPION}, NO_CHAMPION),
        ("trivial", {"champion": NO_CHAMPION}, "there is no comparison with the trivial on roc_auc"),
    ],
)
def test_an_opponent_that_is_missing_for_another_reason_leaves_it_undecided(
    opponent: Opponent, absent: dict[Opponent, str], reason: str
) -> None:
    verdict = BeatsGate(kind="beats", opponent=opponent).ask(Scoreboard(metric="roc_auc", cards=(), absent=absent))
    assert (verdict.status, verdict.reason) == ("undecided", reason)


def test_a_gate_may_ask_about_another_metric_than_the_sweeps() -> None:
    verdict = BeatsGate(kind="beats", opponent="champion", metric="f1").ask(compared(0.01, 0.03, 0.05))
    assert (verdict.status, verdict.reason) == ("undecided", "there is no comparison with the champion on f1")


def test_a_custom_gate_is_shown_by_its_functions_name_and_arguments() -> None:
    gate = CustomGate(kind="custom", function="mypkg.gates.enough_profit", arguments={"least": 500, "by": "region"})
    assert gate.label == "enough_profit(least=500, by=region)"
    other = gate.model_copy(update={"arguments": {"least": 501, "by": "region"}})
    assert gate.key != other.key


@pytest.mark.parametrize(("passed", "status"), [(True, "passed"), (False, "failed")])
def test_a_custom_gate_says_what_its_function_said(passed: bool, status: str) -> None:
    gate = CustomGate(kind="custom", function="mypkg.gates.enough_profit")
    answer = GateAnswer(passed=passed, reason="profit 310\nof 500" + "!" * 2_000, observed=310, required=500)
    verdict = gate.ask(Scoreboard(metric="roc_auc", cards=(), answers={gate.key: answer}))
    assert (verdict.status, verdict.observed, verdict.required) == (status, 310, 500)
    assert verdict.reason.startswith("profit 310 of 500!")
    assert len(verdict.reason) == 1_000


def test_a_custom_gate_without_an_answer_has_failed() -> None:
    verdict = CustomGate(kind="custom", function="mypkg.gates.enough_profit").ask(scored(0.99))
    assert (verdict.status, verdict.reason) == ("failed", "mypkg.gates.enough_profit gave no answer")


def test_a_metric_of_the_users_own_is_shown_by_its_last_name() -> None:
    gate = ThresholdGate(kind="threshold", metric="mypkg.metrics.profit", min=1.0)
    card = Scorecard(contestant="candidate", estimator="A", rows=42, metrics={"mypkg.metrics.profit": 2.0})
    assert gate.label == "profit >= 1"
    assert gate.ask(Scoreboard(metric="roc_auc", cards=(card,))).reason == "profit 2.000 on 42 rows"
