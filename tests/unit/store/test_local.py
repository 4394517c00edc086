"""What is special about a store in a folder; what every store promises is in tests/contracts/test_stores.py."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contender.errors import BackendError
from contender.store.local import LocalStore

REWRITE = """
import sys
from contender.store.local import LocalStore
store, number = LocalStore(sys.argv[1]), 0
while True:
    number = (number + 1) % 256
    store.write("value", bytes([number]) * 400_000)
"""


def whole(value: bytes) -> bool:
    return len(value) == 400_000 and value.count(value[:1]) == 400_000


def test_a_value_is_a_file_where_its_url_says(store: LocalStore) -> None:
    store.write("a/b.json", b"x")
    assert Path(store.url("a/b.json")).read_bytes() == b"x"
    assert [path.name for path in store.root.rglob("*")] == ["a", "b.json"]


def test_keys_and_children_hold_only_values(store: LocalStore) -> None:
    for key in ("p/runs/b/run.json", "p/runs/a/run.json", "p/x", "q/y"):
        store.write(key, b"")
    for stray in (".pending-abc", "p/.pending-abc", "p/runs/.pending-abc", ".DS_Store", "with space"):
        (store.root / stray).write_text("half")
    assert store.keys("p") == store.keys("p/") == ["p/runs/a/run.json", "p/runs/b/run.json", "p/x"]
    assert store.children("") == ["p", "q"]
    assert store.children("p/runs") == ["a", "b"]
    assert store.keys("nowhere") == store.children("nowhere") == []


def test_a_store_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    assert LocalStore(tmp_path / "missing").children("") == []


@pytest.mark.parametrize("key", ["file/below", "folder"])
def test_a_value_that_cannot_be_written_is_named_and_leaves_nothing(store: LocalStore, key: str) -> None:
    store.write("file", b"x")
    store.write("folder/x", b"x")
    with pytest.raises(BackendError, match=rf"store: cannot write .*{key}: "):
        store.write(key, b"y")
    assert store.keys("folder") == ["folder/x"]
    assert not list(store.root.rglob(".pending-*"))


def test_a_value_that_cannot_be_read_is_named(store: LocalStore) -> None:
    store.root.mkdir()
    (store.root / "loop").symlink_to("loop")
    with pytest.raises(BackendError, match=r"store: cannot read .*loop: Too many levels of symbolic links"):
        store.read("loop")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_no_reader_sees_half_a_value_while_writers_are_killed(store: LocalStore) -> None:
    chance = random.Random(7)  # noqa: S311 - when to kill, not a secret
    store.write("value", bytes(400_000))
    reads, torn, seen = 0, 0, set()
    for _ in range(30):
        writer = subprocess.Popen([sys.executable, "-c", REWRITE, str(store.root)])
        before = store.read("value")
        while store.read("value") == before:
            assert writer.poll() is None
        end = time.monotonic() + chance.uniform(0, 0.03)
        while time.monotonic() < end:
            value = store.read("value")
            reads, torn = reads + 1, torn + (not whole(value))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        last = store.read("value")
        seen.add(last[:1])
        torn += not whole(last)
    assert torn == 0
    assert reads >= 30
    assert len(seen) > 1
    left = [path.name for path in store.root.iterdir() if path.name != "value"]
    assert all(name.startswith(".pending-") for name in left)
    assert len(left) <= 30
    assert store.keys("value") == store.children("value") == []
    assert store.children("") == ["value"]


def test_what_a_killed_writer_left_long_ago_is_removed_with_the_next_file(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x")
    (store.root / "p").mkdir(parents=True)
    for name, hours in ((".pending-old", 25), (".pending-new", 23), ("old", 25)):
        (store.root / "p" / name).touch()
        then = time.time() - hours * 3600
        os.utime(store.root / "p" / name, (then, then))
    store.put_file("p/data", tmp_path / "data")
    assert sorted(path.name for path in (store.root / "p").iterdir()) == [".pending-new", "data", "old"]


FULL = """
import resource, sys
from contender.errors import BackendError
from contender.store.local import LocalStore
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
store = LocalStore(sys.argv[1])
for put in (lambda: store.write("a/x", bytes(200_000)), lambda: store.put_file("a/x", Path(sys.argv[2])),
            lambda: store.put_if_absent("a/x", bytes(200_000))):
    try:
        put()
    except BackendError as error:
        print(error)
"""


def test_a_value_that_does_not_fit_on_the_disk_is_named_and_leaves_nothing(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(200_000))
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(store.root), str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [f"store: cannot write {store.root}/a/x: File too large"] * 3
    assert list((store.root / "a").iterdir()) == []
