"""An Airflow home of the tests' own, named before anything imports Airflow."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="contender-tests-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

ROOT = Path(__file__).parents[2]

SMALL = """
description: small enough for a test
owner: tests
data:
  source: {kind: demo, rows: 40}
  target: churned
  positive: "yes"
  id: customer_id
  time: observed_on
  window: 120d
  label_delay: 30d
  exclude: [acquisition_channel]
expectations:
  - expect_table_row_count_to_be_between: {min_value: 1000}
sweep:
  metric: roc_auc
  strategy: {kind: random, trials: 4}
  parallelism: 2
  candidates:
    - {estimator: sklearn.linear_model.LogisticRegression, params: {C: {log_uniform: [0.01, 10]}}, baseline: true}
    - {estimator: sklearn.ensemble.HistGradientBoostingClassifier, params: {learning_rate: {log_uniform: [0.05, 0.3]}}}
split: {gate: 28d, folds: 3}
gates:
  - {kind: threshold, metric: roc_auc, min: 0.6}
  - {kind: beats, opponent: champion, policy: unless_worse, margin: 0.02}
overridable: [as_of, sweep.strategy.trials]
"""


@pytest.fixture(scope="session")
def small() -> str:
    """A small pipeline."""
    return SMALL


@pytest.fixture
def pipelines(tmp_path: Path, small: str) -> Path:
    """A folder with it, ``small``."""
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "small.yaml").write_text(small)
    return folder
