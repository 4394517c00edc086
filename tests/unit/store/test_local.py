"""The local store's promises, kept among real processes: whole values, one winner, nothing outside the root."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from contender.errors import BackendError, ConfigError
from contender.store.local import LocalStore

if TYPE_CHECKING:
    from pathlib import Path

RACE = """
import json, sys, time
from pathlib import Path
from contender.store.local import LocalStore
root, me, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = LocalStore(root)
Path(root, f".ready-{me}").touch()
while not Path(root, ".go").exists():
    time.sleep(0.001)
print(json.dumps([n for n in range(count) if store.put_if_absent(f"race/{n}", me.encode())]))
"""

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


def test_a_value_reads_back_and_is_replaced_whole(store: LocalStore) -> None:
    store.write("a/b.json", b"first")
    store.write("a/b.json", b"second")
    assert store.read("a/b.json") == b"second"
    assert store.local("a/b.json").read_bytes() == b"second"
    assert store.url("a/b.json") == str(store.root / "a" / "b.json")


def test_the_second_to_put_a_value_loses_and_changes_nothing(store: LocalStore) -> None:
    assert store.put_if_absent("a", b"first")
    assert not store.put_if_absent("a", b"second")
    assert store.read("a") == b"first"
    assert [path.name for path in store.root.iterdir()] == ["a"]


@pytest.mark.parametrize("key", ["missing", "a/b/c", "folder", "file/below"])
def test_what_has_no_value_says_so(store: LocalStore, key: str) -> None:
    store.write("folder/x", b"")
    store.write("file", b"")
    assert not store.exists(key)
    for ask in (store.read, store.local):
        with pytest.raises(KeyError, match=key):
            ask(key)


def test_keys_and_children_are_sorted_and_hold_only_values(store: LocalStore) -> None:
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


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/..",
        "..",
        ".",
        "./a",
        "a//b",
        "a/",
        "/a",
        "~/a",
        "a\\b",
        "a b",
        "a\x00b",
        "a\n",
        "é",
        ".hidden",
        "a/.hidden",
        ".pending-x",
        "-a",
        "a..b",
        "%2e%2e/a",
        "//host/share",
        "c:/x",
    ],
)
def test_a_key_never_leads_out_of_the_store(store: LocalStore, key: str) -> None:
    store.root.mkdir()
    before = sorted(store.root.parent.rglob("*"))
    for act in (
        store.read, store.exists, store.local, store.url,
        lambda k: store.write(k, b"x"), lambda k: store.put_if_absent(k, b"x"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=r"^store: .* is not a key; expected letters"):
            act(key)
    assert sorted(store.root.parent.rglob("*")) == before


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


def test_of_many_processes_that_put_a_value_exactly_one_wins(store: LocalStore) -> None:
    store.root.mkdir()
    names = [f"process{n}" for n in range(4)]
    started = [
        subprocess.Popen([sys.executable, "-c", RACE, str(store.root), name, "100"], stdout=subprocess.PIPE)
        for name in names
    ]
    while len(list(store.root.glob(".ready-*"))) < len(names):
        time.sleep(0.005)
    (store.root / ".go").touch()
    won = {name: json.loads(process.communicate(timeout=60)[0]) for name, process in zip(names, started, strict=True)}
    assert sorted(n for numbers in won.values() for n in numbers) == list(range(100))
    assert all(store.read(f"race/{n}") == name.encode() for name, numbers in won.items() for n in numbers)
    assert not list(store.root.rglob(".pending-*"))


def test_of_many_threads_that_put_a_value_exactly_one_wins(store: LocalStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        for n in range(20):
            won = list(pool.map(lambda me, n=n: store.put_if_absent(f"race/{n}", bytes([me])), range(8)))
            assert won.count(True) == 1
            assert store.read(f"race/{n}") == bytes([won.index(True)])


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
