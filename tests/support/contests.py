"""Contestants that read the answer off a column, and the rows of a run that they are judged on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.base import BaseEstimator, ClassifierMixin

from builders import AS_OF, LOGISTIC, TIMED, make_run, make_table
from contender.data.rows import Rows, as_frame
from contender.data.snapshot import canonical
from contender.data.split import trained_on
from contender.documents.columns import Column
from contender.documents.release import Recipe, Release, TrainedOn
from contender.documents.sweep import Trial
from contender.judge.contest import Champion

if TYPE_CHECKING:
    import pandas as pd

GATES: list[dict[str, Any]] = [
    {"kind": "threshold", "metric": "accuracy", "min": 0.1},
    {"kind": "beats", "opponent": "trivial", "min_rows": 2},
    {"kind": "beats", "opponent": "champion", "policy": "unless_worse", "margin": 0.5, "min_rows": 20},
]


class Knows(ClassifierMixin, BaseEstimator):
    """Reads the answer off one column, well or badly."""

    def __init__(self, column: str = "x", sign: float = 1.0) -> None:
        self.column = column
        self.sign = sign

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        one = 1 / (1 + np.exp(-2 * self.sign * features[self.column].to_numpy()))
        return np.column_stack([1 - one, one])


def rows_of(
    *, gates: list[dict[str, Any]] = GATES, table: pa.Table | None = None, count: int = 400, **parts: Any
) -> Rows:
    """The rows of a run; those of a given table until the run's ``as_of``."""
    run = make_run(data=TIMED, split={"gate": "14d"}, gates=gates, **parts)
    table = make_table(count) if table is None else table
    table = table.filter(pc.less(table["at"], pa.scalar(run.as_of.replace(tzinfo=None), table["at"].type)))
    frame = as_frame(canonical(table, run.spec.data), run.spec.data.id)
    columns = tuple(Column(name=n, type=k) for n, k in (("noise", "number"), ("region", "text"), ("x", "number")))  # type: ignore[arg-type]
    target = (frame["y"] == "yes").to_numpy().astype("int64")
    return Rows(run=run, frame=frame, columns=columns, target=target, labels=("no", "yes"))


def champion(
    rows: Rows,
    model: Any = None,
    *,
    seen: TrainedOn | None = None,
    features: tuple[Column, ...] = (Column(name="x", type="number"),),
    labels: tuple[str, str] = ("no", "yes"),
) -> Champion:
    """A champion of a week ago, refitted on everything there was."""
    if seen is None:
        seen = trained_on(rows.run.model_copy(update={"as_of": AS_OF - timedelta(days=7)}), rows.frame)
    recipe = Recipe(
        key="k",
        trial=Trial(key="t", estimator=LOGISTIC, params={}, seed=0),
        snapshot="s",
        quarantine="q",
        rows="all_rows",
        trained_on=seen,
    )
    release = Release(
        pipeline="churn",
        run_id="earlier",
        as_of=AS_OF,
        recipe=recipe,
        code=rows.run.code,
        model="m",
        features=features,
        labels=labels,
        files={},
        golden="g",
    )
    return Champion("1", release, model or Knows())
