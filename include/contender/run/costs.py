"""Costs of a run: each try of a step is measured and stored, and a run's cost is the sum of the stored records.

The records themselves are in ``documents.cost``, the measuring in ``sweep.usage``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from contender.documents.cost import Cost, Costs, Usage
from contender.documents.run import run_key
from contender.store.base import require_document, write_document
from contender.sweep.usage import Meter

if TYPE_CHECKING:
    from contender.documents.cost import Measured
    from contender.documents.run import Run
    from contender.documents.sweep import TrialResult
    from contender.spec.cost import CostSpec
    from contender.store.base import ArtifactStore
    from contender.sweep.results import Round


def cost_of(work: Iterable[Measured], rate: CostSpec | None) -> Cost:
    """The total cost of pieces of work, independent of their order."""
    work = list(work)
    cpu = math.fsum(one.cpu_seconds for one in work)
    return Cost(
        cpu_seconds=cpu,
        seconds=_busy_seconds(work),
        peak_memory=max((one.peak_memory for one in work if one.peak_memory is not None), default=None),
        money=None if rate is None else cpu / 3_600 * rate.per_cpu_hour,
        currency=None if rate is None else rate.currency,
    )


def _busy_seconds(work: list[Measured]) -> float:
    """Seconds during which at least one piece was running: the length of the union of their intervals."""
    total, until = 0.0, -math.inf
    for start, end in sorted((one.started.timestamp(), one.started.timestamp() + one.seconds) for one in work):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


@contextmanager
def record_usage(run: Run, store: ArtifactStore, step: str) -> Iterator[list[TrialResult]]:
    """Measure the block and store its usage, also when it fails.

    The block appends the trials it records to the yielded list; their CPU time, which their own records have, is
    subtracted.
    """
    started = datetime.now(UTC)
    recorded: list[TrialResult] = []
    meter = Meter()
    try:
        with meter:
            yield recorded
    finally:
        own = meter.cpu_seconds - sum(result.cpu_seconds for result in recorded)
        usage = Usage(
            step=step,
            started=started,
            seconds=meter.seconds,
            cpu_seconds=max(0.0, own),
            peak_memory=meter.peak_memory,
        )
        write_document(store, f"{_folder(run)}/{step}-{started:%Y%m%dT%H%M%S.%f}.json", usage)


def _folder(run: Run) -> str:
    """Where usage is kept: of the whole run, because an attempt that does not count has cost something, too."""
    return run_key(run.pipeline, run.id, "usage")


def costs_of(run: Run, store: ArtifactStore, rounds: Iterable[Round]) -> Costs:
    """The cost of a run so far, given the rounds of its sweep so far."""
    tried = {result.trial.key: result for one in rounds for result in one.results}.values()
    own = [result for result in tried if result.run_id == run.id]
    steps = [require_document(store, f"{_folder(run)}/{name}", Usage) for name in store.children(_folder(run))]
    return Costs(
        run=cost_of([*steps, *own], run.spec.cost),
        sweep=cost_of(own, run.spec.cost),
        saved=cost_of([result for result in tried if result.run_id != run.id], run.spec.cost),
    )
