"""Imports the heavy modules once, in the process that tasks fork from, so that no task spends seconds on it. Linux only.

``airflow_local_settings.py`` calls ``preimport``. Every component of Airflow imports that file; this module knows from
which of them tasks fork.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys

logger = logging.getLogger(__name__)

# Ten seconds of imports. They delay no task: the API server takes longer to start, and tasks need it.
_MODULES = (
    "contender",  # first: it sets what the others read when they are imported
    "pandas",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "skrub",
    "mlflow.sklearn",
    "matplotlib.pyplot",
    "great_expectations",
    "contender.pipeline",
)


def preimport() -> None:
    """Import the heavy modules if tasks fork from this process, unless CONTENDER_PREIMPORT is 0.

    A module that cannot be imported is only a warning here; the task that needs it fails with the error.
    """
    if os.environ.get("CONTENDER_PREIMPORT") == "0" or not _tasks_fork_from_here():
        return
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            logger.warning("cannot import %s ahead of the tasks: %s", name, error)


def _tasks_fork_from_here() -> bool:
    """Whether this process is a Celery worker, or the scheduler of a LocalExecutor, by its command line."""
    from contender_airflow.executor import tasks_fork_from_scheduler

    return "worker" in sys.argv or ("scheduler" in sys.argv and tasks_fork_from_scheduler())
