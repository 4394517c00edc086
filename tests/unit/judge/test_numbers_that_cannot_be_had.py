"""A number that cannot be had is a verdict with its reason: no run ends because of it, and no gate passes on it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from builders import AS_OF, TIMED, always, make_run, make_table
from contender.data.rows import Rows, as_frame
from contender.data.snapshot import canonical
from contender.documents.columns import Column
from contender.documents.scoreboard import Scoreboard, Verdict
from contender.errors import ConfigError
from contender.judge.challenge import ask_all
from contender.judge.contest import hold_contest
from contender.judge.gates.threshold import NEW_ENTITIES
from contender.metrics.check import check_metric
from contender.metrics.scorers import metric_names
from ownpkg import importable, write_package

if TYPE_CHECKING:
    import pandas as pd

RMSLE = "neg_root_mean_squared_log_error"


class Says(ClassifierMixin, RegressorMixin, BaseEstimator):
    """Says the same for the first rows, and for the others something ordinary."""

    def __init__(self, odd: Any = 1.0, rows: int | None = 1) -> None:
        self.odd = odd
        self.rows = rows

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        said = np.exp(features["x"].to_numpy() / 9)
        said[: self.rows] = self.odd
        return said

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        one = 1 / (1 + np.exp(-features["x"].to_numpy()))
        one[: self.rows] = self.odd
        return np.column_stack([1 - one, one])


def rows_of(*gates: dict[str, Any], classification: bool, metric: str) -> Rows:
    data = TIMED if classification else {**TIMED, "positive": None}
    run = make_run(data=data, split={"gate": "14d"}, gates=list(gates), sweep={"metric": metric})
    return replace(_ROWS[classification], run=run)


def _made(*, classification: bool) -> Rows:
    run = make_run(data=TIMED if classification else {**TIMED, "positive": None}, split={"gate": "14d"})
    frame = as_frame(canonical(make_table(200, until=AS_OF), run.spec.data), run.spec.data.id)
    yes = (frame["y"] == "yes").to_numpy()
    target = yes.astype("int64") if classification else np.exp(frame["noise"].to_numpy())
    return Rows(
        run=run,
        frame=frame,
        columns=(Column(name="x", type="number"),),
        target=target,
        labels=("no", "yes") if classification else None,
    )


_ROWS = {kind: _made(classification=kind) for kind in (True, False)}


def asked(metric: str, *, classification: bool, **models: Any) -> tuple[Scoreboard, tuple[Verdict, ...]]:
    gates: list[dict[str, Any]] = [
        {"kind": "threshold", "metric": metric, "min": -1e300},
        {"kind": "threshold", "metric": "accuracy" if classification else "neg_mean_absolute_error", "min": -1e300},
        *(
            {"kind": "beats", "opponent": "trivial", "policy": policy, "margin": 1e300, "min_rows": 2, "metric": metric}
            for policy in ("non_inferior", "unless_worse")
        ),
    ]
    rows = rows_of(*gates, classification=classification, metric=metric)
    entrants: Any = {name: always(model) for name, model in ({"candidate": Says(), "trivial": Says()} | models).items()}
    board = hold_contest(rows, entrants, None).board
    return board, ask_all(rows.run.spec.gates, board)


def accepted(*, classification: bool) -> list[str]:
    def fits(name: str) -> bool:
        try:
            check_metric(name, "metric", classification=classification)
        except ConfigError:
            return False
        return True

    return [name for name in metric_names() if fits(name)]


NASTY = {
    True: [Says(-0.1), Says(1e300), Says(0.5, None)],
    False: [Says(-1.0), Says(0.0), Says(-1e300), Says(3.0, None)],
}


@pytest.mark.parametrize("who", ["candidate", "trivial"])
@pytest.mark.parametrize("classification", [True, False], ids=["classification", "regression"])
def test_whatever_is_predicted_no_scorer_ends_the_run_and_no_gate_passes_on_a_number_that_is_not_there(
    classification: bool, who: str
) -> None:
    undecided = 0
    for metric in accepted(classification=classification):
        for model in NASTY[classification][: None if who == "candidate" else 1]:
            board, (own, *others) = asked(metric, classification=classification, **{who: model})
            card = board.card("candidate")
            assert card is not None
            assert (own.status == "passed") == math.isfinite(card.metrics.get(metric, math.nan))
            assert all(verdict.reason for verdict in (own, *others))
            compared = board.comparison("trivial", metric)
            for verdict in others[1:]:
                undecided += verdict.status == "undecided"
                assert (verdict.status == "undecided") == (compared is None)
            if compared is not None:
                assert all(map(math.isfinite, (compared.low, compared.high, compared.difference)))
            assert others[0].status == "passed", "a metric without a number takes no other with it"
    assert undecided > 0


@pytest.mark.parametrize(
    ("metric", "odd", "says"),
    [
        (
            RMSLE,
            -1.0,
            "needs predictions above -1 and targets above -1; of 43 rows 2 predictions and 0 targets are not",
        ),
        ("neg_mean_squared_log_error", -3.0, "of 43 rows 2 predictions"),
        (
            "neg_mean_poisson_deviance",
            0.0,
            "needs predictions above 0 and targets of at least 0; of 43 rows 2 predictions",
        ),
        ("neg_mean_gamma_deviance", 0.0, "needs predictions above 0 and targets above 0; of 43 rows 2 predictions"),
    ],
)
def test_the_reason_says_whose_predictions_which_metric_and_how_many_rows(metric: str, odd: float, says: str) -> None:
    _, verdicts = asked(metric, classification=False, candidate=Says(odd))
    assert verdicts[0].status == "failed"
    assert f"the candidate has no {metric} on the gate rows (43 rows): {metric} " in verdicts[0].reason
    assert says in verdicts[0].reason
    _, verdicts = asked(metric, classification=False, trivial=Says(odd))
    assert [verdict.status for verdict in verdicts] == ["passed", "passed", "undecided", "undecided"]
    assert verdicts[2].reason.startswith(
        f"the constant guess's predictions on 43 gate rows: {metric} needs predictions above"
    )


def test_one_metric_without_a_number_is_no_reason_for_another(tmp_path: Path) -> None:
    gates: list[dict[str, Any]] = [
        {"kind": "beats", "opponent": "trivial", "min_rows": 2, "metric": metric, "policy": "unless_worse"}
        for metric in ("neg_mean_absolute_error", RMSLE)
    ]
    rows = rows_of(*gates, classification=False, metric="r2")
    board = hold_contest(rows, {"candidate": always(Says()), "trivial": always(Says(-2.0))}, None).board
    verdicts = ask_all(rows.run.spec.gates, board)
    assert [verdict.status for verdict in verdicts] == ["passed", "undecided"]
    assert Scoreboard.model_validate_json(board.model_dump_json()) == board


OWN = """
def picky(estimator, X, y, sample_weight=None):
    if sample_weight is not None:
        raise ValueError("".join(["Erika", " ", "Muster"]))
    return 1.0
"""


def test_a_metric_of_the_users_own_that_raises_on_some_of_the_rows_leaves_the_gate_undecided(tmp_path: Path) -> None:
    with importable(write_package(tmp_path, metrics=OWN)):
        _, verdicts = asked("mypkg.metrics.picky", classification=False)
    assert [verdict.status for verdict in verdicts] == ["passed", "passed", "undecided", "undecided"]
    assert "picky cannot be computed on 43 rows (ConfigError: mypkg.metrics.picky raised Val" in verdicts[2].reason
    assert "without some of the rows; give a finite number" in verdicts[2].reason
    assert "Erika" not in verdicts[2].reason


def test_an_opponent_that_raises_anything_is_absent() -> None:
    class Raises(Says):
        def predict(self, features: pd.DataFrame) -> np.ndarray:
            raise TypeError("no")

    _, verdicts = asked("r2", classification=False, trivial=Raises())
    assert verdicts[2].status == "undecided"


def test_a_contestant_without_memory_is_tried_again_and_not_judged() -> None:
    class Starves(Says):
        def predict(self, features: pd.DataFrame) -> np.ndarray:
            raise MemoryError

    for who in ("candidate", "trivial"):
        with pytest.raises(MemoryError):
            asked("r2", classification=False, **{who: Starves()})


def few(ids: int, *, metric: str = "roc_auc") -> tuple[Verdict, ...]:
    """The verdict on new entities when so many of the gate rows' ids are new; the others were trained on."""
    rows = rows_of(
        {"kind": "threshold", "metric": metric, "min": 0.75, "entities": "new_only"},
        classification=True,
        metric=metric,
    )
    frame = rows.frame.copy()
    frame.loc[frame.index[rows.split.gate[ids:]], "id"] = frame["id"].iloc[rows.split.sweep[0]]
    target = rows.target.copy()
    target[rows.split.gate] = np.arange(len(rows.split.gate)) % 2
    features = {"x": np.where(target == 1, 5.0, -5.0)}
    rows = replace(rows, frame=frame.assign(**features), target=target)
    board = hold_contest(rows, {"candidate": always(Says(rows=0))}, None).board
    return ask_all(rows.run.spec.gates, board)


def test_a_threshold_on_new_entities_asks_for_enough_of_them() -> None:
    [two], [nineteen], [enough] = few(2), few(19), few(20)
    assert (two.status, two.reason) == ("undecided", "only 2 new ids are among the gate rows, 20 are needed")
    assert nineteen.status == "undecided"
    assert (enough.status, enough.observed) == ("passed", 1.0)


def test_a_model_that_knows_nothing_seldom_passes_on_the_fewest_new_entities_that_decide() -> None:
    """Thousands of runs at the floor, 10 ids of each class, against two rows."""
    random = np.random.default_rng(0)

    def passes(ids: int) -> float:
        said = random.random((4_000, ids)).argsort(axis=1).argsort(axis=1)  # ranks
        positives = ids // 2
        auc = (said[:, :positives].sum(axis=1) - positives * (positives - 1) / 2) / positives**2
        return float((auc >= 0.75).mean())

    assert passes(2) > 0.4
    assert passes(NEW_ENTITIES) < 0.05
