"""A realistic generated table of twenty columns: id, time, numbers (some missing), categories, a flag and a label."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 5_000_000
SPEC = """
data:
  source: {{kind: parquet, uri: "{uri}"}}
  target: y
  positive: "yes"
  id: id
  time: at
  window: 400d
sweep:
  metric: roc_auc
  candidates: [{{estimator: sklearn.linear_model.LogisticRegression}}]
gates: [{{kind: threshold, metric: roc_auc, min: 0.5}}]
"""


def write(path: Path, rows: int = ROWS) -> None:
    """Write the table as one Parquet file, its rows in random order."""
    random = np.random.default_rng(0)
    seconds = random.integers(0, 365 * 86_400, rows).astype("timedelta64[s]")
    columns = {"id": pa.array(random.permutation(rows)), "at": pa.array(np.datetime64("2025-01-01", "us") + seconds)}
    for number in range(11):
        missing = random.random(rows) < 0.02 if number % 3 == 0 else None
        columns[f"amount_{number}"] = pa.array(random.normal(size=rows) * 10 ** (number % 4), mask=missing)
    for number in range(3):
        columns[f"count_{number}"] = pa.array(random.integers(0, 10 ** (number + 2), rows))
    for name, levels in (("region", ["north", "south", "east", "west"]), ("plan", [f"plan {n}" for n in range(40)])):
        columns[name] = pa.array(np.array(levels)[random.integers(0, len(levels), rows)])
    columns["flag"] = pa.array(random.random(rows) < 0.3)
    columns["y"] = pa.array(np.where(random.random(rows) < 0.3, "yes", "no"))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def peak_gigabytes() -> float:
    """The peak resident memory of this process, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
