"""The embedded Airflow, for real: what it runs, what it leaves, and what it survives. The DAGs are the test's own."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from contender.errors import BackendError, ConfigError
from contender_airflow.cli.airflow_api import AirflowApi
from contender_airflow.embedded.home import Home
from contender_airflow.embedded.processes import owned, running
from homes import Migrated

pytestmark = pytest.mark.integration

DAGS = """
import sys
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from airflow.sdk import Param, dag, task
from contender.pipeline import close
from contender.run.freeze import safe_id
from contender_airflow.hooks.store import ArtifactStoreHook
from contender_airflow.operators.slot import SlotSensor


@dag(dag_id="good__training", schedule="@daily", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False,
     params={"as_of": Param(None, type=["null", "string"]), "trials": Param(4, type="integer", maximum=5)})
def good():
    @task
    def train(number):
        assert "sklearn.ensemble" in sys.modules  # the scheduler has imported it
        return number

    @task
    def announce(numbers, params=None):
        return {"pipeline": "good", "sentence": f"keep: as of {params['as_of']} the champion stays",
                "trials": {"planned": len(list(numbers))}}

    announce(train.expand(number=[0, 1]))


@dag(dag_id="bad__training", schedule=None)
def bad():
    @task(retries=0)
    def snapshot():
        raise ValueError("column 'age' [years] is not there")

    snapshot()


@dag(dag_id="slow__training", schedule=None, max_active_runs=1)
def slow(seconds: int = 600):
    @task(retries=0)
    def train(number, params=None):
        time.sleep(params["seconds"])

    train.partial().expand(number=[0, 1])


good()
bad()
slow()


def limited(name):
    # Notes when it came and went, and ends as a pipeline does.
    @dag(dag_id=f"{name}__training", schedule=None, is_paused_upon_creation=False)
    def made():
        @task(retries=0)
        def work(run_id=None):
            with open(__file__ + ".log", "a") as log:
                log.write(f"in {name}\\n")
            time.sleep(1)
            with open(__file__ + ".log", "a") as log:
                log.write(f"out {name}\\n")
            store = ArtifactStoreHook().get_conn()
            close(SimpleNamespace(store=store), name, safe_id(run_id))

        SlotSensor(
            task_id="turn", pipeline=name, deadline=timedelta(minutes=5), max_running=1, poke_interval=4,
            retries=2, retry_delay=timedelta(seconds=1),
        ) >> work()

    made()


for name in ("one", "two", "three"):
    limited(name)
"""


@dataclass
class Contender:
    """The command line on one home."""

    home: Home
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"CONTENDER_HOME": str(self.home.root), "CONTENDER_DAGS": str(self.home.dags)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "contender_airflow.cli.app", *arguments],
            cwd=self.home.dags.parent,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def __call__(self, *arguments: str, code: int = 0) -> str:
        with self.start(*arguments) as process:
            told, _ = process.communicate(timeout=300)
        assert process.returncode == code, told
        return told

    def api(self) -> AirflowApi:
        record = running(self.home)
        assert record is not None
        return AirflowApi(record.airflow_url, password=self.home.password())

    def left(self) -> list[str]:
        return [str(process) for process in owned(self.home.root)]  # as text: one may be a zombie by now


@pytest.fixture(scope="module")
def contender(tmp_path_factory: pytest.TempPathFactory, migrated: Migrated) -> Iterator[Contender]:
    root = tmp_path_factory.mktemp("embedded")
    (root / "dags").mkdir()
    (root / "dags" / "lab.py").write_text(DAGS)
    migrated.into(root / "home")
    contender = Contender(Home(root / "home", root / "dags"))
    yield contender
    contender("down")
    for process in contender.started:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return
    pytest.fail(f"{text!r} was not in {''.join(seen)}")


def eventually(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def test_a_run_starts_airflow_shows_the_decision_and_leaves_no_process(contender: Contender) -> None:
    told = contender("run", "good", "--as-of", "2026-03-02", "--conf", '{"trials": 5}')
    assert "keep: as of 2026-03-02 the champion stays" in told
    assert "train: success (2 of 2 tasks)" in told
    assert contender.left() == []
    assert {path.name for path in contender.home.dags.parent.iterdir()} == {"home", "dags"}


def test_a_killed_command_takes_its_airflow_along_and_the_next_one_is_not_held_up(contender: Contender) -> None:
    killed = contender.start("run", "slow")
    read_until(killed, "train: running")
    killed.kill()
    assert eventually(lambda: contender.left() == [], 20)

    interrupted = contender.start("run", "slow")
    read_until(interrupted, "was left unfinished by a `contender run` that was killed")
    read_until(interrupted, "train: running")
    interrupted.send_signal(signal.SIGINT)
    interrupted.communicate(timeout=120)
    assert interrupted.returncode == 130
    assert contender.left() == []


def triggered(api: AirflowApi, dag_id: str) -> bool:
    """Whether it was; right after its start Airflow may not know the DAG yet, or its SQLite may be busy."""
    try:
        api.trigger(dag_id, "manual__1", {})
    except (BackendError, ConfigError):
        return False
    return True


def test_of_three_pipelines_with_a_limit_of_one_no_two_run_at_a_time(contender: Contender) -> None:
    contender("up", "--port", "0", "--mlflow-port", "0")
    names = ("one", "two", "three")
    with closing(contender.api()) as api:
        for name in names:
            assert eventually(lambda name=name: triggered(api, f"{name}__training"))
        assert eventually(lambda: not any(api.unfinished_runs(f"{name}__training") for name in names), 90)
    noted = (contender.home.dags / "lab.py.log").read_text().split()
    assert sorted(noted[1::4]) == sorted(names)
    assert noted == [word for name in noted[1::4] for word in ("in", name, "out", name)]


def test_a_failed_run_exits_with_1_and_tells_task_reason_and_log(contender: Contender) -> None:
    contender("up", "--port", "0", "--mlflow-port", "0")
    told = contender("run", "bad", code=1)
    assert "bad__training failed in snapshot (try 1): ValueError: column 'age' [years] is not there" in told
    log = next(line.split("log: ")[1] for line in told.splitlines() if "log: " in line)
    assert "column 'age'" in Path(log).read_text()


def test_what_is_up_is_used_refuses_a_bad_conf_and_survives_losing_its_scheduler(contender: Contender) -> None:
    contender("up", "--port", "0", "--mlflow-port", "0")
    record = running(contender.home)
    assert record is not None
    assert set(record.components) == {"api-server", "scheduler", "dag-processor", "triggerer", "mlflow"}
    assert httpx.get(f"{record.airflow_url}/api/v2/dags").status_code == 401
    assert "already up" in contender("up")

    assert "did you mean 'good'" in contender("run", "goof", code=1).lower()
    assert "9 is greater than the maximum of 5" in contender("run", "good", "--conf", '{"trials": 9}', code=1)

    slow = contender.start("run", "slow", "--conf", '{"seconds": 12}')
    read_until(slow, "train: running")
    os.kill(record.components["scheduler"].pid, signal.SIGKILL)
    threading.Timer(2, os.kill, (record.components["api-server"].pid, signal.SIGKILL)).start()
    told, _ = slow.communicate(timeout=300)
    assert slow.returncode == 0, told
    with closing(contender.api()) as api:
        assert api.unfinished_runs("slow__training") == []

    exported = contender("env")
    script = f"{exported}\n{shlex.quote(sys.executable)} -m airflow dags list -o plain"
    listed = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    assert "good__training" in listed

    assert "stopped api-server" in contender("down")
    assert contender.left() == []
    assert "nothing was running" in contender("down")
