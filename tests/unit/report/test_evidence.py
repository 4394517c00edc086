"""The report's tables of evidence: the looks one by one, and what each policy costs on the rows at hand."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from builders import AS_OF, TIMED, TREE, make_run
from contender.documents.challenger import Challenger, Look, Seen
from contender.documents.scoreboard import Comparison, Scoreboard, Scorecard
from contender.documents.sweep import Trial
from contender.report.evidence import look_tables, prices

WEEK = timedelta(days=7)
GATE: dict[str, Any] = {"kind": "beats", "opponent": "champion"}


def run_with(*gates: dict[str, Any], **parts: Any) -> Any:
    asked = [{"kind": "threshold", "metric": "roc_auc", "min": 0.5}, *gates]
    return make_run(**({"data": TIMED, "split": {"gate": "28d"}, "gates": asked} | parts))


def decided(*differences: float, error: float | None = 0.01, rows: int = 400) -> Any:
    """A decision on a gate of 400 rows, after one look a week."""
    looks = tuple(
        Look(
            run_id=f"r{n}",
            begin=AS_OF + n * WEEK,
            through=AS_OF + (n + 1) * WEEK,
            seen={"roc_auc": Seen(difference=one, error=0.01, degrees=99, rows=100, entities=90)},
        )
        for n, one in enumerate(differences)
    )
    met = Comparison(
        opponent="champion", metric="roc_auc", rows=rows, candidate=0.8, other=0.8, difference=0.0, low=-0.02, high=0.02,
        confidence=0.9, error=error, degrees=99, entities=rows,
    )  # fmt: skip
    asking = Challenger(
        trial=Trial(key="t", estimator=TREE, params={}, seed=0), champion=1, terms="x", error=0.05, patience=13 * WEEK, looks=looks,
    )  # fmt: skip
    board = Scoreboard(
        metric="roc_auc",
        cards=(Scorecard(contestant="candidate", estimator="A", rows=400, metrics={}),),
        comparisons=(met,),
        challenger=asking if looks else None,
    )
    return SimpleNamespace(board=board, same_model=False)


def test_each_look_has_its_line_with_what_all_so_far_say_and_what_was_enough_then() -> None:
    [table] = look_tables(run_with(GATE, GATE | {"policy": "unless_worse"}), decided(0.01, 0.03, 0.02))
    assert table.metric == "ROC AUC"
    assert [(look.begin, look.rows, look.entities) for look in table.rows] == [
        (AS_OF + n * WEEK, 100, 90) for n in range(3)
    ]
    assert [look.difference for look in table.rows] == ["+0.0100", "+0.0300", "+0.0200"]
    assert [look.together for look in table.rows] == ["+0.0100", "+0.0200", "+0.0200"]
    needed = [float(look.needed) for look in table.rows]
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] > 0.02


def test_without_a_look_there_is_no_table() -> None:
    assert look_tables(run_with(GATE), decided()) == ()
    assert look_tables(run_with(GATE | {"policy": "unless_worse"}), decided(0.01)) == ()


def test_of_a_model_that_was_decided_on_before_nothing_is_told() -> None:
    """Its board is of another run, whose gates may have been others."""
    before = decided(0.01)
    before.same_model = True
    gate = GATE | {"metric": "neg_log_loss"}
    assert (look_tables(run_with(gate), before), prices(run_with(gate), before)) == ((), None)


def test_what_a_policy_costs_follows_from_the_error_of_a_weeks_rows() -> None:
    found = prices(run_with(GATE | {"policy": "unless_worse", "margin": 0.02}), decided())
    assert found is not None
    assert (found.gain, found.rows, found.looks) == ("0.0200", 100, 13)
    lines = {price.policy: price for price in found.policies}
    assert list(lines) == ["superior", "non inferior", "unless worse"]
    assert lines["unless worse"].equal == "100 %", "an equal model is promoted in some week of every year"
    assert lines["superior"].worse == "under 0.1 %"
    assert float(lines["superior"].equal.removesuffix(" %")) == pytest.approx(18.5, abs=1.5), "four challengers at 5 %"
    assert float(lines["superior"].better.removesuffix(" %")) > 60
    assert lines["non inferior"].worse == lines["superior"].equal
    assert float(found.detectable) == pytest.approx(2.6 * 0.02 / 13**0.5, rel=0.1)


def test_without_a_margin_the_gain_is_one_that_would_be_found() -> None:
    found = prices(run_with(GATE), decided())
    assert found is not None
    assert float(found.gain) == pytest.approx(float(found.detectable), rel=0.5)


@pytest.mark.parametrize(
    ("run", "decision"),
    [
        (run_with(), decided()),
        (run_with(GATE), decided(error=None)),
        (run_with(GATE, data={}, split={"gate": 0.2}), decided()),
    ],
)
def test_where_nothing_was_compared_or_time_does_not_order_the_rows_there_is_no_price(run: Any, decision: Any) -> None:
    assert prices(run, decision) is None
