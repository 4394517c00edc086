"""A challenger over the weeks, by the seven steps: what one run leaves and the next one goes on with."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from builders import AS_OF, make_table, write_parquet
from contender import pipeline
from contender.documents.sweep import Plan
from contender.store.base import require_document
from contender.store.runs import require_decision
from steps import STEPS, champion, step, through, timed

if TYPE_CHECKING:
    from pathlib import Path

    from contender.backends import Backends
    from contender.documents.challenger import Challenger
    from contender.documents.decision import Decision
    from contender.documents.run import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here", "no_report")]

WEEK = timedelta(days=7)
TERMS: dict[str, Any] = {"kind": "beats", "opponent": "champion", "policy": "superior", "min_rows": 20}


@pytest.fixture
def months(tmp_path: Path) -> Path:
    """A hundred and fifty days of customers, twelve a day and each of them once."""
    write_parquet(tmp_path / "lake" / "a.parquet", make_table(1_800, until=AS_OF + 12 * WEEK, days=150, seed=1))
    return tmp_path / "lake"


def weekly(lake: Path, week: int, run_id: str = "", *, terms: dict[str, Any] = TERMS, **parts: Any) -> Run:
    """The run of a week after the first champion's, with an error that two weeks of looks can spend."""
    parts = {"gates": [{"kind": "threshold", "metric": "roc_auc", "min": 0.5}, terms]} | parts
    return timed(lake, run_id or f"w{week}", as_of=AS_OF + week * WEEK, **parts)


def decided(run: Run, backends: Backends) -> Decision:
    return require_decision(run, backends.store).decision


def challenger(run: Run, backends: Backends) -> Challenger:
    found = decided(run, backends).board.challenger
    assert found is not None
    return found


def test_looks_add_up_from_week_to_week_until_the_terms_or_the_champion_change(
    months: Path, backends: Backends
) -> None:
    through(weekly(months, 0), backends)
    assert decided(weekly(months, 0), backends).board.challenger is None, "there was nobody to challenge"
    first, second = weekly(months, 1), weekly(months, 2)
    through(first, backends)
    assert decided(first, backends).outcome == "undecided"

    # A try that promotes nothing is no part of it, and neither is what the same run does again.
    through(weekly(months, 2, "try", promote=False), backends)
    through(second, backends)
    seen = challenger(second, backends)
    assert [look.run_id for look in seen.looks] == ["w1", "w2"]
    assert seen.looks[1].begin == seen.looks[0].through == first.as_of
    assert step("challenge", second, backends).board.challenger == seen
    same_day = weekly(months, 2, "again")
    through(same_day, backends)
    assert [look.run_id for look in challenger(same_day, backends).looks] == ["w1", "again"]

    # A pause of a month is one look at what the gate holds.
    after_a_pause = weekly(months, 6)
    through(after_a_pause, backends)
    assert len(challenger(after_a_pause, backends).looks) == 3
    assert challenger(after_a_pause, backends).share == pytest.approx(6 / 13)

    # Other terms are another contest, with the same year's budget.
    other = weekly(months, 7, terms=TERMS | {"policy": "non_inferior", "margin": 0.2})
    through(other, backends)
    assert [look.run_id for look in challenger(other, backends).looks] == ["w7"]
    assert [charge.through for charge in decided(other, backends).board.charged] == [after_a_pause.as_of]
    assert decided(other, backends).outcome == "promote"
    assert champion(backends) == "2"

    # And so is another champion.
    next_one = weekly(months, 8, terms=TERMS | {"policy": "non_inferior", "margin": 0.2})
    through(next_one, backends)
    assert [look.run_id for look in challenger(next_one, backends).looks] == ["w8"]
    assert challenger(next_one, backends).looks[0].begin == other.as_of
    assert len(decided(next_one, backends).board.charged) == 2

    # The one that lost the title looks on.
    former = decided(next_one, backends).board.former
    assert former is not None
    assert (former.version, [look.run_id for look in former.looks]) == ("1", ["w8"])
    assert decided(other, backends).board.former is None


def test_the_challengers_recipe_is_tried_again_by_a_sweep_that_draws_others(months: Path, backends: Backends) -> None:
    drawn = {
        "strategy": {"kind": "random", "trials": 4},
        "candidates": [
            {"estimator": "sklearn.linear_model.LogisticRegression", "params": {"C": {"log_uniform": [0.01, 100.0]}}}
        ],
    }
    through(weekly(months, 0, sweep=drawn), backends)
    first = weekly(months, 1, sweep=drawn, seed=1)
    through(first, backends)
    assert decided(first, backends).outcome == "undecided"
    second = weekly(months, 2, sweep=drawn, seed=2)
    for name in STEPS[: STEPS.index("plan") + 1]:
        step(name, second, backends)
    plan = require_document(backends.store, second.round_key(1, "plan.json"), Plan)
    assert challenger(first, backends).trial.params in [trial.params for trial in plan.trials]
    assert pipeline.plan(second, backends, cores=2) == plan


def test_a_first_model_that_knows_nothing_does_not_ship_although_every_gate_passes(
    tmp_path: Path, backends: Backends
) -> None:
    table = make_table(900, until=AS_OF, days=90, seed=2)
    shuffled = table["y"].take(pa.array(np.random.default_rng(0).permutation(900)))
    write_parquet(tmp_path / "lake" / "a.parquet", table.set_column(table.schema.get_field_index("y"), "y", shuffled))
    gates = [{"kind": "threshold", "metric": "accuracy", "min": 0.1}]
    outcome = through(timed(tmp_path / "lake", gates=gates), backends)
    assert outcome.decision == "undecided"
    assert outcome.sentence.startswith(
        "Undecided, no champion yet: every gate passed, but it cannot be told from guessing: its ROC AUC is 0."
    )
    assert champion(backends) is None


def test_a_decision_that_was_damaged_is_passed_over(months: Path, backends: Backends, caplog: Any) -> None:
    for week in range(3):
        through(weekly(months, week), backends)
    broken = require_decision(weekly(months, 2), backends.store)
    backends.store.write(broken.key, b"{}")
    through(weekly(months, 3), backends)
    assert [look.run_id for look in challenger(weekly(months, 3), backends).looks] == ["w1", "w3"]
    assert "what was seen by run w2 does not count" in caplog.text
