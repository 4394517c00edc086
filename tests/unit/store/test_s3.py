"""The store in S3 with faults: lost and cut replies, servers without conditions, killed uploads, wrong keys."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from contender.canonical import sha256
from contender.errors import BackendError, ConfigError
from contender.patience import patience
from contender.store.base import PREFLIGHT, preflight
from contender.store.opening import open_store
from faultproxy import Fault, Proxy, Request, proxy_to
from s3servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contender.store.base import ArtifactStore
    from s3servers import S3Server

KIB = 1024
BIG = bytes(range(256)) * 4 * KIB  # 1 MiB

UPLOAD = """
import json, sys
from pathlib import Path
from contender.store.opening import open_store
settings, path = json.load(sys.stdin)
open_store(settings).put_file("p/data", Path(path))
"""


@pytest.fixture(autouse=True)
def _short_patience() -> Iterator[None]:
    with patience(1):
        yield


@pytest.fixture
def bucket(moto: S3Server) -> str:
    return moto.bucket()


@pytest.fixture
def proxy(moto: S3Server) -> Iterator[Proxy]:
    with proxy_to(moto.endpoint) as between:
        yield between


@pytest.fixture
def settings(moto: S3Server, proxy: Proxy, bucket: str, tmp_path: Path) -> dict[str, Any]:
    fields = moto.fields(extra={"endpoint_url": proxy.endpoint, "region_name": "us-east-1"})
    return {"uri": f"s3://{bucket}/store", "connection": fields, "cache": str(tmp_path / "cache")}


@pytest.fixture
def store(settings: dict[str, Any]) -> ArtifactStore:
    return open_store(settings)


def first(fault: Fault, times: int, method: str, needle: str = "") -> Callable[[Request], Fault | None]:
    """The fault for the first so many requests of a kind."""
    left = [times]

    def choose(request: Request) -> Fault | None:
        if request.method != method or needle not in request.path or not left[0]:
            return None
        left[0] -= 1
        return fault

    return choose


def test_a_writer_whose_reply_was_lost_has_won(store: ArtifactStore, proxy: Proxy) -> None:
    preflight(store)
    proxy.fault = first(Fault(lose=True), 1, "PUT", "/entry")
    assert store.put_if_absent("entry", b"mine")
    assert [r.method for r in proxy.seen if r.path.endswith("/entry")] == ["PUT", "PUT", "HEAD"]
    assert not store.put_if_absent("entry", b"mine")
    proxy.fault = first(Fault(lose=True), 1, "PUT", "/entry")
    assert not store.put_if_absent("entry", b"other")
    assert store.read("entry") == b"mine"


def test_a_conflict_of_two_writers_is_asked_again(store: ArtifactStore, proxy: Proxy) -> None:
    proxy.fault = first(Fault(answer=(409, "ConditionalRequestConflict")), 2, "PUT", "/entry")
    assert store.put_if_absent("entry", b"mine")
    proxy.fault = first(Fault(answer=(409, "ConditionalRequestConflict")), 99, "PUT", "/other")
    with pytest.raises(BackendError, match=r"store/other: too many write it at once; try again"):
        store.put_if_absent("other", b"mine")


def test_a_server_without_conditional_writes_is_refused_before_anything_is_put(
    store: ArtifactStore, proxy: Proxy
) -> None:
    proxy.fault = lambda r: Fault(answer=(501, "NotImplemented")) if "If-None-Match" in r.headers else None
    with pytest.raises(
        ConfigError, match=r"cannot decide who was first.*it answered NotImplemented. Nothing was started"
    ):
        store.put_if_absent("churn/ledger/00000001.json", b"x")
    assert store.children("") == ["preflight"]


def test_a_proxy_that_changes_what_is_put_is_found_out(store: ArtifactStore, proxy: Proxy) -> None:
    def chunked(body: bytes) -> bytes:
        return b"%x\r\n%b\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n" % (len(body), body)

    proxy.fault = lambda r: Fault(store=chunked) if r.method == "PUT" else None
    with pytest.raises(ConfigError, match=r"preflight/probe does not read back as it was written"):
        store.put_if_absent("churn/runs/r1/run.json", b"x")
    assert store.children("") == ["preflight"]


def test_the_preflight_runs_once_and_only_before_a_conditional_write(store: ArtifactStore, proxy: Proxy) -> None:
    store.write("a", b"x")
    assert not [r for r in proxy.seen if "preflight" in r.path]
    for key in ("b", "c"):
        store.put_if_absent(key, b"x")
    asked = [r.method for r in proxy.seen if "preflight" in r.path]
    # Probe, refusal, reading back, whether somebody raced today, the race of eight, and that it was run.
    assert asked[:5] == ["PUT", "PUT", "HEAD", "GET", "HEAD"]
    assert sorted(asked[5:]) == ["HEAD"] * 7 + ["PUT"] * 9
    proxy.seen.clear()
    preflight(store)
    assert [r.method for r in proxy.seen] == ["PUT", "PUT", "HEAD", "GET", "HEAD"]


def test_a_server_that_lets_several_win_that_come_at_once_is_refused_each_time(
    store: ArtifactStore, proxy: Proxy, bucket: str, moto: S3Server
) -> None:
    """It looks whether the key is there, and puts it later, as SeaweedFS up to 4.16 does."""

    def look_first(request: Request) -> Fault | None:
        key = request.path.partition("?")[0].removeprefix(f"/{bucket}/")
        there = moto.client.list_objects_v2(Bucket=bucket, Prefix=key).get("KeyCount", 0)
        if request.method != "PUT" or "If-None-Match" not in request.headers:
            return None
        return Fault(answer=(412, "PreconditionFailed")) if there else Fault(wait=0.5, without=("If-None-Match",))

    proxy.fault = look_first
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"race/\w+: .* told [2-8] of 8 that came at once that they were first"):
            store.put_if_absent("churn/ledger/00000001.json", b"x")
    assert store.children("") == [PREFLIGHT.rstrip("/")]


def test_a_server_that_is_away_for_a_while_is_waited_for(
    moto: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call of the store, while nothing listens at the address; boto3 itself gives up at once here."""
    monkeypatch.setattr("contender.aws.ATTEMPTS", 1)
    port = free_port()
    fields = moto.fields(extra={"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1"})
    uri = {"uri": f"s3://{bucket}/store", "connection": fields, "cache": str(tmp_path / "cache")}
    (tmp_path / "data").write_bytes(b"data")
    calls: list[Callable[[ArtifactStore], Any]] = [
        lambda store: store.write("w", b"w"),
        lambda store: store.put_if_absent("p", b"p"),
        lambda store: store.put_file("f", tmp_path / "data"),
        lambda store: store.exists("there"),
        lambda store: store.read("there"),
        lambda store: store.keys("x"),
        lambda store: store.children(""),
        lambda store: store.local("there", sha256=sha256(b"there")).read_bytes(),
    ]
    moto.client.put_object(Bucket=bucket, Key="store/there", Body=b"there")

    def call(ask: Callable[[ArtifactStore], Any]) -> Any:
        with patience(60):
            return ask(open_store(uri))

    with ThreadPoolExecutor(len(calls)) as pool:
        asked = [pool.submit(call, ask) for ask in calls]
        time.sleep(1.5)
        assert not any(one.done() for one in asked)
        with proxy_to(moto.endpoint, port):
            assert [one.result(60) for one in asked][1:5] == [True, sha256(b"data"), True, b"there"]


def test_a_server_that_stays_away_is_given_up_when_the_patience_is_over(
    moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contender.aws.ATTEMPTS", 1)
    fields = moto.fields(extra={"endpoint_url": f"http://127.0.0.1:{free_port()}", "region_name": "us-east-1"})
    store, began = open_store({"uri": "s3://lake", "connection": fields, "cache": str(tmp_path)}), time.monotonic()
    with patience(0.5), pytest.raises(BackendError, match="Could not connect to the endpoint URL"):
        store.read("a")
    assert 0.5 <= time.monotonic() - began < 15


def test_a_reply_that_is_cut_anywhere_is_asked_for_again(store: ArtifactStore, proxy: Proxy, tmp_path: Path) -> None:
    for boundary in range(0, 1024, 64):
        content = bytes([boundary // 64]) + BIG
        store.write("data", content)
        proxy.fault = first(Fault(cut=boundary * KIB), 1, "GET")
        assert store.read("data") == content
        proxy.fault = first(Fault(cut=boundary * KIB), 1, "GET")
        assert store.local("data", sha256=sha256(content)).read_bytes() == content
    assert len(list((tmp_path / "cache").iterdir())) == 16


def test_a_server_that_always_cuts_is_an_error_and_no_short_file(
    store: ArtifactStore, proxy: Proxy, tmp_path: Path
) -> None:
    store.write("data", BIG)
    proxy.fault = first(Fault(cut=640 * KIB), 99, "GET")
    with pytest.raises(BackendError, match=r"^store: s3://.*/store/data: .*655360"):
        store.read("data")
    with pytest.raises(BackendError, match=r"^store: s3://.*/store/data: .*655360"):
        store.local("data", sha256=sha256(BIG))
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_server_that_is_busy_is_asked_again(store: ArtifactStore, proxy: Proxy) -> None:
    proxy.fault = first(Fault(answer=(503, "SlowDown")), 1, "PUT")
    store.write("a", b"x")
    proxy.fault = first(Fault(answer=(500, "InternalError")), 1, "GET")
    assert store.read("a") == b"x"


def test_a_server_that_does_not_answer_is_given_up(
    store: ArtifactStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contender.aws.READ_SECONDS", 0.2)
    monkeypatch.setattr("contender.aws.ATTEMPTS", 1)
    proxy.fault = lambda _: Fault(wait=1)
    with pytest.raises(BackendError, match=r'^store: s3://.*/store/a: Read timeout on endpoint URL: "http://127'):
        store.exists("a")


def test_parts_that_a_killed_writer_left_are_removed_by_the_next(
    settings: dict[str, Any], store: ArtifactStore, moto: S3Server, bucket: str, proxy: Proxy, tmp_path: Path
) -> None:
    path = tmp_path / "data"
    path.write_bytes(BIG * 20)
    proxy.fault = first(Fault(wait=60), 99, "PUT", "partNumber=2")
    writer = subprocess.Popen([sys.executable, "-c", UPLOAD], stdin=subprocess.PIPE, text=True)
    assert writer.stdin is not None
    writer.stdin.write(json.dumps([settings, str(path)]))
    writer.stdin.close()
    while not any("partNumber=2" in request.path for request in proxy.seen):
        assert writer.poll() is None
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    direct = moto.client
    assert len(direct.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1
    assert not store.exists("p/data")
    proxy.fault = lambda _: None
    neighbour = direct.create_multipart_upload(Bucket=bucket, Key="store/p/data2")
    digest = store.put_file("p/data", path)
    assert [one["UploadId"] for one in direct.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [
        neighbour["UploadId"]
    ]
    assert store.local("p/data", sha256=digest).read_bytes() == BIG * 20


def test_an_upload_that_fails_leaves_no_parts(
    store: ArtifactStore, moto: S3Server, bucket: str, proxy: Proxy, tmp_path: Path
) -> None:
    path = tmp_path / "data"
    path.write_bytes(BIG * 20)
    proxy.fault = first(Fault(answer=(403, "AccessDenied")), 99, "PUT", "partNumber=2")
    with pytest.raises(BackendError, match=r"^store: s3://.*/store/p/data: .*AccessDenied"):
        store.put_file("p/data", path)
    assert "Uploads" not in moto.client.list_multipart_uploads(Bucket=bucket)
    assert not store.exists("p/data")


def test_a_server_or_policy_that_lists_no_uploads_takes_files_all_the_same(
    store: ArtifactStore, proxy: Proxy, tmp_path: Path
) -> None:
    (tmp_path / "data").write_bytes(b"x")
    proxy.fault = lambda r: Fault(answer=(403, "AccessDenied")) if "uploads" in r.path and r.method == "GET" else None
    store.put_file("p/data", tmp_path / "data")
    assert store.read("p/data") == b"x"


def test_a_bucket_that_is_not_there_is_no_missing_key(moto: S3Server, tmp_path: Path) -> None:
    store = open_store({"uri": "s3://nobodys", "connection": moto.fields(), "cache": str(tmp_path)})
    for ask in (lambda: store.read("a"), lambda: store.children(""), lambda: store.write("a", b"")):
        with pytest.raises(BackendError, match=r"^store: s3://nobodys/.*NoSuchBucket.*; create the bucket"):
            ask()


def on_rclone(rclone: S3Server, tmp_path: Path, **changes: Any) -> ArtifactStore:
    uri = f"s3://{rclone.bucket()}/store"
    return open_store({"uri": uri, "connection": rclone.fields(**changes), "cache": str(tmp_path / "cache")})


def test_a_server_that_checks_signatures_keeps_values_and_files(rclone: S3Server, tmp_path: Path) -> None:
    store, path = on_rclone(rclone, tmp_path), tmp_path / "data"
    store.write("p/a.json", b"x")
    path.write_bytes(BIG * 20)
    digest = store.put_file("p/data", path)
    assert store.read("p/a.json") == b"x"
    assert store.local("p/data", sha256=digest).read_bytes() == BIG * 20
    assert store.keys("p") == ["p/a.json", "p/data"]
    with pytest.raises(KeyError):
        store.read("p/b.json")


def test_a_server_that_overwrites_in_spite_of_the_condition_is_refused(rclone: S3Server, tmp_path: Path) -> None:
    store = on_rclone(rclone, tmp_path)
    with pytest.raises(ConfigError, match=r"cannot decide who was first.*\(If-None-Match: \*\), it overwrote what was"):
        store.put_if_absent("churn/ledger/00000001.json", b"x")
    assert store.children("") == ["preflight"]


def test_a_wrong_secret_is_refused_and_not_repeated(rclone: S3Server, tmp_path: Path) -> None:
    secret = "another-secret-of-some-length"  # noqa: S105 - of no account
    store = on_rclone(rclone, tmp_path, password=secret)
    for ask in (
        lambda: store.read("a"), lambda: store.children(""), lambda: store.put_if_absent("a", b""),
        lambda: store.put_file("a", Path(__file__)), lambda: store.exists("a"), lambda: store.local("a", sha256="0" * 64),
    ):  # fmt: skip
        with pytest.raises(BackendError, match=r"SignatureDoesNotMatch|403: Forbidden; check its keys") as caught:
            ask()
        assert secret not in str(caught.value)


def test_whether_a_file_is_whole_is_known_without_reading_it(
    store: ArtifactStore, proxy: Proxy, moto: S3Server, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "rows").write_bytes(b"rows" * 1_000)
    digest = store.put_file("data.parquet", tmp_path / "rows")
    proxy.seen.clear()
    assert store.holds("data.parquet", digest)
    assert [asked.method for asked in proxy.seen] == ["HEAD"]
    recorded = {"sha256": digest, "bytes": "4000"}  # copied along with half a file
    moto.client.put_object(Bucket=bucket, Key="store/data.parquet", Body=b"rows", Metadata=recorded)
    assert not store.holds("data.parquet", digest)
