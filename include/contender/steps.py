"""What all steps have in common: one that wrote its document has happened, and what every try cost is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from contender.cost import Costs, Usage, cost_of
from contender.store.base import read_document, require_document, write_document
from contender.sweep.usage import Meter

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.documents import Run, TrialResult
    from contender.frozen import Frozen
    from contender.store.base import ArtifactStore
    from contender.sweep.results import Round

Document = TypeVar("Document", bound="Frozen")
Arguments = ParamSpec("Arguments")
Step = Callable[Concatenate["Run", "Backends", Arguments], Document]


def once(document: type[Document], name: str) -> Callable[[Step[Arguments, Document]], Step[Arguments, Document]]:
    """A step that happens once: its document is written last, and whoever finds it there returns it.

    Args:
        name: the document's, below the run's key; ``{number}`` in it is the round.
    """

    def decorated(step: Step[Arguments, Document]) -> Step[Arguments, Document]:
        @wraps(step)
        def stepped(run: Run, backends: Backends, /, *args: Arguments.args, **named: Arguments.kwargs) -> Document:
            rounds: dict[str, Any] = {"number": 1, **named}
            key = run.key(name.format_map(rounds))
            found = read_document(backends.store, key, document)
            if found is None:
                with counted(run, backends.store, step.__name__):
                    found = step(run, backends, *args, **named)
                write_document(backends.store, key, found)
            return found

        return stepped

    return decorated


@contextmanager
def counted(run: Run, store: ArtifactStore, step: str) -> Iterator[list[TrialResult]]:
    """Keep what the block costs, also when it fails. Trials that it appends to the list have their cost on record."""
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
        write_document(store, run.key(f"usage/{step}-{started:%Y%m%dT%H%M%S.%f}.json"), usage)


def costs_of(run: Run, store: ArtifactStore, rounds: Iterable[Round]) -> Costs:
    """What a run has cost so far, with the rounds of its sweep so far."""
    tried = {result.trial.key: result for one in rounds for result in one.results}.values()
    own = [result for result in tried if result.run_id == run.id]
    steps = [require_document(store, run.key(f"usage/{name}"), Usage) for name in store.children(run.key("usage"))]
    return Costs(
        run=cost_of([*steps, *own], run.spec.cost),
        sweep=cost_of(own, run.spec.cost),
        saved=cost_of([result for result in tried if result.run_id != run.id], run.spec.cost),
    )
