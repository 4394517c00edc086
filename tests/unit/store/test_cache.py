"""The worker's cache: right bytes or none, fetched once, bounded, and no file in use is evicted."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pytest

from contender.canonical import sha256
from contender.errors import BackendError, ConfigError
from contender.store.cache import Cache, default_folder

if TYPE_CHECKING:
    from collections.abc import Callable

KIB = 1 / 1024**2  # in GiB
CONTENTS = {name: name.encode() * 1024 for name in "abcdefgh"}
HASHES = {name: sha256(content) for name, content in CONTENTS.items()}

HAMMER = """
import hashlib, random, sys
from pathlib import Path
from contender.store.cache import Cache
folder, seed = sys.argv[1], int(sys.argv[2])
chance = random.Random(seed)
contents = {name: name.encode() * 1024 for name in "abcdefgh"}
for _ in range(150):
    cache = Cache(Path(folder), 3 / 1024**2)
    name = chance.choice("abcdefgh")
    digest = hashlib.sha256(contents[name]).hexdigest()
    path = cache.file(digest, lambda file: file.write(contents[name]), "p")
    assert path.read_bytes() == contents[name]
print("right")
"""


def of(name: str) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(CONTENTS[name])


def never(_: BinaryIO) -> None:
    raise AssertionError


def names(folder: Path) -> set[str]:
    found = {path.name for path in folder.iterdir()}
    return {name for name, digest in HASHES.items() if digest in found} | (found - set(HASHES.values()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "cache"


def test_a_file_is_fetched_once(folder: Path) -> None:
    path = Cache(folder).file(HASHES["a"], of("a"), "p")
    assert path.read_bytes() == CONTENTS["a"]
    assert Cache(folder).file(HASHES["a"], never, "p") == path


def test_only_its_user_may_look_in(folder: Path) -> None:
    folder.mkdir(mode=0o755, parents=True)
    path = Cache(folder).file(HASHES["a"], of("a"), "p")
    assert (folder.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("content", [b"", CONTENTS["a"][:-1], CONTENTS["b"]])
def test_what_has_another_hash_is_not_kept(folder: Path, content: bytes) -> None:
    cache = Cache(folder)
    with pytest.raises(BackendError, match=r"^s3://b/p: was changed or cut after it was written; restore the file$"):
        cache.file(HASHES["a"], lambda file: file.write(content), "s3://b/p")
    assert names(folder) == set()
    assert cache.file(HASHES["a"], of("a"), "p").read_bytes() == CONTENTS["a"]


def test_a_fetch_that_fails_leaves_nothing(folder: Path) -> None:
    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise KeyError("p")

    with pytest.raises(KeyError):
        Cache(folder).file(HASHES["a"], fail, "p")
    assert names(folder) == set()


@pytest.mark.parametrize("change", [b"", b"x" * 1024])
def test_a_file_that_went_bad_on_the_disk_is_fetched_again(folder: Path, change: bytes) -> None:
    cache = Cache(folder)
    path = cache.file(HASHES["a"], of("a"), "p")
    path.write_bytes(change)
    assert cache.file(HASHES["a"], of("a"), "p").read_bytes() == CONTENTS["a"]
    path.unlink()
    assert cache.file(HASHES["a"], of("a"), "p").read_bytes() == CONTENTS["a"]


def test_beyond_the_limit_the_least_recently_used_go(folder: Path) -> None:
    for age, name in enumerate("abc"):
        path = Cache(folder, 3 * KIB).file(HASHES[name], of(name), "p")
        os.utime(path, ns=(age, age))
    Cache(folder, 3 * KIB).file(HASHES["a"], never, "p")
    Cache(folder, 3 * KIB).file(HASHES["d"], of("d"), "p")
    assert names(folder) == {"a", "c", "d"}


def test_a_file_in_use_stays_and_goes_when_it_is_not(folder: Path) -> None:
    reader = Cache(folder, KIB)
    path = reader.file(HASHES["a"], of("a"), "p")
    Cache(folder, KIB).file(HASHES["b"], of("b"), "p")
    assert path.read_bytes() == CONTENTS["a"]
    del reader
    gc.collect()
    Cache(folder, KIB).file(HASHES["c"], of("c"), "p")
    assert names(folder) == {"c"}


def test_one_fetches_while_the_others_wait_for_it(folder: Path) -> None:
    fetches = []
    begun, go = threading.Event(), threading.Event()

    def slowly(file: BinaryIO) -> None:
        fetches.append(1)
        file.write(CONTENTS["a"][:10])
        begun.set()
        go.wait(10)
        file.write(CONTENTS["a"][10:])

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(Cache(folder).file, HASHES["a"], slowly, "p")
        begun.wait(10)
        others = [pool.submit(Cache(folder).file, HASHES["a"], slowly, "p") for _ in range(3)]
        go.set()
        paths = {one.result(10) for one in (first, *others)}
    assert len(fetches) == 1
    assert [path.read_bytes() for path in paths] == [CONTENTS["a"]]


def test_what_a_killed_process_left_half_is_fetched_anew_and_cleared_away(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in "ab":
        (folder / f".pending-{HASHES[name]}").write_bytes(b"x" * 5000)
    assert Cache(folder).file(HASHES["a"], of("a"), "p").read_bytes() == CONTENTS["a"]
    assert names(folder) == {"a"}


@pytest.mark.timeout(120)
def test_processes_that_share_a_small_cache_all_read_the_right_bytes(folder: Path) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", HAMMER, str(folder), str(seed)], stdout=subprocess.PIPE, text=True)
        for seed in range(4)
    ]
    assert [process.communicate(timeout=100)[0] for process in started] == ["right\n"] * 4
    Cache(folder, 3 * KIB).file(sha256(b"new"), lambda file: file.write(b"new"), "p")
    left = list(folder.iterdir())
    assert sum(path.stat().st_size for path in left) <= 3 * 1024
    assert all(sha256(path.read_bytes()) == path.name for path in left)


FULL = """
import resource, sys
from contender.errors import BackendError
from contender.store.cache import Cache
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    Cache(Path(sys.argv[1])).file("0" * 64, lambda file: file.write(bytes(200_000)), "p")
except BackendError as error:
    print(error)
"""


def test_what_does_not_fit_on_the_disk_is_named_and_leaves_nothing(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(folder)], capture_output=True, text=True, check=True)
    said = f"store: cache {folder}: File too large; give the contender_store connection another cache\n"
    assert done.stdout == said
    assert names(folder) == set()


def test_the_cache_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/fast/disk")
    assert default_folder() == Path("/fast/disk/contender")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/ann")
    assert default_folder() == Path("/home/ann/.cache/contender")


def test_a_user_without_a_home_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(_: type[Path]) -> Path:
        raise RuntimeError

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", classmethod(homeless))
    with pytest.raises(ConfigError, match="no home folder for its cache; set cache in the contender_store connection"):
        default_folder()
