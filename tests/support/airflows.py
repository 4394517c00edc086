"""A real Airflow for tests: started as the command line starts it, on SQLite, or scaled out as in production.

Whatever is started carries the home's mark, so that nothing outlives the test, whoever killed what.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from subprocess import Popen
from typing import TYPE_CHECKING, Any

import psutil

from contender.backends import Backends
from contender.tracking.runs import Tracking
from contender_airflow.cli.airflow_api import AirflowApi
from contender_airflow.embedded import processes as embedded
from contender_airflow.embedded.home import MARKER, Home, Ports
from mlflowserver import Server
from services import own_database, own_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


#: An ordinary account of the MLflow server: name and password.
ACCOUNT = ("ann", "p@ss/w:rd?#%1-of-ann")


@dataclass(frozen=True)
class ScaledHome(Home):
    """A home as in production: PostgreSQL, an MLflow server with accounts, Celery workers behind Redis. The store is a shared folder."""

    metadata: str
    broker: str
    prefix: str
    mlflow: Server

    @property
    def tracking_uri(self) -> str:
        return self.mlflow.url

    def _migrate(self) -> None:
        """Only Airflow's database: the server has prepared its own."""
        process = self._background("airflow-migrate", [sys.executable, "-m", "airflow", "db", "migrate"])
        assert process.wait() == 0, self.log("airflow-migrate").read_text()

    def environment(self, ports: Ports) -> dict[str, str]:
        metadata = self.metadata.replace("+psycopg:", "+psycopg2:")  # the driver that Airflow is tested with
        connection = dict(zip(("login", "password"), ACCOUNT, strict=True), conn_type="mlflow")
        return super().environment(ports) | {
            "AIRFLOW_CONN_CONTENDER_MLFLOW": json.dumps(connection | {"extra": {"tracking_uri": self.tracking_uri}}),
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{metadata}",
            "AIRFLOW__CELERY__BROKER_URL": self.broker,
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__GLOBAL_KEYPREFIX": self.prefix,
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "86400",
            # Impatient: a worker that died is noticed after so many seconds.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        }


@contextmanager
def scaled_home(root: Path, dags: Path) -> Iterator[ScaledHome]:
    """A prepared home whose databases and keys are gone afterwards."""
    root.mkdir()
    with ExitStack() as stack:
        metadata, mlflow = (stack.enter_context(own_database()) for _ in range(2))
        server = Server(mlflow, root, admin="password-of-the-admin")
        stack.callback(server.kill)
        server.begin()
        home = ScaledHome(root, dags, metadata, *stack.enter_context(own_keys()), server)
        home.prepare()
        server.wait()
        server.account(*ACCOUNT)
        yield home


@dataclass
class Airflow:
    """A supervised Airflow on a home, and what a test starts beside it."""

    home: Home
    ports: Ports
    supervisor: Popen[bytes]
    beside: list[Popen[bytes]] = field(default_factory=list)

    @cached_property
    def api(self) -> AirflowApi:
        return AirflowApi(self.ports.airflow_url, password=self.home.password())

    @property
    def backends(self) -> Backends:
        """What the runs of this home work with; made anew, because MLflow's client knows one account at a time."""
        home = self.home
        login, password = ACCOUNT if isinstance(home, ScaledHome) else (None, None)
        made = Backends.connect(
            store=str(home.store), tracking_uri=home.tracking_uri, signing_key=str(home.signing_key)
        )
        return replace(made, tracking=Tracking(home.tracking_uri, login=login, password=password))

    def wait(self) -> None:
        """Wait until the API server answers, also to tasks."""
        embedded.wait_until(self.api.ready, self.home, self.supervisor, what="the start of the API server")

    def start(self, name: str, *command: str, **environment: str) -> Popen[bytes]:
        """Start ``python -m`` something beside the supervised components; nobody starts it again when it ends."""
        own = {MARKER: str(self.home.root), "SPT_NOENV": "1"} | environment
        with self.home.log(name).open("ab") as log:
            process = Popen(
                [sys.executable, "-m", *command],
                env=os.environ | self.home.environment(self.ports) | own,
                cwd=self.home.root,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.beside.append(process)
        return process

    def celery_worker(self, name: str, *, queues: str = "default", **environment: str) -> Popen[bytes]:
        """Start a Celery worker for one task at a time, which takes itself for a machine of its own."""
        arguments = ("--celery-hostname", name, "--queues", queues, "--concurrency", "1", "--skip-serve-logs")
        # The one function of the standard library that answers from the environment.
        named = {"AIRFLOW__CORE__HOSTNAME_CALLABLE": "getpass.getuser", "LOGNAME": name}
        return self.start(name, "airflow", "celery", "worker", *arguments, **named, **environment)

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        """Start a run, as soon as Airflow knows the DAG."""
        eventually(lambda: self.api.dag(dag_id), what=f"the DAG {dag_id}")
        self.api.unpause(dag_id)
        self.api.trigger(dag_id, run_id, conf)

    def state_after(self, dag_id: str, run_id: str, *, seconds: float = 240) -> str:
        """How a run ended."""

        def ended() -> str | None:
            state = self.api.run_state(dag_id, run_id)
            return state if state in ("success", "failed") else None

        # A look is 70 ms of a core that the run could use.
        return str(eventually(ended, what=f"the end of {run_id}", seconds=seconds, tick=0.7))


@contextmanager
def airflow(home: Home) -> Iterator[Airflow]:
    """API server, scheduler and DAG processor on a prepared home: started, again when they die, and gone afterwards."""
    ports = embedded.free_ports()
    started = Airflow(home, ports, embedded.start(home, "run", ports))
    try:
        yield started
    finally:
        started.api.close()
        embedded.end(home, started.supervisor)
        for process in started.beside:
            process.wait()


def kill_with_children(process: Popen[bytes]) -> None:
    """Kill a process and all it started, as when its machine dies."""
    whole = psutil.Process(process.pid)
    embedded.kill_all([*whole.children(recursive=True), whole])
    process.wait()


def eventually(look: Callable[[], Any], *, what: str, seconds: float = 120, tick: float = 0.2) -> Any:
    """The first answer that is true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:.0f} s"
        time.sleep(tick)
    return found
