"""The files of a place, on this machine or in a bucket: their listing, their digests, and that they did not change meanwhile."""

from __future__ import annotations

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from contender.aws import arrow_s3, s3_client, s3_errors
from contender.data.reading.connections import Connect
from contender.data.reading.places import Place, hidden, matches
from contender.documents.data import SourceFile
from contender.errors import BackendError, ConfigError, DataRejected, DataUnavailable, one_line

if TYPE_CHECKING:
    import pyarrow.fs as pa_fs

_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class DataFile:
    """A file at the time of its listing.

    Attributes:
        name: the path below the place, for messages.
        path: the path for the file system.
        mark: a text that changes when the file does, such as its times or its ETag.
        keys: the partition columns in its folders' names (``day=2026-01-01``).
    """

    uri: str
    name: str
    path: str
    bytes: int
    mark: str
    keys: Mapping[str, str | None] = field(default_factory=dict)


class Files(ABC):
    """The files of one kind below one place."""

    def __init__(self, place: Place, suffix: str, roots: Collection[Place] = ()) -> None:
        self.place, self._suffix, self._roots = place, suffix, roots
        self._check_inside([place])

    @abstractmethod
    def listed(self) -> list[DataFile]:
        """The files that are not hidden, sorted by name.

        Raises:
            DataUnavailable: there is none.
        """

    @abstractmethod
    def filesystem(self) -> pa_fs.FileSystem:
        """The Arrow file system that reads them."""

    @abstractmethod
    def digest(self, file: DataFile, sha256: str | None = None) -> str:
        """The digest of the file's content; ``sha256`` is that of its bytes where the caller has read them all."""

    @abstractmethod
    def marks(self, files: Iterable[DataFile]) -> dict[str, str]:
        """The present marks, by uri, of the files that still exist."""

    def sources(self, files: list[DataFile], digests: Mapping[str, str]) -> tuple[SourceFile, ...]:
        """The record of the files that were read, sorted by name.

        Args:
            digests: by uri.

        Raises:
            DataRejected: a file has changed since it was listed, so its digest may not be that of the rows.
        """
        now = self.marks(files)
        for file in files:
            if now.get(file.uri) != file.mark:
                what = "changed" if file.uri in now else "was removed"
                msg = f"data.source.uri: {file.uri} {what} while it was read; "
                raise DataRejected(msg + "have its writer replace it by a rename, and run again when it is complete")
        return tuple(
            SourceFile(uri=file.uri, bytes=file.bytes, digest=digests[file.uri])
            for file in sorted(files, key=lambda file: file.uri)
        )

    def _check_inside(self, places: Iterable[Place]) -> None:
        for place in places:
            if self._roots and not any(place.inside(root) for root in self._roots):
                msg = f"data.source.uri: {self.place} leads to files outside the roots {[str(root) for root in self._roots]}"
                raise ConfigError(msg)

    def _nothing(self, endings: Iterable[str] = ()) -> DataUnavailable:
        others = sorted(set(endings))[:5]
        instead = f" (it has {', '.join(map(one_line, others))})" if others else ""
        msg = f"data.source.uri: no {self._suffix} file at {self.place}{instead}; check the path or wait for the data"
        return DataUnavailable(msg)


class LocalFiles(Files):
    """Files of this machine. A digest is the SHA-256 of the content."""

    def listed(self) -> list[DataFile]:
        """See ``Files``; a folder without permission is DataUnavailable, too."""
        path = Path(self.place.path)
        try:
            if path.is_file():
                return [self._file(path, path.name, {})]
            wild = self.place.wild and not path.is_dir()
            base, pattern = self.place.split() if wild else (self.place, f"**/*.{self._suffix}")
            folder = Path(base.path)
            data = sorted(set(_below(folder, tuple(pattern.split("/")))))
            self._check_inside(Place(one) for one in data)
            files = [self._file(one, str(name := one.relative_to(folder)), hive_keys(name)) for one in data]
            if not files:
                raise self._nothing(one.suffix for one in _below(folder, ("**", "*")) if one.suffix)
        except PermissionError as error:
            raise DataUnavailable(f"data.source.uri: {_forbidden(str(error.filename))}") from None
        return files

    def filesystem(self) -> pa_fs.FileSystem:
        """See ``Files``."""
        from pyarrow.fs import LocalFileSystem

        return LocalFileSystem()

    def digest(self, file: DataFile, sha256: str | None = None) -> str:
        """See ``Files``; without ``sha256`` the file is read, in blocks."""
        if sha256 is None:
            with Path(file.path).open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        return f"sha256:{sha256}"

    def marks(self, files: Iterable[DataFile]) -> dict[str, str]:
        """See ``Files``."""
        return {file.uri: _mark(Path(file.path).stat()) for file in files if Path(file.path).is_file()}

    def _file(self, path: Path, name: str, keys: Mapping[str, str | None]) -> DataFile:
        found = path.stat()
        whole = os.path.abspath(path)  # noqa: PTH100 - not resolved: a link to the newest file stays one
        if not os.access(path, os.R_OK, effective_ids=True):
            raise DataUnavailable(f"data.source.uri: {_forbidden(whole)}")
        return DataFile(whole, name, whole, found.st_size, _mark(found), keys)


class S3Files(Files):
    """Objects of a bucket. A digest is the ETag, which changes with the content."""

    def __init__(
        self, place: Place, suffix: str, roots: Collection[Place], conn_id: str | None, connect: Connect
    ) -> None:
        super().__init__(place, suffix, roots)
        self._fields = {} if conn_id is None else connect(conn_id)
        self._where = "data.source.uri: S3" if conn_id is None else f"data.source.conn_id: connection {conn_id!r}"
        kind = self._fields.get("conn_type") or "aws"
        if kind not in ("aws", "s3"):
            raise ConfigError(f"{self._where} is of type {one_line(kind)!r}, expected aws")
        self._client = s3_client(self._fields, self._where)

    def listed(self) -> list[DataFile]:
        """See ``Files``.

        Raises:
            BackendError: the server does not answer, or refuses.
        """
        path = self.place.path
        folder, pattern = self.place.split()
        base = folder.path
        if not pattern:
            single = [one for one in self._objects(str(path)) if one["Key"] == str(path)]
            if single:
                return [self._file(single[0], PurePath(path.name), {})]
        found = list(self._objects("" if base == PurePath() else f"{base}/"))
        below = [(one, type(path)(one["Key"]).relative_to(base)) for one in found if not one["Key"].endswith("/")]
        shown = [(one, name) for one, name in below if not hidden(name.parts)]
        wanted = tuple(pattern.split("/")) if pattern else ("**", f"*.{self._suffix}")
        files = [self._file(one, name, hive_keys(name)) for one, name in shown if matches(name.parts, wanted)]
        if not files:
            raise self._nothing(name.suffix for _, name in shown if name.suffix)
        return sorted(files, key=lambda file: file.uri)

    def filesystem(self) -> pa_fs.FileSystem:
        """See ``Files``."""
        return arrow_s3(self._client, self._fields, self._where)

    def digest(self, file: DataFile, sha256: str | None = None) -> str:  # noqa: ARG002 - the ETag is the digest
        """See ``Files``."""
        return f"etag:{file.mark}"

    def marks(self, files: Iterable[DataFile]) -> dict[str, str]:
        """See ``Files``; the objects are listed again, one request for each thousand."""
        wanted = {file.path: file.uri for file in files}
        prefix = os.path.commonprefix([path.partition("/")[2] for path in wanted])  # noqa: RUF071 - S3 prefixes are text, not paths
        found = ((f"{self.place.bucket}/{one['Key']}", one) for one in self._objects(prefix))
        return {wanted[path]: _etag(one) for path, one in found if path in wanted}

    def _objects(self, prefix: str) -> Iterable[dict[str, Any]]:
        with s3_errors(f"data.source.uri: {self.place}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.place.bucket, Prefix=prefix)
            for page in pages:
                yield from page.get("Contents", [])

    def _file(self, one: dict[str, Any], name: PurePath, keys: Mapping[str, str | None]) -> DataFile:
        path = f"{self.place.bucket}/{one['Key']}"
        return DataFile(f"s3://{path}", str(name), path, one["Size"], _etag(one), keys)


def open_files(place: Place, suffix: str, roots: Collection[Place], conn_id: str | None, connect: Connect) -> Files:
    """The files at a place.

    Raises:
        ConfigError: the place is outside the roots, or the connection is not for S3.
    """
    if place.bucket is not None:
        return S3Files(place, suffix, roots, conn_id, connect)
    return LocalFiles(place, suffix, roots)


def hive_keys(name: PurePath) -> dict[str, str | None]:
    """The Hive partition columns in a path: ``day=2026-01-01/part.parquet`` has a column ``day``."""
    pairs = (part.partition("=") for part in name.parts[:-1] if "=" in part)
    return {unquote(key): None if value == _NULL else unquote(value) for key, _, value in pairs if key}


def reading_failed(file: DataFile, error: Exception, suffix: str) -> Exception:
    """The error to raise for a file that Arrow cannot read; its message is bounded and holds no value of the data."""
    said = without_values(" ".join(str(error).split()))[:300]
    if isinstance(error, FileNotFoundError) or "NO_SUCH_KEY" in said:
        return DataRejected(f"data.source.uri: {file.uri} was removed while it was read; run again")
    if "AWS Error" in said:
        return BackendError(f"data.source.uri: {file.uri}: {said}")
    if not file.bytes:
        return DataRejected(f"data.source.uri: {file.uri} is an empty file (0 bytes); have it written again")
    return DataRejected(
        f"data.source.uri: {file.uri} cannot be read as {suffix}: {said}; is it complete? Have it written again"
    )


def without_values(message: str) -> str:
    """An Arrow message without the cell or row that it quotes: messages name places, never values."""
    return re.sub(
        r"((?:Integer|Float) value) \S+|(invalid value|got \d+:) .*", r"\1\2 (not shown)", message, flags=re.DOTALL
    )


def _below(folder: Path, pattern: tuple[str, ...]) -> Iterator[Path]:
    """The files that a glob matches. A folder without permission raises PermissionError; ``Path.glob`` would skip it."""
    head, rest = pattern[0], pattern[1:] or (("*",) if pattern[0] == "**" else ())
    if head == "**":
        yield from _below(folder, rest)
    for entry in folder.iterdir() if folder.is_dir() else ():
        if hidden((entry.name,)):
            continue
        if head == "**":
            if entry.is_dir() and not entry.is_symlink():
                yield from _below(entry, pattern)
        elif fnmatchcase(entry.name, head):
            if rest and entry.is_dir():
                yield from _below(entry, rest)
            elif not rest and entry.is_file():
                yield entry


def _mark(found: os.stat_result) -> str:
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def _etag(one: Mapping[str, Any]) -> str:
    return str(one["ETag"]).strip('"')


def _forbidden(path: str) -> str:
    return f"no permission to read {path}; let the user that runs Contender read it"
