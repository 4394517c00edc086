"""Every store keeps the same promises. A new one joins by a line in ``settings``."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from contender.canonical import sha256
from contender.documents.sweep import TaskReport
from contender.errors import BackendError, ConfigError
from contender.store.base import (
    PROBE,
    preflight,
    put_document_if_absent,
    read_document,
    require_document,
    write_document,
)
from contender.store.ledger import Ledger
from contender.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from contender.store.base import ArtifactStore

REPORT = TaskReport(index=3, done=2, failed=1, untried=("k",))

RACE = """
import json, sys
from contender.store.opening import open_store
settings, me, count = json.load(sys.stdin)
store = open_store(settings)
store.write(f"ready/{me}", b"")
while not store.exists("go"):
    pass
for n in range(count):
    if store.put_if_absent(f"different/{n}", me.encode()):
        print("different", n)
    if store.put_if_absent(f"alike/{n}", b"alike"):
        print("alike", n)
"""

REWRITE = """
import json, sys
from pathlib import Path
from contender.store.opening import open_store
settings, folder = json.load(sys.stdin)
store = open_store(settings)
while True:
    for number in range(2):
        store.put_file("value", Path(folder, str(number)))
"""


def start(script: str, *task: Any) -> subprocess.Popen[str]:
    """A process that works on the store."""
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps(task))
    process.stdin.close()
    process.stdin = None  # communicate() would flush it
    return process


@pytest.fixture(params=["local", "s3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    if request.param == "local":
        return {"uri": str(tmp_path / "store")}
    moto = request.getfixturevalue("moto")
    return {"uri": f"s3://{moto.bucket()}/a/prefix", "connection": moto.fields(), "cache": str(tmp_path / "cache")}


@pytest.fixture
def store(settings: dict[str, Any]) -> ArtifactStore:
    return open_store(settings)


def test_a_value_reads_back_and_is_replaced_whole(store: ArtifactStore) -> None:
    for content in (b"first", b"", b"\x00\xff\r\n" * 1000, b"last"):
        store.write("a/b.json", content)
        assert store.read("a/b.json") == store.local("a/b.json").read_bytes() == content
    assert store.exists("a/b.json")


def test_the_second_to_put_a_value_loses_and_changes_nothing(store: ArtifactStore) -> None:
    assert store.put_if_absent("a", b"first")
    assert not store.put_if_absent("a", b"second")
    assert not store.put_if_absent("a", b"first")
    assert store.read("a") == b"first"


def test_what_has_no_value_says_so(store: ArtifactStore) -> None:
    store.write("folder/x", b"")
    store.write("file", b"")
    for key in ("missing", "a/b/c", "folder", "file/below"):
        assert not store.exists(key)
        for ask in (store.read, store.local, lambda k: store.local(k, sha256=sha256(b""))):
            with pytest.raises(KeyError, match=key):
                ask(key)


def test_keys_and_children_are_sorted_and_below_what_was_asked_for(store: ArtifactStore) -> None:
    for key in ("p/runs/b/run.json", "p/runs/a/run.json", "p/x", "pp/y", "q"):
        store.write(key, b"")
    assert store.keys("p") == store.keys("p/") == ["p/runs/a/run.json", "p/runs/b/run.json", "p/x"]
    assert store.children("") == ["p", "pp", "q"]
    assert store.children("p") == ["runs", "x"]
    assert store.children("p/runs") == ["a", "b"]
    assert store.keys("nowhere") == store.children("nowhere") == store.keys("q") == []


def test_more_keys_than_the_server_lists_at_once_are_all_there(store: ArtifactStore) -> None:
    names = [f"{n:03d}" for n in range(130)]
    for name in names:
        store.write(f"many/{name}/x", b"")
    assert store.children("many") == names
    assert store.keys("many") == [f"many/{name}/x" for name in names]


NO_KEYS = [
    "", "/etc/passwd", "../x", "a/../../x", "a/..", "..", ".", "./a", "a//b", "a/", "/a", "~/a", "a\\b", "a b", "a\x00b",
    "a\n", "é", ".hidden", "a/.hidden", ".pending-x", "-a", "a..b", "%2e%2e/a", "//host/share", "c:/x", "s3://b/x",
]  # fmt: skip


def test_a_key_never_leads_out_of_the_store(store: ArtifactStore, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    for key in NO_KEYS:
        acts: list[Callable[[str], object]] = [
            store.read, store.exists, store.local, store.url, lambda k: store.put_file(k, Path(__file__)),
            lambda k: store.write(k, b"x"), lambda k: store.put_if_absent(k, b"x"),
        ]  # fmt: skip
        if key.rstrip("/") not in ("", "a"):
            acts += [store.keys, store.children]
        for act in acts:
            with pytest.raises(ConfigError, match=r"^store: .* is not a key; expected letters"):
                act(key)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("size", [0, 1, 20_000_001])
def test_a_file_is_put_and_got_whole_with_its_hash(store: ArtifactStore, tmp_path: Path, size: int) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"0123456789abcdef_" * (size // 17) + bytes(size % 17))
    digest = store.put_file("p/data.parquet", path)
    assert digest == sha256(path.read_bytes())
    copy = store.local("p/data.parquet", sha256=digest)
    assert copy.read_bytes() == path.read_bytes() == store.read("p/data.parquet")
    assert path.stat().st_size == size  # and the caller's own is left alone


def test_a_file_that_was_changed_is_not_handed_out(store: ArtifactStore, tmp_path: Path) -> None:
    path, content = tmp_path / "data", bytes(range(256))
    path.write_bytes(content)
    digest = store.put_file("p/data", path)
    for changed in (content[:-1], content + b"\n", content[:50] + b"\x00" + content[51:], b""):
        store.write("p/data", changed)
        with pytest.raises(BackendError, match=r"p/data: was changed or cut after it was written; restore the file"):
            store.local("p/data", sha256=digest)
    store.put_file("p/data", path)
    assert store.local("p/data", sha256=digest).read_bytes() == content


def test_a_document_reads_back_as_it_was_written(store: ArtifactStore) -> None:
    write_document(store, "p/report.json", REPORT)
    assert read_document(store, "p/report.json", TaskReport) == REPORT
    assert not put_document_if_absent(store, "p/report.json", REPORT)
    assert put_document_if_absent(store, "p/other.json", REPORT)
    assert require_document(store, "p/other.json", TaskReport) == REPORT
    assert read_document(store, "p/none.json", TaskReport) is None


def test_a_document_with_one_byte_changed_is_no_document(store: ArtifactStore) -> None:
    write_document(store, "p/report.json", REPORT)
    content = store.read("p/report.json")
    for place in (0, len(content) // 2, len(content) - 1):
        store.write("p/report.json", content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(BackendError, match=r"p/report\.json: was changed or cut"):
            read_document(store, "p/report.json", TaskReport)


def test_another_process_opens_the_same_store_from_its_settings(store: ArtifactStore) -> None:
    store.write("here", b"")
    again = open_store(json.loads(json.dumps(store.settings)))
    assert again.children("") == ["here"]
    assert again.url("here") == store.url("here")


def test_a_store_passes_the_preflight_again_and_again(store: ArtifactStore) -> None:
    for _ in range(2):
        preflight(store)
    probe, race, raced = store.keys("preflight")  # of two on a day the first one races
    assert (probe, race[:15], raced[:16]) == (PROBE, "preflight/race/", "preflight/raced/")


def test_a_ledger_is_a_chain_in_every_store(store: ArtifactStore) -> None:
    ledger, at = Ledger(store, "churn"), datetime(2026, 3, 2, tzinfo=UTC)
    for version in ("1", "2"):
        ledger.append(
            kind="promotion", version=version, release=None, run_id=None, as_of=at, at=at, by="ann", reason="better",
            expected=ledger.champion(),
        )  # fmt: skip
    key = "churn/ledger/00000001.json"
    store.write(key, store.read(key).replace(b"better", b"worse!"))
    for ask in (Ledger(store, "churn").champion, ledger.verify):
        with pytest.raises(BackendError, match=f"{key}: this ledger entry was changed after it was written"):
            ask()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_of_eight_processes_that_put_a_value_exactly_one_wins(store: ArtifactStore, settings: dict[str, Any]) -> None:
    names, count = [f"process{n}" for n in range(8)], 6
    started = [start(RACE, settings, name, count) for name in names]
    while len(store.children("ready")) < len(names):
        assert all(process.poll() is None for process in started)
        time.sleep(0.02)
    store.write("go", b"")
    won = {
        name: process.communicate(timeout=60)[0].split("\n")[:-1] for name, process in zip(names, started, strict=True)
    }
    assert sorted(line for lines in won.values() for line in lines) == sorted(
        f"{kind} {n}" for kind in ("different", "alike") for n in range(count)
    )
    for name, lines in won.items():
        for kind, n in (line.split() for line in lines):
            assert store.read(f"{kind}/{n}") == (name.encode() if kind == "different" else b"alike")


@pytest.mark.timeout(120)
def test_a_killed_writer_leaves_a_whole_value(store: ArtifactStore, settings: dict[str, Any], tmp_path: Path) -> None:
    hashes = set()
    for number in range(2):
        content = bytes([number]) * 12_000_000
        (tmp_path / str(number)).write_bytes(content)
        hashes.add(hashlib.sha256(content).hexdigest())
    for wait in (0.0, 0.05, 0.1, 0.2):
        writer = start(REWRITE, settings, str(tmp_path))
        while not store.exists("value"):
            assert writer.poll() is None
        time.sleep(wait)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert writer.stdout is not None
        writer.stdout.close()
        assert sha256(store.read("value")) in hashes
    assert store.children("") == ["value"]


def test_a_store_knows_whether_it_holds_a_file_whole(store: ArtifactStore, tmp_path: Path) -> None:
    whole = b"rows" * 1_000
    (tmp_path / "rows").write_bytes(whole)
    digest = store.put_file("data.parquet", tmp_path / "rows")
    assert store.holds("data.parquet", digest)
    assert not store.holds("data.parquet", sha256(b"others"))
    assert not store.holds("gone.parquet", digest)
    store.write("data.parquet", whole[:-1])  # somebody else
    assert not store.holds("data.parquet", digest)
    store.write("data.parquet", whole)
    assert store.holds("data.parquet", digest)
    store.write("data.parquet", whole[:-1])  # with the whole one in the cache
    assert not store.holds("data.parquet", digest)
