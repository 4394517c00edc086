"""The process that owns an embedded Airflow: starts its components, restarts what dies, and ends with nothing left.

Run as ``python -m contender_airflow.cli.supervisor PLAN`` by ``embedded.start``. The one module of the command line that
imports Airflow: on Linux it does so once and forks the components, which saves each of them four seconds and 100 MB.
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

from contender_airflow.cli.embedded import Component, Running, kill_all, owned
from contender_airflow.cli.home import Home
from contender_airflow.cli.preimport import preimport

logger = logging.getLogger("supervisor")

_TICK = 0.2
_GRACE = 5.0
_LONGEST_BACKOFF = 30.0
_STABLE_AFTER = 60.0
_LOOK_AGAIN = 5.0
_PR_SET_PDEATHSIG = 1
# They hold no state and are needed by the others while those end.
_SERVERS = ("api-server", "mlflow")
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
class _Slot:
    """One component: what to run, and how it is doing."""

    name: str
    command: list[str]
    pid: int | None = None
    started: float = 0.0
    failures: int = 0
    start_at: float = 0.0


@dataclass
class Supervisor:
    """Watches over the components of one home until it is told to stop, or its owner is gone."""

    home: Home
    plan: dict[str, Any]
    slots: list[_Slot] = field(default_factory=list)
    stopping: bool = False
    dead: set[int] = field(default_factory=set)
    look_again: float = 0.0

    def run(self) -> None:
        """Start everything, keep it alive, end it."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        self.slots = [_Slot(name, command) for name, command in self.plan["components"].items()]
        self._record()
        if any(_forks(slot) for slot in self.slots):
            _import_airflow()
        try:
            while not self.stopping:
                self._look_after_all()
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
            logger.info("whoever started this is gone")
            self.stopping = True

    def _look_after_all(self) -> None:
        changed = False
        for slot in self.slots:
            if slot.pid is not None and (status := _ended(slot.pid)) is not None:
                self._note_end(slot, slot.pid, status)
                changed = True
            if slot.pid is None and time.monotonic() >= slot.start_at:
                slot.pid = _launch(slot, self.home)
                slot.started = time.monotonic()
                logger.info("%s started as %d", slot.name, slot.pid)
                changed = True
        if changed:
            self._record()

    def _note_end(self, slot: _Slot, pid: int, status: int) -> None:
        stable = time.monotonic() - slot.started > _STABLE_AFTER
        slot.failures = 1 if stable else slot.failures + 1
        delay = min(2.0 ** (slot.failures - 1), _LONGEST_BACKOFF)
        self.dead.add(pid)
        slot.pid, slot.start_at, self.look_again = None, time.monotonic() + delay, 0.0
        logger.warning("%s ended with status %d; it is started again in %.0f s", slot.name, status, delay)

    def _clear_away(self) -> None:
        """Kill what dead components left in their process groups: a server that has the port, workers that nobody gives work to.

        A worker whose task is running goes on to its end, and is seen idle later.
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

    def _record(self) -> None:
        Running(
            kind=self.plan["kind"],
            supervisor=_component(os.getpid()),
            airflow_url=self.plan["airflow_url"],
            mlflow_url=self.plan["mlflow_url"],
            components={slot.name: _component(slot.pid, slot.failures) for slot in self.slots if slot.pid is not None},
        ).write(self.home.components)

    def _end_all(self) -> None:
        """Ask the schedulers to end while the servers still answer them, then kill whatever carries the mark."""
        waiting = [slot for slot in self.slots if slot.pid is not None and slot.name not in _SERVERS]
        for slot in waiting:
            _signal(slot.pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while waiting and time.monotonic() < deadline:
            waiting = [slot for slot in waiting if slot.pid is not None and _ended(slot.pid) is None]
            time.sleep(0.05)
        killed = kill_all(owned(self.home.root))
        for slot in self.slots:
            if slot.pid is not None:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(slot.pid, 0)  # Else a zombie is left to whoever adopts it.
        logger.info("ended; killed %s", ", ".join(killed) or "nothing")
        self.home.components.unlink(missing_ok=True)


def main() -> None:
    """Take the home, if nobody has it, and look after it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    home = Home.current()
    # A POSIX lock: gone with the process, and not inherited by what it forks.
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


def _forks(slot: _Slot) -> bool:
    """Whether a component is a bare fork of this process; on macOS a fork must exec before it may use system libraries."""
    return slot.command[0] == "airflow" and sys.platform == "linux"


def _import_airflow() -> None:
    # Imports and the API server's start allocate millions of objects that live on; looking at them is a fifth of the time.
    gc.set_threshold(50_000, 20, 100)
    for name in _SHARED_IMPORTS:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _launch(slot: _Slot, home: Home) -> int:
    """Fork a component into a session of its own; returns its process id."""
    parent = os.getpid()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        _detach(home, slot.name, parent)
        if _forks(slot):
            _become_airflow(slot)
        os.execvp(slot.command[0], slot.command)  # noqa: S606 - no shell is the point
    except BaseException:  # noqa: BLE001 - the parent's stack must never run on in the child
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


def _detach(home: Home, name: str, parent: int) -> None:
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        # When the supervisor itself is killed, its components end too.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)
    log = os.open(home.log(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)


def _become_airflow(slot: _Slot) -> NoReturn:
    from airflow.__main__ import main as airflow
    from setproctitle import setproctitle

    sys.argv = list(slot.command)
    setproctitle(" ".join(slot.command))
    preimport()
    code: object = 0
    try:
        airflow()  # type: ignore[no-untyped-call]
    except SystemExit as exit_:
        code = exit_.code
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: tearing the interpreter down takes seconds and frees nothing that matters.
    os._exit(code if isinstance(code, int) else int(code is not None))


def _ended(pid: int) -> int | None:
    """The exit status of a child that ended (minus the signal's number if one killed it), or None while it lives."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status) if found else None


def _group(pid: int) -> int:
    """The process group: a component leads one, which its servers and workers stay in and tasks leave; 0 of who is gone."""
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(pid)
    return 0


def _busy(process: psutil.Process) -> bool:
    """Whether it is an executor's worker with a task; its title says so."""
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
