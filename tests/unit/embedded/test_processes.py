"""Which processes are ours, and that they end. Real processes, no Airflow."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from contender.errors import BackendError, Conflict
from contender_airflow.embedded import processes
from contender_airflow.embedded.home import MARKER, Home, Ports
from contender_airflow.embedded.processes import Component, Running, free_ports, kill_leftovers, owned, running, stop
from contender_airflow.embedded.supervisor import Supervisor, _Child


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    (tmp_path / "home" / "logs").mkdir(parents=True)
    home = Home(tmp_path / "home", tmp_path)
    yield home
    for process in owned(home.root):
        process.kill()


def me(kind: processes.Kind = "up") -> Running:
    this = psutil.Process()
    return Running(kind, Component(this.pid, this.create_time()), "http://a", "http://m", {"x": Component(1, 2.0, 3)})


def marked(home: Home) -> subprocess.Popen[bytes]:
    """A process of the home in a session of its own, as tasks are."""
    environment = os.environ | {MARKER: str(home.root)}
    return subprocess.Popen(["sleep", "100"], env=environment, start_new_session=True)


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_record_reads_back(home: Home) -> None:
    me().write(home.components)
    assert running(home) == me()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "up"}'])
def test_a_broken_record_is_none(home: Home, text: str) -> None:
    home.components.write_text(text)
    assert running(home) is None


def test_a_process_that_took_over_the_number_of_a_dead_supervisor_is_not_it(home: Home) -> None:
    record = me()
    Running("up", Component(record.supervisor.pid, record.supervisor.started - 60), "a", "m").write(home.components)
    assert running(home) is None


def test_leftovers_are_killed_wherever_they_went_and_others_are_not(home: Home, tmp_path: Path) -> None:
    ours, others = marked(home), marked(Home(tmp_path / "other", tmp_path))
    try:
        assert eventually(lambda: [process.pid for process in owned(home.root)] == [ours.pid])
        assert kill_leftovers(home) == [f"sleep ({ours.pid})"]
        assert ours.wait(5) == -signal.SIGKILL
        assert others.poll() is None
    finally:
        others.kill()
        others.wait()


def test_what_a_living_supervisor_looks_after_is_no_leftover(home: Home) -> None:
    supervisor = subprocess.Popen(["sleep", "100"])
    try:
        started = psutil.Process(supervisor.pid).create_time()
        Running("run", Component(supervisor.pid, started), "a", "m").write(home.components)
        with pytest.raises(Conflict, match=rf"process {supervisor.pid}"):
            kill_leftovers(home)
    finally:
        supervisor.kill()
        supervisor.wait()


def test_a_port_that_is_taken_is_replaced() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = taken.getsockname()[1]
        ports = free_ports(airflow=wanted)
    assert ports.airflow != wanted
    assert ports.mlflow > 0


Supervise = Callable[[str, dict[str, list[str]]], subprocess.Popen[str]]


@pytest.fixture
def supervise(home: Home) -> Iterator[Supervise]:
    """Start a supervisor of the home with components that are not Airflow's."""
    with ExitStack() as stack:

        def start(kind: str, components: dict[str, list[str]]) -> subprocess.Popen[str]:
            plan = {"kind": kind, "airflow_url": "http://a", "mlflow_url": "http://m", "components": components}
            process = subprocess.Popen(
                [sys.executable, "-m", "contender_airflow.embedded.supervisor", json.dumps(plan)],
                env=os.environ | {MARKER: str(home.root), "CONTENDER_HOME": str(home.root)},
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            return process

        yield start
        stop(home)


def pid_of(home: Home, component: str) -> int | None:
    record = running(home)
    return record.components[component].pid if record is not None and component in record.components else None


SLEEPERS = {"a": ["sleep", "100"], "b": ["sh", "-c", "setsid sleep 100 & wait"]}


def test_a_run_ends_with_the_process_that_started_it_and_leaves_nothing(home: Home, supervise: Supervise) -> None:
    supervisor = supervise("run", SLEEPERS)
    # The supervisor, a, b, and what b started in a session of its own.
    assert eventually(lambda: len(owned(home.root)) == 4)
    supervisor.communicate(timeout=10)
    assert supervisor.returncode == 0
    assert owned(home.root) == []
    assert not home.components.exists()


def test_a_component_that_dies_is_started_again(home: Home, supervise: Supervise) -> None:
    supervise("up", SLEEPERS)
    assert eventually(lambda: pid_of(home, "a") is not None)
    first = pid_of(home, "a")
    os.kill(first or 0, signal.SIGKILL)
    assert eventually(lambda: pid_of(home, "a") not in (None, first))
    stopped = stop(home)
    assert len(stopped) == 2
    assert owned(home.root) == []


def test_what_a_dead_component_left_is_killed_but_for_a_worker_with_a_task(home: Home, supervise: Supervise) -> None:
    idle, busy = "airflow worker -- LocalExecutor: <idle>", "airflow worker -- LocalExecutor: 01a2"
    workers = "".join(f"(exec -a '{title}' sleep 100) & " for title in (idle, busy))
    supervise("up", {"a": ["bash", "-c", f"{workers} sleep 100 & wait"]})

    def alive(pid: int | None) -> set[str]:
        return {process.cmdline()[0] for process in owned(home.root) if os.getpgid(process.pid) == pid}

    assert eventually(lambda: alive(pid_of(home, "a")) == {"bash", idle, busy, "sleep"})
    first = pid_of(home, "a")
    os.kill(first or 0, signal.SIGKILL)
    assert eventually(lambda: pid_of(home, "a") not in (None, first))
    assert eventually(lambda: alive(first) == {busy})


def test_components_end_when_their_supervisor_is_killed(home: Home, supervise: Supervise) -> None:
    supervisor = supervise("up", {"a": ["sleep", "100"]})
    assert eventually(lambda: pid_of(home, "a") is not None)
    supervisor.kill()
    supervisor.wait()
    assert eventually(lambda: owned(home.root) == [])


def test_a_home_has_one_supervisor(home: Home, supervise: Supervise) -> None:
    supervise("up", {"a": ["sleep", "100"]})
    assert eventually(lambda: pid_of(home, "a") is not None)
    second = supervise("up", {"a": ["sleep", "100"]})
    assert "another supervisor" in second.communicate(timeout=10)[1]
    assert second.returncode == 1


def test_a_component_that_keeps_dying_is_told_with_its_last_words(home: Home, supervise: Supervise) -> None:
    supervisor = supervise("up", {"a": ["sh", "-c", "echo SomeError: no such port >&2; exit 3"]})
    with pytest.raises(BackendError, match="a keeps ending: SomeError: no such port"):
        processes.wait_until(lambda: False, home, supervisor, what="the start", timeout=30)  # type: ignore[arg-type]


def test_a_component_that_ends_for_ever_is_started_again_for_ever(home: Home) -> None:
    child = _Child("a", ["false"], started=time.monotonic())
    supervisor = Supervisor(home, {})
    for _ in range(2_000):
        supervisor._note_end(child, 1, 1)
    assert 29 < child.start_at - time.monotonic() <= 30


def test_stopping_nothing_is_fine(home: Home) -> None:
    assert stop(home) == []
    assert Ports().airflow_url == "http://127.0.0.1:8080"
