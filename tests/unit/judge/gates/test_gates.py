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
        ({"min": 0.7}, 0.7, "passed", "the candidate's ROC AUC is 0.7000 on 420 rows"),
        ({"min": 0.7}, 0.69, "failed", "the candidate's ROC AUC is 0.6900 on 420 rows, below 0.7"),
        ({"max": 0.9}, 0.9, "passed", "the candidate's ROC AUC is 0.9000 on 420 rows"),
        ({"max": 0.9}, 0.91, "failed", "the candidate's ROC AUC is 0.9100 on 420 rows, above 0.9"),
        ({"min": 0.7, "max": 0.9}, 0.8, "passed", "the candidate's ROC AUC is 0.8000 on 420 rows"),
        ({"min": 0.7, "max": 0.9}, 0.95, "failed", "the candidate's ROC AUC is 0.9500 on 420 rows, above 0.9"),
        ({"min": 0.7, "max": 0.9}, 0.6, "failed", "the candidate's ROC AUC is 0.6000 on 420 rows, below 0.7"),
        ({"min": 0.0}, -0.1, "failed", "the candidate's ROC AUC is -0.1000 on 420 rows, below 0"),
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
    assert verdict.reason == (
        "the candidate is 0.0300 better than the champion in ROC AUC (0.8000 against 0.7700 on the 500 rows new to both; "
        "95 % interval +0.0100 to +0.0500)"
    )


@pytest.mark.parametrize(
    ("gate", "interval", "says"),
    [
        ({"policy": "unless_worse", "margin": 0.005}, (-0.026, -0.017, -0.008), "0.0170 worse than the champion in "),
        ({"policy": "unless_worse", "margin": 0.005}, (-0.026, -0.017, -0.008), "to -0.00800; allowed -0.00500)"),
        ({"policy": "superior", "margin": 0.01}, (-0.1, 0.02, 0.1), "to +0.100; asked for more than +0.0100)"),
        ({"policy": "superior"}, (-0.1, 0.0, 0.1), "the candidate is as good as the champion in ROC AUC (0.8000 "),
        (
            {"opponent": "trivial"},
            (0.1, 0.3, 0.5),
            "better than a constant guess in ROC AUC (0.8000 against 0.5000 on 500 ",
        ),
    ],
)
def test_a_reason_says_which_way_by_how_much_against_whom_and_what_was_allowed(
    gate: dict[str, Any], interval: tuple[float, float, float], says: str
) -> None:
    asked = BeatsGate.model_validate({"kind": "beats", "opponent": "champion"} | gate)
    assert says in asked.ask(compared(*interval, opponent=asked.opponent)).reason


def test_errors_are_told_in_their_own_direction() -> None:
    met = (
        compared(0.1, 1.5, 2.9)
        .comparisons[0]
        .model_copy(update={"metric": "neg_root_mean_squared_error", "candidate": -22.5, "other": -24.0})
    )
    board = Scoreboard(metric="neg_root_mean_squared_error", cards=(), comparisons=(met,))
    reason = BeatsGate(kind="beats", opponent="champion").ask(board).reason
    assert reason.startswith("the candidate is 1.50 better than the champion in RMSE (22.50 against 24.00 on")
    card = Scorecard(contestant="candidate", estimator="A", rows=42, metrics={"neg_root_mean_squared_error": -31.0})
    floor = ThresholdGate(kind="threshold", metric="neg_root_mean_squared_error", min=-30)
    assert floor.ask(board.model_copy(update={"cards": (card,)})).reason == (
        "the candidate's RMSE is 31.00 on 42 rows, above 30"
    )


def test_what_is_proved_worse_never_takes_the_title_however_wide_the_margin() -> None:
    gate = BeatsGate(kind="beats", opponent="champion", policy="unless_worse", margin=0.05)
    assert gate.ask(compared(-0.03, -0.02, -0.01)).status == "failed"
    assert gate.ask(compared(-0.03, -0.02, 0.0)).status == "passed"


@pytest.mark.parametrize(
    ("policy", "interval", "status"),
    [
        ("unless_worse", (-0.03, -0.006, 0.01), "failed"),
        ("unless_worse", (-0.03, -0.005, 0.01), "passed"),
        ("unless_worse", (-0.004, -0.002, -0.001), "failed"),
        ("non_inferior", (-0.006, 0.0, 0.01), "undecided"),
        ("non_inferior", (-0.004, 0.0, 0.01), "passed"),
        ("superior", (-0.9, -0.8, -0.7), "passed"),
    ],
)
def test_losses_are_held_against_the_last_champion_that_was_promoted_on_evidence(
    policy: Policy, interval: tuple[float, float, float], status: str
) -> None:
    """Eleven promotions in a row, each within the margin of the one before, lost more than five margins."""
    board = compared(0.001, 0.01, 0.02)
    proven = compared(*interval, opponent="proven").comparisons[0]
    cards = (Scorecard(contestant="proven", estimator="A", version="4", rows=500, metrics={"roc_auc": 0.8}),)
    board = board.model_copy(update={"comparisons": (*board.comparisons, proven), "cards": cards})
    verdict = BeatsGate(
        kind="beats", opponent="champion", policy=policy, margin=0.0 if policy == "superior" else 0.005
    ).ask(board)
    assert verdict.status == status
    assert ("version 4, the last that took the title on evidence" in verdict.reason) == (status != "passed")
    few = proven.model_copy(update={"rows": 99})
    board = board.model_copy(update={"comparisons": (board.comparisons[0], few)})
    assert (
        BeatsGate(kind="beats", opponent="champion", policy=policy, margin=0.005 if policy != "superior" else 0)
        .ask(board)
        .status
        == "passed"
    )


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
    assert gate.ask(Scoreboard(metric="roc_auc", cards=(card,))).reason == "the candidate's profit is 2.000 on 42 rows"


def test_what_is_undecided_says_how_many_rows_are_still_missing() -> None:
    """With an error of .02 on 500 rows a difference of .02 is one error: 1.645 of them are asked for, so 2.7 times the rows."""
    board = compared(-0.013, 0.02, 0.053)
    met = board.comparisons[0].model_copy(update={"error": 0.02})
    gate = BeatsGate(kind="beats", opponent="champion")
    reason = gate.ask(board.model_copy(update={"comparisons": (met,)})).reason
    assert reason.endswith("; if it stays so, about 850 more rows would prove it")
    assert "more rows" not in gate.ask(board).reason
    worse = met.model_copy(update={"difference": -0.001})
    assert "more rows" not in gate.ask(board.model_copy(update={"comparisons": (worse,)})).reason
