"""Real backends for tests: an MLflow database, a store and a key, all in the test's own folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contender import pipeline
from contender.release import verify
from homes import begun
from services import own_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from contender.backends import Backends


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables: making one takes seconds, copying it none."""
    from contender.tracking.runs import Tracking

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    Tracking(f"sqlite:///{path}").client.search_experiments()
    return path


@pytest.fixture
def backends(tmp_path: Path, empty_mlflow: Path) -> Backends:
    return begun(tmp_path, empty_mlflow)


@pytest.fixture
def verified_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions are verified for real, but in this process: a fresh one takes seconds, and test_release.py starts some."""
    if "fresh_process" not in request.fixturenames:
        monkeypatch.setattr(verify, "verify_version", verify.check_version)


@pytest.fixture
def fresh_process() -> None:
    """Ask for this to verify as in production."""


@pytest.fixture
def no_report(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision's sentence in the place of the report, whose pictures take seconds to draw."""
    if "report" not in request.fixturenames:
        monkeypatch.setattr(pipeline, "render", lambda _run, decision, *_: f"<p>{decision.sentence}</p>")


@pytest.fixture
def report() -> None:
    """Ask for this to have the report as people see it."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL database of this session's own."""
    with own_database() as url:
        yield url
