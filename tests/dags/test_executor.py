"""What differs between tasks on one machine and tasks on many: how many train at a time, and who imports ahead of them."""

from __future__ import annotations

import os
import sys

import pytest

from contender_airflow.cli import preimport
from contender_airflow.executor import training_tasks_at_a_time


@pytest.mark.parametrize(
    ("executor", "parallelism", "expected"),
    [
        ("LocalExecutor", None, 4),
        ("LocalExecutor", 3, 3),
        ("LocalExecutor", 100, 4),
        ("airflow.executors.local_executor.LocalExecutor", 100, 4),
        ("LocalExecutor,CeleryExecutor", 100, 4),
        ("CeleryExecutor,LocalExecutor", 100, 100),
        ("CeleryExecutor", None, 4),
        ("CeleryExecutor", 100, 100),
        ("KubernetesExecutor", 1, 1),
    ],
)
def test_on_one_machine_no_more_tasks_train_than_it_has_cores(
    executor: str, parallelism: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert training_tasks_at_a_time(parallelism) == expected


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
def test_only_what_tasks_fork_from_imports_ahead(
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
