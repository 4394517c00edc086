"""The seven steps on ninety days of customers, one at a time, and all that exists after them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builders import AS_OF, TIMED, make_run, make_table
from contender import pipeline
from contender.backends import Backends
from contender.documents.release import release_key
from contender.documents.sweep import Plan, TrialResult
from contender.store.base import require_document
from contender.store.ledger import Ledger
from contender.store.runs import release_place
from contender.tracking import models

if TYPE_CHECKING:
    import pyarrow as pa

    from contender.documents.run import Run

LATER = AS_OF + timedelta(days=21)
GATES: list[dict[str, Any]] = [
    {"kind": "threshold", "metric": "roc_auc", "min": 0.5},
    {"kind": "beats", "opponent": "champion", "policy": "unless_worse", "margin": 0.5, "min_rows": 20},
]
STEPS = ("snapshot", "validate", "plan", "train", "challenge", "promote", "announce")


def customers() -> pa.Table:
    """Ninety days of customers, until three weeks after AS_OF. A later candidate on them is not proved worse than an earlier."""
    return make_table(900, until=LATER, days=90, seed=1)


def timed(lake: Path, run_id: str = "r1", **parts: Any) -> Run:
    return make_run(
        lake, run_id=run_id, **{"data": TIMED, "split": {"gate": "14d", "folds": 2}, "gates": GATES} | parts
    )


def step(name: str, run: Run, backends: Backends) -> Any:
    if name == "plan":
        return pipeline.plan(run, backends, cores=2)
    if name == "train":
        tasks = require_document(backends.store, run.round_key(1, "plan.json"), Plan).tasks
        return [pipeline.train(run, backends, task=task) for task in range(tasks)]
    return getattr(pipeline, name)(run, backends)


def through(run: Run, backends: Backends, last: str = "announce") -> Any:
    """All steps up to the last one; what it returned."""
    result = None
    for name in STEPS[: STEPS.index(last) + 1]:
        result = step(name, run, backends)
    return result


def entries(backends: Backends) -> list[tuple[str, str | None]]:
    return [(entry.kind, entry.version) for entry in Ledger(backends.store, "churn").entries()]


def released(name: str, backends: Backends, run_id: str = "r1") -> str:
    """The key of a file of the release that a run decided on."""
    return release_key("churn", release_place(backends.store, "churn", run_id), name)


def versions(backends: Backends) -> list[str]:
    return sorted(str(version.version) for version in backends.tracking.client.search_model_versions("name = 'churn'"))


def champion(backends: Backends) -> str | None:
    return models.champion_alias(backends.tracking, "churn")


def runs(backends: Backends) -> list[Any]:
    return list(backends.tracking.client.search_runs([backends.tracking.experiment("churn")]))


def everything(backends: Backends) -> dict[str, Any]:
    """All that exists: what a step that has happened must leave as it is."""
    client = backends.tracking.client
    return {
        "store": {key: backends.store.read(key) for key in backends.store.keys("churn")},
        "runs": {run.info.run_id: (run.info.status, run.data.metrics, run.data.params, run.data.tags) for run in runs(backends)},
        "models": sorted(model.model_id for model in client.search_logged_models([backends.tracking.experiment("churn")])),
        "versions": versions(backends),
        "champion": champion(backends),
    }  # fmt: skip


def results(run: Run, backends: Backends) -> list[TrialResult]:
    trials = require_document(backends.store, run.round_key(1, "plan.json"), Plan).trials
    return [require_document(backends.store, f"churn/trials/{trial.key}.json", TrialResult) for trial in trials]
