"""Opening the artifact store that the plain values of a connection describe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contender.errors import ConfigError, did_you_mean, one_line
from contender.store.base import is_key
from contender.store.cache import DEFAULT_GIB, Cache, default_folder
from contender.store.local import LocalStore
from contender.store.s3 import S3Store
from contender.telling import shown

if TYPE_CHECKING:
    from contender.store.base import ArtifactStore

_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")
_SETTINGS = ("uri", "connection", "cache", "cache_gib")


def open_store(settings: Mapping[str, Any], place: str = "connection contender_store") -> ArtifactStore:
    """The store that the settings describe. Nothing is read or written yet.

    Args:
        settings: ``uri``, an absolute folder or ``s3://bucket/prefix``; for the latter also ``connection`` (the fields
            of an Airflow ``aws`` connection; absent: boto3 finds the credentials), ``cache`` (an absolute folder) and
            ``cache_gib`` (its size limit in GiB).
        place: where the settings come from, for messages.

    Raises:
        ConfigError: a setting is unknown, or its value is invalid.
    """
    for name in settings:
        if name not in _SETTINGS:
            msg = f"{place}: {one_line(name)!r} is not understood." + did_you_mean(name, _SETTINGS)
            raise ConfigError(msg)
    uri = str(settings.get("uri") or "")
    if uri.startswith("/"):
        return LocalStore(uri)
    remote = _S3.fullmatch(uri)
    prefix = (remote[2] or "").rstrip("/") if remote else ""
    if remote is None or (prefix and not is_key(prefix)):
        msg = f"{place}: uri must be an absolute folder or s3://bucket/prefix, got {shown(uri)!r}"
        raise ConfigError(msg)
    return S3Store(remote[1], prefix, _cache(settings, place), settings.get("connection"))


def _cache(settings: Mapping[str, Any], place: str) -> Cache:
    folder = settings.get("cache") or default_folder()
    if not Path(folder).is_absolute():
        msg = f"{place}: cache must be an absolute path, got {one_line(folder)!r}"
        raise ConfigError(msg)
    given = settings.get("cache_gib")
    try:
        gib = DEFAULT_GIB if given in (None, "") else float(str(given))
    except ValueError:
        gib = 0.0
    if not 0 < gib < float("inf"):
        msg = f"{place}: cache_gib must be a number above 0, got {one_line(given)!r}"
        raise ConfigError(msg)
    return Cache(Path(folder), gib)
