"""The customers, and steps that take no longer than a test of what they do has to."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import make_table, write_parquet
from contender import pipeline
from contender import release as releases
from contender.judge import compare
from steps import LATER


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Ninety days of customers, until three weeks after AS_OF."""
    write_parquet(tmp_path / "lake" / "a.parquet", make_table(900, until=LATER, days=90))
    return tmp_path / "lake"


@pytest.fixture(autouse=True)
def _in_this_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify for real, but here: a fresh process takes seconds, and tests/integration/test_release.py starts some."""
    if "fresh_process" not in request.fixturenames:
        monkeypatch.setattr(releases, "verify_version", releases.check_version)


@pytest.fixture
def fresh_process() -> None:
    """Ask for this to verify as in production."""


@pytest.fixture(autouse=True)
def _quickly(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing and resampling take seconds, too, and have tests of their own."""
    if "fresh_process" not in request.fixturenames:
        monkeypatch.setattr(pipeline, "render", lambda _run, decision, *_: f"<p>{decision.sentence}</p>")
        monkeypatch.setattr(compare, "DRAWS", 20)
