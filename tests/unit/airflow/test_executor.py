"""How many tasks of a run train at a time, on one machine and on many."""

from __future__ import annotations

import os

import pytest

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
