"""The former champion looks on: which rows count, and when a rollback is advised."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from builders import AS_OF, always, make_table
from contender.data.split import trained_on
from contender.documents.challenger import Former
from contender.judge.contest import hold_contest
from contender.judge.former import advice, with_former
from contender.judge.title import Title
from contests import Knows, champion, rows_of

if TYPE_CHECKING:
    from datetime import datetime

    from contender.documents.scoreboard import Scoreboard

WEEK = timedelta(days=7)
TABLE = make_table(2_400, until=AS_OF + 8 * WEEK, days=120, seed=3)  # twenty a day


def looked(weeks: int, *, former: Any, serving: Any, numbers: tuple[int, int] = (5, 4)) -> list[Scoreboard]:
    """The boards of so many weekly runs with the same champion, which was trained a week after the one before it."""
    boards: list[Scoreboard] = []
    for week in range(weeks):
        before = boards[-1].former if boards else None
        boards.append(board_of(AS_OF + week * WEEK, before, former=former, serving=serving, numbers=numbers))
    return boards


def board_of(
    as_of: datetime, before: Former | None, *, former: Any, serving: Any, numbers: tuple[int, int]
) -> Scoreboard:
    rows = rows_of(table=TABLE, as_of=as_of)
    ends = (rows.run.model_copy(update={"as_of": AS_OF - weeks * WEEK}) for weeks in (1, 2))
    now, then = (
        champion(rows, model, seen=trained_on(end, rows.frame))
        for model, end in zip((serving, former), ends, strict=True)
    )
    title = Title(
        number=numbers[0], version="2", champion=now, former=replace(then, version="1"), former_number=numbers[1]
    )
    contest = hold_contest(rows, {"candidate": always(Knows(), "Knows")}, now)
    return with_former(contest, rows, title, before).board


def looks(board: Scoreboard) -> tuple[Any, ...]:
    assert board.former is not None
    return board.former.looks


def test_a_former_champion_that_is_better_is_advised_as_soon_as_it_is_shown() -> None:
    boards = looked(4, former=Knows(), serving=Knows(sign=-1.0))
    told = [advice(board, "2") for board in boards]
    assert told[-1] is not None
    assert told[-1].startswith("a rollback to version 1 is advised: it is 0.")
    assert "better than version 2 in ROC AUC over 4 looks, " in told[-1]
    assert told[-1].endswith(" rows since 2026-02-23")
    begins = [look.begin for look in looks(boards[-1])]
    assert begins == [AS_OF - WEEK, *(AS_OF + n * WEEK for n in range(3))], "each look is at rows of its own"


@pytest.mark.parametrize(("former", "serving"), [(Knows(sign=-1.0), Knows()), (Knows(sign=0.9), Knows())])
def test_one_that_is_worse_or_ranks_alike_is_not(former: Any, serving: Any) -> None:
    assert [advice(board, "2") for board in looked(3, former=former, serving=serving)] == [None] * 3


def test_another_champion_or_another_before_it_begins_anew() -> None:
    first = looked(2, former=Knows(), serving=Knows(sign=-1.0))[-1].former
    again = board_of(AS_OF + 2 * WEEK, first, former=Knows(), serving=Knows(sign=-1.0), numbers=(5, 4))
    other = board_of(AS_OF + 2 * WEEK, first, former=Knows(), serving=Knows(sign=-1.0), numbers=(6, 5))
    assert (len(looks(again)), len(looks(other))) == (3, 1)


def test_another_metric_of_the_sweep_begins_anew() -> None:
    first = looked(1, former=Knows(), serving=Knows(sign=-1.0))[-1].former
    assert first is not None
    other = first.model_copy(update={"metric": "neg_log_loss"})
    board = board_of(AS_OF + WEEK, other, former=Knows(), serving=Knows(sign=-1.0), numbers=(5, 4))
    assert [set(look.seen) for look in looks(board)] == [{"roc_auc"}]
    advice(board, "2")


def test_one_that_cannot_be_loaded_for_a_week_keeps_what_was_seen_of_it() -> None:
    first = looked(1, former=Knows(), serving=Knows(sign=-1.0))[-1].former
    rows = rows_of(table=TABLE, as_of=AS_OF + WEEK)
    contest = hold_contest(rows, {"candidate": always(Knows(), "Knows")}, champion(rows))
    board = with_former(contest, rows, Title(number=5, champion=champion(rows), former_number=4), first).board
    assert board.former == first


def test_one_that_cannot_predict_any_more_costs_no_decision() -> None:
    class Broken(Knows):
        def predict_proba(self, features: Any) -> Any:
            raise RuntimeError(str(len(features)))

    board = board_of(AS_OF, None, former=Broken(), serving=Knows(), numbers=(5, 4))
    assert looks(board) == ()
    assert advice(board, "2") is None


def test_without_a_former_champion_nothing_is_seen() -> None:
    rows = rows_of(table=TABLE, as_of=AS_OF)
    contest = hold_contest(rows, {"candidate": always(Knows(), "Knows")}, None)
    assert with_former(contest, rows, Title(), None) is contest
    assert advice(contest.board, None) is None
