"""The contest: who is scored on which rows, the champion only on fresh ones, and an absent opponent with its reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from builders import AS_OF, always, make_run
from contender.data.rows import Rows
from contender.data.split import gate_start, trained_on, was_held_out
from contender.documents.columns import Column
from contender.documents.release import TrainedOn
from contender.errors import DataRejected
from contender.judge.challenge import ask_all
from contender.judge.comparing import metrics_of
from contender.judge.contest import Champion, Contest, Entrant, hold_contest, knows_nothing
from contender.judge.gates import NO_CHAMPION
from contests import GATES, Knows, champion, rows_of


class Says(Knows):
    """Always the same number, or always the same error."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        if isinstance(self.answer, Exception):
            raise self.answer
        return np.full((len(features), 2), self.answer)


def held(rows: Rows, serving: Champion | None = None, candidate: Any = None, **others: Any) -> Contest:
    entrants: dict[Any, Any] = {"candidate": always(candidate or Knows(), "Knows")}
    return hold_contest(rows, entrants | {name: always(model) for name, model in others.items()}, serving)


def newer(rows: Rows, border: datetime) -> np.ndarray:
    gate = rows.frame["at"].iloc[rows.split.gate]
    return (gate >= pd.Timestamp(border).tz_localize(None)).to_numpy()


def test_every_contestant_but_the_champion_is_judged_on_all_gate_rows() -> None:
    rows = rows_of()
    contest = held(rows, champion(rows), trivial=Says(0.5), baseline=Knows(sign=0.5))
    counts = {card.contestant: card.rows for card in contest.board.cards}
    gate = len(rows.split.gate)
    assert counts == {"candidate": gate, "trivial": gate, "baseline": gate, "champion": int(contest.fresh.sum())}
    assert 0 < counts["champion"] < gate


def test_the_champion_is_judged_only_on_rows_newer_than_its_training_end() -> None:
    rows = rows_of()
    contest = held(rows, champion(rows))
    assert contest.fresh.tolist() == newer(rows, AS_OF - timedelta(days=7)).tolist()
    comparison = contest.board.comparison("champion", "roc_auc")
    assert comparison is not None
    assert comparison.rows == contest.fresh.sum()


def test_what_the_champion_says_about_rows_it_saw_changes_nothing() -> None:
    """The promise itself: a champion that learnt its rows by heart gains nothing by it."""
    rows = rows_of()
    plain = champion(rows)

    class ByHeart(Knows):
        def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
            says = super().predict_proba(features)
            known = ~newer(rows, AS_OF - timedelta(days=7))
            answers = rows.target[rows.split.gate]
            says[known] = np.column_stack([1 - answers, answers])[known]
            return says

    assert held(rows, champion(rows, ByHeart())).board == held(rows, plain).board


def test_candidate_and_champion_are_compared_on_the_same_rows() -> None:
    rows = rows_of()
    contest = held(rows, champion(rows))
    comparison = contest.board.comparison("champion", "roc_auc")
    assert comparison is not None
    assert comparison.candidate == comparison.other
    assert comparison.difference == 0.0


def test_a_champion_that_saw_every_gate_row_decides_nothing() -> None:
    rows = rows_of()
    serving = champion(rows, seen=TrainedOn(columns={"at": "datetime64[us]"}, through=AS_OF))
    board = held(rows, serving).board
    assert board.comparison("champion", "roc_auc") is None
    assert board.absent["champion"].startswith(
        "only 0 gate rows are newer than what the champion was trained on, too few"
    )
    [_, _, verdict] = ask_all(rows.run.spec.gates, board)
    assert verdict.status == "undecided"


def test_a_few_fresh_rows_are_too_few() -> None:
    rows = rows_of()
    border = AS_OF - timedelta(hours=12)
    serving = champion(rows, seen=TrainedOn(columns={"at": "datetime64[us]"}, through=border))
    board = held(rows, serving).board
    count = int(newer(rows, border).sum())
    assert 0 < count < 20
    [_, _, verdict] = ask_all(rows.run.spec.gates, board)
    assert verdict.status == "undecided"
    assert f"on {count} rows, too few entities: {count} of 10" in verdict.reason


def by_content(rows: Rows) -> Rows:
    """The same rows without id and time, and without the columns that were these."""
    run = make_run(data={"id": None}, gates=GATES)
    return replace(rows, run=run, frame=rows.frame.drop(columns=["id", "at"]))


def test_a_champion_made_when_the_target_decided_is_judged_only_by_rows_held_out_under_both_rules() -> None:
    rows = by_content(rows_of(count=2_000))
    old = TrainedOn(columns=dict.fromkeys(["noise", "region", "x", "y"], "float64") | {"region": "str", "y": "str"},
                    salt="churn", gate=0.2)  # fmt: skip
    held_out = was_held_out(rows.frame, old)
    assert 300 < held_out.sum() < 500
    expected = held_out[rows.split.gate].sum()
    assert 40 < expected < 120
    board = held(rows, champion(rows, seen=old)).board
    card, comparison = board.card("champion"), board.comparison("champion", "roc_auc")
    assert card is not None
    assert comparison is not None
    assert (card.rows, comparison.rows) == (expected, expected)


def test_a_champion_of_another_split_that_saw_nearly_all_says_what_can_be_done() -> None:
    rows = by_content(rows_of())
    board = held(rows, champion(rows, seen=TrainedOn(columns={"gone": "float64"}, salt="churn", gate=0.2))).board
    assert board.absent["champion"] == (
        "only 0 gate rows were surely held out from the champion, which was made under another split, too few for roc_auc; "
        "make split.gate larger, or wait for more rows"
    )


def test_without_a_champion_the_first_one_need_not_beat_it() -> None:
    rows = rows_of()
    board = held(rows).board
    assert board.absent == {"champion": NO_CHAMPION}
    assert ask_all(rows.run.spec.gates, board)[2].status == "not_applicable"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"features": (Column(name="gone", type="number"),)}, r"the columns ['gone'] that the model needs are not in"),
        ({"features": (Column(name="region", type="number"),)}, "column 'region' was number when the model was made"),
        ({"model": Says(ValueError("sizes differ"))}, "data: ValueError ("),
        ({"model": Says(AttributeError("no such part since 2.0"))}, "data: AttributeError ("),
        ({"model": Says(KeyError("x"))}, "data: KeyError ("),
        ({"model": Says(float("nan"))}, "predictions are not finite"),
        ({"model": object()}, "gives no probabilities"),
        ({"labels": ("yes", "no")}, "it was made to tell ('yes', 'no') apart, today's target takes ('no', 'yes')"),
    ],
    ids=["column gone", "type changed", "ValueError", "AttributeError", "KeyError", "NaN", "no proba", "other labels"],
)
def test_a_champion_that_cannot_predict_is_absent_with_its_reason_and_nothing_passes_for_it(
    changes: dict[str, Any], reason: str
) -> None:
    rows = rows_of()
    contest = held(rows, champion(rows, **changes))
    assert "version 1 cannot predict on today's data: " in contest.board.absent["champion"]
    assert reason in contest.board.absent["champion"]
    assert "contender rollback churn --to VERSION, or contender adopt churn" in contest.board.absent["champion"]
    assert contest.board.card("champion") is None
    assert not contest.fresh.any()
    assert ask_all(rows.run.spec.gates, contest.board)[2].status == "undecided"


def test_a_champion_predicts_from_its_own_columns_in_its_own_order() -> None:
    class Particular(Knows):
        def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
            assert list(features.columns) == ["x", "noise"]
            return super().predict_proba(features)

    rows = rows_of()
    wanted = (Column(name="x", type="number"), Column(name="noise", type="integer"))
    assert held(rows, champion(rows, Particular(), features=wanted)).board.card("champion") is not None


def test_a_candidate_whose_predictions_are_not_finite_stops_the_run() -> None:
    with pytest.raises(
        DataRejected, match=r"the candidate Knows cannot be judged: NotFinite: \d+ of \d+ predictions are not finite"
    ):
        held(rows_of(), candidate=Says(float("inf")))


def test_a_baseline_that_cannot_be_judged_is_absent() -> None:
    rows = rows_of(gates=[{"kind": "beats", "opponent": "trivial", "min_rows": 2}])
    board = held(rows, trivial=Says(float("nan"))).board
    assert "predictions are not finite" in board.absent["trivial"]
    assert ask_all(rows.run.spec.gates, board)[0].status == "undecided"


def test_gate_rows_of_one_class_decide_nothing() -> None:
    rows = rows_of()
    target = rows.target.copy()
    target[rows.split.gate] = 0
    board = held(Rows(rows.run, rows.frame, rows.columns, target, rows.labels), trivial=Says(0.5)).board
    verdicts = ask_all(rows.run.spec.gates, board)
    assert [verdict.status for verdict in verdicts] == ["failed", "undecided", "not_applicable"]
    assert "roc_auc is not defined on the" in verdicts[1].reason


def test_every_metric_that_is_asked_for_is_on_every_card() -> None:
    rows = rows_of()
    assert metrics_of(rows.run.spec) == ["roc_auc", "accuracy"]
    for card in held(rows, champion(rows), trivial=Says(0.5)).board.cards:
        assert set(card.metrics) == {"roc_auc", "accuracy"}
        assert np.isfinite(list(card.metrics.values())).all()


def test_only_what_a_gate_asks_is_compared() -> None:
    rows = rows_of()
    board = held(rows, champion(rows), trivial=Says(0.5), baseline=Knows()).board
    assert [(one.opponent, one.metric) for one in board.comparisons] == [
        ("trivial", "roc_auc"),
        ("champion", "roc_auc"),
    ]


def test_an_opponent_may_be_met_on_several_metrics() -> None:
    gates = [{"kind": "beats", "opponent": "trivial", "metric": metric} for metric in ("accuracy", "neg_log_loss")]
    board = held(rows_of(gates=gates), trivial=Says(0.5)).board
    assert [one.metric for one in board.comparisons] == ["accuracy", "neg_log_loss"]


def test_only_the_champions_card_has_a_version() -> None:
    rows = rows_of()
    board = held(rows, champion(rows), trivial=Says(0.5)).board
    assert {card.contestant: card.version for card in board.cards} == {
        "candidate": None,
        "trivial": None,
        "champion": "1",
    }


def test_a_contest_leaves_the_rows_as_they_are() -> None:
    rows = rows_of()
    frame, target = rows.frame.copy(deep=True), rows.target.copy()
    held(rows, champion(rows), trivial=Says(0.5))
    pd.testing.assert_frame_equal(rows.frame, frame)
    assert (rows.target == target).all()


def test_the_gate_is_what_the_split_says() -> None:
    rows = rows_of()
    assert gate_start(rows.run) == datetime(2026, 2, 16, tzinfo=UTC)
    assert len(held(rows).target) == len(rows.split.gate)


def test_the_last_champion_on_evidence_meets_the_candidate_on_rows_new_to_everybody() -> None:
    rows = rows_of()
    earlier = trained_on(rows.run.model_copy(update={"as_of": AS_OF - timedelta(days=10)}), rows.frame)
    entrants: dict[Any, Any] = {"candidate": always(Knows(), "Knows")}
    contest = hold_contest(rows, entrants, champion(rows), proven=replace(champion(rows, seen=earlier), version="0"))
    card, met = contest.board.card("proven"), contest.board.comparison("proven", "roc_auc")
    assert card is not None
    assert met is not None
    assert (card.version, card.rows, met.rows) == ("0", contest.fresh.sum(), contest.fresh.sum())


def test_one_that_cannot_predict_is_told_and_holds_nothing_up() -> None:
    rows = rows_of()
    entrants: dict[Any, Any] = {"candidate": always(Knows(), "Knows")}
    contest = hold_contest(rows, entrants, champion(rows), proven=champion(rows, Says(float("nan"))))
    assert "cannot predict on today's data" in contest.board.absent["proven"]
    assert ask_all(rows.run.spec.gates, contest.board)[2].status == "passed"


def test_a_recipe_that_cannot_be_fitted_stops_the_run_if_it_is_the_candidates() -> None:
    rows = rows_of(gates=[{"kind": "beats", "opponent": "trivial", "min_rows": 2}])

    def fails(features: Any, target: Any) -> Any:
        raise ValueError(len(features), len(target))

    odd = Entrant("Odd", fails)
    with pytest.raises(DataRejected, match="the candidate Odd cannot be judged: ValueError"):
        hold_contest(rows, {"candidate": odd}, None)
    board = hold_contest(rows, {"candidate": always(Knows()), "trivial": odd}, None).board
    assert "Odd cannot be judged: ValueError" in board.absent["trivial"]


def test_every_entrant_is_fitted_at_each_step_of_the_walk_on_what_came_before() -> None:
    rows = rows_of()
    fitted: list[int] = []

    def fit(features: Any, target: Any) -> Any:
        assert len(features) == len(target)
        fitted.append(len(features))
        return Knows()

    contest = hold_contest(rows, {"candidate": Entrant("Knows", fit)}, champion(rows))
    assert [one.trained for one in contest.board.walk] == fitted == sorted(fitted)
    assert sum(one.judged for one in contest.board.walk) == len(contest.target)
    assert len(fitted) == 2


def test_a_constant_guess_is_the_same_at_every_step() -> None:
    """Fitted anew it would follow the share of each class, and a ROC AUC of all steps together would not be one half."""

    class Share(Knows):
        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

        def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
            return np.tile([1 - self.share, self.share], (len(features), 1))

    rows = rows_of()
    trivial = Entrant("always the same", lambda _, target: Share(float(np.mean(target))))
    card = hold_contest(rows, {"candidate": always(Knows()), "trivial": trivial}, None).board.card("trivial")
    assert card is not None
    assert card.metrics["roc_auc"] == 0.5


def test_the_champion_meets_baseline_and_constant_guess_on_the_rows_that_are_new_to_it() -> None:
    gates: list[dict[str, Any]] = [*GATES, {"kind": "beats", "opponent": "baseline"}]
    rows = rows_of(gates=gates)
    contest = held(rows, champion(rows), trivial=Says(0.5), baseline=Knows(sign=0.5))
    assert [(one.opponent, one.rows) for one in contest.board.of_champion] == [
        ("baseline", contest.fresh.sum()),
        ("trivial", contest.fresh.sum()),
    ]
    assert held(rows, trivial=Says(0.5)).board.of_champion == ()


@pytest.mark.parametrize(
    ("candidate", "count", "doubt"),
    [
        (Knows(), 400, None),
        (Says(0.5), 400, "it cannot be told from guessing: its ROC AUC is 0.5000 on "),
        (Knows(column="noise"), 400, "it cannot be told from guessing: its ROC AUC is "),
        (
            Knows(),
            30,
            "nothing shows that it knows anything: roc_auc has no interval on ",
        ),
    ],
)
def test_a_classifier_that_cannot_be_told_from_guessing_is_seen(candidate: Any, count: int, doubt: str | None) -> None:
    rows = rows_of(count=count)
    found = knows_nothing(held(rows, candidate=candidate, trivial=Says(0.5)), rows)
    assert found is None if doubt is None else str(found).startswith(doubt)
