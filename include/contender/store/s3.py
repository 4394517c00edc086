"""The artifact store in a bucket of S3, or of a server that speaks its API and honours conditional writes."""

from __future__ import annotations

import hashlib
import uuid
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import RetryError, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from contender.aws import ATTEMPTS, is_away, read_object, s3_client, s3_errors
from contender.canonical import file_sha256
from contender.canonical import sha256 as hashed
from contender.errors import BackendError
from contender.patience import patient
from contender.store.base import PREFLIGHT, checked_key, is_key, no_conditional_writes, preflight

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from contender.store.base import ArtifactStore
    from contender.store.cache import Cache

Answer = TypeVar("Answer")

_MISSING = ("NoSuchKey", "404")  # a HEAD request has no body, so its error code is only the status
_WRITER = "writer"  # metadata of an object: the id of the call that put it
_PART = 1 << 20  # bytes
_SHA256, _BYTES = "sha256", "bytes"  # metadata of a file: what was put


class S3Store:
    """Objects below one prefix of a bucket. A value appears when its request has ended, and not before.

    Args:
        prefix: a key, or empty for the whole bucket.
        cache: local copies of the files that ``local`` was asked for.
        connection: the fields of an Airflow ``aws`` connection; None leaves the credentials to boto3.
    """

    def __init__(self, bucket: str, prefix: str, cache: Cache, connection: Mapping[str, Any] | None = None) -> None:
        self._bucket, self._cache, self._connection = bucket, cache, connection
        self._prefix = f"{checked_key(prefix)}/" if prefix else ""
        self._trusted = False

    @cached_property
    def _client(self) -> Any:
        return s3_client(self._connection or {}, f"store: connection of s3://{self._bucket}")

    def read(self, key: str) -> bytes:
        """The value; raises ``KeyError`` when there is none."""
        return self._asked(key, lambda name: read_object(self._client, self._bucket, name))

    def write(self, key: str, content: bytes) -> None:
        """Put the value, replacing an earlier one in a single step."""
        self._asked(key, lambda name: self._client.put_object(Bucket=self._bucket, Key=name, Body=content))

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Put the value unless the key is taken; whether this call won.

        The first call of a store object runs ``preflight``: a server may ignore the condition and overwrite.
        """
        if not key.startswith(PREFLIGHT) and not self._trusted:
            preflight(self)
            self._trusted = True
        writer = uuid.uuid4().hex
        try:
            return self._asked(key, lambda name: _retry_conflicts(self._put_if_absent, key, name, content, writer))
        except RetryError:
            raise BackendError(f"store: {self.url(key)}: too many write it at once; try again") from None

    def _put_if_absent(self, key: str, name: str, content: bytes, writer: str) -> bool:
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=name, Body=content, IfNoneMatch="*", Metadata={_WRITER: writer}
            )
        except self._client.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            # The key exists. boto3 repeats a request whose reply was lost, so the value may be this call's own: the id
            # in the object's metadata tells.
            if code == "PreconditionFailed":
                found = self._client.head_object(Bucket=self._bucket, Key=name)
                return bool(found["Metadata"].get(_WRITER) == writer)
            if code == "NotImplemented":
                raise no_conditional_writes(self.url(key), "answered NotImplemented") from None
            raise
        return True

    def put_file(self, key: str, path: Path) -> str:
        """Put a file's content, a large one in parts; its hex SHA-256.

        Parts that a killed writer of this key left behind are removed first. This also removes the parts of a live
        writer, which then fails and is retried; no reader ever sees parts.
        """
        digest = file_sha256(path)
        recorded = {_SHA256: digest, _BYTES: str(path.stat().st_size)}
        self._asked(key, lambda name: self._upload(name, path, recorded))
        return digest

    def _upload(self, name: str, path: Path, recorded: Mapping[str, str]) -> None:
        with suppress(self._client.exceptions.ClientError):  # some servers and policies forbid listing uploads
            begun = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=name).get("Uploads", ())
            for upload in begun:
                if upload["Key"] == name:
                    self._client.abort_multipart_upload(Bucket=self._bucket, Key=name, UploadId=upload["UploadId"])
        self._client.upload_file(str(path), self._bucket, name, ExtraArgs={"Metadata": recorded})

    def exists(self, key: str) -> bool:
        """Whether the key has a value."""
        try:
            self._asked(key, lambda name: self._client.head_object(Bucket=self._bucket, Key=name))
        except KeyError:
            return False
        return True

    def holds(self, key: str, sha256: str) -> bool:
        """Whether the object is there and has this hash. It is read only where ``put_file`` has not recorded its hash.

        An object is put in one step with what is recorded of it, and nobody can change one without the other: whoever
        writes it again records nothing, or another size or hash.
        """
        try:
            found = self._asked(key, lambda name: self._client.head_object(Bucket=self._bucket, Key=name))
            recorded = found["Metadata"]
            if _SHA256 in recorded:
                return bool(recorded[_SHA256] == sha256 and recorded.get(_BYTES) == str(found["ContentLength"]))
            return self._asked(key, self._digest) == sha256
        except KeyError:
            return False

    def _digest(self, name: str) -> str:
        """The hash of an object as it is now: not of the cache, which may have what the bucket has no longer."""
        digest = hashlib.sha256()
        for part in self._client.get_object(Bucket=self._bucket, Key=name)["Body"].iter_chunks(_PART):
            digest.update(part)
        return digest.hexdigest()

    def keys(self, prefix: str) -> list[str]:
        """All keys below a folder, sorted."""
        folder = prefix.rstrip("/")
        found = self._asked(
            folder, lambda name: [item["Key"] for page in self._pages(f"{name}/") for item in page.get("Contents", ())]
        )
        return sorted(key for key in (one.removeprefix(self._prefix) for one in found) if is_key(key))

    def children(self, prefix: str) -> list[str]:
        """The names directly below a folder (of the whole store when it is empty), sorted."""
        folder = self._prefix + (f"{checked_key(prefix)}/" if prefix else "")
        with s3_errors(f"store: s3://{self._bucket}/{folder}"):
            pages = patient(is_away)(lambda: list(self._pages(folder, Delimiter="/")))
        found = {item["Prefix"] for page in pages for item in page.get("CommonPrefixes", ())}
        found |= {item["Key"] for page in pages for item in page.get("Contents", ())}
        return sorted(name for name in (one.removeprefix(folder).rstrip("/") for one in found) if is_key(name))

    def local(self, key: str, *, sha256: str | None = None) -> Path:
        """A copy in the cache, verified by its hash. Without ``sha256`` the value is read once to learn the hash."""

        def fetch(file: BinaryIO) -> None:
            self._asked(key, lambda name: self._download(name, file))

        return self._cache.file(sha256 or hashed(self.read(key)), fetch, self.url(key))

    def _download(self, name: str, file: BinaryIO) -> None:
        file.seek(0)  # an earlier try may have left part of it
        file.truncate()
        self._client.download_fileobj(self._bucket, name, file)

    def url(self, key: str) -> str:
        """The value's ``s3://`` address."""
        return f"s3://{self._bucket}/{self._prefix}{checked_key(key)}"

    @property
    def settings(self) -> dict[str, Any]:
        """Bucket, prefix, cache, and the connection with its secret."""
        uri = f"s3://{self._bucket}/{self._prefix}".rstrip("/")
        return {"uri": uri, "connection": self._connection, **self._cache.settings}

    def _pages(self, start: str, **options: str) -> Any:
        return self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=start, **options)

    def _asked(self, key: str, ask: Callable[[str], Answer]) -> Answer:
        """What the server answers about the object's name in the bucket, however long that takes: ``contender.patience``.

        Raises:
            KeyError: there is no such object.
            ConfigError, BackendError: see ``s3_errors``.
        """
        with s3_errors(f"store: {self.url(key)}"):
            try:
                return patient(is_away)(ask, self._prefix + key)
            except self._client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] in _MISSING:
                    raise KeyError(key) from None
                raise


def _conflicts(error: BaseException) -> bool:
    """Whether the server reports (HTTP 409) that another write of the key is in progress."""
    response = getattr(error, "response", {})
    return bool(response.get("Error", {}).get("Code") == "ConditionalRequestConflict")


_retry_conflicts = Retrying(
    retry=retry_if_exception(_conflicts),
    wait=wait_random_exponential(multiplier=0.05, max=1),  # random, so that two writers do not collide again
    stop=stop_after_attempt(ATTEMPTS),
)

if TYPE_CHECKING:
    _conforms: type[ArtifactStore] = S3Store
