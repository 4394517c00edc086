"""Which process imports the heavy modules ahead of its tasks."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from contender_airflow import preimport


def test_every_module_on_the_list_exists() -> None:
    assert [name for name in preimport._MODULES if importlib.util.find_spec(name) is None] == []


def test_the_libraries_find_what_contender_tells_them() -> None:
    """It sets their variables when it is imported; without them skrub makes a folder in the user's home."""
    assert preimport._MODULES[0] == "contender"


@pytest.mark.parametrize(
    ("command", "executor", "imports"),
    [
        ("airflow celery worker --queues default", "CeleryExecutor", True),
        ("airflow scheduler --skip-serve-logs", "LocalExecutor", True),
        ("airflow scheduler", "CeleryExecutor", False),
        ("airflow scheduler", "KubernetesExecutor", False),
        ("airflow dag-processor", "LocalExecutor", False),
        ("airflow api-server", "CeleryExecutor", False),
        ("airflow dags list", "LocalExecutor", False),
    ],
)
def test_only_the_process_that_tasks_fork_from_imports_ahead(
    command: str, executor: str, imports: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    monkeypatch.setattr(sys, "argv", command.split())
    monkeypatch.setattr(preimport, "_MODULES", ("colorsys",))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    preimport.preimport()
    assert ("colorsys" in sys.modules) is imports


def test_importing_ahead_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTENDER_PREIMPORT", "0")
    monkeypatch.setattr(sys, "argv", ["airflow", "celery", "worker"])
    monkeypatch.setattr(preimport, "_MODULES", ("colorsys",))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    preimport.preimport()
    assert "colorsys" not in sys.modules


def test_a_module_that_cannot_be_imported_is_left_to_the_task_that_needs_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["airflow", "celery", "worker"])
    monkeypatch.setattr(preimport, "_MODULES", ("nowhere",))
    preimport.preimport()
    assert "cannot import nowhere ahead of the tasks" in caplog.text
