"""One trial as MLflow shows it: tags, parameters and numbers. All are computed from its record, so showing a trial
again changes nothing. Nothing here calls MLflow.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from mlflow.entities import Metric, Param

from contender.words import metric_label, thinned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities import Run as MlflowRun

    from contender.documents.run import Run
    from contender.documents.sweep import Trial, TrialResult

TRIAL = "contender.trial"
ERROR = "contender.error"
PARENT = "mlflow.parentRunId"
_PARAM_LENGTH = 6_000  # MLflow's limit for a parameter
_TAG_LENGTH = 5_000  # below MLflow's limit for a tag
_POINTS = 20  # of a curve; each point is a row in MLflow's database


def interval(result: TrialResult) -> tuple[int, int]:
    """When the trial started and ended, in milliseconds of Unix time."""
    started = int(result.started.timestamp() * 1_000)
    return started, started + int(result.seconds * 1_000)


def status(result: TrialResult) -> str:
    """The final status of its MLflow run."""
    return "FINISHED" if result.status == "complete" else "FAILED"


def is_complete(shown: MlflowRun) -> bool:
    """Whether an MLflow run has all numbers of its trial: this status is set last, and an abandoned run is KILLED."""
    return shown.info.status in ("FINISHED", "FAILED")


def tags(run: Run, parent: str, result: TrialResult) -> dict[str, str]:
    """The tags that its MLflow run is created with: name, parent, user, code and data it depends on, error."""
    trial, code = result.trial, result.code or run.code
    versions = {"python": code.python, **code.versions, "lock": code.lock}
    known = {
        "mlflow.runName": f"{trial.label} {trial.key[:8]}",
        PARENT: parent,
        TRIAL: trial.key,
        "mlflow.user": run.by,
        "mlflow.source.name": "contender",
        "mlflow.source.git.commit": code.commit,
        "contender.code": code.fingerprint[:16],
        "contender.snapshot": result.snapshot,
        "contender.versions": json.dumps(versions),
        "mlflow.note.content": result.error,
        ERROR: result.error,
    }
    return {name: value[:_TAG_LENGTH] for name, value in known.items() if value}


def params(trial: Trial) -> list[Param]:
    """The trial's estimator, seed and hyperparameters; values that are too long for MLflow are cut."""
    path = {"pipeline" if trial.pipeline else "estimator": trial.estimator}
    part = {} if trial.folds is None else {"folds": trial.folds}
    share = {"share": trial.share} if trial.share < 1 else {}
    named = {**path, "seed": trial.seed, **part, **share, **trial.params}
    return [Param(name, str(value)[:_PARAM_LENGTH]) for name, value in named.items()]


def metrics(run: Run, result: TrialResult) -> list[Metric]:
    """The trial's finite numbers: scores with the fold as step, their mean and deviation, cost, and learning curves."""
    at, _ = interval(result)
    return [
        Metric(name, value, at, step)
        for name, step, value in _numbers(metric_label(run.spec.sweep.metric), result)
        if value is not None and math.isfinite(value)
    ]


def _numbers(metric: str, result: TrialResult) -> Iterator[tuple[str, int, float | None]]:
    yield f"cv_{metric}", 0, result.mean
    yield f"cv_{metric}_std", 0, result.std
    for fold, score in enumerate(result.scores):
        yield f"fold_{metric}", fold, score
    yield "seconds", 0, result.seconds
    yield "fit_seconds", 0, result.fit_seconds
    yield "cpu_seconds", 0, result.cpu_seconds
    yield "peak_memory_mb", 0, None if result.peak_memory is None else result.peak_memory / 1e6
    for name, curve in result.curves.items():  # the slash gives the curves a section of their own in MLflow
        for step, value in thinned(curve, _POINTS):
            yield f"curve/{name}", step, value
