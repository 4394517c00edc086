"""The same run with nobody killed: the seven steps in plain Python, in a process, store and MLflow of their own."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import life
from contender import pipeline
from contender.backends import Backends
from contender.documents.decision import Decision
from contender.documents.run import Run
from contender.documents.sweep import Plan, TrialResult
from contender.release.signing import create_key
from contender.run.freeze import freeze_run
from contender.spec.loading import load_spec
from contender.store.base import require_document
from contender.store.runs import require_decision
from contender.sweep.results import plans, result_key
from faults.lab import AS_OF

_ROOT: list[Path] = []


class Reference(NamedTuple):
    """What a run must come to."""

    plans: list[Plan]
    results: dict[str, TrialResult]
    decision: Decision


def prepare(root: Path, dags: Path) -> None:
    """Make this process one that computes references, below a folder of its own."""
    os.nice(5)
    os.environ["CONTENDER_HOME"] = str(root)  # where the demo world publishes
    os.environ.pop("FAULTS_FITS", None)
    sys.path.insert(0, str(dags))
    create_key(root / "signing.pem")
    _ROOT[:] = [root, dags]


def undisturbed(pipeline_name: str, seed: int) -> Reference:
    """The pipeline's run of this seed."""
    root, dags = _ROOT
    backends = Backends.connect(
        store=str(root / "store"), tracking_uri=f"sqlite:///{root}/mlflow.db", signing_key=str(root / "signing.pem")
    )
    spec = load_spec(dags / "pipelines" / f"{pipeline_name}.yaml")
    conf = {"as_of": AS_OF, "seed": seed}
    run = freeze_run(backends.store, spec, run_id=f"plain_{seed}", conf=conf, requested=datetime.now(UTC), by="tests")
    pipeline.snapshot(run, backends)
    pipeline.validate(run, backends)
    life.sweep(run, backends)
    pipeline.challenge(run, backends)
    return outcome_of(run, backends)


def outcome_of(run: Run, backends: Backends) -> Reference:
    """What a run came to."""
    decision = require_decision(run, backends.store).decision
    return Reference(plans(run, backends.store), records(run, backends), decision)


def records(run: Run, backends: Backends) -> dict[str, TrialResult]:
    """The records of all planned trials, by key.

    Raises:
        KeyError: one is missing.
    """
    keys = [result_key(run, trial.key) for plan in plans(run, backends.store) for trial in plan.trials]
    found = [require_document(backends.store, key, TrialResult) for key in keys]
    return {one.trial.key: one for one in found}
