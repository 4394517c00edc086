"""Stored documents read back as they were written, and refuse unknown fields."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from pkgutil import iter_modules
from typing import get_type_hints

import pytest
from pydantic import ValidationError

from builders import TIMED, make_run
from contender import documents
from contender.documents.data import Quarantine, Snapshot, Uncoerced
from contender.documents.outcome import Outcome
from contender.documents.release import Recipe, TrainedOn
from contender.documents.run import Run
from contender.documents.scoreboard import Verdict
from contender.documents.sweep import Plan, Point, Trial, TrialResult
from contender.frozen import Frozen

AT = datetime(2026, 3, 2, 3, tzinfo=UTC)
PARAMS = {"C": 1.5, "gamma": "auto", "tol": None, "quantile_range": (10, 90)}
TRIAL = Trial(key="a" * 64, estimator="sklearn.svm.SVC", params=PARAMS, seed=0)
SEEN = TrainedOn(columns={"at": "timestamp"}, through=AT)
EXAMPLES: tuple[Frozen, ...] = (
    make_run(data=TIMED, reason="why not"),
    Snapshot(
        id="s",
        rows=2,
        columns=({"name": "x", "type": "number"},),
        unlabelled=0,
        sources=({"uri": "a.parquet", "bytes": 9, "digest": "sha256:0"},),
    ),  # type: ignore[arg-type]
    Quarantine(id="q", snapshot="s", rows={0: ("age: too high",), 7: ("a", "b")}, checks=()),
    Plan(trials=(TRIAL,), points=(Point(candidate=0, params={"C": 1.0}),), tasks=1, seconds={"SVC": 0.5}),
    TrialResult(
        trial=TRIAL, status="complete", scores=(0.5, 0.7), mean=0.6, std=0.1, seconds=1, cpu_seconds=1, started=AT
    ),
    Recipe(key="k", trial=TRIAL, snapshot="s", quarantine="q", rows="all_rows", trained_on=SEEN),
    Outcome(run_id="r", pipeline="p", state="success", verdicts=(Verdict(gate="g", status="passed", reason="so"),)),
)


@pytest.mark.parametrize("document", EXAMPLES, ids=lambda document: type(document).__name__)
def test_a_document_reads_back_as_it_was_written(document: Frozen) -> None:
    assert type(document).model_validate_json(document.model_dump_json(indent=1)) == document


@pytest.mark.parametrize("document", EXAMPLES, ids=lambda document: type(document).__name__)
def test_a_document_of_another_version_is_refused(document: Frozen) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        type(document).model_validate({**document.model_dump(mode="json"), "from_the_future": 1})


def test_every_document_says_what_it_is() -> None:
    modules = [import_module(f"{documents.__name__}.{one.name}") for one in iter_modules(documents.__path__)]
    nouns = [
        noun
        for module in modules
        for noun in vars(module).values()
        if isinstance(noun, type) and issubclass(noun, Frozen) and noun.__module__ == module.__name__
    ]
    assert len(nouns) >= 25
    assert all(noun.__doc__ and get_type_hints(noun) for noun in nouns)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_is_finite(score: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        TrialResult(trial=TRIAL, status="complete", mean=score, seconds=1, cpu_seconds=1, started=AT)
    with pytest.raises(ValidationError, match="finite"):
        TrialResult(trial=TRIAL, status="complete", scores=(score,), seconds=1, cpu_seconds=1, started=AT)


def test_documents_live_below_their_pipeline() -> None:
    run: Run = make_run(run_id="r7")
    assert run.key("plan.json") == "churn/runs/r7/plan.json"
    snapshot = EXAMPLES[1]
    assert isinstance(snapshot, Snapshot)
    assert snapshot.key("churn", "data.parquet") == "churn/snapshots/s/data.parquet"


def test_the_reason_at_a_row_whose_cell_does_not_fit_is_a_sentence() -> None:
    odd = (
        Uncoerced(column="age", expected="number", rows=1),
        Uncoerced(column="n", expected="integer", rows=1),
        Uncoerced(column="x", expected="text", rows=1),
    )
    assert ["age is not a number", "n is not an integer", "x is not text"] == [one.reason for one in odd]
