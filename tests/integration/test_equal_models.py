"""Champion and an equal challenger over ten weeks of growing data: nobody wins, because nobody is judged on what it saw.

The model remembers every row it was trained on, and the target is a coin: one row too many on the wrong side shows.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from builders import AS_OF, TREE, make_run, make_table, write_parquet
from contender.data.checks.expectations import Checked
from contender.data.checks.quarantine import set_aside
from contender.data.rows import Rows, load_rows
from contender.data.snapshot import take_snapshot
from contender.data.split import trained_on
from contender.documents.release import Recipe, Release, TrainedOn
from contender.documents.run import Run
from contender.documents.sweep import Trial
from contender.judge.challenge import answer_of, ask_all
from contender.judge.contest import Champion, Entrant, hold_contest
from contender.store.base import write_document
from contender.store.local import LocalStore

WEEKS, BEFORE = 10, 9
ROWS = 700
GATES = [
    {"kind": "beats", "opponent": "champion", "policy": "unless_worse"},
    {"kind": "threshold", "metric": "roc_auc", "min": 0.0},
]
TIMED = {
    "data": {"time": "at", "window": "70d", "label_delay": "2d"},
    "split": {"gate": "14d"},
}


def coins(lake: Path, week: int) -> None:
    """A week's drop: customers come back, and whether they leave is chance."""
    until = AS_OF + timedelta(weeks=week)
    table = make_table(ROWS, seed=week + BEFORE, first=(week + BEFORE) * ROWS // 2, until=until, days=7)
    random = np.random.default_rng([1, week + BEFORE])
    labels = np.where(random.random(ROWS) < 0.5, "yes", "no")
    write_parquet(lake / f"{week + BEFORE:02}.parquet", table.set_column(table.column_names.index("y"), "y", [labels]))


def flips(lake: Path, week: int) -> None:
    """A week's drop: who leaves follows x, until week 2; from then on it is the other way round."""
    until = AS_OF + timedelta(weeks=week)
    table = make_table(ROWS, seed=week + BEFORE, first=(week + BEFORE) * ROWS // 2, until=until, days=7)
    turned = {"yes": "no", "no": "yes"}
    labels = [label if week < 2 else turned[label] for label in table["y"].to_pylist()]
    write_parquet(lake / f"{week + BEFORE:02}.parquet", table.set_column(table.column_names.index("y"), "y", [labels]))


def rows_of(run: Run, store: LocalStore) -> Rows:
    snapshot = take_snapshot(run, store)
    write_document(store, run.key("snapshot.json"), snapshot)
    write_document(store, run.key("quarantine.json"), set_aside(snapshot, Checked((), {})))
    return load_rows(run, store)


def memory(features: Any, target: np.ndarray) -> DecisionTreeClassifier:
    return DecisionTreeClassifier(random_state=0).fit(features[["noise", "x"]], target)


class Numbers:
    """Asked with all features, answers by the numbers."""

    def __init__(self, features: Any, target: np.ndarray) -> None:
        self.tree = memory(features, target)

    def predict_proba(self, features: Any) -> np.ndarray:
        return np.asarray(self.tree.predict_proba(features[["noise", "x"]]))


def champion_of(rows: Rows, positions: np.ndarray, seen: TrainedOn) -> Champion:
    run = rows.run
    trial = Trial(key="t", estimator=TREE, params={}, seed=0)
    recipe = Recipe(key="k", trial=trial, snapshot="s", quarantine="q", rows="all_rows", trained_on=seen)
    release = Release(
        pipeline="churn", run_id=run.id, as_of=run.as_of, recipe=recipe, code=run.code, model="m",
        features=rows.columns, labels=rows.labels, files={}, golden="g",
    )  # fmt: skip
    return Champion("1", release, Numbers(rows.features.iloc[positions], rows.target[positions]))


def differences(tmp_path: Path, parts: dict[str, Any], *, honest: bool = True) -> list[float]:
    """Candidate minus champion on the gate of each week but the first; every week's candidate takes the title."""
    store, serving, found = LocalStore(tmp_path / "store"), None, []
    for week in range(-BEFORE, WEEKS):
        coins(tmp_path / "lake", week)
        if week < 0:
            continue
        run = make_run(tmp_path / "lake", run_id=f"w{week}", as_of=AS_OF + timedelta(weeks=week), gates=GATES, **parts)
        rows = rows_of(run, store)
        board = hold_contest(rows, {"candidate": Entrant("tree", Numbers)}, serving).board
        comparison = board.comparison("champion", "roc_auc")
        if comparison is not None:
            found.append(comparison.difference)
        refitted = np.arange(len(rows.frame)) if run.spec.refit_rows == "all_rows" else rows.split.sweep
        serving = champion_of(rows, refitted, trained_on(run, rows.frame))
        if not honest:  # it says that it has seen nothing
            none = TrainedOn(columns={"at": "datetime64[us]"}, through=AS_OF - timedelta(days=400))
            serving = champion_of(rows, refitted, none)
    return found


@pytest.mark.parametrize(
    "parts",
    [TIMED, TIMED | {"refit": "train_rows"}, {"split": {"gate": 0.3}}, {"split": {"gate": 0.3}, "data": {"id": None}}],
    ids=["by time, refitted on all rows", "by time", "by id", "by content"],
)
def test_over_ten_weeks_an_equal_challenger_gains_nothing(
    tmp_path: Path, parts: dict[str, Any], record_property: pytest.RecordProperty
) -> None:
    found = differences(tmp_path, parts)
    assert len(found) == WEEKS - 1
    error = float(np.std(found, ddof=1)) / len(found) ** 0.5
    record_property("mean difference", float(np.mean(found)))
    assert abs(np.mean(found)) < 3 * max(error, 0.004), found


def test_one_that_hides_what_it_saw_would_be_seen_to_win(tmp_path: Path) -> None:
    assert np.mean(differences(tmp_path, TIMED, honest=False)) < -0.2


def test_a_changed_world_has_its_own_champion_as_soon_as_its_labels_are_there(tmp_path: Path) -> None:
    """The shipped gates' kinds. A stand-in that ends before gate and embargo would wait for a gate more."""
    gates: list[dict[str, Any]] = [
        {"kind": "threshold", "metric": "roc_auc", "min": 0.6},
        {"kind": "beats", "opponent": "champion", "policy": "unless_worse", "margin": 0.005},
    ]
    store, serving, outcomes, excused = LocalStore(tmp_path / "store"), None, [], []
    for week in range(-BEFORE, 6):
        flips(tmp_path / "lake", week)
        if week < 0:
            continue
        parts = TIMED | {"data": TIMED["data"] | {"window": "35d"}}
        run = make_run(tmp_path / "lake", run_id=f"w{week}", as_of=AS_OF + timedelta(weeks=week), gates=gates, **parts)
        rows = rows_of(run, store)
        board = hold_contest(rows, {"candidate": Entrant("tree", Numbers)}, serving).board
        verdicts = ask_all(run.spec.gates, board)
        outcomes.append(answer_of(verdicts))
        excused.append(verdicts[0].excused)
        if outcomes[-1] == "promote":
            serving = champion_of(rows, np.arange(len(rows.frame)), trained_on(run, rows.frame))
    # The first rows of the new world are those of week 2; what was trained then has seen them, and judges from week 3 on.
    assert outcomes[:2] == ["promote", "promote"]
    assert outcomes[3:] == ["promote", "promote", "promote"], outcomes
    assert any(excused)
