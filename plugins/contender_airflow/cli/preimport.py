"""What the process that tasks fork from imports once, so that no task pays for it. Linux only: elsewhere nothing forks."""

from __future__ import annotations

import importlib
import os
import sys

# Not Great Expectations: one task of a run uses it, so importing it here (3 s) would only move the wait to the start.
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
    os.environ.setdefault("MPLBACKEND", "Agg")
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"cannot import {name} ahead of the tasks: {error}", file=sys.stderr)
