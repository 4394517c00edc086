"""``python -m bench.forked PIPELINE RUN_ID``: a run's trials again, only the fits, in processes forked from this one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import mlflow  # noqa: F401 - the parent has imported everything, as the scheduler has
import sklearn.ensemble  # noqa: F401
import skrub  # noqa: F401

from bench.rows import forked_seconds
from contender.data.rows import load_rows
from contender.documents import Plan, Run
from contender.store.base import require_document
from contender.store.local import LocalStore
from contender.sweep.trial import Evaluator


def main(name: str, run_id: str) -> None:
    """Print ``{"seconds": ...}`` from the first fit's start to the last one's end."""
    store = LocalStore(Path(os.environ["CONTENDER_HOME"]) / "store")
    run = require_document(store, f"{name}/runs/{run_id}/run.json", Run)
    plan = require_document(store, run.key("plan.json"), Plan)
    rows = load_rows(run, store)
    sweep = rows.split.sweep
    global fit  # noqa: PLW0603 - a forked pool looks its work up by name
    evaluator = Evaluator(
        features=rows.features.iloc[sweep],
        target=rows.target[sweep],
        folds=rows.folds,
        metric=run.spec.sweep.metric,
        classification=run.spec.data.classification,
    )

    def fit(number: int) -> None:
        evaluator.run(plan.trials[number])

    fit.__qualname__ = "fit"
    print(json.dumps({"seconds": forked_seconds(fit, len(plan.trials))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
