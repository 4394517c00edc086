"""Start, find and stop the embedded Airflow of a home. The processes themselves are children of ``supervisor``.

Airflow's tasks leave their parent's process group, and a killed scheduler leaves workers that ignore SIGTERM. So the
processes of a home are known not by their group but by a mark in their environment, which every descendant inherits.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, NoReturn

import psutil

from contender.errors import BackendError, Conflict
from contender_airflow.embedded.home import HOST, MARKER, Home, Ports, last_error

Kind = Literal["run", "up"]

# `--skip-serve-logs`: the log server would listen on every interface; on one machine the UI reads the files.
AIRFLOW: dict[str, tuple[str, ...]] = {
    "api-server": ("airflow", "api-server"),
    "scheduler": ("airflow", "scheduler", "--skip-serve-logs"),
    "dag-processor": ("airflow", "dag-processor"),
}
_TRIGGERER = ("airflow", "triggerer", "--skip-serve-logs")
# How often a component may end while Airflow starts.
_GIVE_UP_AFTER = 2
# Seconds for the supervisor to end; it gives its components 5 s and kills what is left, which may take 10 s.
_PATIENCE = 20.0


@dataclass(frozen=True)
class Component:
    """One process under the supervisor, as the supervisor saw it last."""

    pid: int
    started: float
    failures: int = 0


@dataclass(frozen=True)
class Running:
    """What runs on a home, as the supervisor recorded it in ``components.json``."""

    kind: Kind
    supervisor: Component
    airflow_url: str
    mlflow_url: str
    components: dict[str, Component] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Replace the record in one step, so that no reader sees half of it."""
        pending = path.with_suffix(".pending")
        pending.write_text(json.dumps(asdict(self), indent=1))
        pending.replace(path)

    @classmethod
    def read(cls, path: Path) -> Running | None:
        """The record, or None when nothing was recorded."""
        try:
            raw = json.loads(path.read_text())
            components = {name: Component(**component) for name, component in raw.pop("components").items()}
            return cls(supervisor=Component(**raw.pop("supervisor")), components=components, **raw)
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None


def running(home: Home) -> Running | None:
    """What runs on this home now, or None. A record whose supervisor is gone does not count."""
    record = Running.read(home.components)
    if record is None:
        return None
    try:
        process = psutil.Process(record.supervisor.pid)
    except psutil.Error:
        return None
    same = abs(process.create_time() - record.supervisor.started) < 1
    return record if same and _alive(process) else None


def start(home: Home, kind: Kind, ports: Ports) -> subprocess.Popen[bytes]:
    """Start the supervisor, which starts the components; they are not ready when this returns.

    A ``run`` ends with the process that started it, also when that is killed: the supervisor's stdin is then at its end.
    """
    kill_leftovers(home)
    components = {name: list(command) for name, command in AIRFLOW.items()}
    if kind == "up":
        components |= {"triggerer": list(_TRIGGERER), "mlflow": mlflow_server(home, ports)}
    plan = {"kind": kind, "airflow_url": ports.airflow_url, "mlflow_url": ports.mlflow_url, "components": components}
    # SPT_NOENV: by default setproctitle writes a process's title over its environment, and so over the mark.
    environment = os.environ | home.environment(ports) | {MARKER: str(home.root), "SPT_NOENV": "1"}
    if kind == "run":
        # Only the run that was asked for: no scheduled run of this or another pipeline starts.
        environment["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] = "False"
    # The supervisor, and MLflow itself, look commands such as `mlflow` and `uvicorn` up by name.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    command = [sys.executable, "-P", "-m", "contender_airflow.embedded.supervisor", json.dumps(plan)]
    with home.log("supervisor").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            env=environment,
            cwd=home.root,
            stdin=subprocess.PIPE if kind == "run" else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def wait_until(
    ready: Callable[[], bool], home: Home, supervisor: subprocess.Popen[bytes], *, what: str, timeout: float = 120
) -> None:
    """Wait for something that the components do while they start, or fail as soon as they cannot.

    Raises:
        BackendError: a component keeps ending, or the time is over.
        Conflict: another supervisor has this home.
    """
    deadline = time.monotonic() + timeout
    while not ready():
        if supervisor.poll() is not None:
            _raise_ended(home)
        record = Running.read(home.components)
        dying = [name for name, it in (record.components if record else {}).items() if it.failures >= _GIVE_UP_AFTER]
        if dying or time.monotonic() > deadline:
            path = home.log(dying[0] if dying else "supervisor")
            why = f"{dying[0]} keeps ending" if dying else f"{what} took more than {timeout:.0f} s"
            raise BackendError(f"Airflow did not start: {why}: {last_error(path)}; see {path.parent}")
        time.sleep(0.1)


def end(home: Home, supervisor: subprocess.Popen[bytes]) -> None:
    """End a supervisor that this process started, and all processes of the home.

    Raises:
        BackendError: a process survived being killed.
    """
    supervisor.terminate()
    try:
        supervisor.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
    if supervisor.stdin is not None:
        supervisor.stdin.close()
    if running(home) is None:
        kill_leftovers(home)


def stop(home: Home) -> list[str]:
    """End all processes of this home, also those that another command started; returns what was stopped.

    Raises:
        BackendError: a process survived being killed.
    """
    record = running(home)
    stopped = [f"{name} ({it.pid})" for name, it in (record.components if record else {}).items()]
    if record is not None:
        process = psutil.Process(record.supervisor.pid)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
        _, alive = psutil.wait_procs([process], timeout=_PATIENCE)
        kill_all(alive)
    return stopped + kill_leftovers(home)


def kill_leftovers(home: Home) -> list[str]:
    """Kill the processes of this home that have lost their supervisor; returns their names.

    Raises:
        Conflict: a supervisor is alive, so none of them is a leftover.
        BackendError: a process survived being killed.
    """
    record = running(home)
    if record is not None and record.supervisor.pid != os.getpid():
        raise_taken(home, record)
    killed = kill_all(owned(home.root))
    home.components.unlink(missing_ok=True)
    return killed


def owned(root: Path) -> list[psutil.Process]:
    """The processes, without this one, that carry the mark of the home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARKER) == str(root):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # another user's, or just gone
    return found


def kill_all(processes: Iterable[psutil.Process]) -> list[str]:
    """Kill processes and wait until they are gone; returns their names.

    Raises:
        BackendError: one survived.
    """
    names = []
    targets = list(processes)
    for process in targets:
        try:
            names.append(f"{process.name()} ({process.pid})")
            process.kill()
        except psutil.NoSuchProcess:
            continue
    deadline = time.monotonic() + 10
    while alive := [process for process in targets if _alive(process)]:
        if time.monotonic() > deadline:
            raise BackendError(f"could not kill {', '.join(str(process.pid) for process in alive)}")
        time.sleep(0.02)
    return names


def _alive(process: psutil.Process) -> bool:
    """Whether a process still runs. A zombie does not: only its entry is left, until its parent reads the exit status."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def raise_taken(home: Home, record: Running) -> NoReturn:
    """Name the command that has the home, and how to stop it.

    Raises:
        Conflict: always.
    """
    move = "wait for it, or stop it with `contender down`" if record.kind == "run" else "`contender down` stops it"
    raise Conflict(f"`contender {record.kind}` (process {record.supervisor.pid}) already works on {home.root}; {move}")


def free_ports(*, airflow: int = 0, mlflow: int = 0) -> Ports:
    """The ports asked for where they are free, else others; 0 stands for any free port."""
    chosen = [port if port and _free(port) else _any_free() for port in (airflow, mlflow)]
    return Ports(airflow=chosen[0], mlflow=chosen[1])


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _any_free() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def mlflow_server(home: Home, ports: Ports) -> list[str]:
    """The command of an MLflow server on the home's database."""
    return [
        *("mlflow", "server", "--host", HOST, "--port", str(ports.mlflow), "--workers", "1"),
        *("--backend-store-uri", home.tracking_uri, "--artifacts-destination", str(home.artifacts)),
    ]


def _raise_ended(home: Home) -> NoReturn:
    record = running(home)
    if record is not None:
        raise_taken(home, record)
    path = home.log("supervisor")
    raise BackendError(f"Airflow ended: {last_error(path)}; see {path.parent}")
