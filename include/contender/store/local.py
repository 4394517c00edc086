"""The artifact store in a folder, local or mounted by all workers."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contender.canonical import file_sha256
from contender.errors import BackendError
from contender.store.base import changed, checked_key, is_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from contender.store.base import ArtifactStore

_PENDING = ".pending-"
_ABANDONED = 86_400  # seconds; no write takes that long


class LocalStore:
    """Files below one root. A value is written to a file beside its place, flushed to disk, then renamed or linked.

    A killed writer leaves at most a ``.pending-*`` file, which readers ignore.
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
        with self._pending(path, lambda file: file.write(content)) as pending:
            pending.replace(path)

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Put the value unless the key is taken; whether this call won (``link`` refuses a name that exists)."""
        path = self._path(key)
        with self._pending(path, lambda file: file.write(content)) as pending:
            try:
                path.hardlink_to(pending)
            except FileExistsError:
                return False
        return True

    def put_file(self, key: str, path: Path) -> str:
        """Put a file's content; its hex SHA-256. Pending files of killed writers beside it, a day old, are removed."""
        place = self._path(key)
        for left in place.parent.glob(f"{_PENDING}*"):
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > _ABANDONED:
                    left.unlink()
        with path.open("rb") as source, self._pending(place, lambda file: shutil.copyfileobj(source, file)) as pending:
            digest = file_sha256(pending)  # of the copy, which is what readers get
            pending.replace(place)
        return digest

    def exists(self, key: str) -> bool:
        """Whether the key has a value."""
        return self._path(key).is_file()

    def holds(self, key: str, sha256: str) -> bool:
        """Whether the file is there and has this hash; it is read."""
        path = self._path(key)
        return path.is_file() and file_sha256(path) == sha256

    def keys(self, prefix: str) -> list[str]:
        """All keys below a folder, sorted."""
        folder = self._path(prefix.rstrip("/"))
        found = (path.relative_to(self.root).as_posix() for path in folder.rglob("*") if path.is_file())
        return sorted(key for key in found if is_key(key))

    def children(self, prefix: str) -> list[str]:
        """The names directly below a folder (of the whole store when it is empty), sorted."""
        folder = self._path(prefix) if prefix else self.root
        return sorted(path.name for path in folder.glob("*") if is_key(path.name))

    def local(self, key: str, *, sha256: str | None = None) -> Path:
        """The file itself."""
        path = self._path(key)
        if not path.is_file():
            raise KeyError(key)
        if sha256 is not None and file_sha256(path) != sha256:
            raise changed(str(path))
        return path

    def url(self, key: str) -> str:
        """The file's path."""
        return str(self._path(key))

    @property
    def settings(self) -> dict[str, Any]:
        """The folder."""
        return {"uri": str(self.root)}

    def _path(self, key: str) -> Path:
        return self.root / checked_key(key)

    @contextmanager
    def _pending(self, path: Path, fill: Callable[[BinaryIO], object]) -> Iterator[Path]:
        """A filled temporary file in the folder of ``path``; the block renames or links it to ``path``."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, pending = tempfile.mkstemp(prefix=_PENDING, dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    fill(file)
                    file.flush()
                    os.fsync(file.fileno())
                yield Path(pending)
                folder = os.open(path.parent, os.O_RDONLY)  # a new name survives a power cut once its folder is flushed
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
