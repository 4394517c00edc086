"""All ways a run can end, on a real scheduler through the real API: Airflow, MLflow, the store and the notices agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from airflows import Airflow, airflow, eventually
from contender.run.status import status
from contender.store.ledger import Ledger
from contender.store.runs import standing_end
from contender.tracking.models import champion_alias
from contender_airflow.embedded.home import Home, Ports
from homes import Migrated
from sinks import HttpSink, listening

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from contender.documents.outcome import Outcome

pytestmark = pytest.mark.integration

PIPELINE = """
owner: tests
data:
  source: {kind: demo, rows: 40}
  target: churned
  positive: "yes"
  id: customer_id
  time: observed_on
  window: 120d
  label_delay: 30d
  exclude: [acquisition_channel]
split: {gate: 28d, folds: 2}
sweep:
  metric: roc_auc
  strategy: {kind: random, trials: 2}
  parallelism: 1
  candidates:
    - {estimator: sklearn.linear_model.LogisticRegression, params: {C: {log_uniform: [0.01, 10]}}}
gates:
  - {kind: threshold, metric: roc_auc, min: 0.6}
overridable: [as_of]
notify:
  - {kind: webhook, conn_id: hook}
"""

# The shipped DAG file, impatient. A step does what its file below `orders` says, before it begins: wait, fail, or die.
DAGS = """
import os
import signal
import time
from datetime import timedelta
from pathlib import Path

from contender.errors import BackendError
from contender_airflow.dags import build_dags
from contender_airflow.operators.base import ContenderOperator

here = Path(__file__).parent


def ordered(self, original=ContenderOperator.backends):
    order = here / "orders" / f"{self.dag_id}.{self.task_id}"
    while order.exists():
        if order.read_text() == "fail":
            raise BackendError("the lake is away")
        if order.read_text() == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        (here / "orders" / f"{order.name}.waits").touch()
        time.sleep(0.05)
    return original(self)


ContenderOperator.backends = ordered
dags = build_dags(here / "pipelines")
for dag in dags.values():
    if dag.dag_id == "timed_out__training":
        dag.dagrun_timeout = timedelta(seconds=75)
    for task in dag.tasks:
        task.retries = 0
        if (dag.dag_id, task.task_id) == ("too_slow__training", "validate"):
            task.execution_timeout = timedelta(seconds=2)
globals().update(dags)
"""
STEPS = ("snapshot", "validate", "plan", "train", "challenge", "promote", "announce")
RUN = "r1"
HELD = {
    "repaired": "train",
    "marked": "validate",
    "too_slow": "validate",
    "killed": "validate",
    "timed_out": "validate",
}


class _QuickHome(Home):
    def environment(self, ports: Ports) -> dict[str, str]:
        quick = {"AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3", "AIRFLOW__CORE__PARALLELISM": "16"}
        return super().environment(ports) | quick


@dataclass
class Runs:
    """One run of each of several pipelines, under way at the same time."""

    airflow: Airflow
    dags: Path
    http: HttpSink

    def order(self, pipeline: str, step: str, what: str | None) -> None:
        """Let a step wait, fail or die when it begins; None lets it be as it is."""
        file = self.dags / "orders" / f"{pipeline}__training.{step}"
        (self.dags / "orders" / f"{file.name}.waits").unlink(missing_ok=True)
        if what is None:
            file.unlink()
        else:
            file.write_text(what)

    def call(self, method: str, pipeline: str, path: str, **body: Any) -> Any:
        """Ask Airflow's public API about a run."""
        response = self.airflow.api._request(method, f"/dags/{pipeline}__training/{path}", json=body or None)
        assert response.is_success, (response.status_code, response.text[:500])
        return response.json() if response.content else None

    def until_it_waits(self, pipeline: str, step: str) -> None:
        waits = self.dags / "orders" / f"{pipeline}__training.{step}.waits"

        def running() -> bool:  # Airflow's word is needed, too: a try that it has given up on may wait a while longer
            found = self.call("GET", pipeline, f"dagRuns/{RUN}/taskInstances?task_id={step}")["task_instances"]
            return any(one["state"] == "running" for one in found)

        eventually(lambda: waits.exists() and running(), what=f"{step} of {pipeline}", seconds=240)

    def freed(self, pipeline: str) -> str:
        """Let no step wait any more, whatever an earlier test left; returns how the run ends then."""
        for order in (self.dags / "orders").glob(f"{pipeline}__training.*"):
            order.unlink()
        return self.end(pipeline)

    def good(self, pipeline: str) -> None:
        """See that the run has ended well, whatever an earlier test left."""
        if self.freed(pipeline) != "success":
            assert self.clear(pipeline, "train", downstream=True) == "success"

    def end(self, pipeline: str) -> str:
        return self.airflow.state_after(f"{pipeline}__training", RUN)

    def clear(self, pipeline: str, *task_ids: Any, downstream: bool = False) -> str:
        """Clear tasks of the run as the UI does; returns how the run ends then."""
        self.call("POST", pipeline, "clearTaskInstances", **self.clearing(*task_ids, downstream=downstream))
        return self.end(pipeline)

    def clearing(self, *task_ids: Any, downstream: bool) -> dict[str, Any]:
        """The body of a request that clears tasks."""
        return {
            "dag_run_id": RUN,
            "task_ids": task_ids,
            "dry_run": False,
            "only_failed": False,
            "include_downstream": downstream,
        }

    def outcome(self, pipeline: str) -> Outcome:
        found = standing_end(self.airflow.backends.store, pipeline, RUN).outcome
        assert found is not None
        return found

    def told(self, pipeline: str) -> list[str]:
        """The kinds of all notices, oldest first."""
        return [notice["kind"] for notice in self.http.asked["/hook"] if notice["pipeline"] == pipeline]

    def everywhere(self, pipeline: str) -> dict[str, str]:
        """How the run ended, by everybody's account."""
        [of_store] = status(self.airflow.backends.store, pipeline)["pipelines"]
        [of_mlflow] = self.airflow.backends.tracking.client.search_runs(
            [self.airflow.backends.tracking._known_experiment(pipeline)], f"tags.`contender.run` = '{RUN}'"
        )
        return {
            "Airflow": self.airflow.api.run_state(f"{pipeline}__training", RUN),
            "store": self.outcome(pipeline).state,
            "status": of_store["last_run"]["state"],
            "MLflow": {"FINISHED": "success", "FAILED": "failed"}.get(of_mlflow.info.status, of_mlflow.info.status),
            "notice": {"failed": "failed", "decided": "success"}.get(self.told(pipeline)[-1], "none"),
        }


FAILED = dict.fromkeys(("Airflow", "store", "status", "MLflow", "notice"), "failed")
SUCCESS = dict.fromkeys(FAILED, "success")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, migrated: Migrated) -> Iterator[Runs]:
    root = tmp_path_factory.mktemp("ends")
    dags = root / "dags"
    (dags / "pipelines").mkdir(parents=True)
    (dags / "orders").mkdir()
    (dags / "contender_dags.py").write_text(DAGS)
    for name in HELD:
        (dags / "pipelines" / f"{name}.yaml").write_text(PIPELINE)
    home = _QuickHome(root / "home", dags)
    migrated.into(home.root)
    home.prepare()
    http = HttpSink()
    with (
        listening(http),
        mock.patch.dict(os.environ, AIRFLOW_CONN_HOOK=http.connection("/hook")),
        airflow(home) as started,
    ):
        runs = Runs(started, dags, http)
        for name, step in HELD.items():
            runs.order(name, step, "fail" if name == "killed" else "wait")
        started.wait()
        for name in HELD:
            started.trigger(f"{name}__training", RUN, {"as_of": "2026-03-02"})
        yield runs


def test_a_step_that_a_person_marks_as_successful_does_not_make_the_run_so(runs: Runs) -> None:
    runs.until_it_waits("repaired", "train")
    runs.call("PATCH", "repaired", f"dagRuns/{RUN}/taskInstances/train/0", new_state="success")
    assert runs.end("repaired") == "failed"
    assert runs.everywhere("repaired") == FAILED
    assert "failed in challenge: BackendError: " in runs.outcome("repaired").sentence


def test_a_run_that_a_person_marks_as_failed_is_failed_and_clearing_it_repairs_it(runs: Runs) -> None:
    runs.order("repaired", "train", "wait")
    runs.call("POST", "repaired", "clearTaskInstances", **runs.clearing(["train", 0], downstream=True))
    runs.until_it_waits("repaired", "train")
    runs.call("PATCH", "repaired", f"dagRuns/{RUN}", state="failed")
    assert runs.end("repaired") == "failed"
    assert runs.everywhere("repaired") == FAILED
    assert runs.outcome("repaired").sentence.startswith(
        "failed in train_0, which left no reason: it was killed, or marked"
    )
    runs.order("repaired", "train", None)
    assert runs.clear("repaired", ["train", 0], downstream=True) == "success"
    assert runs.everywhere("repaired") == SUCCESS


ALL = [["train", 0] if step == "train" else step for step in (*STEPS, "notify_webhook", "close")]


@pytest.mark.parametrize("steps", [[["train", 0]], ALL], ids=["train", "all"])
def test_the_steps_of_a_good_run_can_be_cleared_and_nothing_happens_twice(runs: Runs, steps: list[Any]) -> None:
    runs.good("repaired")
    assert runs.clear("repaired", *steps) == "success"
    assert runs.everywhere("repaired") == SUCCESS
    backends = runs.airflow.backends
    assert [entry.kind for entry in Ledger(backends.store, "repaired").entries()] == ["promotion"]
    assert len(backends.tracking.client.search_model_versions("name = 'repaired'")) == 1
    assert champion_alias(backends.tracking, "repaired") == "1"


def test_a_run_that_a_person_marks_as_successful_before_it_was_decided_is_failed(runs: Runs) -> None:
    runs.until_it_waits("marked", "validate")
    runs.call("PATCH", "marked", f"dagRuns/{RUN}", state="success")
    assert runs.end("marked") == "failed"
    assert runs.everywhere("marked") == FAILED
    assert runs.outcome("marked").sentence.startswith("ended before it was announced, although no step failed")


def test_a_step_that_takes_too_long_fails_the_run_and_says_so(runs: Runs) -> None:
    assert runs.end("too_slow") == "failed"
    assert runs.everywhere("too_slow") == FAILED
    reason = "BackendError: the step took more than its time limit of 0:00:02"
    assert runs.outcome("too_slow").sentence == f"failed in validate: {reason}"


def test_a_run_that_takes_too_long_as_a_whole_is_closed_and_told_although_airflow_skips_all_its_tasks(
    runs: Runs,
) -> None:
    assert runs.end("timed_out") == "failed"
    eventually(lambda: runs.told("timed_out"), what="the notice of the run that timed out")
    assert runs.everywhere("timed_out") == FAILED
    reason = "BackendError: the whole run took more than its dagrun_timeout of 0:01:15"
    assert runs.outcome("timed_out").sentence == f"failed in validate: {reason}"


def test_a_cleared_step_that_is_killed_is_not_told_with_the_reason_of_the_try_before(runs: Runs) -> None:
    assert runs.end("killed") == "failed"
    assert runs.everywhere("killed") == FAILED
    assert runs.outcome("killed").sentence == "failed in validate: BackendError: the lake is away"
    runs.order("killed", "validate", "die")
    assert runs.clear("killed", "validate", downstream=True) == "failed"
    assert runs.everywhere("killed") == FAILED
    assert runs.outcome("killed").sentence.startswith("failed in validate, which left no reason: it was killed")
    assert runs.told("killed") == ["failed", "failed"]
    runs.call("POST", "killed", f"dagRuns/{RUN}/clear", dry_run=False, only_failed=True)
    assert runs.end("killed") == "failed"
    assert runs.everywhere("killed") == FAILED


def test_the_counts_of_airflows_home_are_those_of_the_runs(runs: Runs) -> None:
    ended = Counter(runs.freed(pipeline) for pipeline in HELD)
    counted = runs.airflow.api._http.get(
        "/ui/dashboard/historical_metrics_data", params={"start_date": "2026-01-01T00:00:00Z"}
    ).json()["dag_run_states"]
    assert {state: number for state, number in counted.items() if number} == ended


def test_a_run_that_is_deleted_leaves_its_record(runs: Runs) -> None:
    runs.freed("marked")
    [before] = status(runs.airflow.backends.store, "marked")["pipelines"]
    runs.call("DELETE", "marked", f"dagRuns/{RUN}")
    assert runs.airflow.api.dag_runs("marked__training") == {}
    [left] = status(runs.airflow.backends.store, "marked")["pipelines"]
    assert left["last_run"]["state"] == before["last_run"]["state"] != "running"


def told_by_status(home: Path, *, code: int = 0, **environment: str) -> str:
    """What ``contender status`` says in a folder without a home."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "CONTENDER"))}
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "contender_airflow.cli.app", "status"],
        env=bare | {"HOME": str(home)} | environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return (done.stderr if code else done.stdout).replace("\n", " ")


def test_status_asks_airflow_what_is_true_and_both_are_told(runs: Runs, tmp_path: Path) -> None:
    runs.good("repaired")
    runs.call("PATCH", "repaired", f"dagRuns/{RUN}", state="failed")
    said = told_by_status(tmp_path / "here", CONTENDER_HOME=str(runs.airflow.home.root))
    assert "(Airflow has it as failed: it was marked so after its end)" in said


def test_connections_in_the_database_of_another_airflow_are_found_or_it_is_said_where_they_were_sought(
    runs: Runs, tmp_path: Path
) -> None:
    home = runs.airflow.home
    theirs = ("AIRFLOW_HOME", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__FERNET_KEY")
    configured = {name: home.environment(runs.airflow.ports)[name] for name in theirs}
    refused = told_by_status(tmp_path / "here", code=1, **configured)
    assert "looked in AIRFLOW_CONN_... variables, the secrets backend and the database of the Airflow in" in refused
    extra = json.dumps({"uri": str(home.store), "signing_key": str(home.signing_key)})
    made = {"connection_id": "contender_store", "conn_type": "contender_store", "extra": extra}
    assert runs.airflow.api._request("POST", "/connections", json=made).is_success
    assert "repaired" in told_by_status(tmp_path / "here", **configured)
