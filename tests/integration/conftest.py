"""Real backends for tests: an MLflow database, a store and a key, all in the test's own folder."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from contender.backends import Backends
from contender.signing import create_key

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables: making one takes seconds, copying it none."""
    from contender.tracking.runs import Tracking

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    Tracking(f"sqlite:///{path}").client.search_experiments()
    return path


@pytest.fixture
def backends(tmp_path: Path, empty_mlflow: Path) -> Backends:
    shutil.copyfile(empty_mlflow, tmp_path / "mlflow.db")
    key = tmp_path / "keys" / "signing.pem"
    create_key(key)
    return Backends.connect(
        store=str(tmp_path / "store"), tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}", signing_key=str(key)
    )
