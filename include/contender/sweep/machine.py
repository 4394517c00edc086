"""Whose failure an error is: the estimator's, which is a result, or its machine's, which says nothing of the trial."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Memory (also that of NumPy and Arrow), disks, sockets and files, a library that is not installed here, a pool whose
# worker was killed (loky's, too).
_KINDS = (MemoryError, OSError, ImportError, BrokenExecutor)
_WORDS = ("out of memory", "bad_alloc", "bad allocation", "cannot allocate memory")  # of libraries in C++ and of GPUs


def by_machine(error: BaseException) -> bool:
    """Whether an error came of memory, disk, network, a missing library or a killed process, directly or as its cause.

    In doubt it did: then the trial is tried again, while a failure of the estimator is kept for good.
    """
    return any(
        isinstance(one, _KINDS) or any(word in str(one).lower() for word in _WORDS) for one in _with_causes(error)
    )


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__
