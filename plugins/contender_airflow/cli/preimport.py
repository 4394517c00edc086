"""What the process that tasks fork from imports once, so that no task pays for it. Linux only: elsewhere nothing forks.

In an Airflow of one's own, ``airflow_local_settings.py`` calls it: every component imports that file, and this module knows
which of them tasks fork from.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys

logger = logging.getLogger(__name__)

# Ten seconds of imports, on a core that would otherwise wait for the API server, which takes longer to start.
_MODULES = (
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

    A module that cannot be imported is the tasks' to report.
    """
    if os.environ.get("CONTENDER_PREIMPORT") == "0" or not _tasks_fork_from_here():
        return
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            logger.warning("cannot import %s ahead of the tasks: %s", name, error)


def _tasks_fork_from_here() -> bool:
    """Whether this is a Celery worker, or the scheduler of a LocalExecutor."""
    from contender_airflow.executor import tasks_fork_from_scheduler

    return "worker" in sys.argv or ("scheduler" in sys.argv and tasks_fork_from_scheduler())
