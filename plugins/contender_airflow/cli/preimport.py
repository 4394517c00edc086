"""What the process that tasks fork from imports once, so that no task pays for it. Linux only: elsewhere nothing forks."""

from __future__ import annotations

import importlib
import logging
import os

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
    """Import the heavy modules, unless CONTENDER_PREIMPORT is 0. One that cannot be imported is the tasks' to report."""
    if os.environ.get("CONTENDER_PREIMPORT") == "0":
        return
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            logger.warning("cannot import %s ahead of the tasks: %s", name, error)
