"""The customers, and a home in which two champions followed each other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from builders import write_parquet
from contender import pipeline
from contender.backends import Backends
from contender.release import verify
from contender.release.signing import create_key
from contender.tracking.sqlite import write_ahead
from oldhome import relocate
from steps import LATER, customers, through, timed


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Ninety days of customers, until three weeks after AS_OF."""
    write_parquet(tmp_path / "lake" / "a.parquet", customers())
    return tmp_path / "lake"


def home(folder: Path) -> Backends:
    """The backends of a home in a folder."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return Backends.connect(store=str(folder / "store"), tracking_uri=uri, signing_key=str(folder / "signing.pem"))


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Path:
    """A home in which r1 and r2 were promoted one after the other. Making one takes seconds, copying it none."""
    folder = tmp_path_factory.mktemp("lived")
    shutil.copyfile(empty_mlflow, folder / "mlflow.db")
    write_ahead(folder / "mlflow.db")
    create_key(folder / "signing.pem")
    write_parquet(folder / "lake" / "a.parquet", customers())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "verify_version", verify.check_version)
        patch.setattr(pipeline, "render", lambda _run, decision, *_: f"<p>{decision.sentence}</p>")
        through(timed(folder / "lake"), home(folder))
        through(timed(folder / "lake", "r2", as_of=LATER), home(folder))
    return folder


@pytest.fixture
def two(lived: Path, tmp_path: Path) -> Backends:
    """A copy of it of the test's own: r2 is the champion, r1 was it before."""
    copy = shutil.copytree(lived, tmp_path / "lived")
    relocate(copy / "mlflow.db", str(lived), str(copy))
    return home(copy)
