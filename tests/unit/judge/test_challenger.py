"""The challenger: which recipe goes on, which rows a look counts, and what those that ended have used up."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from builders import AS_OF, TREE, always, make_result, make_table
from contender.data.split import trained_on
from contender.documents.challenger import Challenger, Charge, Look, Seen
from contender.documents.sweep import Trial
from contender.judge.challenger import Previous, nominated, with_looks
from contender.judge.contest import Champion, hold_contest
from contests import Knows, champion, rows_of

if TYPE_CHECKING:
    from datetime import datetime

    from contender.data.rows import Rows
    from contender.documents.scoreboard import Scoreboard
    from contender.documents.sweep import TrialResult

WEEK = timedelta(days=7)
GATES: list[dict[str, Any]] = [
    {"kind": "threshold", "metric": "roc_auc", "min": 0.1},
    {"kind": "beats", "opponent": "champion", "policy": "superior", "min_rows": 20},
    {"kind": "beats", "opponent": "champion", "policy": "superior", "metric": "neg_log_loss", "min_rows": 20},
]
TRIAL = Trial(key="t", estimator=TREE, params={"max_depth": 2}, seed=0)
OTHER = Trial(key="o", estimator=TREE, params={"max_depth": 3}, seed=0)
ENTRY = 3  # the champion's, in the ledger
UNTIL = AS_OF + 8 * WEEK


@cache
def customers(*, returning: bool = False) -> pa.Table:
    """Ten new ones a day; or the same hundred over and over."""
    table = make_table(1_200, until=UNTIL, days=120, seed=3)
    if returning:
        table = table.set_column(0, "id", pa.array([n % 100 for n in range(1_200)]))
    return table


def judged(
    previous: Previous,
    as_of: datetime = AS_OF,
    *,
    trial: Trial = TRIAL,
    serving: bool = True,
    returning: bool = False,
    **parts: Any,
) -> Scoreboard:
    """The scoreboard of a run against a champion that was refitted on all labels of the week before AS_OF."""
    rows = rows_of(gates=parts.pop("gates", GATES), table=customers(returning=returning), as_of=as_of, **parts)
    entrants: dict[Any, Any] = {"candidate": always(Knows(sign=0.9), "Knows")}
    contest = hold_contest(rows, entrants, of_the_week_before(rows) if serving else None)
    return with_looks(contest, rows, trial, previous).board


def of_the_week_before(rows: Rows) -> Champion:
    seen = trained_on(rows.run.model_copy(update={"as_of": AS_OF - WEEK}), rows.frame)
    return champion(rows, seen=seen)


def going(board: Scoreboard) -> Challenger:
    assert board.challenger is not None
    return board.challenger


def after(board: Scoreboard) -> Previous:
    """What the next run finds when this one was undecided."""
    return Previous(ENTRY, board.challenger, board.charged)


def span(look: Look) -> tuple[datetime, datetime]:
    return look.begin, look.through


def test_the_first_look_is_at_all_that_is_new_to_the_champion() -> None:
    board = judged(Previous(ENTRY))
    found = going(board)
    assert (found.champion, found.error, found.unseen) == (ENTRY, 0.05, "")
    assert [span(look) for look in found.looks] == [(AS_OF - WEEK, AS_OF)]
    assert found.share == pytest.approx(1 / 13)
    for metric, seen in found.looks[0].seen.items():
        met = board.comparison("champion", metric)
        assert met is not None
        assert (seen.difference, seen.error, seen.rows) == (met.difference, met.error, met.rows)
    assert found.looks[0].seen.keys() == {"roc_auc", "neg_log_loss"}


def test_each_later_look_is_at_rows_that_none_before_it_has_seen() -> None:
    previous, counted = Previous(ENTRY), 0
    for week in range(4):
        board = judged(previous, AS_OF + week * WEEK)
        previous = after(board)
        counted += going(board).looks[-1].seen["roc_auc"].rows
    looks = going(board).looks
    assert [look.begin for look in looks[1:]] == [look.through for look in looks[:-1]]
    moments = customers()["at"].to_pandas().dt.tz_localize("UTC")
    assert counted == ((moments >= AS_OF - WEEK) & (moments < AS_OF + 3 * WEEK)).sum()


def test_a_pause_of_weeks_is_one_look_at_what_the_gate_holds() -> None:
    first = judged(Previous(ENTRY))
    later = going(judged(after(first), AS_OF + 6 * WEEK))
    assert len(later.looks) == 2
    assert later.share == pytest.approx(7 / 13)
    moments = customers()["at"].to_pandas().dt.tz_localize("UTC")
    in_the_gate = (moments >= AS_OF + 4 * WEEK) & (moments < AS_OF + 6 * WEEK)
    assert later.looks[1].seen["roc_auc"].rows == in_the_gate.sum()


def test_the_same_rows_again_are_no_look() -> None:
    first = judged(Previous(ENTRY))
    again = going(judged(after(first)))
    assert again.looks == going(first).looks
    assert again.unseen == "none of the rows since 2026-03-02 is new to it"


def test_an_id_that_comes_back_counts_once() -> None:
    first = judged(Previous(ENTRY), returning=True)
    assert 0 < going(first).looks[0].seen["roc_auc"].entities < 100
    second = going(judged(after(first), AS_OF + WEEK, returning=True))
    ids = customers(returning=True)["id"].to_pandas()
    moments = customers()["at"].to_pandas().dt.tz_localize("UTC")
    known = set(ids[(moments >= AS_OF - WEEK) & (moments < AS_OF)])
    new = ids[(moments >= AS_OF) & (moments < AS_OF + WEEK) & ~ids.isin(known)]
    assert second.looks[1].seen["roc_auc"].rows == len(new) > 0


def test_rows_too_few_for_an_interval_wait_for_the_next_look() -> None:
    """Ten a day: three of a rarer class in a day are too few, and are not lost."""
    first = judged(Previous(ENTRY), challenger={"patience": "4w"})
    day = judged(after(first), AS_OF + timedelta(days=1), challenger={"patience": "4w"})
    assert going(day).looks == going(first).looks
    assert "too few entities" in going(day).unseen
    week = going(judged(after(day), AS_OF + WEEK, challenger={"patience": "4w"}))
    assert span(week.looks[-1]) == (AS_OF, AS_OF + WEEK)
    assert week.unseen == ""


def test_an_hourly_schedule_leaves_no_more_looks_than_one_for_each_fifty_second_of_the_patience() -> None:
    first = judged(Previous(ENTRY))
    hour = judged(after(first), AS_OF + timedelta(hours=1))
    assert going(hour).looks == going(first).looks
    assert going(hour).unseen == "the rows since 2026-03-02 wait for the next look"
    two_days = going(judged(after(hour), AS_OF + timedelta(days=2)))
    assert span(two_days.looks[-1]) == (AS_OF, AS_OF + timedelta(days=2))


def test_after_a_pause_an_id_that_no_look_has_counted_counts() -> None:
    """Rows that came and went between two looks were in none of them."""
    table = customers()
    moments = table["at"].to_pandas().dt.tz_localize("UTC")
    unseen = table["id"].to_numpy()[((moments >= AS_OF) & (moments < AS_OF + 2 * WEEK)).to_numpy()]
    late = np.flatnonzero(((moments >= AS_OF + 4 * WEEK) & (moments < AS_OF + 6 * WEEK)).to_numpy())
    ids = table["id"].to_numpy().copy()
    ids[late] = np.resize(unseen, len(late))
    first = judged(Previous(ENTRY))
    rows = rows_of(gates=GATES, table=table.set_column(0, "id", pa.array(ids)), as_of=AS_OF + 6 * WEEK)
    contest = hold_contest(rows, {"candidate": always(Knows(sign=0.9), "Knows")}, of_the_week_before(rows))
    later = going(with_looks(contest, rows, TRIAL, after(first)).board)
    assert later.unseen == ""
    assert (later.looks[-1].begin, later.looks[-1].seen["roc_auc"].rows) == (AS_OF + 4 * WEEK, len(late))


@pytest.mark.parametrize(
    ("previous", "others"),
    [
        (Previous(None), {"serving": False}),
        (Previous(ENTRY), {"gates": [GATES[0], {**GATES[1], "policy": "unless_worse"}]}),
    ],
)
def test_without_a_champion_or_a_gate_that_asks_for_evidence_nothing_adds_up(
    previous: Previous, others: dict[str, Any]
) -> None:
    charged = (Charge(through=AS_OF - WEEK, error=0.01),)
    board = judged(Previous(previous.champion, None, charged), **others)
    assert (board.challenger, board.charged) == (None, charged)


def test_a_champion_that_cannot_be_scored_today_costs_no_look() -> None:
    first = judged(Previous(ENTRY))
    board = judged(after(first), AS_OF + WEEK, serving=False)
    assert going(board).looks == going(first).looks
    assert going(board).unseen == board.absent["champion"]


def test_another_recipe_begins_anew_and_the_one_before_has_used_up_its_part() -> None:
    board = judged(Previous(ENTRY))
    for week in range(1, 6):
        board = judged(after(board), AS_OF + week * WEEK)
    other = judged(after(board), AS_OF + 6 * WEEK, trial=OTHER)
    assert len(going(other).looks) == 1
    assert [charge.through for charge in other.charged] == [AS_OF + 5 * WEEK]
    assert 0 < other.charged[0].error < 0.05


def test_a_year_later_nothing_is_charged_any_more() -> None:
    old, recent = (Charge(through=AS_OF - timedelta(days=days), error=0.1) for days in (366, 364))
    board = judged(Previous(ENTRY, None, (old, recent)))
    assert board.charged == (recent,)
    assert going(board).error == pytest.approx(0.05)
    spent = judged(Previous(ENTRY, None, (recent, recent)))
    assert going(spent).error == pytest.approx(0.025)


def scored(trial: Trial, *scores: float) -> TrialResult:
    made = make_result()
    return made.model_copy(update={"trial": trial, "scores": scores, "mean": sum(scores) / len(scores)})


def asking(trial: Trial = TRIAL) -> Challenger:
    seen = Seen(difference=0.0, error=0.1, degrees=9.0, rows=90, entities=90)
    look = Look(run_id="r1", begin=AS_OF, through=AS_OF + WEEK, seen={"roc_auc": seen})
    return Challenger(trial=trial, champion=ENTRY, terms="x", error=0.05, patience=13 * WEEK, looks=(look,))


def test_the_challenger_goes_on_until_another_recipe_is_clearly_better_in_the_folds() -> None:
    mine = scored(TRIAL.model_copy(update={"key": "this week's"}), 0.70, 0.72, 0.68, 0.71, 0.69)
    seems, is_better = scored(OTHER, 0.72, 0.69, 0.72, 0.70, 0.71), scored(OTHER, 0.72, 0.74, 0.71, 0.73, 0.70)
    assert nominated([mine, seems], seems, asking()) is mine
    assert nominated([mine, is_better], is_better, asking()) is is_better
    assert nominated([mine, seems], seems, None) is seems


def test_a_challenger_that_the_sweep_dropped_is_replaced() -> None:
    winner = scored(OTHER, 0.7, 0.7)
    assert nominated([winner], winner, asking()) is winner
    failed = make_result(error="boom").model_copy(update={"trial": TRIAL})
    assert nominated([winner, failed], winner, asking()) is winner
