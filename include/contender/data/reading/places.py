"""What a uri points to: a local path, or a bucket and a key prefix. Used at DAG parse, so nothing is opened."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import unquote

from contender.errors import ConfigError, one_line

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_WILD = set("*?[")
_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Place:
    """A local path or a place in a bucket, without variables.

    Attributes:
        path: a local path (``bucket`` is None), or the key prefix in the bucket.
    """

    path: PurePath
    bucket: str | None = None

    def __str__(self) -> str:
        """As messages and manifests name it."""
        return (
            str(self.path)
            if self.bucket is None
            else f"s3://{self.bucket}/{'' if self.path == PurePath() else self.path}"
        )

    @property
    def wild(self) -> bool:
        """Whether it has wildcards."""
        return bool(set(str(self.path)) & _WILD)

    def split(self) -> tuple[Place, str]:
        """The folder that the glob starts from, and the glob; without wildcards the place itself and an empty text."""
        parts = tuple(takewhile(lambda part: not set(part) & _WILD, self.path.parts))
        base = type(self.path)(*parts)
        return Place(base, self.bucket), "/".join(self.path.parts[len(parts) :])

    def inside(self, root: Place) -> bool:
        """Whether it lies in the root, links followed; never with ``..`` in its glob.

        A name may hold ``[``, ``*`` or ``?`` and be no glob, so the path as it stands must lie there, and the folder
        that a glob would start from.

        Raises:
            OSError: the file system does not allow such a name.
        """
        base = self.split()[0]
        if ".." in self.split()[1].split("/") or self.bucket != root.bucket:
            return False
        if self.bucket is not None:
            return self.path.is_relative_to(root.path)
        Path(base.path).exists()  # raises OSError for a name that cannot exist; resolve() does not
        within = Path(root.path).resolve()
        return all(Path(path).resolve().is_relative_to(within) for path in (base.path, self.path))


def place_of(uri: str) -> Place:
    """The place of a declared uri, with ``${NAME}`` from the environment and ``~`` as the home folder.

    Raises:
        ConfigError: a variable is not set, or the uri is of a kind that cannot be read.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            msg = f"data.source.uri: {uri!r} needs the environment variable {name}, which is not set"
            raise ConfigError(msg)
        return os.environ[name]

    try:
        path = checked(_VARIABLE.sub(value, uri))
    except ValueError as error:
        raise ConfigError(f"data.source.uri: {error}") from None
    if not path.startswith("s3://"):
        return Place(Path(path).expanduser())
    bucket, _, key = path.removeprefix("s3://").partition("/")
    return Place(PurePosixPath(key), bucket)


def checked(uri: str) -> str:
    """The uri, if it is of a kind that can be read.

    Raises:
        ValueError: it is not. The message has only the scheme of an address, because the rest may hold a password.
    """
    remote = _REMOTE.match(uri)
    if remote and remote[0] != "s3://":
        msg = f"got an address ({remote[0][:20]}...), expected a local path or s3://bucket/prefix; mount what is elsewhere"
        raise ValueError(msg)
    bucket = uri.removeprefix("s3://").partition("/")[0]
    if remote and not _VARIABLE.search(bucket) and not _BUCKET.fullmatch(bucket):
        msg = (
            "got s3:// without a bucket's name, expected s3://bucket/prefix; keys belong into the connection of conn_id"
        )
        raise ValueError(msg)
    if remote and ".." in uri.split("/"):
        msg = f"got {one_line(uri)!r} with .. in it, which means nothing in a bucket; write the prefix out"
        raise ValueError(msg)
    return uri


def variables(*uris: str) -> set[str]:
    """The environment variables in uris."""
    return {name for uri in uris for name in _VARIABLE.findall(uri)}


def hidden(parts: tuple[str, ...]) -> bool:
    """Whether a path is hidden: Spark, Dask and editors name unfinished and private files with a leading dot or underscore."""
    return any(part.startswith((".", "_")) for part in parts)


def matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a key's parts match a glob's as in ``Path.glob``: ``**`` is any number of folders."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return matches(parts, pattern[1:]) or (bool(parts) and matches(parts[1:], pattern))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and matches(parts[1:], pattern[1:])


def hive_keys(name: PurePath) -> dict[str, str | None]:
    """The Hive partition columns in a path: ``day=2026-01-01/part.parquet`` has a column ``day``."""
    pairs = (part.partition("=") for part in name.parts[:-1] if "=" in part)
    return {unquote(key): None if value == _NULL else unquote(value) for key, _, value in pairs if key}
