"""A laboratory for faults: one Airflow as ``contender up`` starts it, impatient, with MLflow behind its server, and one small
pipeline whose trials note every fit. It is there twice: the one's store is a folder, the other's a bucket that can be away.
"""

from __future__ import annotations

import json
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
from mlflow.exceptions import MlflowException

from contender.backends import Backends
from contender.errors import BackendError
from contender.patience import patience
from contender.tracking.retrying import without_http_retries
from contender.tracking.runs import RUN
from contender_airflow.cli.airflow_api import AirflowApi
from contender_airflow.embedded import processes as embedded
from contender_airflow.embedded.home import Home
from faultproxy import Fault, proxy_to
from s3servers import S3Server, moto_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contender_airflow.embedded.home import Ports
    from faultproxy import Proxy, Request

PIPELINE, IN_BUCKET = PIPELINES = ("faults", "faults_in_bucket")
_BUCKET = "faults"
_NOBODY = "http://127.0.0.1:1"  # refuses connections
AS_OF = "2026-03-02"
ROUNDS, TRIALS = 2, 16  # in all, and one more when the baseline is not among the best

YAML = """
owner: tests
data:
  source: {kind: demo, rows: 10}
  target: churned
  positive: "yes"
  id: customer_id
  time: observed_on
  window: 150d
  label_delay: 30d
split: {gate: 28d, folds: 3}
sweep:
  metric: roc_auc
  strategy: {kind: halving, trials: 12, rounds: 2}
  parallelism: 2
  candidates:
    - estimator: counted.Tree
      params: {max_features: {uniform: [0.1, 1.0]}, max_depth: 3}
      baseline: true
    - estimator: counted.Forest
      params: {max_features: {uniform: [0.1, 1.0]}, min_samples_leaf: {int_uniform: [5, 60]}, n_estimators: 10}
gates:
  - {kind: threshold, metric: roc_auc, min: 0.6}
  - {kind: beats, opponent: baseline, policy: unless_worse, margin: 0.05}
overridable: [as_of, seed]
"""

COUNTED = '''"""Estimators that note every fit of a trial, and take their time."""

import multiprocessing
import os
import time

from sklearn.ensemble import ExtraTreesClassifier
from sklearn.tree import DecisionTreeClassifier


class Counted:
    def fit(self, x, y, **rest):
        log = os.environ.get("FAULTS_FITS")
        if log and multiprocessing.current_process().name == "trial":
            said = [os.environ.get(f"AIRFLOW_CTX_{name}", "") for name in ("DAG_RUN_ID", "TASK_ID")]
            with open(log, "a") as file:  # one short line at the end: whole or not at all
                file.write(" ".join([*said, f"{type(self).__name__}({self.max_features!r})"]) + "\\n")
            time.sleep(float(os.environ["FAULTS_FIT_SECONDS"]))
        return super().fit(x, y, **rest)


class Tree(Counted, DecisionTreeClassifier):
    pass


class Forest(Counted, ExtraTreesClassifier):
    pass
'''

# The shipped DAG file, impatient; trials are short here, and two tasks shall share them all the same.
DAGS = """
import os
from datetime import timedelta
from pathlib import Path

from airflow.sdk import get_parsing_context

from contender.sweep import trial_queue
from contender_airflow.dags import build_dags

# A task's process builds the DAG of its task alone, and finds the store in its own environment.
if get_parsing_context().dag_id == "faults_in_bucket__training":
    os.environ["AIRFLOW_CONN_CONTENDER_STORE"] = os.environ["AIRFLOW_CONN_FAULTS_BUCKET"]
trial_queue.TASK_SECONDS = 0.02
dags = build_dags(Path(__file__).parent / "pipelines")
for dag in dags.values():
    for task in dag.tasks:
        task.retry_delay = timedelta(seconds=1)
        task.retries = max(task.retries, 4)  # all faults of a case may hit one task
globals().update(dags)
"""

_COMPONENTS = 5
FIT_SECONDS = 0.07
HEARTBEAT_TIMEOUT = 10


@dataclass(frozen=True)
class LabHome(Home):
    """A home whose MLflow is a server that can be killed, and whose Airflow soon misses a heartbeat.

    Attributes:
        proxy: where tasks find MLflow; replies get lost there.
        s3: where they find the bucket; it can be away.
    """

    proxy: str
    s3: S3Server

    def environment(self, ports: Ports) -> dict[str, str]:
        mlflow = {"tracking_uri": self.proxy, "ui_url": ports.mlflow_url}
        bucket = {"uri": f"s3://{_BUCKET}", "signing_key": str(self.signing_key), "conn_id": "faults_s3"}
        return super().environment(ports) | {
            "AIRFLOW_CONN_CONTENDER_MLFLOW": json.dumps({"conn_type": "mlflow", "extra": mlflow}),
            "AIRFLOW_CONN_FAULTS_BUCKET": json.dumps({"conn_type": "contender_store", "extra": bucket}),
            "AIRFLOW_CONN_FAULTS_S3": json.dumps(self.s3.fields()),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
            "FAULTS_FITS": str(self.root / "fits.log"),
            "FAULTS_FIT_SECONDS": str(FIT_SECONDS),
        }


@dataclass
class Lab:
    """The running laboratory.

    Attributes:
        proxy, s3_proxy: what stands before MLflow and before the bucket's server, and only the tasks must pass.
        deleted: the runs whose versions somebody deleted in MLflow.
    """

    home: LabHome
    ports: Ports
    proxy: Proxy
    s3_proxy: Proxy
    s3: S3Server
    deleted: set[str] = field(default_factory=set)

    @cached_property
    def api(self) -> AirflowApi:
        return AirflowApi(self.ports.airflow_url, password=self.home.password())

    @cached_property
    def backends(self) -> dict[str, Backends]:
        """What the tasks of each pipeline work with, past the proxies."""
        cache = str(self.home.root / "cache" / "bucket")
        stores = (
            {"uri": str(self.home.store)},
            {"uri": f"s3://{_BUCKET}", "connection": self.s3.fields(), "cache": cache},
        )
        places = {"tracking_uri": self.ports.mlflow_url, "signing_key": str(self.home.signing_key)}
        return {name: Backends.connect(store=store, **places) for name, store in zip(PIPELINES, stores, strict=True)}

    def lose_reply(self) -> None:
        """Let MLflow do what it is asked to change next, and let nobody hear of it."""
        armed = [Fault(lose=True)]

        def fault(asked: Request) -> Fault | None:
            return armed.pop() if armed and asked.method != "GET" and "/search" not in asked.path else None

        self.proxy.fault = fault

    def take_store_away(self, seconds: float) -> None:
        """Let no request reach the bucket's server for so long."""
        self.s3_proxy.upstream = _NOBODY
        time.sleep(seconds)
        self.s3_proxy.upstream = self.s3.endpoint

    def delete_version(self, pipeline: str, run_id: str, *, whole: bool) -> bool:
        """Delete the pipeline's newest version in MLflow, or the whole registered model; whether there was one.

        Not once the run's last step has begun to look: the next run mends what is deleted then.
        """
        with suppress(BackendError, MlflowException), patience(0), without_http_retries():
            client = self.backends[pipeline].tracking.client
            found = client.search_model_versions(f"name = '{pipeline}'")
            if not found or self._started(pipeline, run_id, "announce"):
                return False
            newest = max(found, key=lambda one: int(one.version))
            self.deleted |= {one.tags[RUN] for one in (found if whole else [newest])}
            if whole:
                client.delete_registered_model(pipeline)
            else:
                client.delete_model_version(pipeline, newest.version)
            return True
        return False

    def _started(self, pipeline: str, run_id: str, task_id: str) -> bool:
        tasks = self.api.task_instances(dag_id(pipeline), run_id)
        return any(one["start_date"] for one in tasks if one["task_id"] == task_id)

    @property
    def fits(self) -> list[list[str]]:
        """Every fit of a trial so far: run, task, and what no other trial of the task's round is called."""
        log = self.home.root / "fits.log"
        return [line.split(" ") for line in log.read_text().splitlines()] if log.exists() else []

    def trigger(self, pipeline: str, run_id: str, seed: int) -> None:
        def triggered() -> bool:
            self.api.trigger(dag_id(pipeline), run_id, {"as_of": AS_OF, "seed": seed})
            return True

        wait_until(triggered, 60, "the trigger")

    def state(self, pipeline: str, run_id: str) -> str:
        """How the run is; empty while nobody can say."""
        with suppress(BackendError):
            return self.api.run_state(dag_id(pipeline), run_id)
        return ""

    def healthy(self) -> bool:
        """Whether every component is there and answers."""
        record = embedded.running(self.home)
        alive = record is not None and all(psutil.pid_exists(one.pid) for one in record.components.values())
        if record is None or not alive or len(record.components) < _COMPONENTS or not self.api.ready():
            return False
        with suppress(httpx.HTTPError):
            states = self.api.health().values()
            served = httpx.get(f"{self.ports.mlflow_url}/health", trust_env=False)
            return served.is_success and set(states) == {"healthy"}
        return False


def dag_id(pipeline: str) -> str:
    """The pipeline's training DAG."""
    return f"{pipeline}__training"


def wait_until(look: Callable[[], Any], seconds: float, what: str, *, tick: float = 0.5) -> Any:
    """The first truth that ``look`` tells; a backend that does not answer is asked again.

    Raises:
        TimeoutError: it took longer.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(BackendError):
            if found := look():
                return found
        time.sleep(tick)
    raise TimeoutError(f"{what} took more than {seconds:.0f} s")


def write_dags(folder: Path) -> None:
    """The lab's DAG folder: the DAG file, the pipelines, their estimators."""
    (folder / "pipelines").mkdir(parents=True)
    (folder / "contender_dags.py").write_text(DAGS)
    (folder / "counted.py").write_text(COUNTED)
    for name in PIPELINES:
        (folder / "pipelines" / f"{name}.yaml").write_text(YAML)


@contextmanager
def laboratory(root: Path) -> Iterator[Lab]:
    """Start it below a folder; at the end nothing runs on."""
    ports = embedded.free_ports()
    with proxy_to(ports.mlflow_url) as proxy, moto_server() as s3, proxy_to(s3.endpoint) as s3_proxy:
        s3.client.create_bucket(Bucket=_BUCKET)
        home = LabHome(root / "home", root / "dags", proxy.endpoint, S3Server(s3_proxy.endpoint))
        write_dags(home.dags)
        home.prepare()
        lab = Lab(home, ports, proxy, s3_proxy, s3)
        supervisor = embedded.start(home, "up", lab.ports)
        try:
            embedded.wait_until(lab.api.ready, home, supervisor, what="the start of the API server", timeout=300)
            wait_until(lab.healthy, 300, "the start of the lab")
            wait_until(lambda: all(lab.api.dag(dag_id(name)) for name in PIPELINES), 120, "parsing the DAGs")
            with closing(lab.api):
                yield lab
        finally:
            embedded.end(home, supervisor)
