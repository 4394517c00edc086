"""What depends on Airflow's executor: whether the tasks of a run share one machine, and how many train at a time."""

from __future__ import annotations

import os

from airflow.sdk.configuration import conf


def tasks_fork_from_scheduler() -> bool:
    """Whether tasks are child processes of the scheduler. Of several executors the first is the default."""
    return "LocalExecutor" in conf.get("core", "executor").split(",")[0]


def training_tasks_at_a_time(parallelism: int | None) -> int:
    """How many training tasks of a run may be under way. On one machine never more than it has cores.

    Args:
        parallelism: the spec's ``sweep.parallelism``; None: as many as there are cores.
    """
    cores = len(os.sched_getaffinity(0))
    if parallelism is None or tasks_fork_from_scheduler():
        return min(parallelism or cores, cores)
    return parallelism
