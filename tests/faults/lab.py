"""A laboratory for faults: one Airflow as ``contender up`` starts it, impatient, with MLflow behind its server, and one small
pipeline whose trials note every fit.
"""

from __future__ import annotations

import json
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil

from contender.backends import Backends
from contender.errors import BackendError
from contender_airflow.cli.airflow_api import AirflowApi
from contender_airflow.embedded import processes as embedded
from contender_airflow.embedded.home import Home
from faultproxy import Fault, proxy_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contender_airflow.embedded.home import Ports
    from faultproxy import Proxy, Request

PIPELINE = "faults"
DAG_ID = f"{PIPELINE}__training"
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
from datetime import timedelta
from pathlib import Path

from contender.sweep import trial_queue
from contender_airflow.dags import build_dags

trial_queue.TASK_SECONDS = 0.02
dags = build_dags(Path(__file__).parent / "pipelines")
for dag in dags.values():
    for task in dag.tasks:
        task.retry_delay = timedelta(seconds=1)
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
    """

    proxy: str

    def environment(self, ports: Ports) -> dict[str, str]:
        mlflow = {"tracking_uri": self.proxy, "ui_url": ports.mlflow_url}
        return super().environment(ports) | {
            "AIRFLOW_CONN_CONTENDER_MLFLOW": json.dumps({"conn_type": "mlflow", "extra": mlflow}),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
            "FAULTS_FITS": str(self.root / "fits.log"),
            "FAULTS_FIT_SECONDS": str(FIT_SECONDS),
        }


@dataclass
class Lab:
    """The running laboratory."""

    home: LabHome
    ports: Ports
    proxy: Proxy

    @cached_property
    def api(self) -> AirflowApi:
        return AirflowApi(self.ports.airflow_url, password=self.home.password())

    @cached_property
    def backends(self) -> Backends:
        """What tasks work with; MLflow through its server, and past the proxy."""
        return Backends.connect(
            store=str(self.home.store), tracking_uri=self.ports.mlflow_url, signing_key=str(self.home.signing_key)
        )

    def lose_reply(self) -> None:
        """Let MLflow do what it is asked to change next, and let nobody hear of it."""
        armed = [Fault(lose=True)]

        def fault(asked: Request) -> Fault | None:
            return armed.pop() if armed and asked.method != "GET" and "/search" not in asked.path else None

        self.proxy.fault = fault

    @property
    def fits(self) -> list[list[str]]:
        """Every fit of a trial so far: run, task, and what no other trial of the task's round is called."""
        log = self.home.root / "fits.log"
        return [line.split(" ") for line in log.read_text().splitlines()] if log.exists() else []

    def trigger(self, run_id: str, seed: int) -> None:
        def triggered() -> bool:
            self.api.trigger(DAG_ID, run_id, {"as_of": AS_OF, "seed": seed})
            return True

        wait_until(triggered, 60, "the trigger")

    def state(self, run_id: str) -> str:
        """How the run is; empty while nobody can say."""
        with suppress(BackendError):
            return self.api.run_state(DAG_ID, run_id)
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
    """The lab's DAG folder: the DAG file, the pipeline, its estimators."""
    (folder / "pipelines").mkdir(parents=True)
    (folder / "contender_dags.py").write_text(DAGS)
    (folder / "counted.py").write_text(COUNTED)
    (folder / "pipelines" / f"{PIPELINE}.yaml").write_text(YAML)


@contextmanager
def laboratory(root: Path) -> Iterator[Lab]:
    """Start it below a folder; at the end nothing runs on."""
    ports = embedded.free_ports()
    with proxy_to(ports.mlflow_url) as proxy:
        home = LabHome(root / "home", root / "dags", proxy.endpoint)
        write_dags(home.dags)
        home.prepare()
        lab = Lab(home, ports, proxy)
        supervisor = embedded.start(home, "up", lab.ports)
        try:
            embedded.wait_until(lab.api.ready, home, supervisor, what="the start of the API server", timeout=300)
            wait_until(lab.healthy, 300, "the start of the lab")
            wait_until(lambda: lab.api.dag(DAG_ID), 120, "parsing the DAG")
            with closing(lab.api):
                yield lab
        finally:
            embedded.end(home, supervisor)
