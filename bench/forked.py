"""``python -m bench.forked PIPELINE RUN_ID WAY``: only the fits of a run's trials, once more.

``forked`` fits in processes forked from this one, which has imported everything; ``loky`` by joblib, like
scikit-learn.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
import mlflow  # noqa: F401 - the parent imports everything, as the scheduler does
import sklearn.ensemble  # noqa: F401
import skrub  # noqa: F401

from bench.rows import CORES, forked_seconds
from contender.data.rows import load_rows
from contender.documents.run import Run
from contender.store.base import require_document
from contender.store.local import LocalStore
from contender.sweep.results import plans
from contender.sweep.worker import evaluator_of

if TYPE_CHECKING:
    from contender.documents.sweep import Trial
    from contender.sweep.trial import Evaluator


def main(name: str, run_id: str, way: str) -> None:
    """Print ``{"seconds": ...}``, from the start of the first fit to the end of the last."""
    store = LocalStore(Path(os.environ["CONTENDER_HOME"]) / "store")
    run = require_document(store, f"{name}/runs/{run_id}/run.json", Run)
    [plan] = plans(run, store)
    global fit  # noqa: PLW0603 - a forked pool finds its function by name
    evaluator = evaluator_of(load_rows(run, store))

    def fit(number: int) -> None:
        evaluator.run(plan.trials[number])

    fit.__qualname__ = "fit"
    if way == "forked":
        seconds = forked_seconds(fit, len(plan.trials))
    else:
        began = time.perf_counter()
        joblib.Parallel(n_jobs=CORES)(joblib.delayed(once)(evaluator, trial) for trial in plan.trials)
        seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds}))


def once(evaluator: Evaluator, trial: Trial) -> None:
    """One trial, in a process that gets the data with the call (joblib memory-maps large arrays)."""
    evaluator.run(trial)


if __name__ == "__main__":
    main(*sys.argv[1:])
