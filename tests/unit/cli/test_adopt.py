"""What ``contender adopt`` and ``contender status`` say before and after anything is adopted; mistakes touch nothing."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from builders import make_run
from contender import adopt
from contender.errors import DataRejected
from contender.run.outcome import failed_outcome, record_failure
from contender.store.base import write_document
from contender.store.ledger import Evidence, Ledger
from contender.store.local import LocalStore
from contender_airflow.cli import app, places

if TYPE_CHECKING:
    from pathlib import Path

    from contender.spec.pipeline import PipelineSpec


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONTENDER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CONTENDER_DAGS", str(tmp_path / "dags"))
    (tmp_path / "dags" / "pipelines").mkdir(parents=True)
    (tmp_path / "dags" / "pipelines" / "churn.yaml").write_text(
        "data: {source: {kind: parquet, uri: /nowhere}, target: y}\n"
        "sweep: {metric: r2, candidates: [{estimator: sklearn.linear_model.Ridge}]}\n"
        "gates: [{kind: threshold, metric: r2, min: 0}]\n"
    )
    return tmp_path / "home"


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app.app, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("chrun", "--version", "1"), r"no pipeline 'chrun' in .*pipelines\. Did you mean 'churn'\?"),
        (("churn", "--version", "1", "--trained-through", "soon"), "--trained-through: got 'soon', expected a date such as"),
        (("churn", "--version", "1", "--as-of", "2199-01-01"), "--as-of: .* is in the future"),
        (("nowhere/churn.yaml", "--version", "1"), "nowhere/churn.yaml: cannot be read"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_before_anything_is_made(home: Path, arguments: tuple[str, ...], message: str) -> None:
    done = call("adopt", *arguments)
    assert done.exit_code == 1
    with pytest.raises(Exception, match=message):
        raise done.exception
    assert not home.exists()


def test_what_the_user_typed_is_what_the_core_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[adopt.Request] = []
    entry = SimpleNamespace(version="7", number=1, reason="ours")

    def adopt_model(_: object, spec: PipelineSpec, request: adopt.Request) -> adopt.Adoption:
        assert spec.name == "churn"
        asked.append(request)
        return adopt.Adoption(entry, already=False, notes=("predicts 12 rows",))

    monkeypatch.setattr(adopt, "adopt_model", adopt_model)
    monkeypatch.setattr(places, "backends", lambda: None)
    options = (
        "--model runs:/1/model --trained-through 2026-02-01 --as-of 2026-03-02 --positive yes --reason ours --unseen"
    )
    said = call("adopt", "churn", *options.split()).output
    [request] = asked
    assert request == adopt.Request(
        model="runs:/1/model",
        through=datetime(2026, 2, 1, tzinfo=UTC),
        as_of=datetime(2026, 3, 2, tzinfo=UTC),
        positive="yes",
        reason="ours",
        unseen=True,
        by=getpass.getuser(),
        now=request.now,
    )
    assert said.splitlines() == [
        "version 7 predicts 12 rows",
        "churn: version 7 is the champion and defends its title from now on (ledger entry 1: ours)",
        "It serves as models:/churn@champion",
    ]


def test_commands_work_on_the_store_of_an_airflow_that_the_environment_names(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    write_document(LocalStore(tmp_path / "elsewhere"), run.key("run.json"), run)
    connection = {"conn_type": "contender_store", "extra": {"uri": str(tmp_path / "elsewhere")}}
    monkeypatch.setenv("AIRFLOW_CONN_CONTENDER_STORE", json.dumps(connection))
    assert json.loads(call("status", "--json").output)["pipelines"][0]["name"] == "churn"
    assert not home.exists()


def test_status_shows_a_champion_without_a_score_and_a_pipeline_that_never_ran(home: Path) -> None:
    store = LocalStore(home / "store")
    at = datetime(2026, 3, 2, tzinfo=UTC)
    Ledger(store, "churn").append(
        kind="adoption", version="7", release="r" * 64, run_id="adoption-1", as_of=at, at=at, by="ada", reason="ours",
        evidence=Evidence(metric="roc_auc", value=None),
    )  # fmt: skip
    run = make_run(schedule=None, name="other")
    write_document(store, run.key("run.json"), run)
    lines = call("status").output.splitlines()
    assert [line.split() for line in lines[1:3]] == [
        ["churn", "version", "7", "never"],
        ["other", "none", "stopped,", "no", "decision", "by", "hand"],
    ]


def test_status_says_why_the_last_run_failed(home: Path) -> None:
    store = LocalStore(home / "store")
    run = make_run(schedule=None)
    write_document(store, run.key("run.json"), run)
    record_failure(store, "churn", run.id, "validate", DataRejected("[x] is null in 3 rows"))
    write_document(store, run.key("outcome.json"), failed_outcome(store, "churn", run.id, run, ["validate"]))
    assert "churn: failed in validate: DataRejected: [x] is null in 3 rows" in call("status").output.splitlines()
