"""The customers, and homes in which their first runs have happened already."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from builders import write_parquet
from contender import pipeline
from contender.backends import Backends
from contender.release import verify
from homes import begun, connected, copied
from steps import LATER, customers, through, timed


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Ninety days of customers, until three weeks after AS_OF."""
    write_parquet(tmp_path / "lake" / "a.parquet", customers())
    return tmp_path / "lake"


@dataclass(frozen=True)
class Lived:
    """A home in which r1 and r2 were promoted one after the other, and copies of it from before.

    Making one takes seconds, copying it none.
    """

    folder: Path

    def copied(self, stage: str, into: Path) -> Backends:
        """A copy of the test's own, of how the home was then."""
        return copied(self.folder / stage, into / "lived", lived_at=self.folder / "home")


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Lived:
    lived = Lived(tmp_path_factory.mktemp("lived"))
    folder = lived.folder / "home"
    write_parquet(folder / "lake" / "a.parquet", customers())
    begun(folder, empty_mlflow)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "verify_version", verify.check_version)
        patch.setattr(pipeline, "render", lambda _run, decision, *_: f"<p>{decision.sentence}</p>")
        for stage, run, last in (
            ("trained", timed(folder / "lake"), "train"),
            ("decided", timed(folder / "lake"), "challenge"),
            ("one", timed(folder / "lake"), "announce"),
            ("two", timed(folder / "lake", "r2", as_of=LATER), "announce"),
        ):
            through(run, connected(folder), last)
            shutil.copytree(folder, lived.folder / stage)
    return lived


@pytest.fixture
def trained(lived: Lived, tmp_path: Path) -> Backends:
    """All trials of r1 are done."""
    return lived.copied("trained", tmp_path)


@pytest.fixture
def will_promote(lived: Lived, tmp_path: Path) -> Backends:
    """r1 has decided to promote, and has not promoted."""
    return lived.copied("decided", tmp_path)


@pytest.fixture
def one(lived: Lived, tmp_path: Path) -> Backends:
    """r1 is the first champion."""
    return lived.copied("one", tmp_path)


@pytest.fixture
def two(lived: Lived, tmp_path: Path) -> Backends:
    """r2 is the champion, r1 was it before."""
    return lived.copied("two", tmp_path)
