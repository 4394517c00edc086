"""Arguments in, exit codes out."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from typer.testing import CliRunner

from contender_airflow.cli import app as module
from contender_airflow.cli import run as run_module

COMMANDS = ("run", "up", "down", "env", "key", "check", "schema", "status", "ledger", "rollback", "adopt")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What ``contender run`` is asked to do, without doing it."""
    requests: list[Any] = []

    def follow(request: Any, *_: object) -> bool:
        requests.append(request)
        return bool(request.pipeline != "fails")

    monkeypatch.setattr(run_module, "run", follow)
    return requests


def call(*arguments: str) -> Any:
    return CliRunner().invoke(module.app, list(arguments))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    assert call(command, "--help").exit_code == 0


def test_a_run_is_of_churn_unless_told_otherwise(asked: list[Any]) -> None:
    assert call("run").exit_code == 0
    assert (asked[0].pipeline, asked[0].conf, asked[0].timeout) == ("churn", {}, None)


def test_as_of_goes_into_the_conf(asked: list[Any]) -> None:
    call("run", "fraud", "--as-of", "2026-03-02", "--conf", '{"sweep.budget": "5m"}', "--timeout", "1h30m")
    assert asked[0].dag_id == "fraud__training"
    assert asked[0].conf == {"sweep.budget": "5m", "as_of": "2026-03-02"}
    assert asked[0].timeout == 5400


def test_a_failed_run_exits_with_1(asked: list[Any]) -> None:
    assert call("run", "fails").exit_code == 1
    assert len(asked) == 1


@pytest.mark.parametrize("arguments", [("--conf", "{"), ("--conf", "[1]"), ("--timeout", "soon"), ("--nope",)])
def test_a_wrong_argument_exits_with_2_and_asks_nothing_of_airflow(
    asked: list[Any], arguments: tuple[str, ...]
) -> None:
    assert call("run", *arguments).exit_code == 2
    assert asked == []


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """The signals that reach the handlers of this process, which it had before ``contender run`` was called."""
    received: list[int] = []

    def handler(number: int, _: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield received
    for number, old in before.items():
        signal.signal(number, old)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_the_run_and_afterwards_goes_where_it_went_before(
    handled: list[int], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(run_module, "run", lambda *_: signal.raise_signal(number))
    assert call("run").exit_code == 130
    assert handled == []
    signal.raise_signal(number)
    assert handled == [number]


def test_a_signal_that_nohup_ignores_stays_ignored(handled: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    monkeypatch.setattr(run_module, "run", lambda *_: signal.raise_signal(signal.SIGHUP) is None)
    assert call("run").exit_code == 0
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert handled == []


def contender(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "contender_airflow.cli.app", *arguments]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


def test_a_users_mistake_is_one_line_and_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTENDER_DAGS", raising=False)
    monkeypatch.setenv("CONTENDER_HOME", str(tmp_path / "home"))
    done = contender(tmp_path, "run")
    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("no DAG folder at ")


def test_a_command_on_a_home_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "import contender_airflow.cli.app\n"
        "light = {'airflow', 'mlflow', 'pandas', 'sklearn', 'httpx', 'pydantic', 'psutil'} & set(sys.modules)\n"
        "import contender_airflow.cli.run, contender_airflow.cli.service, contender_airflow.cli.show\n"
        "import contender.run.status, contender.store.local\n"
        "heavy = {'airflow', 'mlflow', 'pandas', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(f'{light} {heavy}' if light or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
