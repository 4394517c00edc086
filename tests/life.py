"""A run's whole life, for tests of what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contender import pipeline
from contender.documents import Decision, Plan
from contender.store.base import require_document

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.documents import Outcome, Run


def live(run: Run, backends: Backends) -> Outcome:
    """The seven steps, one after another; the outcome."""
    pipeline.snapshot(run, backends)
    pipeline.validate(run, backends)
    pipeline.plan(run, backends, cores=1)
    for shard in require_document(backends.store, run.key("plan.json"), Plan).shards:
        pipeline.train(run, backends, shard=shard.index)
    pipeline.challenge(run, backends)
    pipeline.promote(run, backends)
    return pipeline.announce(run, backends)


def decided(run: Run, backends: Backends) -> Decision:
    """What a run decided."""
    return require_document(backends.store, run.key("decision.json"), Decision)


def through(run: Run, backends: Backends) -> Decision:
    """The seven steps; the decision."""
    live(run, backends)
    return decided(run, backends)
