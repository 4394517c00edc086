"""What changed since the champion's data: in the decision, the report, MLflow, the tasks' logs and on the command line."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import life
from builders import AS_OF, TIMED, make_run, make_table, write_parquet
from contender import pipeline
from contender.documents.data import Snapshot, SourceFile
from contender.documents.decision import Decision
from contender.store.base import require_document, write_document
from contender.store.ledger import Ledger
from contender_airflow.cli import app
from contender_airflow.operators.training import ChallengeOperator, SnapshotOperator

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.documents.run import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here")]

LATER = AS_OF + timedelta(days=21)


def with_charges(table: pa.Table, *, lost: float = 0.0) -> pa.Table:
    """Customers who pay 20 to 110 a month, some of them as a file has it that lost decimal points."""
    random = np.random.default_rng(table.num_rows)
    charges = np.round(random.triangular(20, 60, 110, table.num_rows), 2)
    cents = random.random(table.num_rows) < lost
    return table.append_column("charges", pa.array(np.where(cents, charges * 100, charges)))


def week(lake: Path, number: int, **parts: Any) -> Run:
    return make_run(
        lake,
        run_id=f"r{number}",
        as_of=AS_OF + timedelta(days=21 * (number - 1)),
        data=TIMED,
        split={"gate": "14d", "folds": 2},
        gates=[{"kind": "threshold", "metric": "roc_auc", "min": 0.5}],
        **parts,
    )


def write_run(run: Run, backends: Backends) -> Run:
    write_document(backends.store, run.key("run.json"), run)
    return run


def until_decided(run: Run, backends: Backends) -> Decision:
    write_run(run, backends)
    pipeline.snapshot(run, backends)
    pipeline.validate(run, backends)
    life.sweep(run, backends)
    return pipeline.challenge(run, backends)


def through(run: Run, backends: Backends) -> Decision:
    decision = until_decided(run, backends)
    pipeline.promote(run, backends)
    pipeline.announce(run, backends)
    return decision


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Customers until AS_OF; then three weeks of which half lost the decimal points of what they pay."""
    write_parquet(tmp_path / "lake" / "a.parquet", with_charges(make_table(1_200, days=60)))
    newer = make_table(500, seed=1, first=1_200, until=LATER, days=20)
    write_parquet(tmp_path / "lake" / "b.parquet", with_charges(newer, lost=0.5))
    return tmp_path / "lake"


def page(run: Run, backends: Backends) -> str:
    return life.report_page(run, backends)


def test_a_run_says_in_decision_report_and_mlflow_what_changed_since_the_champions_data(
    backends: Backends, lake: Path
) -> None:
    first, second = week(lake, 1), week(lake, 2)
    decision = through(first, backends)
    assert (decision.champion_snapshot, decision.changes) == (None, ())
    assert "What changed since" not in page(first, backends)

    decision = until_decided(second, backends)
    assert decision.champion_snapshot == require_document(backends.store, first.key("snapshot.json"), Snapshot).id
    loudest = decision.changes[0]
    assert (loudest.kind, loudest.column, loudest.loud) == ("scale", "charges", True)
    assert loudest.words.startswith("decimal points lost? ")
    assert "The data may be broken." in page(second, backends)
    assert page(second, backends).count(loudest.words) == 2
    tags = backends.tracking.client.get_run(backends.tracking.run_id(second)).data.tags
    assert tags["contender.changes"].splitlines()[0] == loudest.sentence


def test_a_model_made_from_the_same_snapshot_sees_no_change(backends: Backends, lake: Path) -> None:
    first = week(lake, 1)
    through(first, backends)
    again = week(lake, 1).model_copy(update={"id": "again"})
    decision = until_decided(again, backends)
    assert decision.same_model
    assert decision.champion_snapshot == decision.recipe.snapshot
    assert decision.changes == ()
    assert "the champion was made from the same snapshot" in page(again, backends)


def test_a_champion_that_somebody_else_made_has_no_data_on_record(backends: Backends, lake: Path) -> None:
    first, second = week(lake, 1), week(lake, 2)
    through(first, backends)
    Path(backends.store.local(first.key("snapshot.json"))).unlink()  # as an adoption, which has none
    decision = until_decided(second, backends)
    assert (decision.champion_snapshot, decision.changes) == (None, ())
    assert "is not on record" in page(second, backends)


def test_the_tasks_logs_warn_of_it_as_early_as_the_snapshot(
    backends: Backends, lake: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    through(week(lake, 1), backends)
    second = write_run(week(lake, 2), backends)
    SnapshotOperator(task_id="snapshot", pipeline="churn", spec_file="churn.yaml").step(second, backends, {})
    until_decided(second, backends)
    ChallengeOperator(task_id="challenge", pipeline="churn").step(second, backends, {})
    logged = caplog.text + "".join(capfd.readouterr())
    assert logged.count("changed since the champion's data: charges: decimal points lost? ") == 2
    taken = require_document(backends.store, second.key("snapshot.json"), Snapshot)
    assert taken.accounts is not None
    assert logged.count(taken.accounts.words) == 1
    assert " rows read = " in logged


def test_a_snapshot_that_lost_its_file_is_taken_again_when_the_run_is_cleared(backends: Backends, lake: Path) -> None:
    """It was green because its document existed."""
    run = write_run(week(lake, 1), backends)
    taken = pipeline.snapshot(run, backends)
    file = backends.store.local(taken.key("churn", "data.parquet"))
    file.chmod(0o600)
    file.unlink()
    assert pipeline.snapshot(run, backends) == taken
    assert pipeline.validate(run, backends).kept is not None


def call(backends: Backends, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr("contender_airflow.cli.places.store", lambda: backends.store)
    return CliRunner().invoke(app.app, ["data", *arguments])


def test_the_command_line_lists_shows_and_compares_snapshots(
    backends: Backends, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        taken = pipeline.snapshot(write_run(week(lake, number), backends), backends)
    file = SourceFile(uri="s3://lake/churn/b.parquet", bytes=1_234, digest="etag:abc")
    write_document(backends.store, taken.key("churn", "snapshot.json"), taken.model_copy(update={"sources": (file,)}))
    pipeline.snapshot(write_run(week(lake, 1).model_copy(update={"id": "again"}), backends), backends)
    listed = json.loads(call(backends, monkeypatch, "list", "churn", "--json").stdout)["snapshots"]
    assert [one["as_of"] for one in listed] == [AS_OF.isoformat(), LATER.isoformat()]
    assert [one["runs"] for one in listed] == [["again", "r1"], ["r2"]]
    assert listed[0]["columns"] == 7
    old, new = (one["id"] for one in listed)
    told = call(backends, monkeypatch, "list", "churn").stdout
    assert told.index(old[:12]) < told.index(new[:12])

    compared = json.loads(call(backends, monkeypatch, "diff", old[:8], new, "--json").stdout)
    assert (compared["before"], compared["after"]) == (old, new)
    assert compared["changes"][0]["kind"] == "scale"
    told = call(backends, monkeypatch, "diff", old, new).stdout
    assert "charges: decimal points lost?" in told
    assert "the same snapshot" in call(backends, monkeypatch, "diff", old, old).stdout

    document = json.loads(call(backends, monkeypatch, "show", new, "--json").stdout)
    assert document["pipeline"] == "churn"
    assert document["runs"] == ["r2"]
    assert Snapshot.model_validate_json(json.dumps(document["snapshot"])).statistics == taken.statistics
    shown = call(backends, monkeypatch, "show", new).stdout
    for words in (
        "r2",
        "2026-01-22 to 2026-03-23",
        "s3://lake/churn/b.parquet, 1,234 bytes, etag:abc",
        "sha256:",
        "charges",
        "south 5",
        "without a label",
    ):
        assert words in shown, words


def test_a_wrong_id_or_pipeline_is_one_line_that_helps(
    backends: Backends, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        pipeline.snapshot(week(lake, number), backends)
    ids = backends.store.children("churn/snapshots")
    unknown = call(backends, monkeypatch, "show", "zzz\n")
    assert "no snapshot 'zzz" in str(unknown.exception)
    assert unknown.exit_code == 1
    several = str(call(backends, monkeypatch, "show", "").exception)
    assert all(id_[:12] in several for id_ in ids)
    assert "Did you mean 'churn'?" in str(call(backends, monkeypatch, "list", "chrun").exception)
    Ledger(backends.store, "churn")
    assert "never ran here" in str(call(backends, monkeypatch, "list", "x").exception)
