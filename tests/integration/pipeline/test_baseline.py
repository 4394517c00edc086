"""A baseline that nothing beats is the better model to serve: it becomes the candidate."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from builders import AS_OF, LOGISTIC
from contender.backends import Backends
from contender.judge.gates import BASELINE_STANDS
from contender.release.bundle import read_release
from contender.store.ledger import Ledger
from life import decided
from steps import LATER, champion, entries, through, timed, versions

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here", "no_report")]

FLOOR: dict[str, Any] = {"kind": "threshold", "metric": "roc_auc", "min": 0.6}
SIMPLE: dict[str, Any] = {"kind": "beats", "opponent": "baseline", "min_rows": 20}
SERVES: dict[str, Any] = {
    "kind": "beats",
    "opponent": "champion",
    "policy": "unless_worse",
    "margin": 0.02,
    "min_rows": 20,
}


def test_a_first_champion_may_be_the_baseline_and_every_other_gate_is_asked_of_it(
    backends: Backends, lake: Path
) -> None:
    """The target follows one column, so that no tree beats a line; before, such a table never got a champion."""
    run = timed(lake, gates=[FLOOR, SIMPLE, SERVES])
    outcome = through(run, backends)
    decision = decided(run, backends)
    assert decision.outcome == "promote"
    assert decision.recipe.trial.estimator == LOGISTIC
    assert [one.status for one in decision.verdicts] == ["passed", "not_applicable", "not_applicable"]
    assert decision.verdicts[1].reason.startswith(
        f"{BASELINE_STANDS}, as DecisionTreeClassifier is not shown better: the "
    )
    assert outcome.sentence.startswith("Promote LogisticRegression as the first champion: the candidate's ROC AUC is")
    assert BASELINE_STANDS in outcome.sentence
    assert champion(backends) == "1"
    entry = Ledger(backends.store, "churn").champion()
    assert entry is not None
    assert entry.run_id is not None
    assert read_release(backends, "churn", entry.run_id, expected=entry.release).recipe == decision.recipe

    again = through(timed(lake, "r2", gates=[FLOOR, SIMPLE | {"policy": "unless_worse"}, SERVES]), backends)
    assert again.sentence.startswith("Kept version 1 (same model): version 1 was made by this recipe")
    assert versions(backends) == ["1"]

    later = timed(lake, "r3", as_of=AS_OF + timedelta(days=14), gates=[FLOOR, SIMPLE, SERVES])
    through(later, backends)
    judged = decided(later, backends)
    assert judged.recipe.trial.baseline, "the tree is shown worse by now"
    assert judged.verdicts[1].status == "not_applicable"
    assert judged.board.comparison("champion", "roc_auc") is not None


def test_a_baseline_that_misses_another_gate_is_no_champion(backends: Backends, lake: Path) -> None:
    run = timed(lake, gates=[FLOOR | {"min": 0.999}, SIMPLE])
    outcome = through(run, backends)
    assert outcome.decision == "keep"
    assert outcome.sentence.startswith("No champion yet: the candidate's ROC AUC is 0.")
    assert f"({BASELINE_STANDS}, as DecisionTreeClassifier is not shown better" in outcome.sentence
    assert entries(backends) == [("keep", None)]


def test_where_nothing_else_is_asked_the_baseline_does_not_pass_for_want_of_a_question(
    backends: Backends, lake: Path
) -> None:
    only = {"candidates": [{"estimator": LOGISTIC, "baseline": True}]}
    run = timed(lake, as_of=LATER, gates=[SIMPLE], sweep=only)
    outcome = through(run, backends)
    assert outcome.decision == "undecided"
    assert "no other gate asks anything of a first model, so add a threshold" in outcome.sentence
    run = timed(lake, "r2", as_of=LATER, gates=[SIMPLE])
    assert through(run, backends).decision in ("keep", "undecided")
    assert versions(backends) == []
