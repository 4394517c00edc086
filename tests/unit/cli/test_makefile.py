"""What ``make run`` hands to the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ECHO = '#!/bin/sh\nfor argument in "$@"; do printf "%s\\0" "$argument"; done\n'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone that is installed, with a ``contender`` that repeats its arguments."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    contender = tmp_path / ".venv" / "bin" / "contender"
    contender.write_text(ECHO)
    contender.chmod(0o755)
    (tmp_path / ".venv" / "installed").touch()
    return tmp_path


def make(clone: Path, *arguments: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    done = subprocess.run(["make", *arguments], cwd=clone, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def test_json_survives_make(clone: Path) -> None:
    conf = {"as_of": "2026-03-02", "reason": 'it\'s the "first" & only; one'}
    assert make(clone, "run", f"CONF={json.dumps(conf)}") == ["run", "churn", "--conf", json.dumps(conf)]


def test_a_pipeline_and_a_moment_can_be_named(clone: Path) -> None:
    assert make(clone, "run", "PIPELINE=fraud", "AS_OF=2026-03-02 05:00") == [
        "run",
        "fraud",
        "--as-of",
        "2026-03-02 05:00",
    ]


def test_without_a_target_make_helps(clone: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    told = subprocess.run(["make"], cwd=clone, env=environment, capture_output=True, text=True, check=True).stdout
    for target in ("run", "up", "down", "test", "faults", "bench", "lint", "clean"):
        assert f"\n  {target} " in told
