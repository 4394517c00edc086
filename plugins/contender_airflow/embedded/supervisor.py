"""The process that owns an embedded Airflow: starts its components, restarts those that end, leaves no process behind.

``processes.start`` runs it as ``python -m contender_airflow.embedded.supervisor PLAN``. On Linux it imports Airflow once and
forks the components, which saves each of them four seconds and 100 MB.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import logging
import os
import select
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from typing import IO, Any, NoReturn

import psutil

from contender_airflow.embedded.home import Home
from contender_airflow.embedded.processes import Component, Running, kill_all, owned
from contender_airflow.preimport import preimport

logger = logging.getLogger("supervisor")

# All in seconds.
_TICK = 0.2  # between two looks at the components
_GRACE = 5.0  # for schedulers to end after SIGTERM, before they are killed
_LONGEST_BACKOFF = 30.0  # at most, before a component that keeps ending is started again
_STABLE_AFTER = 60.0  # a component that ran longer is restarted as after its first end
_LOOK_AGAIN = 5.0  # between two looks at what dead components left; a look reads every process of the machine
_PR_SET_PDEATHSIG = 1  # an option of Linux' prctl(2): the signal that a process gets when its parent ends
# They keep no state, and the other components need them while they end: so they are killed last.
_SERVERS = ("api-server", "mlflow")
# What all components import; the forks share it.
_SHARED_IMPORTS = (
    "airflow.__main__",
    "airflow.settings",
    "airflow.jobs.scheduler_job_runner",
    "airflow.executors.local_executor",
    "airflow.dag_processing.manager",
    "airflow.dag_processing.processor",
    "airflow.api_fastapi.execution_api.app",
)


@dataclass
class _Child:
    """One component: its command, and the process that runs it now, if one does."""

    name: str
    command: list[str]
    pid: int | None = None
    started: float = 0.0
    failures: int = 0
    start_at: float = 0.0


@dataclass
class Supervisor:
    """Keeps the components of one home running until a signal stops it, or the process that started it ends."""

    home: Home
    plan: dict[str, Any]
    children: list[_Child] = field(default_factory=list)
    stopping: bool = False
    dead: set[int] = field(default_factory=set)
    look_again: float = 0.0

    def run(self) -> None:
        """Start the components, restart those that end, and end all of them."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        self.children = [_Child(name, command) for name, command in self.plan["components"].items()]
        self._write_record()
        if any(_forks(child) for child in self.children):
            _import_airflow()
        try:
            while not self.stopping:
                self._restart_ended()
                self._clear_away()
                self._wait()
        finally:
            self._end_all()

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _wait(self) -> None:
        if self.plan["kind"] == "up":
            time.sleep(_TICK)
        elif select.select([0], [], [], _TICK)[0] and not os.read(0, 1):
            logger.info("the command that started this has ended")
            self.stopping = True

    def _restart_ended(self) -> None:
        changed = False
        for child in self.children:
            if child.pid is not None and (status := _ended(child.pid)) is not None:
                self._note_end(child, child.pid, status)
                changed = True
            if child.pid is None and time.monotonic() >= child.start_at:
                child.pid = _launch(child, self.home)
                child.started = time.monotonic()
                logger.info("%s started as %d", child.name, child.pid)
                changed = True
        if changed:
            self._write_record()

    def _note_end(self, child: _Child, pid: int, status: int) -> None:
        stable = time.monotonic() - child.started > _STABLE_AFTER
        child.failures = 1 if stable else child.failures + 1
        delay = min(2.0 ** min(child.failures - 1, 10), _LONGEST_BACKOFF)  # 2.0 ** 1024 would overflow
        self.dead.add(pid)
        child.pid, child.start_at, self.look_again = None, time.monotonic() + delay, 0.0
        logger.warning("%s ended with status %d; it is started again in %.0f s", child.name, status, delay)

    def _clear_away(self) -> None:
        """Kill what dead components left in their process groups: a server that holds the port, workers without work.

        A worker whose task is running is left until a later look finds it idle.
        """
        if not self.dead or time.monotonic() < self.look_again:
            return
        self.look_again = time.monotonic() + _LOOK_AGAIN
        left = [process for process in owned(self.home.root) if _group(process.pid) in self.dead]
        busy = [process for process in left if _busy(process)]
        for process in left:
            if process not in busy:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self.dead = {_group(process.pid) for process in busy} & self.dead

    def _write_record(self) -> None:
        Running(
            kind=self.plan["kind"],
            supervisor=_component(os.getpid()),
            airflow_url=self.plan["airflow_url"],
            mlflow_url=self.plan["mlflow_url"],
            components={
                child.name: _component(child.pid, child.failures) for child in self.children if child.pid is not None
            },
        ).write(self.home.components)

    def _end_all(self) -> None:
        """Ask all but the servers to end while the servers still answer, then kill every process with the mark."""
        waiting = [child for child in self.children if child.pid is not None and child.name not in _SERVERS]
        for child in waiting:
            _signal(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while waiting and time.monotonic() < deadline:
            waiting = [child for child in waiting if child.pid is not None and _ended(child.pid) is None]
            time.sleep(0.05)
        killed = kill_all(owned(self.home.root))
        for child in self.children:
            if child.pid is not None:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child.pid, 0)  # leave no zombie behind
        logger.info("ended; killed %s", ", ".join(killed) or "nothing")
        self.home.components.unlink(missing_ok=True)


def main() -> None:
    """Take the home, unless another supervisor has it, and run its components."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    home = Home.current()
    # A POSIX lock ends with the process, and its forks do not inherit it.
    with (home.root / "supervisor.lock").open("w") as file:
        if not _locked(file):
            sys.exit("another supervisor has this home")
        Supervisor(home, json.loads(sys.argv[1])).run()


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _forks(child: _Child) -> bool:
    """Whether a component is a fork without exec; on macOS a fork must exec before it may use system libraries."""
    return child.command[0] == "airflow" and sys.platform == "linux"


def _import_airflow() -> None:
    # Imports and the API server's start allocate millions of objects that stay; collecting among them is a fifth of the time.
    gc.set_threshold(50_000, 20, 100)
    for name in _SHARED_IMPORTS:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _launch(child: _Child, home: Home) -> int:
    """Fork a component into a session of its own; returns its process id."""
    parent = os.getpid()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        _detach(home, child.name, parent)
        if _forks(child):
            _become_airflow(child)
        os.execvp(child.command[0], child.command)  # noqa: S606 - no shell is the point
    except BaseException:  # noqa: BLE001 - the child must never run the parent's code after this
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


def _detach(home: Home, name: str, parent: int) -> None:
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        # When the supervisor is killed, its components end, too. It may have been killed before the call.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)
    log = os.open(home.log(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)


def _become_airflow(child: _Child) -> NoReturn:
    from airflow.__main__ import main as airflow
    from setproctitle import setproctitle

    sys.argv = list(child.command)
    setproctitle(" ".join(child.command))
    preimport()  # airflow_local_settings.py was imported before the fork, when this was no scheduler
    code: object = 0
    try:
        airflow()  # type: ignore[no-untyped-call]
    except SystemExit as exit_:
        code = exit_.code
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: tearing the interpreter down takes seconds and does nothing that is needed.
    os._exit(code if isinstance(code, int) else int(code is not None))


def _ended(pid: int) -> int | None:
    """The exit status of a child that ended (minus the signal's number if one killed it), or None while it lives."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status) if found else None


def _group(pid: int) -> int:
    """The process group, 0 of a process that is gone. A component leads one; servers and workers stay in it, tasks do not."""
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(pid)
    return 0


def _busy(process: psutil.Process) -> bool:
    """Whether a process is an executor's worker that runs a task; Airflow writes that into its title."""
    with contextlib.suppress(psutil.NoSuchProcess):
        title: str = (process.cmdline() or [""])[0]
        return title.startswith("airflow worker -- ") and not title.endswith("<idle>")
    return False


def _signal(pid: int | None, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        if pid is not None:
            os.kill(pid, number)


def _component(pid: int, failures: int = 0) -> Component:
    try:
        started = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        started = 0.0
    return Component(pid=pid, started=started, failures=failures)


if __name__ == "__main__":
    main()
