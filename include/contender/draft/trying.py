"""Tries a draft on its data: snapshot, checks and split as in a run, then three plain models."""

from __future__ import annotations

import tempfile
import time
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contender.data.checks.expectations import check
from contender.data.checks.quarantine import set_aside
from contender.data.checks.structure import check_structure
from contender.data.leaks.guard import guard
from contender.data.leaks.ids import is_whole
from contender.data.leaks.sample import sample_positions
from contender.data.reading.connections import Connect, from_environment
from contender.data.rows import Rows, as_frame, load_rows
from contender.data.snapshot import read_snapshot, take_snapshot, unread_rows
from contender.documents.run import Run
from contender.errors import DataRejected
from contender.metrics.predictions import Predictions
from contender.run.code import installed_code
from contender.stats.bootstrap import compare
from contender.store.base import write_document
from contender.store.local import LocalStore
from contender.sweep.model import build_model

if TYPE_CHECKING:
    from contender.documents.data import Quarantine
    from contender.documents.scoreboard import Comparison
    from contender.spec.pipeline import PipelineSpec

_FITTED, _JUDGED = 20_000, 10_000  # at most so many rows
_LEVELS = 3, 50  # different whole numbers of a column that may be names
_WORTH, _TRIED_AS_NAMES = (
    0.005,
    5,
)  # share of the target ranks' variance from which names are tried, and how many columns
LINEAR = {True: "sklearn.linear_model.LogisticRegression", False: "sklearn.linear_model.Ridge"}
TREES = {
    True: "sklearn.ensemble.HistGradientBoostingClassifier",
    False: "sklearn.ensemble.HistGradientBoostingRegressor",
}


@dataclass(frozen=True)
class Tried:
    """The scores of plain models on the gate rows.

    Attributes:
        trees_minus_linear: gradient boosting against the linear model, on the sweep's metric.
        trees_minus_alike: gradient boosting against one with other settings on half of the rows; the two differ about as
            much as a champion and its challenger.
        floor: the better score of gradient boosting and the linear model on the metric of the threshold gate.
        seconds: CPU seconds of one fit of the gradient boosting, on ``fitted`` rows.
    """

    trees_minus_linear: Comparison
    trees_minus_alike: Comparison
    floor: float
    seconds: float
    fitted: int


def rows_of(spec: PipelineSpec, as_of: datetime, connect: Connect = from_environment) -> tuple[Rows, Quarantine]:
    """The rows of a run of this spec with all its features, and its quarantine with the findings of the leak guards.

    Raises:
        DataRejected, DataUnavailable, ConfigError: as in a run.
    """
    run = Run(id="draft", spec=spec, as_of=as_of, by="init", started=datetime.now(UTC), code=installed_code())
    with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
        store = LocalStore(scratch)
        taken = take_snapshot(run, store, connect)
        frame = as_frame(read_snapshot(taken, run.pipeline, store), spec.data.id)
        structure = check_structure(spec.data, taken, frame)
        unread = unread_rows(taken, run.pipeline, store)
        quarantine = set_aside(taken, check(frame, spec.expectations), unread, structure)
        if len(quarantine.rows) == taken.rows:
            raise DataRejected("expectations: no row of the data meets them")
        write_document(store, run.key("snapshot.json"), taken)
        write_document(store, run.key("quarantine.json"), quarantine)
        rows = load_rows(run, store)
        rows.split  # noqa: B018 - raises for too few rows, as in a run
        return rows, guard(run, taken, quarantine, frame, store)


@dataclass(frozen=True)
class AsNames:
    """Columns of whole numbers that models learn more from as names, and the scores of plain models with and without."""

    columns: tuple[str, ...]
    linear: float
    linear_before: float
    trees: float
    trees_before: float


def try_as_names(rows: Rows, metric: str) -> AsNames:
    """Try columns of few different whole numbers as text, one after another, in a fold of the sweep rows.

    A column stays text when the better of two plain models gains by it, or only the linear one and the better loses nothing.
    """
    classification = rows.run.spec.data.classification
    train, test = (
        rows.split.sweep[part[sample_positions(len(part), most)]]
        for part, most in zip(rows.folds[0], (_FITTED // 2, _JUDGED // 2), strict=True)
    )

    def scores(names: tuple[str, ...]) -> tuple[float, float]:
        features = rows.features.astype(dict.fromkeys(names, "Int64")).astype(dict.fromkeys(names, "str"))
        reached = []
        for path in (LINEAR[classification], TREES[classification]):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = build_model(path, {}, 0).fit(features.iloc[train], rows.target[train])
                said = Predictions.of(model, features.iloc[test], classification=classification)
            reached.append(said.score(metric, rows.target[test]))
        return reached[0], reached[1]

    candidates = _codes(rows, train)
    if not candidates:
        return AsNames((), 0, 0, 0, 0)
    before = best = scores(())
    chosen: tuple[str, ...] = ()
    for name in candidates:
        now = scores((*chosen, name))
        least = 0.002 if classification else 0.005 * abs(max(best))
        gains = max(now) - max(best), now[0] - best[0]
        if gains[0] > least or (gains[0] > -least / 5 and gains[1] > 2 * least):
            chosen, best = (*chosen, name), now
    return AsNames(chosen, best[0], before[0], best[1], before[1])


def _codes(rows: Rows, positions: np.ndarray) -> list[str]:
    """Columns of few different whole numbers that say more about the target as names than in their order, most first."""
    target = pd.Series(rows.target[positions]).rank()
    gains = {}
    for name in rows.features.select_dtypes("float64"):
        values = rows.features[name].iloc[positions].reset_index(drop=True)
        known = values.dropna()
        count = known.nunique()
        if not _LEVELS[0] <= count <= min(_LEVELS[1], len(known) / 20) or not is_whole(known):
            continue
        ranks = target[known.index]
        rest = float(((ranks - ranks.groupby(known).transform("mean")) ** 2).sum()) / (len(known) - count)
        as_names = 1 - rest / float(ranks.var())
        gains[name] = as_names - float(np.corrcoef(known, ranks)[0, 1]) ** 2
    worth = sorted((name for name, gain in gains.items() if gain > _WORTH), key=lambda name: (-gains[name], name))
    return worth[:_TRIED_AS_NAMES]


def try_out(rows: Rows, metric: str, floor: str) -> Tried:
    """Fit plain models on at most 20,000 sweep rows and score them on at most 10,000 gate rows.

    Raises:
        DataRejected: the gate has too few rows or only one class.
    """
    spec = rows.run.spec
    classification = spec.data.classification
    train, gate = (
        positions[sample_positions(len(positions), most)]
        for positions, most in ((rows.split.sweep, _FITTED), (rows.split.gate, _JUDGED))
    )
    for part, positions in (("train", train), ("gate", gate)):
        if len(positions) < 10 or (classification and len(np.unique(rows.target[positions])) < 2):
            few = "rows with both classes" if classification else "rows"
            raise DataRejected(
                f"split: the {part} part has too few {few} ({len(positions)} rows) to learn or judge anything"
            )
    said = {}
    seconds = 0.0
    alike = {"learning_rate": 0.05, "max_leaf_nodes": 15}
    plain: tuple[tuple[str, str, dict[str, Any], int], ...] = (
        ("linear", LINEAR[classification], {}, 1),
        ("alike", TREES[classification], alike, 2),
        ("trees", TREES[classification], {}, 1),
    )
    for name, path, params, step in plain:
        began = time.process_time()
        seen = train[::step]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # convergence and the like, as in a trial
            model = build_model(path, params, 0).fit(rows.features.iloc[seen], rows.target[seen])
            said[name] = Predictions.of(model, rows.features.iloc[gate], classification=classification)
        seconds = time.process_time() - began
    linear, like = (
        compare(
            said["trees"],
            said[other],
            opponent="baseline",
            metric=metric,
            target=rows.target[gate],
            groups=rows.groups[gate],
            seed=0,
        )
        for other in ("linear", "alike")
    )
    reached = max(said[name].score(floor, rows.target[gate]) for name in ("linear", "trees"))
    return Tried(linear, like, reached, seconds, len(train))
