"""Homes that are copied, because making one takes seconds and copying it none: with databases alone, or with runs in them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from contender.backends import Backends
from contender.release.signing import create_key
from contender.tracking.sqlite import write_ahead
from contender_airflow.embedded.home import Home
from oldhome import relocate


@dataclass(frozen=True)
class Migrated:
    """The databases of a home that was prepared as users have it."""

    home: Home

    def into(self, root: Path) -> None:
        """Put them into the folder of a new home."""
        for name in ("airflow/airflow.db", "mlflow/mlflow.db", "prepared.json"):
            (root / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copyfile(self.home.root / name, root / name)
        relocate(root / "mlflow" / "mlflow.db", str(self.home.root), str(root))


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    folder = tmp_path_factory.mktemp("migrated")
    (folder / "dags").mkdir()
    home = Home(folder / "home", folder / "dags")
    home.prepare()
    return Migrated(home)


def begun(folder: Path, empty_mlflow: Path) -> Backends:
    """The backends of a home without an Airflow: an MLflow database, a store and a key in one folder."""
    shutil.copyfile(empty_mlflow, folder / "mlflow.db")
    write_ahead(folder / "mlflow.db")
    create_key(folder / "keys" / "signing.pem")
    return connected(folder)


def connected(folder: Path) -> Backends:
    """New ones, on such a home."""
    uri, key = f"sqlite:///{folder / 'mlflow.db'}", folder / "keys" / "signing.pem"
    return Backends.connect(store=str(folder / "store"), tracking_uri=uri, signing_key=str(key))


def copied(home: Path, into: Path, *, lived_at: Path) -> Backends:
    """The backends of a copy of such a home.

    Args:
        lived_at: the folder that it was in when MLflow noted where its files are.
    """
    shutil.copytree(home, into)
    relocate(into / "mlflow.db", str(lived_at), str(into))
    return connected(into)
