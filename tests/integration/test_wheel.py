"""The wheel in an Airflow that exists: no repository, no CONTENDER_HOME, the user's own DAG folder, MLflow and store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from contender_airflow.cli.airflow_api import AirflowApi
from contender_airflow.embedded.home import Ports
from contender_airflow.embedded.processes import free_ports
from documentation import blocks, commands
from homes import Migrated
from installed import venv_with

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]

MY_DAG = """
from contender_airflow.dags import build_dags

globals().update(build_dags("{folder}"))
"""

MY_PIPELINE = """
data:
  source: {{kind: csv, uri: {csv}, delimiter: ";"}}
  target: outcome
  positive: bad
  id: loan
expectations:
  - expect_column_values_to_be_between: {{column: income, min_value: 0}}
split: {{gate: 0.3, folds: 2}}
sweep:
  metric: roc_auc
  strategy: {{kind: random, trials: 3}}
  candidates:
    - {{estimator: sklearn.linear_model.LogisticRegression, params: {{C: {{log_uniform: [0.01, 10]}}}}, baseline: true}}
gates:
  - {{kind: threshold, metric: roc_auc, min: 0.6}}
  - {{kind: beats, opponent: champion, policy: unless_worse, margin: 0.05}}
"""

LOAD = """
import json, sys
import mlflow
import pandas as pd
model = mlflow.pyfunc.load_model("models:/loans@champion")
rows = pd.read_csv(sys.argv[1], sep=";").drop(columns=["loan", "outcome"]).astype({"income": "float64"}).head(3)
print(json.dumps([float(row[1]) for row in model.predict(rows)]))
"""


def write_loans(path: Path, rows: int = 600) -> None:
    """A CSV as somebody may have one; poor people's loans go bad."""
    random = np.random.default_rng(3)
    income = random.normal(2_500, 600, rows).clip(500).round()
    bad = random.random(rows) < 1 / (1 + np.exp((income - 2_300) / 200))
    town = random.choice(["Mill Hill", "Ashford"], rows)
    lines = ["loan;income;town;outcome"]
    lines += [f"L{n};{income[n]:.0f};{town[n]};{'bad' if bad[n] else 'good'}" for n in range(rows)]
    path.write_text("\n".join(lines) + "\n")


@dataclass
class User:
    """Somebody with an Airflow and an MLflow of their own, who installs the wheel."""

    root: Path
    ports: Ports = field(default_factory=free_ports)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def bin(self) -> Path:
        return self.root / "venv" / "bin"

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the repository's or of Contender's; ports, because others may listen on this machine."""
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR", "OMP_NUM_THREADS") if name in os.environ}
        return kept | {
            "PATH": f"{self.bin}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.root),
            "AIRFLOW_HOME": str(self.root / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.root / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.ports.airflow),
            "AIRFLOW__API__BASE_URL": self.ports.airflow_url,
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "1",  # nobody asks it
        }

    def start(self, name: str, *command: str) -> None:
        with (self.root / f"{name}.log").open("wb") as log:
            self.started.append(
                subprocess.Popen(
                    [self.bin / "python", *command],
                    cwd=self.root,
                    env=self.environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def stop(self) -> None:
        for process in self.started:
            os.killpg(process.pid, 15)
        for process in self.started:
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait(20)

    def run(self, *command: str | Path, **more: str) -> str:
        done = subprocess.run(
            list(map(str, command)),
            cwd=self.root,
            env=self.environment | more,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def python(self, code: str, *arguments: str, **more: str) -> str:
        return self.run(self.bin / "python", "-c", code, *arguments, **more).strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [made] = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Iterator[User]:
    """A venv that holds what the wheel declares and nothing else, as links to what is installed here; then the wheel."""
    user = User(tmp_path_factory.mktemp("user"))
    with zipfile.ZipFile(wheel) as inside:
        [metadata] = (inside.read(name) for name in inside.namelist() if name.endswith(".dist-info/METADATA"))
    requirements = message_from_bytes(metadata).get_all("Requires-Dist") or []
    venv_with(requirements, user.root / "venv")
    command = user.bin / "airflow"  # as pip makes it
    command.write_text(f"#!{user.bin}/python\nfrom airflow.__main__ import main\n\nmain()\n")
    command.chmod(0o755)
    missing = "import importlib.util, sys; sys.exit(importlib.util.find_spec('{}') is not None)"
    for name in ("contender", "contender_airflow", "pytest", "hatchling"):
        user.python(missing.format(name))
    user.run(user.bin / "python", "-m", "pip", "install", "--no-index", "--no-compile", wheel)
    yield user
    user.stop()


def eventually(look: Callable[[], Any], seconds: float, why: Callable[[], str]) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            found = look()
        except httpx.HTTPError:
            found = None
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(why())


def test_the_wheel_is_complete_and_alone(user: User, wheel: Path) -> None:
    packaged = {
        path.relative_to(ROOT / parent).as_posix()
        for parent, package in (("include", "contender"), ("plugins", "contender_airflow"))
        for path in (ROOT / parent / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in inside if ".dist-info/" not in name} == packaged

    where = "import contender, contender_airflow; print(contender.__file__, contender_airflow.__file__)"
    assert user.python(where).count(str(user.root / "venv")) == 2
    path = "import sys; print(*sys.path, sep='\\n')"
    assert str(ROOT) not in user.python(path)


def test_three_lines_in_a_users_dag_folder_end_in_a_champion_of_their_mlflow(
    user: User, wheel: Path, migrated: Migrated
) -> None:
    root = user.root
    for folder in ("dags", "pipelines", "mlflow"):
        (root / folder).mkdir()
    write_loans(root / "loans.csv")
    (root / "dags" / "my_models.py").write_text(MY_DAG.format(folder=root / "pipelines"))
    (root / "pipelines" / "loans.yaml").write_text(MY_PIPELINE.format(csv=root / "loans.csv"))

    server = ("--host", "127.0.0.1", "--port", str(user.ports.mlflow), "--workers", "1")
    kept = (
        "--backend-store-uri",
        f"sqlite:///{root}/mlflow/mlflow.db",
        "--artifacts-destination",
        f"{root}/mlflow/files",
    )
    user.start("mlflow", "-m", "mlflow", "server", *server, *kept)
    (root / "airflow" / "config").mkdir(parents=True)
    shutil.copyfile(migrated.home.airflow / "airflow.db", root / "airflow" / "airflow.db")
    [preimport] = [block for block in blocks("scale-out.md", "python") if "preimport()" in block]
    (root / "airflow" / "config" / "airflow_local_settings.py").write_text(preimport)
    places = {
        "/srv/contender": str(root),
        "contender-0.1.0-py3-none-any.whl": str(wheel),
        "http://mlflow.example:5000": user.ports.mlflow_url,
    }
    script = commands("existing-airflow.md")
    for documented, here in places.items():
        assert documented in script
        script = script.replace(documented, here)
    told = user.run("bash", "-euc", script, PIP_NO_INDEX="1")
    assert str(root / "keys" / "release.pem") in told
    assert f"{root}/pipelines/loans.yaml: ok" in told
    # After a command that has made airflow.cfg: side by side they would each make one, with secrets of its own.
    for component in ("api-server", "dag-processor", "scheduler"):
        user.start(component, "-m", "airflow", component)

    def logs() -> str:
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in root.glob("*.log"))

    eventually(lambda: httpx.get(f"{user.ports.mlflow_url}/health").is_success, 90, logs)
    passwords = root / "airflow" / "simple_auth_manager_passwords.json.generated"
    eventually(lambda: httpx.get(f"{user.ports.airflow_url}/api/v2/monitor/health").is_success, 120, logs)
    api = AirflowApi(user.ports.airflow_url, password=json.loads(passwords.read_text())["admin"])
    with closing(api):
        eventually(lambda: api.dag("loans__training"), 90, logs)
        assert api.import_errors() == []
        eventually(api.ready, 120, logs)
        _airflow_knows_it_once(api)
        api.unpause("loans__training")
        api.trigger("loans__training", "first", {"reason": "the wheel works"})
        eventually(lambda: api.run_state("loans__training", "first") in ("success", "failed"), 300, logs)
        states = {one["task_id"]: one["state"] for one in api.task_instances("loans__training", "first")}
        assert set(states.values()) == {"success"}, f"{states}\n{logs()}"
        assert "first champion" in api.xcom("loans__training", "first", "announce")["sentence"]

    [entry] = (root / "store" / "loans" / "ledger").iterdir()
    assert (json.loads(entry.read_text())["version"], json.loads(entry.read_text())["kind"]) == ("1", "promotion")
    assert {path.name for path in root.iterdir() if not path.name.startswith(".")} == {
        *("airflow", "dags", "keys", "loans.csv", "mlflow", "pipelines", "store", "venv"),
        *("api-server.log", "dag-processor.log", "mlflow.log", "scheduler.log"),
    }
    loaded = user.python(LOAD, str(root / "loans.csv"), MLFLOW_TRACKING_URI=user.ports.mlflow_url)
    assert all(0 < probability < 1 for probability in json.loads(loaded))


def _airflow_knows_it_once(api: AirflowApi) -> None:
    told = {name: api._get(f"/{name}", limit=1_000)[name] for name in ("providers", "plugins")}
    assert [one["version"] for one in told["providers"] if one["package_name"] == "contender"] == ["0.1.0"]
    assert "contender" not in json.dumps(told["plugins"])
    connections = api._http.get(f"{api.url}/ui/connections/hook_meta").json()  # what the connection form offers
    ours = [one["connection_type"] for one in connections if one["connection_type"] in ("mlflow", "contender_store")]
    assert sorted(ours) == ["contender_store", "mlflow"]
