"""Idempotent steps: a step writes its document last, and a step whose document exists is not run again."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from contender.run.costs import record_usage
from contender.store.base import read_document, write_document

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.documents.run import Run
    from contender.frozen import Frozen

Document = TypeVar("Document", bound="Frozen")
Arguments = ParamSpec("Arguments")
Step = Callable[Concatenate["Run", "Backends", Arguments], Document]


def once(
    document: type[Document], name: str, keep: Callable[[Run, Backends, Document], None] | None = None
) -> Callable[[Step[Arguments, Document]], Step[Arguments, Document]]:
    """Make a step idempotent: if its document exists it is returned, else the step runs and its document is written.

    Args:
        name: the document's name below the run's key; ``{number}`` in it stands for the round.
        keep: called with a document that exists, to see that what it names exists, too.
    """

    def decorated(step: Step[Arguments, Document]) -> Step[Arguments, Document]:
        @wraps(step)
        def stepped(run: Run, backends: Backends, /, *args: Arguments.args, **named: Arguments.kwargs) -> Document:
            rounds: dict[str, Any] = {"number": 1, **named}
            key = run.key(name.format_map(rounds))
            found = read_document(backends.store, key, document)
            if found is None:
                with record_usage(run, backends.store, step.__name__):
                    found = step(run, backends, *args, **named)
                write_document(backends.store, key, found)  # last: the document says that the step is complete
            elif keep is not None:
                keep(run, backends, found)
            return found

        return stepped

    return decorated
