"""Leak guards in whole runs: before anything trains a run stops, goes on without columns, or says what it suspects."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from builders import AS_OF, TIMED, make_run, make_table, write_parquet
from contender import pipeline
from contender.data.rows import load_rows
from contender.documents.data import Quarantine
from contender.documents.sweep import Plan
from contender.errors import DataRejected
from contender.store.base import read_document, require_document
from life import report_page, through

if TYPE_CHECKING:
    from pathlib import Path

    from contender.backends import Backends
    from contender.documents.run import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here")]

LATER = AS_OF + timedelta(days=21)
GATES = [
    {"kind": "threshold", "metric": "roc_auc", "min": 0.5},
    {"kind": "beats", "opponent": "champion", "policy": "unless_worse", "margin": 0.5, "min_rows": 20},
]
TABLE = make_table(900, until=LATER, days=90)
LEFT = np.array(TABLE["y"].to_pylist()) == "yes"
STATUS = np.where(np.random.default_rng(0).random(900) < 0.005, ~LEFT, LEFT).astype(float)


def run_of(lake: Path, run_id: str = "r1", **parts: Any) -> Run:
    return make_run(
        lake, run_id=run_id, **{"data": TIMED, "split": {"gate": "14d", "folds": 2}, "gates": GATES} | parts
    )


def lake_of(tmp_path: Path, **columns: Any) -> Path:
    table = TABLE
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return write_parquet(tmp_path / "lake" / "a.parquet", table).parent


def test_a_leak_stops_the_run_before_anything_is_planned_and_stays_on_record(
    backends: Backends, tmp_path: Path
) -> None:
    run = run_of(lake_of(tmp_path, status=STATUS))
    pipeline.snapshot(run, backends)
    with pytest.raises(
        DataRejected, match=r"leaks: 'status' \(near_perfect\): reaches ROC AUC 0\.9\d\d alone\. Nothing was"
    ):
        pipeline.validate(run, backends)
    recorded = require_document(backends.store, run.key("checks.json"), Quarantine)
    assert [finding.columns for finding in recorded.findings] == [("status",)]
    assert read_document(backends.store, run.key("quarantine.json"), Quarantine) is None


def test_a_run_goes_on_without_the_column_and_its_champion_is_judged_with_it(
    backends: Backends, tmp_path: Path
) -> None:
    lake = lake_of(tmp_path, status=STATUS)
    trusting, wary = run_of(lake, leaks={"policy": "warn"}), run_of(lake, "r2", as_of=LATER, leaks={"policy": "drop"})
    first, second = through(trusting, backends), through(wary, backends)
    assert first.board.card("candidate").metrics["roc_auc"] > 0.97
    assert second.board.card("candidate").metrics["roc_auc"] < 0.95
    assert second.board.card("champion").metrics["roc_auc"] > 0.97
    assert "status" not in load_rows(wary, backends.store).features
    assert "No features in this run: status." in report_page(wary, backends)
    assert "policy" in report_page(trusting, backends)


def test_other_features_are_other_trials_and_no_finding_is_no_difference(backends: Backends, tmp_path: Path) -> None:
    lake = lake_of(tmp_path, status=STATUS)
    keys = []
    for number, leaks in enumerate([{"policy": "warn"}, {"policy": "drop"}, {"allow": ["status"]}]):
        run = run_of(lake, f"r{number}", leaks=leaks)
        pipeline.snapshot(run, backends)
        pipeline.validate(run, backends)
        made: Plan = pipeline.plan(run, backends, cores=2)
        keys.append({trial.key for trial in made.trials})
    warned, dropped, allowed = keys
    assert warned == allowed
    assert not warned & dropped


def test_a_feature_that_is_written_again_after_the_label_came_stops_the_next_run(
    backends: Backends, tmp_path: Path
) -> None:
    balance, again = np.random.default_rng(1).normal(size=(2, 900))
    lake = lake_of(tmp_path, balance=balance)
    assert through(run_of(lake), backends).outcome == "promote"
    later = run_of(lake_of(tmp_path, balance=np.where(LEFT, again, balance)), "r2", as_of=LATER)
    pipeline.snapshot(later, backends)
    with pytest.raises(
        DataRejected, match=r"'balance' \(rewritten\): changed in \d+\.\d% of \d+ rows since the snapshot of"
    ):
        pipeline.validate(later, backends)
