"""Opening the store that a connection describes, and the errors of settings that describe none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contender.errors import ConfigError
from contender.store.local import LocalStore
from contender.store.opening import open_store
from contender.store.s3 import S3Store


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("/srv/store", "/srv/store/a/b"),
        ("/srv/store/", "/srv/store/a/b"),
        ("s3://bucket", "s3://bucket/a/b"),
        ("s3://bucket/", "s3://bucket/a/b"),
        ("s3://my.bucket-1/some/prefix/", "s3://my.bucket-1/some/prefix/a/b"),
    ],
)
def test_an_address_is_a_store(uri: str, url: str) -> None:
    store = open_store({"uri": uri})
    assert store.url("a/b") == url
    assert isinstance(store, S3Store if uri.startswith("s3") else LocalStore)


@pytest.mark.parametrize(
    "uri",
    [
        None, "", "store", "./store", "~/store", "file:///etc", "http://169.254.169.254/", "s3:/bucket", "s3://", "s3:///a",
        "s3://a/../b", "s3://bucket/..", "s3://bucket/a//b", "s3://bucket/a b", "s3://Bucket/a", "s3://b", "S3://bucket",
        "s3://key:secret@bucket/a", "s3://bucket/.hidden", "s3://bucket?x=1",
    ],
)  # fmt: skip
def test_another_address_is_refused(uri: Any) -> None:
    with pytest.raises(ConfigError, match=r"^connection x: uri must be an absolute folder or s3://bucket/prefix, got"):
        open_store({"uri": uri}, "connection x")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"cache": "relative"}, "cache must be an absolute path, got 'relative'"),
        ({"cache_gib": "much"}, "cache_gib must be a number above 0, got 'much'"),
        ({"cache_gib": 0}, "cache_gib must be a number above 0, got '0'"),
        ({"cache_gib": -1}, "cache_gib must be a number above 0, got '-1'"),
        ({"cache_gib": "inf"}, "cache_gib must be a number above 0, got 'inf'"),
        ({"cache_gib": "nan"}, "cache_gib must be a number above 0, got 'nan'"),
        ({"con_id": "aws"}, "'con_id' is not understood. Allowed: cache, cache_gib, connection, uri."),
        ({"cashe": "/c"}, "'cashe' is not understood. Did you mean 'cache'?"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^connection x: .*{message}".replace("?", r"\?")):
        open_store({"uri": "s3://bucket", **setting}, "connection x")


@pytest.mark.parametrize("given", [{}, {"cache_gib": ""}, {"cache_gib": "7.5", "cache": "/fast"}])
def test_the_cache_is_as_the_connection_says(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/ann/cache")
    settings = open_store({"uri": "s3://bucket", **given}).settings
    wanted = (str(Path("/home/ann/cache/contender")), 20.0) if len(given) < 2 else ("/fast", 7.5)
    assert (settings["cache"], settings["cache_gib"]) == wanted
