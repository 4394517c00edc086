"""Two Celery workers over PostgreSQL and Redis: the same winner as in plain Python, also when one of them dies."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from threadpoolctl import threadpool_limits

from airflows import ACCOUNT, Airflow, airflow, eventually, kill_with_children, scaled_home
from contender import pipeline
from contender.backends import Backends
from contender.data.rows import load_rows
from contender.documents.run import Run
from contender.documents.sweep import Plan, TrialResult
from contender.release import verify
from contender.release.bundle import read_release
from contender.release.signing import create_key
from contender.store.base import require_document, write_document
from contender.store.ledger import Ledger
from contender.sweep.results import result_key
from contender.tracking.models import champion_alias
from contender.tracking.trials import TRIAL
from documentation import blocks
from life import decided, live

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from subprocess import Popen

pytestmark = pytest.mark.integration

DAG = "spread__training"
SPREAD = """
owner: tests
data:
  source: {kind: demo, rows: 40}
  target: churned
  positive: "yes"
  id: customer_id
  time: observed_on
  window: 120d
  label_delay: 30d
split: {folds: 3}
sweep:
  metric: roc_auc
  strategy: {kind: random, trials: 8}
  parallelism: 2
  candidates:
    - {estimator: sklearn.linear_model.LogisticRegression, params: {C: {log_uniform: [0.01, 10]}}, baseline: true}
    - estimator: leisurely.Boosting
      params: {learning_rate: {log_uniform: [0.02, 0.3]}, max_iter: 30, early_stopping: false}
gates:
  - {kind: threshold, metric: roc_auc, min: 0.6}
  - {kind: beats, opponent: champion, policy: unless_worse, margin: 0.1}
overridable: [as_of]
"""

# In the DAG folder. On a worker a fit takes a second: enough for two tasks, and for a kill, on however fast a machine.
LEISURELY = """
import os
import time

from sklearn.ensemble import HistGradientBoostingClassifier


class Boosting(HistGradientBoostingClassifier):
    def fit(self, X, y, sample_weight=None):
        time.sleep(float(os.environ.get("PAUSE", "0")))
        return super().fit(X, y, sample_weight)
"""

# The shipped DAG file, impatient, with a queue for training, and a look at what a task finds imported.
DAGS = """
import sys
from datetime import timedelta
from pathlib import Path

from airflow.sdk import dag, task

from contender_airflow.dags import build_dags

dags = build_dags(Path(__file__).parent / "pipelines")
for built in dags.values():
    for one in built.tasks:
        one.retry_delay = timedelta(seconds=1)
        if one.task_id == "train":
            one.queue = "training"
globals().update(dags)


@dag(schedule=None)
def probe():
    @task
    def imported():
        return sorted({"contender.pipeline", "great_expectations", "mlflow.sklearn", "sklearn.ensemble"} & set(sys.modules))

    imported()


probe()
"""


@dataclass
class Spread:
    """An Airflow with two workers, and the same in plain Python on a store and an MLflow of its own."""

    airflow: Airflow
    workers: dict[str, Popen[bytes]]
    plain: dict[str, str]

    def run(self, run_id: str) -> Run:
        """What a run was asked to do."""
        return require_document(self.airflow.backends.store, f"spread/runs/{run_id}/run.json", Run)

    def tasks(self, run_id: str, *, training: bool = True) -> list[dict[str, Any]]:
        """The training tasks of a run, or all the others."""
        return [it for it in self.airflow.api.task_instances(DAG, run_id) if (it["task_id"] == "train") is training]

    def in_plain_python(self, run: Run) -> Backends:
        """Do the run again, step by step and with one thread, as a worker does."""
        backends = Backends.connect(**self.plain)
        write_document(backends.store, run.key("run.json"), run)  # a later run begins with the best of an earlier one
        with threadpool_limits(1), pytest.MonkeyPatch.context() as patched:
            patched.setattr(verify, "verify_version", verify.check_version)  # in this process, and without pictures:
            patched.setattr(pipeline, "render", lambda *_: "")  # neither is compared, and both take seconds
            live(run, backends)
        return backends


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Iterator[Spread]:
    root = tmp_path_factory.mktemp("celery")
    (root / "dags" / "pipelines").mkdir(parents=True)
    (root / "dags" / "contender_dags.py").write_text(DAGS)
    (root / "dags" / "pipelines" / "spread.yaml").write_text(SPREAD)
    (root / "dags" / "leisurely.py").write_text(LEISURELY)
    create_key(root / "plain.pem")
    shutil.copyfile(empty_mlflow, root / "plain.db")
    plain = {"store": f"{root}/plain", "tracking_uri": f"sqlite:///{root}/plain.db", "signing_key": f"{root}/plain.pem"}
    with (
        scaled_home(root / "home", root / "dags") as home,
        airflow(home) as started,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setenv("CONTENDER_HOME", str(home.root))  # where the demo world publishes
        patched.syspath_prepend(root / "dags")
        workers = {
            "one": started.celery_worker("one", queues="default,training", PAUSE="1"),
            "two": started.celery_worker("two", queues="training", PAUSE="1"),
        }
        started.wait()
        for name in workers:
            eventually(lambda name=name: f"celery@{name} ready" in home.log(name).read_text(), what=f"worker {name}")
        yield Spread(started, workers, plain)


def outcome(run: Run, backends: Backends) -> dict[str, Any]:
    """Everything that came of a run but for clocks, curves (left out when they take too long), ids of MLflow and places named by them."""
    plan = planned(run, backends)
    results = [require_document(backends.store, result_key(run, trial.key), TrialResult) for trial in plan.trials]
    passing = {"seconds", "fit_seconds", "cpu_seconds", "peak_memory", "started", "curves"}
    return {
        "trials": [result.model_dump(exclude=passing) for result in results],
        "decision": decided(run, backends).model_dump(exclude={"model", "release", "report"}),
        "release": read_release(backends, "spread", run.id).model_dump(
            exclude={"model", "files", "place"}
        ),  # golden: the predictions
    }


def planned(run: Run, backends: Backends) -> Plan:
    """The one round of a run."""
    return require_document(backends.store, run.round_key(1, "plan.json"), Plan)


def recorded(run: Run, backends: Backends) -> Counter[str]:
    """How many complete MLflow runs each planned trial has."""
    tracking = backends.tracking
    found = tracking.client.search_runs([tracking.experiment("spread")], max_results=1_000)
    assert {one.info.status for one in found} == {"FINISHED"}
    keys = {trial.key for trial in planned(run, backends).trials}
    tags = [one.data.tags for one in found]
    return Counter(each[TRIAL] for each in tags if each.get(TRIAL) in keys)


def test_the_documented_settings_are_those_that_run_here(spread: Spread) -> None:
    [block] = blocks("scale-out.md", "ini")
    documented = dict(line.split("=", 1) for line in block.splitlines())
    ran = spread.airflow.home.environment(spread.airflow.ports)
    local = ("example", "...")  # addresses and secrets
    assert documented == {
        name: value if any(word in value for word in local) else ran[name]
        for name, value in documented.items()
        if name in ran
    }


def test_tasks_find_the_heavy_libraries_imported(spread: Spread) -> None:
    airflow = spread.airflow
    airflow.trigger("probe", "probe", {})
    assert airflow.state_after("probe", "probe") == "success"
    modules = ["contender.pipeline", "great_expectations", "mlflow.sklearn", "sklearn.ensemble"]
    assert airflow.api.xcom("probe", "probe", "imported") == modules


@pytest.fixture(scope="module")
def both(spread: Spread) -> str:
    """A run that both workers took part in."""
    spread.airflow.trigger(DAG, "both", {"as_of": "2026-03-02"})
    assert spread.airflow.state_after(DAG, "both") == "success"
    return "both"


def test_what_airflow_shows_and_keeps_of_a_run_holds_no_secret_and_no_value_of_the_data(
    spread: Spread, both: str
) -> None:
    """XCom, rendered fields, audit log and task logs; as clear text and as it would stand in a URL."""
    api, home = spread.airflow.api, spread.airflow.home
    rendered = {it["task_id"]: it["rendered_fields"] for it in api.task_instances(DAG, both)}
    assert rendered["promote"]["mlflow_conn_id"] == "contender_mlflow"
    tasks = f"/dags/{DAG}/dagRuns/{both}/taskInstances"
    entries = api._get(f"{tasks}/~/xcomEntries", limit=100)["xcom_entries"]
    assert {one["task_id"] for one in entries} >= {"snapshot", "validate", "plan", "train", "challenge", "announce"}
    values = [
        api._get(f"{tasks}/{one['task_id']}/xcomEntries/{one['key']}", map_index=one["map_index"]) for one in entries
    ]
    audit = api._get("/eventLogs", limit=100)
    assert audit["total_entries"] > 0
    logs = [path.read_text() for path in home.airflow.glob(f"logs/dag_id={DAG}/run_id={both}/**/*.log")]
    assert len(logs) >= len(rendered)
    shown = json.dumps([rendered, values, audit]) + "".join(logs)
    run = spread.run(both)
    ids = load_rows(run, spread.airflow.backends.store).frame["customer_id"]
    assert len(ids) > 1_000
    key = home.signing_key.read_text().splitlines()[1]
    secrets = [ACCOUNT[1], quote(ACCOUNT[1], safe=""), key, home.password(), "PRIVATE KEY", "password-of-the-admin"]
    assert [word for word in (*secrets, *ids.unique()) if word in shown] == []


def test_a_run_over_two_workers_is_bit_for_bit_the_run_in_plain_python(spread: Spread, both: str) -> None:
    airflow = spread.airflow
    assert {it["hostname"] for it in spread.tasks(both)} == {"one", "two"}
    assert {it["hostname"] for it in spread.tasks(both, training=False)} == {"one"}

    run = spread.run(both)
    plain = spread.in_plain_python(run)
    assert outcome(run, airflow.backends) == outcome(run, plain)
    assert recorded(run, airflow.backends) == recorded(run, plain)
    assert list(recorded(run, plain).values()) == [1] * 8


def test_when_a_worker_dies_in_mid_sweep_the_other_finishes_with_the_same_winner(spread: Spread) -> None:
    airflow = spread.airflow
    airflow.trigger(DAG, "alone", {"as_of": "2026-03-09"})
    store = airflow.backends.store
    eventually(lambda: store.exists("spread/runs/alone/run.json"), what="the validated run")
    run = spread.run("alone")
    eventually(lambda: store.exists(run.round_key(1, "plan.json")), what="the plan")
    keys = [trial.key for trial in planned(run, airflow.backends).trials]
    eventually(lambda: sum(store.exists(result_key(run, key)) for key in keys) >= 2, what="two trials")
    [orphan] = eventually(
        lambda: [it["map_index"] for it in spread.tasks("alone") if it["hostname"] == "two"],
        what="a task of worker two",
    )
    kill_with_children(spread.workers["two"])

    assert airflow.state_after(DAG, "alone") == "success"
    tries = {it["map_index"]: (it["hostname"], it["try_number"]) for it in spread.tasks("alone")}
    assert tries == {0: ("one", 1), 1: ("one", 1)} | {orphan: ("one", 2)}
    assert outcome(run, airflow.backends) == outcome(run, spread.in_plain_python(run))
    assert recorded(run, airflow.backends) == dict.fromkeys(keys, 1)
    head = Ledger(store, "spread").champion()
    assert head is not None
    assert (head.run_id, champion_alias(airflow.backends.tracking, "spread")) == ("alone", head.version)
