"""The artifact store in a local folder (or one that all workers mount)."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from contender.canonical import sha256 as hash_of
from contender.errors import BackendError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contender.store.base import ArtifactStore

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]*(/[A-Za-z0-9_][A-Za-z0-9._+=-]*)*")
_PENDING = ".pending-"


class LocalStore:
    """Files below one root. A value is written beside its place, flushed to disk, then moved or linked into it.

    A writer that is killed leaves at most a ``.pending-*`` file, which no reader looks at.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).absolute()

    def read(self, key: str) -> bytes:
        """The value; raises ``KeyError`` when there is none."""
        path = self._path(key)
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise KeyError(key) from None
        except OSError as error:
            msg = f"store: cannot read {path}: {error.strerror}"
            raise BackendError(msg) from error

    def write(self, key: str, content: bytes) -> None:
        """Put the value, replacing an earlier one in a single step."""
        path = self._path(key)
        with self._pending(path, content) as pending:
            Path(pending).replace(path)

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Put the value unless the key is taken; whether this call won (``link`` refuses a name that exists)."""
        path = self._path(key)
        with self._pending(path, content) as pending:
            try:
                os.link(pending, path)
            except FileExistsError:
                return False
        return True

    def exists(self, key: str) -> bool:
        """Whether the key has a value."""
        return self._path(key).is_file()

    def keys(self, prefix: str) -> list[str]:
        """All keys below a folder, sorted."""
        folder = self._path(prefix.rstrip("/"))
        found = (path.relative_to(self.root).as_posix() for path in folder.rglob("*") if path.is_file())
        return sorted(key for key in found if _KEY.fullmatch(key))

    def children(self, prefix: str) -> list[str]:
        """The names directly below a folder (of the whole store when it is empty), sorted."""
        folder = self._path(prefix) if prefix else self.root
        return sorted(path.name for path in folder.glob("*") if _KEY.fullmatch(path.name))

    def put_file(self, key: str, path: Path) -> str:
        """Put a file's content, replacing an earlier value in a single step; its SHA-256."""
        content = path.read_bytes()
        self.write(key, content)
        return hash_of(content)

    def local(self, key: str, *, sha256: str | None = None) -> Path:
        """The file itself."""
        path = self._path(key)
        if not path.is_file():
            raise KeyError(key)
        if sha256 is not None and hash_of(path.read_bytes()) != sha256:
            msg = f"store: {path} is not what it was when it was written"
            raise BackendError(msg)
        return path

    def url(self, key: str) -> str:
        """The file's path."""
        return str(self._path(key))

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key) or ".." in key:
            msg = f"store: {key[:200]!r} is not a key; expected letters, digits and ._+=- between single slashes"
            raise ConfigError(msg)
        return self.root / key

    @contextmanager
    def _pending(self, path: Path, content: bytes) -> Iterator[str]:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, pending = tempfile.mkstemp(prefix=_PENDING, dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                yield pending
                folder = os.open(path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
            finally:
                Path(pending).unlink(missing_ok=True)
        except OSError as error:
            msg = f"store: cannot write {path}: {error.strerror}"
            raise BackendError(msg) from error


if TYPE_CHECKING:
    _conforms: ArtifactStore = LocalStore("")
