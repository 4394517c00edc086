"""The files of a place, on this machine or in a bucket: their listing, their digests, and that they did not change meanwhile."""

from __future__ import annotations

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from contender.aws import arrow_s3, is_away, s3_client, s3_errors
from contender.data.reading.connections import Connect
from contender.data.reading.places import Place, hidden, hive_keys, matches
from contender.data.reading.table_formats import check_no_table, deleted_rows, is_log, logs_of, table_folders
from contender.data.reading.walk import Walk, leads_nowhere
from contender.documents.data import SourceFile
from contender.errors import BackendError, ConfigError, DataRejected, DataUnavailable, one_line
from contender.patience import patient

if TYPE_CHECKING:
    import pyarrow.fs as pa_fs

    from contender.data.reading.request import ReadResult


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
    """The files of one kind below one place. A file that links lead to twice is one file.

    Attributes:
        other: the files of a folder that are of another kind, by ending, once ``listed`` was asked.
    """

    def __init__(self, place: Place, suffix: str, roots: Collection[Place] = ()) -> None:
        self.place, self._suffix, self._roots = place, suffix, roots
        self.other: Counter[str] = Counter()
        self._found = 0
        self._check_inside([place])

    def listed(self) -> list[DataFile]:
        """The files that are not hidden, sorted by name.

        Raises:
            DataUnavailable: there is none, or a link or folder cannot be reached.
            DataRejected: they are the files of a table with a log of its own, or no regular files.
        """
        self.other = Counter()
        files = self._listed()
        self._found = len(files)
        return files

    @abstractmethod
    def _listed(self) -> list[DataFile]: ...

    def counted(self, result: ReadResult) -> ReadResult:
        """What was read of these files, with the number of all that there are."""
        return replace(result, files_found=self._found + self.other.total(), files_other=dict(self.other))

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

    def _of_kind(self, name: str) -> bool:
        """Whether a file of a folder is of this kind, by its ending in any case; others are counted."""
        ending = PurePath(name).suffix.lower()
        if ending == f".{self._suffix}":
            return True
        self.other[ending] += 1
        return False

    def _nothing(self, endings: Iterable[str] = ()) -> DataUnavailable:
        others = sorted({ending for ending in endings if ending})[:5]
        instead = f" (it has {', '.join(map(one_line, others))})" if others else ""
        msg = f"data.source.uri: no {self._suffix} file at {self.place}{instead}; check the path or wait for the data"
        return DataUnavailable(msg)


class LocalFiles(Files):
    """Files of this machine. A digest is the SHA-256 of the content."""

    def _listed(self) -> list[DataFile]:
        path = Path(self.place.path)
        try:
            if path.is_file():
                check_no_table([path.parent])
                return [self._file(path, path.name, {})]
            wild = self.place.wild and not path.is_dir()
            base, pattern = self.place.split() if wild else (self.place, "**/*")
            folder = Path(base.path)
            found = self._below(folder, pattern)
            data = found if wild else [one for one in found if self._of_kind(one.name)]
            self._check_inside(Place(one) for one in data)
            check_no_table({one.parent for one in data})
            files = [self._file(one, str(name := one.relative_to(folder)), hive_keys(name)) for one in data]
            if not files:
                if broken := next(
                    (one for one in (folder, *folder.parents) if one.is_symlink() and not one.exists()), None
                ):
                    raise leads_nowhere(broken)
                raise self._nothing(one.suffix for one in self._below(folder, "**/*"))
        except PermissionError as error:
            raise DataUnavailable(f"data.source.uri: {_forbidden(str(error.filename))}") from None
        except OSError as error:
            msg = f"data.source.uri: {error.filename} cannot be reached: {error.strerror}; is its mount there?"
            raise DataUnavailable(msg) from None
        return files

    def _below(self, folder: Path, pattern: str) -> list[Path]:
        """The files that a glob matches, sorted by name."""
        walk = Walk(folder, lambda link: self._check_inside([Place(link)]))
        found = set(walk.files(folder, tuple(pattern.split("/"))))
        once: dict[tuple[Any, ...], Path] = {}
        for one in sorted(found, key=lambda path: (_is_link(path), path)) if walk.linked else ():
            once.setdefault(walk.identity(one, one), one)
        return sorted(once.values() if walk.linked else found)

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
        if not path.is_file():
            raise DataRejected(f"data.source.uri: {path} is no regular file; leave only files of data there")
        try:
            str(path).encode()
        except UnicodeEncodeError:
            shown = str(path).encode(errors="replace").decode()
            raise DataRejected(f"data.source.uri: the name of {shown} is not UTF-8; rename it") from None
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
        if kind not in ("aws", "s3", "generic"):  # the last one is what Airflow writes where the provider is missing
            raise ConfigError(f"{self._where} is of type {one_line(kind)!r}, expected aws")
        self._client = s3_client(self._fields, self._where)

    def _listed(self) -> list[DataFile]:
        path = self.place.path
        folder, pattern = self.place.split()
        base = folder.path
        if not pattern:
            single = [one for one in self._objects(str(path)) if one["Key"] == str(path)]
            if single:
                self._check_no_table_above(path)
                return [self._file(single[0], PurePath(path.name), {})]
        found = self._objects("" if base == PurePath() else f"{base}/")
        below = [(one, type(path)(one["Key"]).relative_to(base)) for one in found if not one["Key"].endswith("/")]
        shown = [(one, name) for one, name in below if not hidden(name.parts)]
        if pattern:
            chosen = [(one, name) for one, name in shown if matches(name.parts, tuple(pattern.split("/")))]
        else:
            chosen = [(one, name) for one, name in shown if self._of_kind(name.name)]
        for table, kind in table_folders(name for _, name in below):
            if any(name.is_relative_to(table) for _, name in chosen):
                raise deleted_rows(f"s3://{self.place.bucket}/{base / table}", kind)
        files = [self._file(one, name, hive_keys(name)) for one, name in chosen]
        if not files:
            raise self._nothing(name.suffix for _, name in shown if name.suffix)
        self._check_no_table_above(base)
        return sorted(files, key=lambda file: file.uri)

    def _check_no_table_above(self, key: PurePath) -> None:
        """Check that no folder above a key is a table's, by a few small requests for each.

        Raises:
            DataRejected: one is.
        """
        for folder in key.parents:
            for prefix, kind in logs_of(folder):
                if any(is_log(kind, name) for name in self._some_names(prefix)):
                    raise deleted_rows(str(Place(folder, self.place.bucket)), kind)

    def _some_names(self, prefix: str) -> list[str]:
        """The first thousand names; none where listing is not permitted, as it need not be outside the uri."""
        with s3_errors(f"data.source.uri: {self.place}"):
            try:
                found = self._client.list_objects_v2(Bucket=self.place.bucket, Prefix=prefix)
            except self._client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != "AccessDenied":
                    raise
                return []
        return [one["Key"] for one in found.get("Contents", [])]

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

    def _objects(self, prefix: str) -> list[dict[str, Any]]:
        with s3_errors(f"data.source.uri: {self.place}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.place.bucket, Prefix=prefix)
            found: list[dict[str, Any]] = patient(is_away)(
                lambda: [one for page in pages for one in page.get("Contents", [])]
            )
        return found

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


def _is_link(path: Path) -> bool:
    return os.path.realpath(path) != os.path.abspath(path)  # noqa: PTH100 - resolve() would follow the link


def _mark(found: os.stat_result) -> str:
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def _etag(one: Mapping[str, Any]) -> str:
    return str(one["ETag"]).strip('"')


def _forbidden(path: str) -> str:
    return f"no permission to read {path}; let the user that runs Contender read it"
