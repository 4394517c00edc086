"""The preprocessed folds that trials share, within a bound: a task lives as long as its round, and its memory must not grow
with the kinds of preprocessing that it meets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

Parts = tuple[Any, ...]
ROOM = 256_000_000  # bytes that one task may hold


class Prepared:
    """What was prepared, by kind of preprocessing and fold.

    A trial walks through all folds of one kind, and a task's next trial is most often of the same kind. So other kinds make
    room for today's; when even one kind does not fit, the folds that came first stay, and the others are prepared anew: to
    throw out the least recently used would then throw out each fold just before it is wanted.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._kinds: dict[Hashable, dict[Hashable, tuple[Parts, int]]] = {}  # the kind that was used last is last

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return sum(size for folds in self._kinds.values() for _, size in folds.values())

    def get(self, kind: Hashable, fold: Hashable, make: Callable[[], Parts]) -> Parts:
        """What was prepared for a fold, or what ``make`` makes of it."""
        folds = self._kinds[kind] = self._kinds.pop(kind, {})
        if fold in folds:
            return folds[fold][0]
        made = make()
        size = sum(map(size_of, made))
        own = sum(held for _, held in folds.values())
        if own + size <= self._room:
            while self.size + size > self._room:
                del self._kinds[next(iter(self._kinds))]
            folds[fold] = made, size
        return made


def size_of(part: Any) -> int:
    """Bytes of a DataFrame, an array, or a sparse matrix of SciPy."""
    if hasattr(part, "memory_usage"):
        return int(part.memory_usage(deep=True).sum())
    arrays = [part, *(getattr(part, name, None) for name in ("data", "indices", "indptr"))]
    return max(sum(int(one.nbytes) for one in arrays[1:] if hasattr(one, "nbytes")), int(getattr(part, "nbytes", 0)))
