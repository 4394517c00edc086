"""Files of a remote store on the worker's own disk, named by SHA-256, shared by all processes of one user.

A file is hashed again each time it is handed out. Locks (``flock``; the kernel releases those of a killed process)
protect the files: a shared lock on each file in use, until its ``Cache`` object is gone, and an exclusive lock on a
file being fetched. One process fetches while the others wait, none sees half a file, and no file in use is evicted.
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
_PENDING = ".pending-"  # prefix of a file that is being fetched; a complete one is named by its hash


def default_folder() -> Path:
    """``contender`` in the user's own cache folder.

    Raises:
        ConfigError: the user has no home folder.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "contender"
    except RuntimeError:
        raise ConfigError("store: no home folder for its cache; set cache in the contender_store connection") from None


class Cache:
    """A folder of files with a size limit; beyond it the least recently used files are removed.

    Args:
        folder: created when missing; only its owner has access.
        gib: the limit in GiB. Files in use count, but are not removed.
    """

    def __init__(self, folder: Path, gib: float = DEFAULT_GIB) -> None:
        self.folder, self.gib = folder, gib
        self._held: dict[str, BinaryIO] = {}
        weakref.finalize(self, _close, self._held)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of ``open_store`` that make this cache."""
        return {"cache": str(self.folder), "cache_gib": self.gib}

    def file(self, sha256: str, fetch: Callable[[BinaryIO], object], place: str) -> Path:
        """The file with this hash.

        Args:
            sha256: the content's hash, in hex.
            fetch: writes the content into an open file, in any order.
            place: where the content comes from, for messages.

        Raises:
            BackendError: the fetched content has another hash, or does not fit on the disk. None of it is kept.
        """
        try:
            self._prepare()
            while True:  # again when another process completed the fetch, or evicted the file before it was locked
                if self._hold_cached(sha256) or self._fetch(sha256, fetch, place):
                    return self.folder / sha256
        except OSError as error:
            msg = f"store: cache {self.folder}: {error.strerror or error}; give the contender_store connection another cache"
            raise BackendError(msg) from error

    def _prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.stat().st_mode & 0o077:
            self.folder.chmod(0o700)  # raises PermissionError for another user's folder

    def _hold_cached(self, sha256: str) -> bool:
        """Lock the cached file and check its hash; whether both succeeded. A file with another hash is removed."""
        path = self.folder / sha256
        file = self._held.pop(sha256, None) or _open_locked(path, os.O_RDONLY, fcntl.LOCK_SH)
        if file is None:
            return False
        if _same_file(file, path):
            if _digest(file) == sha256:
                os.utime(path)  # eviction removes the oldest first
                self._held[sha256] = file
                return True
            path.unlink(missing_ok=True)
        file.close()
        return False

    def _fetch(self, sha256: str, fetch: Callable[[BinaryIO], object], place: str) -> bool:
        """Fetch and lock the file; whether this process did it. False: another one did, and the caller looks again."""
        path, pending = self.folder / sha256, self.folder / f"{_PENDING}{sha256}"
        file = _open_locked(pending, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX)
        if file is None:
            return False
        # While this process waited for the lock, another one may have completed the file (renamed it) or given up.
        if not _same_file(file, pending) or path.exists():
            file.close()
            return False
        try:
            file.truncate()  # a killed process may have left part of it
            fetch(file)
            file.flush()
            if _digest(file) != sha256:
                raise changed(place)
            pending.replace(path)
        except BaseException:
            pending.unlink(missing_ok=True)
            file.close()
            raise
        # flock changes the lock's kind by releasing it first, so another process may evict the file in between.
        fcntl.flock(file, fcntl.LOCK_SH)
        self._held[sha256] = file
        self._evict()
        return _same_file(file, path)

    def _evict(self) -> None:
        """Remove the oldest files beyond the limit, and the partial files of killed processes."""
        found = []
        for path in self.folder.iterdir():
            try:
                state = path.stat()
            except FileNotFoundError:
                continue
            # False sorts before True: partial files are removed first.
            found.append((not path.name.startswith(_PENDING), state.st_mtime_ns, path.name, state.st_size))
        over = sum(size for *_, size in found) - self.gib * _GIB
        for complete, _, name, size in sorted(found):
            if (over > 0 or not complete) and _remove_unused(self.folder / name):
                over -= size


def _open_locked(path: Path, flags: int, lock: int) -> BinaryIO | None:
    """Open and lock a file; None when it does not exist.

    Raises:
        BlockingIOError: with ``LOCK_NB``, when another process has it locked.
    """
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


def _remove_unused(path: Path) -> bool:
    """Remove the file unless a process has it locked; whether it was removed."""
    try:
        file = _open_locked(path, os.O_RDONLY, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    if file is None:
        return False
    with file:
        if not _same_file(file, path):
            return False
        path.unlink()
    return True


def _same_file(file: BinaryIO, path: Path) -> bool:
    """Whether the path still names the open file: it may have been replaced or removed before the lock was taken."""
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
