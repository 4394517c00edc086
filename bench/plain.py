"""``python -m bench.plain PIPELINE AS_OF``: the seven steps in plain Python, training tasks in forked processes."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.rows import CORES, forked_seconds
from contender import pipeline
from contender.backends import Backends
from contender.run.freeze import freeze_run
from contender.spec.loading import load_spec


def main(name: str, as_of: str) -> None:
    """Run one pipeline on the home in ``CONTENDER_HOME``."""
    home = Path(os.environ["CONTENDER_HOME"])
    backends = Backends.connect(
        store=str(home / "store"),
        tracking_uri=f"sqlite:///{home / 'mlflow' / 'mlflow.db'}",
        signing_key=str(home / "keys" / "release_ed25519.pem"),
    )
    spec = load_spec(Path(os.environ["CONTENDER_DAGS"]) / "pipelines" / f"{name}.yaml")
    run = freeze_run(
        backends.store, spec, run_id="plain", conf={"as_of": as_of}, requested=datetime.now(UTC), by="bench"
    )
    pipeline.snapshot(run, backends)
    pipeline.validate(run, backends)
    plan = pipeline.plan(run, backends, cores=CORES)
    backends.tracking.client._tracking_client.store.engine.dispose()  # noqa: SLF001 - a connection must not be forked

    def train(task: int) -> None:
        pipeline.train(run, backends, task=task)

    globals()["train"] = train  # a forked pool finds its function by name
    train.__qualname__ = "train"
    forked_seconds(train, plan.tasks)
    pipeline.challenge(run, backends)
    pipeline.promote(run, backends)
    pipeline.announce(run, backends)
    pipeline.close(backends, run.pipeline, run.id)


if __name__ == "__main__":
    main(*sys.argv[1:])
