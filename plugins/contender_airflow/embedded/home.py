"""CONTENDER_HOME: the folder of an embedded Airflow, and the environment its components run in.

Layout, keys, the two databases, environment. ``processes`` starts and stops what runs on it.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from contender.errors import BackendError, ConfigError

HOST = "127.0.0.1"
ADMIN = "admin"

# In the environment of every component and of all processes it starts: proof that a process belongs to this home.
MARKER = "CONTENDER_COMPONENT_OF"

_EXCEPTION = re.compile(r"[\w.]+(Error|Exception)\b")

_LOCAL_SETTINGS = '''"""Written by Contender: the process that tasks fork from imports the heavy modules once, so that no task has to."""

from contender_airflow.preimport import preimport

__all__ = ()

preimport()
'''


@dataclass(frozen=True)
class Ports:
    """Where the two user interfaces listen, on the loopback interface only."""

    airflow: int = 8080
    mlflow: int = 5000

    @property
    def airflow_url(self) -> str:
        """Airflow's address."""
        return f"http://{HOST}:{self.airflow}"

    @property
    def mlflow_url(self) -> str:
        """MLflow's address."""
        return f"http://{HOST}:{self.mlflow}"


@dataclass(frozen=True)
class Home:
    """One CONTENDER_HOME and the folder of DAGs it runs."""

    root: Path
    dags: Path

    @classmethod
    def current(cls) -> Home:
        """The home and DAG folder named by CONTENDER_HOME and CONTENDER_DAGS, else the ones of the working directory."""
        root = os.environ.get("CONTENDER_HOME") or ".contender"
        dags = os.environ.get("CONTENDER_DAGS") or "dags"
        return cls(Path(root).expanduser().absolute(), Path(dags).expanduser().absolute())

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.root / "airflow"

    @property
    def artifacts(self) -> Path:
        """Where MLflow keeps the files of its runs."""
        return self.root / "mlflow" / "artifacts"

    @property
    def tracking_uri(self) -> str:
        """MLflow's database."""
        return f"sqlite:///{self._databases[1]}"

    @property
    def store(self) -> Path:
        """The artifact store."""
        return self.root / "store"

    @property
    def signing_key(self) -> Path:
        """The key that releases are signed with."""
        return self.root / "keys" / "release_ed25519.pem"

    @property
    def connections(self) -> Path:
        """Databases that ``contender init`` was given the address of: connection id to SQLAlchemy URL."""
        return self.root / "keys" / "connections.json"

    @property
    def passwords(self) -> Path:
        """Airflow's generated password."""
        return self.airflow / "simple_auth_manager_passwords.json.generated"

    @property
    def components(self) -> Path:
        """The record of what runs on this home now; the supervisor writes it."""
        return self.root / "components.json"

    @property
    def mlflow_port(self) -> int:
        """Where MLflow listened last: links of earlier runs, which Airflow keeps, lead there."""
        return int(self._mlflow_port.read_text()) if self._mlflow_port.exists() else Ports().mlflow

    def remember_mlflow_port(self, port: int) -> None:
        """Let the next MLflow listen there, too, unless it is asked for another port."""
        self._mlflow_port.write_text(str(port))

    @property
    def _mlflow_port(self) -> Path:
        return self.root / "mlflow" / "port"

    @property
    def prepared(self) -> bool:
        """Whether both databases exist and fit the installed versions."""
        stamped = self._stamp.exists() and self._stamp.read_text() == _versions()
        return stamped and all(path.exists() for path in self._databases)

    @property
    def _stamp(self) -> Path:
        return self.root / "prepared.json"

    @property
    def _databases(self) -> tuple[Path, Path]:
        return self.airflow / "airflow.db", self.root / "mlflow" / "mlflow.db"

    def log(self, component: str) -> Path:
        """The log of one component."""
        return self.root / "logs" / f"{component}.log"

    def password(self) -> str:
        """The password of the user ``admin``."""
        return str(json.loads(self.passwords.read_text())[ADMIN])

    def remember_connection(self, conn_id: str, url: str) -> None:
        """Store a database's URL, which may hold a password, in a file that only this user can read."""
        self.connections.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = json.loads(self.connections.read_text()) if self.connections.exists() else {}
        self.connections.unlink(missing_ok=True)
        _write_once(self.connections, json.dumps(known | {conn_id: url}))

    def require_dags(self) -> None:
        """Check that there is a DAG folder.

        Raises:
            ConfigError: there is no DAG folder.
        """
        if not self.dags.is_dir():
            msg = f"no DAG folder at {self.dags}; run this in the clone, or set CONTENDER_DAGS to your DAG folder"
            raise ConfigError(msg)

    def prepare(self) -> None:
        """Create what is missing. On a home that is ready this takes a few milliseconds.

        Raises:
            ConfigError: there is no DAG folder.
            BackendError: a database could not be created or migrated.
        """
        self.require_dags()
        for folder in ("", "airflow/config", "mlflow/artifacts", "store", "demo", "keys", "logs", "cache"):
            (self.root / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            _write_once(self.passwords, json.dumps({ADMIN: secrets.token_urlsafe(16)}))
            self._secrets()
            if not self.signing_key.exists():
                from contender.release.signing import create_key

                create_key(self.signing_key)
            (self.airflow / "config" / "airflow_local_settings.py").write_text(_LOCAL_SETTINGS)
            if not self.prepared:
                self._migrate()

    def environment(self, ports: Ports) -> dict[str, str]:
        """The variables with which components, and plain ``airflow`` and ``mlflow`` commands, work on this home."""
        return (
            self._contender_environment(ports)
            | self._airflow_environment(ports)
            | self._mlflow_environment()
            | self._cache_environment()
        )

    def _contender_environment(self, ports: Ports) -> dict[str, str]:
        mlflow = {"tracking_uri": self.tracking_uri, "ui_url": ports.mlflow_url}
        store = {"uri": str(self.store), "signing_key": str(self.signing_key)}
        known = json.loads(self.connections.read_text()) if self.connections.exists() else {}
        databases = {f"AIRFLOW_CONN_{conn_id.upper()}": url for conn_id, url in known.items()}
        no_proxy = [name for name in (os.environ.get("NO_PROXY"), HOST, "localhost") if name]
        return {name: os.environ.get(name, url) for name, url in databases.items()} | {
            # Tasks talk to the API server on this machine; the network's proxy cannot reach it.
            "NO_PROXY": ",".join(dict.fromkeys(no_proxy)),
            "CONTENDER_HOME": str(self.root),
            "CONTENDER_DAGS": str(self.dags),
            "AIRFLOW_CONN_CONTENDER_MLFLOW": json.dumps({"conn_type": "mlflow", "extra": mlflow}),
            "AIRFLOW_CONN_CONTENDER_STORE": json.dumps({"conn_type": "contender_store", "extra": store}),
        }

    def _airflow_environment(self, ports: Ports) -> dict[str, str]:
        keys = self._secrets()
        settings = {
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.passwords),
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__DAGS_FOLDER": str(self.dags),
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__EXECUTION_API_SERVER_URL": f"{ports.airflow_url}/execution/",
            "CORE__FERNET_KEY": keys["fernet_key"],
            # Airflow's default asks DNS for this machine's name, which can take seconds on a laptop.
            "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
            # More than the cores of most laptops: a task holds its slot also while it starts and reports.
            "CORE__PARALLELISM": "8",
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self._databases[0]}",
            "DATABASE__CHECK_MIGRATIONS": "False",  # `prepare` has just migrated it
            "API__HOST": HOST,
            "API__PORT": str(ports.airflow),
            "API__BASE_URL": ports.airflow_url,
            "API__SECRET_KEY": keys["api_secret_key"],
            "API_AUTH__JWT_SECRET": keys["jwt_secret"],
            # A task's supervisor may notice its end only at the next heartbeat (by default 5 s); the slot is taken till then.
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            # At one a second the default (3) would kill tasks while the API server restarts.
            "WORKERS__MAX_FAILED_HEARTBEATS": "30",
            # About 90 s of patience with the API server. By default a task gives up after 10 s, and a busy laptop's
            # server needed 50 until its first answer: every start and every end of a task that came then cost a try.
            "WORKERS__EXECUTION_API_RETRIES": "20",
            "WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "10",
            # Airflow's default, named so that it stays: a shorter one takes from the core that trials could use.
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1.0",
            # A killed worker's task is tried again after this many seconds, plus one interval; by default 300 and 10.
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "45",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            # The next scheduler takes over a killed one's queued tasks after this time; by default five minutes.
            "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
            # A new file is found within seconds, by default within five minutes; a known one is read every 30 s.
            "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
            # No log server runs here (`--skip-serve-logs` in processes.py). The default ports may be another Airflow's;
            # port 1 is closed, so the UI reads the files.
            "LOGGING__WORKER_LOG_SERVER_PORT": "1",
            "LOGGING__TRIGGER_LOG_SERVER_PORT": "1",
        }
        plugins = self.dags.parent / "plugins"
        if plugins.is_dir():
            settings["CORE__PLUGINS_FOLDER"] = str(plugins)
        return {"AIRFLOW_HOME": str(self.airflow)} | {f"AIRFLOW__{name}": value for name, value in settings.items()}

    def _mlflow_environment(self) -> dict[str, str]:
        return {
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            # The folder of experiments that are created without one; by default ./mlruns.
            "_MLFLOW_SERVER_ARTIFACT_ROOT": str(self.artifacts),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
            # The job runner takes 2 GB of memory; nothing here uses it.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "GX_ANALYTICS_ENABLED": "false",
        }

    def _cache_environment(self) -> dict[str, str]:
        cache = self.root / "cache"
        places = {
            "MPLCONFIGDIR": "matplotlib",
            "XDG_CACHE_HOME": "xdg",
            "XDG_CONFIG_HOME": "xdg-config",
            "XDG_DATA_HOME": "xdg-data",
            "SCIKIT_LEARN_DATA": "scikit-learn",
            "SKB_DATA_DIRECTORY": "skrub",
        }
        # Training tasks run side by side, one per core; more threads would compete for the same cores.
        threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS")
        folders = {name: str(cache / place) for name, place in places.items()}
        return folders | dict.fromkeys(threads, "1") | {"MPLBACKEND": "Agg"}

    def _secrets(self) -> dict[str, str]:
        path = self.root / "keys" / "airflow.json"
        if not path.exists():
            fresh = {
                "jwt_secret": secrets.token_urlsafe(64),
                "api_secret_key": secrets.token_urlsafe(32),
                "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            }
            _write_once(path, json.dumps(fresh))
        keys: dict[str, str] = json.loads(path.read_text())
        return keys

    def _migrate(self) -> None:
        """Migrate both databases to the installed versions, at the same time."""
        commands = {
            "airflow-migrate": ["-m", "airflow", "db", "migrate"],
            "mlflow-migrate": ["-m", "contender.tracking.sqlite", self.tracking_uri, str(self.artifacts)],
        }
        started = {name: self._background(name, [sys.executable, "-P", *rest]) for name, rest in commands.items()}
        failed = [name for name, process in started.items() if process.wait() != 0]
        if failed:
            path = self.log(failed[0])
            msg = f"a database in {self.root} could not be prepared: {last_error(path)}; the whole story is in {path}"
            raise BackendError(msg)
        self._stamp.write_text(_versions())

    def _background(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        environment = os.environ | self.environment(Ports())
        with self.log(name).open("wb") as log:
            return subprocess.Popen(command, env=environment, cwd=self.root, stdout=log, stderr=log)  # noqa: S603 - ours

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock that keeps two commands from creating the same home."""
        with (self.root / "prepare.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _versions() -> str:
    return json.dumps({name: version(name) for name in ("apache-airflow", "mlflow")})


def last_error(path: Path) -> str:
    """The last line of a log that names an exception, else its last line that is not empty."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    filled = [line.strip() for line in lines if line.strip()]
    errors = [line for line in filled if _EXCEPTION.match(line)]
    return (errors or filled or ["it said nothing"])[-1][:500]


def _write_once(path: Path, content: str) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w") as file:
        file.write(content)
