"""``beats: champion`` on what all of a challenger's looks have seen, and how that is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from builders import AS_OF, TREE
from contender.documents.challenger import Challenger, Look, Seen
from contender.documents.scoreboard import Comparison, Scoreboard, Scorecard, Verdict
from contender.documents.sweep import Trial
from contender.judge.gates import BeatsGate

WEEK = timedelta(days=7)
ERROR = 0.01  # of one look


def challenger(*differences: float, error: float = ERROR, **parts: Any) -> Challenger:
    """Looked at week by week, on two hundred rows each."""
    looks = tuple(
        Look(
            run_id=f"r{n}",
            begin=AS_OF + n * WEEK,
            through=AS_OF + (n + 1) * WEEK,
            seen={"roc_auc": Seen(difference=difference, error=error, degrees=150, rows=200, entities=200)},
        )
        for n, difference in enumerate(differences)
    )
    trial = Trial(key="t", estimator=TREE, params={}, seed=0)
    fields: dict[str, Any] = {"champion": 3, "terms": "x", "error": 0.05, "patience": 8 * WEEK, "looks": looks}
    return Challenger(trial=trial, **(fields | parts))


def ask(asking: Challenger, *, proven: float | None = None, **parts: Any) -> Verdict:
    """The gate's verdict. This run's own comparison says nothing: it is the looks that count."""
    gate = BeatsGate.model_validate({"kind": "beats", "opponent": "champion", **parts})
    met = [compared("champion", 0.0)] + ([] if proven is None else [compared("proven", proven)])
    cards = [
        Scorecard(contestant=who, estimator="A", version=version, rows=200, metrics={"roc_auc": 0.8})
        for who, version in (("candidate", None), ("champion", "3"), ("proven", "1"))
    ]
    return gate.ask(Scoreboard(metric="roc_auc", cards=tuple(cards), comparisons=tuple(met), challenger=asking))


def compared(opponent: Any, difference: float) -> Comparison:
    return Comparison(
        opponent=opponent,
        metric="roc_auc",
        rows=200,
        candidate=0.8 + difference,
        other=0.8,
        difference=difference,
        low=difference - 0.01,
        high=difference + 0.01,
        confidence=0.9,
    )


def test_a_gain_that_no_single_week_proves_is_proved_by_all_together() -> None:
    gain = 1.3 * ERROR
    statuses = [ask(challenger(*[gain] * weeks)).status for weeks in range(1, 6)]
    assert statuses[0] == "undecided"
    assert statuses[-1] == "passed"
    told = ask(challenger(*[gain] * 5))
    assert told.observed == pytest.approx(gain)
    assert told.reason == (
        "the candidate is 0.0130 better than version 3 in ROC AUC over 5 looks, 1,000 rows since 2026-03-02, which is enough"
    )


def test_the_first_look_needs_far_more_than_one_test_would() -> None:
    """What would be proved by a single test at 5 % is looked at again: else a year of looks would promote one equal of four."""
    found = ask(challenger(2.5 * ERROR))
    assert found.status == "undecided"
    assert (
        "is 0.0250 better than version 3 in ROC AUC at its first look, 200 rows since 2026-03-02; +0.05" in found.reason
    )
    assert found.reason.endswith("would be enough; its patience ends with the rows of 2026-04-27")
    assert ask(challenger(8 * ERROR)).status == "passed"


def test_a_whole_patience_in_one_look_is_one_test() -> None:
    assert ask(challenger(1.7 * ERROR, patience=WEEK)).status == "passed"
    assert ask(challenger(1.6 * ERROR, patience=WEEK)).status == "failed"


def test_a_challenger_that_is_not_shown_better_in_its_patience_is_kept_out() -> None:
    found = ask(challenger(*[0.3 * ERROR] * 8))
    assert found.status == "failed"
    assert found.reason.endswith("would be enough; its patience is over")


def test_a_challenger_that_cannot_make_it_any_more_is_not_waited_for() -> None:
    assert ask(challenger(*[-2 * ERROR] * 2)).status == "failed"
    assert ask(challenger(*[-0.2 * ERROR] * 2)).status == "undecided"


def test_not_worse_is_proved_by_looks_too_and_then_held_against_the_last_champion_on_evidence() -> None:
    terms = {"policy": "non_inferior", "margin": 0.02}
    assert ask(challenger(0.0), **terms).status == "undecided"
    assert ask(challenger(*[0.0] * 4), **terms).status == "passed"
    assert ask(challenger(*[0.0] * 4), proven=-0.05, **terms).status == "failed"
    assert ask(challenger(*[-0.02] * 8), **terms).status == "failed"


def test_the_rows_of_all_looks_count_for_min_rows() -> None:
    assert ask(challenger(*[4 * ERROR] * 4), min_rows=800).status == "passed"
    found = ask(challenger(*[4 * ERROR] * 4, unseen="none of the rows is new to it"), min_rows=801)
    assert found.status == "undecided"
    assert found.reason == (
        "only 800 rows are new to it since it became the challenger, 801 are needed; none of the rows is new to it"
    )


def test_without_patience_it_may_take_any_time() -> None:
    asking = challenger(*[0.7 * ERROR] * 40, patience=None)
    assert ask(asking).status == "passed"
    found = ask(challenger(*[0.3 * ERROR] * 40, patience=None))
    assert found.status == "undecided"
    assert "patience" not in found.reason


def test_of_two_models_that_never_differed_nothing_can_be_proved() -> None:
    found = ask(challenger(0.0, 0.0, error=0.0), policy="non_inferior", margin=0.01)
    assert found.status == "undecided"
    assert (
        "is as good as version 3 in ROC AUC over 2 looks, 400 rows since 2026-03-02; too early to prove any"
        in found.reason
    )


def test_a_day_without_a_look_says_why() -> None:
    found = ask(challenger(0.0, unseen="too few entities: 7 of 10"))
    assert found.reason.endswith("; no look today: too few entities: 7 of 10")


def test_a_policy_that_asks_for_no_evidence_looks_at_this_run_alone() -> None:
    found = ask(challenger(*[-1.0] * 4), policy="unless_worse")
    assert found.status == "passed"
    assert "look" not in found.reason
