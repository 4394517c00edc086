"""Idempotent steps: a step puts its document last, and a step whose document exists is not run again.

The document is put if absent. A step that was believed dead and ends after its successor leaves nothing and returns the
successor's document, so what a step shows beside its document is written afterwards, or in a place of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from contender.run.costs import record_usage
from contender.store.base import put_document_if_absent, read_document, require_document

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.documents.run import Run
    from contender.frozen import Frozen

Document = TypeVar("Document", bound="Frozen")
Arguments = ParamSpec("Arguments")
Step = Callable[Concatenate["Run", "Backends", Arguments], Document]


def once(
    document: type[Document],
    name: str,
    keep: Callable[[Run, Backends, Document], None] | None = None,
    *,
    step: str = "",
) -> Callable[[Step[Arguments, Document]], Step[Arguments, Document]]:
    """Make a step idempotent: if its document exists it is returned, else the step runs and its document is put.

    Args:
        name: the document's name below the run's key; ``{number}`` in it stands for the round.
        keep: called with a document that exists, to see that what it names exists, too.
        step: the step's name in the costs, when the function has another one.
    """

    def decorated(act: Step[Arguments, Document]) -> Step[Arguments, Document]:
        @wraps(act)
        def stepped(run: Run, backends: Backends, /, *args: Arguments.args, **named: Arguments.kwargs) -> Document:
            rounds: dict[str, Any] = {"number": 1, **named}
            key = run.key(name.format_map(rounds))
            found = read_document(backends.store, key, document)
            if found is None:
                with record_usage(run, backends.store, step or act.__name__):
                    found = act(run, backends, *args, **named)
                # Last: the document says that the step is complete.
                if not put_document_if_absent(backends.store, key, found):
                    found = require_document(backends.store, key, document)
            elif keep is not None:
                keep(run, backends, found)
            return found

        return stepped

    return decorated
