"""Files of a remote store on the worker's own disk, by their SHA-256, shared by all processes of the machine's user.

Every time a file is handed out it is hashed again. Locks (``flock``, which a killed process gives back) say who is at
what: a file that is handed out is held until its ``Cache`` object is gone, and a file that is being fetched until it is
complete. So one process fetches and the others wait for it, nobody sees half a file, and none that is in use is evicted.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from contender.errors import BackendError, ConfigError
from contender.store.base import changed

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_GIB = 20.0
_GIB = 1024**3
_PENDING = ".pending-"


def default_folder() -> Path:
    """``contender`` in the user's own cache folder.

    Raises:
        ConfigError: the user has none.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "contender"
    except RuntimeError:
        raise ConfigError("store: no home folder for its cache; set cache in the contender_store connection") from None


class Cache:
    """A folder of files, of which those not asked for the longest are removed when they take more than a limit.

    Args:
        folder: made when missing; only its owner may look in.
        gib: the limit in GiB. Files that are in use count, and are not removed.
    """

    def __init__(self, folder: Path, gib: float = DEFAULT_GIB) -> None:
        self.folder, self.gib = folder, gib
        self._held: dict[str, BinaryIO] = {}
        weakref.finalize(self, _close, self._held)

    @property
    def settings(self) -> dict[str, Any]:
        """What makes it again."""
        return {"cache": str(self.folder), "cache_gib": self.gib}

    def file(self, sha256: str, fetch: Callable[[BinaryIO], object], place: str) -> Path:
        """The file with this hash.

        Args:
            sha256: hex.
            fetch: writes the content into the file it is given, at any position.
            place: where the content comes from, for messages.

        Raises:
            BackendError: what was fetched has another hash, or does not fit on the disk. Nothing is kept of it.
        """
        try:
            self._prepare()
            while True:  # another turn: somebody else completed it, or evicted it before it was ours
                if self._found(sha256) or self._fetched(sha256, fetch, place):
                    return self.folder / sha256
        except OSError as error:
            msg = f"store: cache {self.folder}: {error.strerror or error}; give the contender_store connection another cache"
            raise BackendError(msg) from error

    def _prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.stat().st_mode & 0o077:
            self.folder.chmod(0o700)  # refused when it is another user's

    def _found(self, sha256: str) -> bool:
        """Whether the file is there and right; then it is held. A wrong one is removed."""
        path = self.folder / sha256
        file = self._held.pop(sha256, None) or _locked(path, os.O_RDONLY, fcntl.LOCK_SH)
        if file is None:
            return False
        if _is(file, path):
            if _digest(file) == sha256:
                os.utime(path)
                self._held[sha256] = file
                return True
            path.unlink(missing_ok=True)
        file.close()
        return False

    def _fetched(self, sha256: str, fetch: Callable[[BinaryIO], object], place: str) -> bool:
        """Whether it was for this process to fetch the file, which then is held."""
        path, pending = self.folder / sha256, self.folder / f"{_PENDING}{sha256}"
        file = _locked(pending, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX)
        if file is None:
            return False
        if not _is(file, pending) or path.exists():
            file.close()
            return False
        try:
            file.truncate()  # what a killed process left
            fetch(file)
            file.flush()
            if _digest(file) != sha256:
                raise changed(place)
            pending.replace(path)
        except BaseException:
            pending.unlink(missing_ok=True)
            file.close()
            raise
        fcntl.flock(file, fcntl.LOCK_SH)
        self._held[sha256] = file
        self._evict()
        return _is(file, path)

    def _evict(self) -> None:
        """Remove the oldest files beyond the limit, and what killed processes left."""
        found = []
        for path in self.folder.iterdir():
            try:
                state = path.stat()
            except FileNotFoundError:
                continue
            found.append((not path.name.startswith(_PENDING), state.st_mtime_ns, path.name, state.st_size))
        over = sum(size for *_, size in found) - self.gib * _GIB
        for complete, _, name, size in sorted(found):
            if (over > 0 or not complete) and _removed(self.folder / name):
                over -= size


def _locked(path: Path, flags: int, lock: int) -> BinaryIO | None:
    try:
        file: BinaryIO = os.fdopen(os.open(path, flags, 0o600), "rb" if flags == os.O_RDONLY else "r+b")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, lock)
    except BlockingIOError:
        file.close()
        raise
    return file


def _removed(path: Path) -> bool:
    """Whether nobody was at the file, and it is gone."""
    try:
        file = _locked(path, os.O_RDONLY, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    if file is None:
        return False
    with file:
        if not _is(file, path):
            return False
        path.unlink()
    return True


def _is(file: BinaryIO, path: Path) -> bool:
    """Whether the path still leads to the open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _close(held: dict[str, BinaryIO]) -> None:
    for file in held.values():
        file.close()


def _digest(file: Any) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
