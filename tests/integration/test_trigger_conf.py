"""Bad trigger conf against a store and an MLflow with a champion in them: refused by its key, in no time, with no effect."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import life
from builders import AS_OF, make_run, make_spec, make_table, write_parquet
from contender import pipeline
from contender.documents.outcome import Failure, Outcome
from contender.documents.run import Run
from contender.errors import ConfigError, DataUnavailable
from contender.run.freeze import freeze_run, safe_id
from contender.store.base import require_document
from contender.store.ledger import Ledger
from contender.store.runs import let_count

if TYPE_CHECKING:
    from pathlib import Path

    from contender.backends import Backends
    from contender.spec.pipeline import PipelineSpec

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here", "no_report")]

REQUESTED = datetime(2026, 3, 2, 3, tzinfo=UTC)
SECRET = "hunter2-AKIA0000"  # noqa: S105 - not a secret, but must be treated like one
IDS = ["manual__1", "../../../etc/passwd", "..", "/", "a\nb", "{{ 7*7 }}", "$(id)", "x" * 300, "\N{PILE OF POO}" * 250]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


CASES: dict[str, Any] = {
    "T01 a list": [],
    "T01 text": SECRET,
    "T01 nothing": None,
    "T02 unknown": {"sweep.strategy.trails": 2},
    "T03 text for a number": {"sweep.strategy.trials": "4"},
    "T03 text for a truth value": {"promote": "true"},
    "T04 the future": {"as_of": "2026-03-03"},
    "T05 no such day": {"as_of": "2026-02-31"},
    "T05 a year of two digits": {"as_of": "26-03-02"},
    "T05 a number": {"as_of": 20260302},
    "T06 no window": {"data.window": "0s"},
    "T06 a window without a gate": {"data.window": "14d"},
    "T06 more than 100 years": {"data.window": "36526d"},
    "T06 far more": {"data.window": "9" * 55 + "d"},
    "T07 an expression": {"sweep.budget": "{{ 7*7 }}m"},
    "T07 a connection": {"data.source.uri": "{{ conn.contender_store.password }}"},
    "T07 a statement": {"as_of": "{% import os %}"},
    "T08 a command": {"data.source.uri": "$(touch pwned)"},
    "T08 another": {"sweep.budget": "20m; rm -rf /"},
    "T08 backticks": {"as_of": "`id`"},
    "T08 a second line": {"as_of": "2026-03-01\nrm -rf /"},
    "T09 up": {"data.source.uri": "../../etc/passwd"},
    "T09 a share": {"data.source.uri": "//host/share"},
    "T09 remote": {"data.source.uri": "s3://bucket/key"},
    "T09 the environment": {"data.source.uri": "${HOME}"},
    "T10 another model": {"name": "other"},
    "T11 another estimator": {"sweep.candidates.0.estimator": "os.system"},
    "T11 all of them": {"sweep.candidates": [{"estimator": "os.system"}]},
    "T12 no gate": {"skip_gate": True},
    "T12 by force": {"force_promote": True},
    "T12 a weaker gate": {"gates.0.min": 0.4},
    "T12 other gates": {"gates": []},
    "T13 a megabyte": {"reason": "x" * 1_048_576},
    "T13 a thousand levels": {"sweep.strategy.trials": nested(1_000)},
    "T13 more than Python can walk": {"reason": nested(100_000)},
    "T14 a password": {"password": SECRET},
    "T14 a token": {"token": SECRET},
    "T14 a key": {"aws_secret_access_key": SECRET},
}


@pytest.fixture
def spec(tmp_path: Path) -> PipelineSpec:
    write_parquet(tmp_path / "lake" / "a.parquet", make_table(600))
    paths = ("as_of", "data.source.uri", "data.window", "sweep.budget", "sweep.strategy.trials", "gates.0.min")
    return make_spec(
        data={
            "source": {"kind": "parquet", "uri": str(tmp_path / "lake"), "roots": [str(tmp_path / "lake")]},
            "time": "at",
            "window": "60d",
        },
        split={"gate": "14d", "folds": 2},
        sweep={"strategy": {"kind": "random", "trials": 4}},
        overridable=paths,
    )


@pytest.fixture
def crowned(backends: Backends, spec: PipelineSpec, tmp_path: Path) -> Backends:
    """Backends in which another pipeline has a champion."""
    settings = {name: getattr(spec, name).model_dump(mode="json") for name in ("data", "split")}
    run = make_run(tmp_path / "lake", name="other", **settings)
    pipeline.snapshot(run, backends)
    pipeline.validate(run, backends)
    life.sweep(run, backends)
    pipeline.challenge(run, backends)
    assert pipeline.promote(run, backends) is not None
    pipeline.announce(run, backends)
    return backends


def stored(backends: Backends) -> dict[str, bytes]:
    store = backends.store
    return {key: store.read(key) for name in store.children("") for key in store.keys(name)}


def tracked(backends: Backends) -> tuple[list[tuple[str, str]], list[tuple[str, str, list[str]]]]:
    """MLflow's runs with their states, and its versions with their aliases."""
    client = backends.tracking.client
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = [(run.info.run_id, run.info.status) for run in client.search_runs(experiments)]
    versions = client.search_model_versions()
    return sorted(runs), sorted((v.name, str(v.version), sorted(v.aliases)) for v in versions)


def test_a_bad_conf_is_refused_by_its_key_and_leaves_only_a_failed_outcome(
    crowned: Backends, spec: PipelineSpec
) -> None:
    documents, seen = stored(crowned), tracked(crowned)
    for number, (case, conf) in enumerate(CASES.items()):
        run_id, began = f"manual__{number}", time.monotonic()
        with pytest.raises(ConfigError) as caught:
            freeze_run(crowned.store, spec, run_id=run_id, conf=conf, requested=REQUESTED, by="eve")
        pipeline.close(crowned, spec.name, run_id, failed=["snapshot"])
        assert time.monotonic() - began < 2, case
        told = str(caught.value)
        assert all(line.startswith("conf") for line in told.splitlines()), (case, told)
        assert len(told) < 1_000, case
        assert SECRET not in told, case
        left = {key: content for key, content in stored(crowned).items() if key not in documents}
        assert list(left) == [f"churn/runs/{run_id}/outcome.json"], case
        outcome = require_document(crowned.store, f"churn/runs/{run_id}/outcome.json", Outcome)
        said = "failed in snapshot, which left no reason: it was killed, or marked by hand; see its log"
        failure = Failure(step="snapshot")
        assert outcome == Outcome(run_id=run_id, pipeline="churn", state="failed", sentence=said, failure=failure), case
        documents |= left
    assert stored(crowned) == documents
    assert tracked(crowned) == seen


def test_a_conf_that_leads_to_no_data_leaves_one_failed_run_in_mlflow_and_no_more(
    crowned: Backends, spec: PipelineSpec, tmp_path: Path
) -> None:
    documents, (runs, versions) = stored(crowned), tracked(crowned)
    conf = {"data.source.uri": str(tmp_path / "lake" / "not_yet"), "reason": "a look ahead"}
    run = freeze_run(crowned.store, spec, run_id="manual__1", conf=conf, requested=REQUESTED, by="ada")
    crowned.tracking.run_id(run)
    with pytest.raises(DataUnavailable, match=r"no parquet file at .*not_yet; check the path or wait for the data"):
        pipeline.snapshot(run, crowned)
    pipeline.close(crowned, "churn", "manual__1")
    after, versions_after = tracked(crowned)
    assert [state for run_id, state in after if (run_id, state) not in runs] == ["FAILED"]
    assert (len(after), versions_after) == (len(runs) + 1, versions)
    left = [key for key in sorted(set(stored(crowned)) - set(documents)) if "/usage/" not in key]
    assert left == ["churn/runs/manual__1/attempts/1/run.json", "churn/runs/manual__1/outcome.json"]
    assert {key: content for key, content in stored(crowned).items() if key in documents} == documents
    assert Ledger(crowned.store, "churn").entries() == ()


def test_twenty_that_open_one_run_at_once_have_an_attempt_each_and_one_counts(
    backends: Backends, spec: PipelineSpec
) -> None:
    def opened(number: int) -> Run:
        conf = {"reason": f"number {number}"}
        return freeze_run(backends.store, spec, run_id="manual__1", conf=conf, requested=REQUESTED, by=f"user {number}")

    with ThreadPoolExecutor(20) as pool:
        runs = list(pool.map(opened, range(20)))
    assert {run.attempt for run in runs} == set(range(1, 21))
    for run in runs:
        assert run.by == run.reason.replace("number", "user")
        assert require_document(backends.store, run.key("run.json"), Run) == run
    with ThreadPoolExecutor(20) as pool:
        counted = list(pool.map(lambda run: let_count(run, backends.store), runs))
    assert counted == [counted[0]] * 20
    assert counted[0] in runs


def test_a_run_id_never_leads_out_of_its_pipeline(backends: Backends, spec: PipelineSpec, tmp_path: Path) -> None:
    def outside() -> list[str]:
        found = {path.name for path in tmp_path.iterdir()}
        return sorted(found - {"mlflow.db-shm", "mlflow.db-wal"})  # there while somebody has it open

    pipeline.close(backends, "churn", safe_id("manual__0"))
    before = outside()
    for run_id in IDS:
        run = freeze_run(backends.store, spec, run_id=run_id, conf={}, requested=REQUESTED, by="eve")
        pipeline.close(backends, "churn", safe_id(run_id))
        assert set(backends.store.children(f"churn/runs/{run.id}")) == {"attempts", "outcome.json"}
    assert outside() == before
    assert len(backends.store.children("churn/runs")) == len(IDS) + 1
    assert backends.store.children("") == ["churn", "installation"]


def test_what_is_typed_into_a_conf_stays_text(backends: Backends, spec: PipelineSpec) -> None:
    reason = "{{ 7*7 }} {% import os %} $(id) `id`; rm -rf /\n<script>alert(1)</script>"
    run = freeze_run(backends.store, spec, run_id="r", conf={"reason": reason}, requested=REQUESTED, by="eve")
    assert require_document(backends.store, run.key("run.json"), Run).reason == reason
    assert run.as_of == AS_OF
