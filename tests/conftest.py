"""What several test modules share: the shipped pipeline, an empty store, and a small budget for property tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from contender.spec.loading import load_spec
from contender.store.local import LocalStore
from homes import migrated  # noqa: F401 - a fixture
from s3servers import moto, rclone  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from contender.spec.pipeline import PipelineSpec

ROOT = Path(__file__).parents[1]

settings.register_profile("contender", max_examples=30, deadline=None)
settings.load_profile("contender")


@pytest.fixture(scope="session")
def shipped() -> Path:
    """The pipeline that comes with the repository."""
    return ROOT / "dags" / "pipelines" / "churn.yaml"


@pytest.fixture(scope="session")
def spec(shipped: Path) -> PipelineSpec:
    return load_spec(shipped)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")
