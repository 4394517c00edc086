"""A run's whole life, for tests of what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contender import pipeline
from contender.store.runs import require_decision

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.documents.decision import Decision
    from contender.documents.outcome import Outcome
    from contender.documents.run import Run
    from contender.documents.sweep import TaskReport


def live(run: Run, backends: Backends) -> Outcome:
    """The seven steps, one after another; the outcome."""
    pipeline.snapshot(run, backends)
    pipeline.validate(run, backends)
    sweep(run, backends)
    pipeline.challenge(run, backends)
    pipeline.promote(run, backends)
    return pipeline.announce(run, backends)


def sweep(run: Run, backends: Backends, *, cores: int = 1) -> list[list[TaskReport]]:
    """Plan and train, round by round; what each training task reported."""
    reports = []
    for number in range(1, run.spec.sweep.strategy.rounds + 1):
        plan = pipeline.plan(run, backends, cores=cores, number=number)
        reports.append([pipeline.train(run, backends, task=n, number=number) for n in range(plan.tasks)])
    return reports


def decided(run: Run, backends: Backends) -> Decision:
    """What a run decided."""
    return require_decision(run, backends.store).decision


def report_page(run: Run, backends: Backends) -> str:
    """The page of what a run decided."""
    return backends.store.read(run.key(decided(run, backends).report)).decode()


def through(run: Run, backends: Backends) -> Decision:
    """The seven steps; the decision."""
    live(run, backends)
    return decided(run, backends)
