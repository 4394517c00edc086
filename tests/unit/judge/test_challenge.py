"""Which trial becomes the candidate: the best that completed, and never the baseline while others were tried."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from builders import LOGISTIC, TIMED, TREE, make_run, make_table
from contender.data.rows import Rows, as_frame
from contender.data.snapshot import canonical
from contender.documents.data import Quarantine, Snapshot
from contender.documents.sweep import Trial, TrialResult
from contender.errors import DataRejected
from contender.judge.challenge import recipe_of
from contender.store.base import write_document

if TYPE_CHECKING:
    from contender.documents.run import Run
    from contender.store.local import LocalStore


def result(key: str, mean: float | None = None, *, baseline: bool = False, error: str | None = None) -> TrialResult:
    return TrialResult(
        trial=Trial(key=key, estimator=LOGISTIC if baseline else TREE, params={}, seed=0, baseline=baseline),
        status="failed" if mean is None else "complete",
        scores=() if mean is None else (mean,),
        mean=mean,
        std=None if mean is None else 0.0,
        seconds=1.0,
        cpu_seconds=1.0,
        started=datetime(2026, 3, 2, tzinfo=UTC),
        error=error,
    )


@pytest.fixture
def run(store: LocalStore) -> Run:
    """A run whose data was read and validated."""
    run = make_run(data=TIMED, split={"gate": "14d"})
    write_document(store, run.key("snapshot.json"), Snapshot(id="s", rows=1, columns=(), unlabelled=0, sources=()))
    write_document(store, run.key("quarantine.json"), Quarantine(id="q", snapshot="s", rows={}, checks=()))
    return run


def rows_of(run: Run) -> Rows:
    frame = as_frame(canonical(make_table(50), run.spec.data), run.spec.data.id)
    return Rows(run=run, frame=frame, columns=(), target=np.zeros(50), labels=None)


def test_the_greatest_score_wins(run: Run, store: LocalStore) -> None:
    recipe = recipe_of(run, store, rows_of(run), [result("a", 0.7), result("b", 0.8), result("c")])
    assert recipe.trial.key == "b"


def test_the_baseline_never_wins_while_another_completed(run: Run, store: LocalStore) -> None:
    results = [result("a", 0.9, baseline=True), result("b", 0.6), result("c", 0.5)]
    assert recipe_of(run, store, rows_of(run), results).trial.key == "b"


def test_the_baseline_is_no_stand_in_for_failed_challengers(run: Run, store: LocalStore) -> None:
    results = [result("a", 0.9, baseline=True), result("b", error="boom"), result("c", error="boom")]
    with pytest.raises(DataRejected, match=r"sweep: no trial but the baseline's completed: boom$"):
        recipe_of(run, store, rows_of(run), results)


def test_challengers_that_failed_or_were_cut_on_their_way_were_tried(run: Run, store: LocalStore) -> None:
    last = [result("a", 0.9, baseline=True)]
    with pytest.raises(DataRejected, match=r"no trial but the baseline's completed: boom$"):
        recipe_of(run, store, rows_of(run), last, [result("b", error="boom")])
    with pytest.raises(DataRejected, match=r"completed: the budget ended before the others; raise sweep\.budget$"):
        recipe_of(run, store, rows_of(run), last, [result("b", 0.5)])
    assert recipe_of(run, store, rows_of(run), last, [result("c", 0.5, baseline=True)]).trial.key == "a"


def test_the_baseline_wins_where_nothing_else_was_tried(run: Run, store: LocalStore) -> None:
    results = [result("a", 0.5, baseline=True), result("b", 0.6, baseline=True)]
    assert recipe_of(run, store, rows_of(run), results).trial.key == "b"


def test_a_recipe_is_named_by_everything_its_predictions_depend_on(run: Run, store: LocalStore) -> None:
    rows = rows_of(run)
    made = [recipe_of(run, store, rows, [result("a", 0.7)]), recipe_of(run, store, rows, [result("b", 0.7)])]
    later = run.model_copy(update={"as_of": datetime(2026, 3, 3, tzinfo=UTC)})
    made.append(recipe_of(later, store, rows_of(later), [result("a", 0.7)]))
    refit = make_run(data=TIMED, split={"gate": "14d"}, refit="train_rows")
    made.append(recipe_of(refit, store, rows_of(refit), [result("a", 0.7)]))
    write_document(store, run.key("quarantine.json"), Quarantine(id="q2", snapshot="s", rows={}, checks=()))
    made.append(recipe_of(run, store, rows, [result("a", 0.7)]))
    write_document(store, run.key("snapshot.json"), Snapshot(id="s2", rows=1, columns=(), unlabelled=0, sources=()))
    write_document(store, run.key("quarantine.json"), Quarantine(id="q2", snapshot="s2", rows={}, checks=()))
    made.append(recipe_of(run, store, rows, [result("a", 0.7)]))
    assert len({recipe.key for recipe in made}) == len(made)


def test_a_recipe_does_not_depend_on_the_run_or_the_score(run: Run, store: LocalStore) -> None:
    rows = rows_of(run)
    one, other = (recipe_of(run, store, rows, [result("a", mean)]) for mean in (0.7, 0.8))
    assert one == other
