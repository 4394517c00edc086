"""The measurements run by hand only; here they are at least imported, so that a stale name is noticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_measurement_can_be_imported() -> None:
    apart = {"__init__", "per_trial"}  # the last is a DAG file, which reads its run at import
    names = sorted(f"bench.{path.stem}" for path in (ROOT / "bench").glob("*.py") if path.stem not in apart)
    assert len(names) > 5
    command = [sys.executable, "-c", f"import {', '.join(names)}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
