"""A DAG file is parsed every few seconds: its imports and its DAGs must bring in nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "pandas",
    "numpy",
    "scipy",
    "sklearn",
    "skrub",
    "mlflow",
    "great_expectations",
    "matplotlib",
    "pyarrow",
    "optuna",
}
REPORT = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def imported(script: str, **environment: str) -> set[str]:
    """The top-level modules in a fresh process after a script."""
    done = subprocess.run(
        [sys.executable, "-c", f"{script}\n{REPORT}"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return set(done.stdout.splitlines()[-1].split())


def test_reading_a_pipeline_imports_nothing_heavy(shipped: Path) -> None:
    modules = imported(
        f"import contender.spec.loading, contender.spec.pipeline; contender.spec.loading.load_spec({str(shipped)!r})"
    )
    assert "contender" in modules
    assert "airflow" not in modules
    assert modules & HEAVY == set()


@pytest.mark.parametrize(
    "module", ["contender.run.status", "contender.store.local", "contender.store.ledger", "contender.spec.receivers"]
)
def test_looking_at_the_store_imports_nothing_heavy(module: str) -> None:
    assert imported(f"import {module}") & HEAVY == set()


def test_building_the_dags_imports_nothing_heavy(shipped: Path, tmp_path: Path) -> None:
    script = f"from contender_airflow.dags import build_dags; assert list(build_dags({str(shipped.parent)!r}))"
    modules = imported(script, AIRFLOW_HOME=str(tmp_path), AIRFLOW__CORE__LOAD_EXAMPLES="False")
    assert {"airflow", "contender_airflow"} <= modules
    assert modules & HEAVY == set()
