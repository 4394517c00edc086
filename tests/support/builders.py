"""Specs, runs and tables for tests, by value: a test names only what it is about."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contender.canonical import content_key
from contender.documents.columns import Column
from contender.documents.data import Snapshot
from contender.documents.run import Run
from contender.documents.sweep import Trial, TrialResult
from contender.dtypes import TEXT
from contender.judge.contest import Entrant
from contender.profile.statistics import statistics
from contender.run.code import installed_code
from contender.spec.pipeline import PipelineSpec

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from contender.spec.columns import ColumnType

LOGISTIC = "sklearn.linear_model.LogisticRegression"
TREE = "sklearn.tree.DecisionTreeClassifier"
AS_OF = datetime(2026, 3, 2, tzinfo=UTC)
TIMED = {"time": "at", "window": "60d"}


def make_spec(uri: Path | str = "/nowhere", **parts: Any) -> PipelineSpec:
    """A small classification spec; ``data``, ``sweep`` and ``split`` are merged into the defaults, others replace."""
    document: dict[str, Any] = {
        "name": "churn",
        "data": {"source": {"kind": "parquet", "uri": str(uri)}, "target": "y", "positive": "yes", "id": "id"},
        "split": {"folds": 2},
        "sweep": {
            "metric": "roc_auc",
            "strategy": {"kind": "grid"},
            "candidates": [
                {"estimator": LOGISTIC, "baseline": True},
                {"estimator": TREE, "params": {"max_depth": {"choice": [2, 3]}}},
            ],
        },
        "gates": [{"kind": "threshold", "metric": "roc_auc", "min": 0.5}],
    }
    for name, value in parts.items():
        merge = name in ("data", "sweep", "split")
        document[name] = {**document[name], **value} if merge else value
    return PipelineSpec.model_validate_json(json.dumps(document), strict=True)


def make_run(
    uri: Path | str = "/nowhere",
    *,
    run_id: str = "r1",
    as_of: datetime = AS_OF,
    promote: bool = True,
    reason: str = "",
    **parts: Any,
) -> Run:
    """A frozen run of ``make_spec``."""
    return Run(
        id=run_id,
        spec=make_spec(uri, **parts),
        as_of=as_of,
        promote=promote,
        reason=reason,
        by="tests",
        started=datetime(2026, 3, 2, 3, tzinfo=UTC),
        code=installed_code(),
    )


def make_result(key: str = "a" * 64, *, error: str | None = None, run_id: str = "r1", **params: Any) -> TrialResult:
    """The record of a trial of run r1: complete, or failed of ``error``. ``params`` are the trial's."""
    done = {} if error else {"scores": (0.6, 0.8), "mean": 0.7, "std": 0.1}
    return TrialResult(
        trial=Trial(key=key, estimator=LOGISTIC, params=params, seed=3),
        status="failed" if error else "complete",
        seconds=1.5,
        fit_seconds=1.0,
        cpu_seconds=1.25,
        peak_memory=250_000_000,
        started=datetime(2026, 3, 2, 4, tzinfo=UTC),
        error=error,
        curves={"loss": ((10, 0.5), (20, 0.25))},
        run_id=run_id,
        snapshot="s" * 16,
        **done,
    )


def make_table(rows: int = 300, *, seed: int = 0, first: int = 0, until: datetime = AS_OF, days: int = 60) -> pa.Table:
    """Customers with two numbers and a text, the newest observed just before ``until``; ``y`` follows ``x``."""
    random = np.random.default_rng(seed)
    x = random.normal(size=rows)
    churned = random.random(rows) < 1 / (1 + np.exp(-2 * x))
    ages = np.sort(random.integers(1, days * 86_400, size=rows))[::-1]
    at = np.datetime64(until.replace(tzinfo=None), "us") - ages.astype("timedelta64[s]")
    return pa.table(
        {
            "id": pa.array(np.arange(first, first + rows)),
            "at": pa.array(at),
            "x": x,
            "noise": random.normal(size=rows),
            "region": pa.array(random.choice(["north", "south"], size=rows)),
            "y": pa.array(np.where(churned, "yes", "no")),
        }
    )


def make_snapshot(table: pa.Table, **parts: Any) -> Snapshot:
    """The document of a canonical table; ``id_`` names its id, ``parts`` are other fields."""
    kinds: dict[str, ColumnType] = {"int64": "integer", "double": "number", "large_string": "text", "bool": "boolean"}
    columns = tuple(Column(name=field.name, type=kinds.get(str(field.type), "timestamp")) for field in table.schema)
    held = statistics(table, id_=parts.pop("id_", None))
    name = content_key([one.model_dump() for one in (*columns, *held)])
    fixed: dict[str, Any] = {"id": name, "rows": table.num_rows, "columns": columns, "unlabelled": 0, "as_of": AS_OF}
    return Snapshot.model_validate(fixed | {"statistics": held} | parts)


def write_parquet(path: Path, table: pa.Table, **options: Any) -> Path:
    """The table as one file, its folder made when missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def read_frame(path: Path) -> pd.DataFrame:
    """The rows of a file, its text in the dtype that it has here under any pandas."""
    return pq.read_table(path).to_pandas(types_mapper={pa.large_string(): TEXT}.get)


def always(model: Any, label: str = "A") -> Entrant:
    """An entrant that enters the contest with this model, whatever it is fitted on."""
    return Entrant(label, lambda _features, _target: model)
