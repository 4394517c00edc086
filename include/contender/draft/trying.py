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
from contender.dtypes import TEXT
from contender.errors import DataRejected
from contender.metrics.predictions import NoNumber, Predictions
from contender.run.code import installed_code
from contender.stats.comparison import compare
from contender.store.base import write_document
from contender.store.local import LocalStore
from contender.sweep.model import build_model
from contender.telling import raised

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contender.documents.data import Quarantine
    from contender.documents.scoreboard import Comparison
    from contender.spec.pipeline import PipelineSpec

_CELLS, _FEWEST = (
    4_000_000,
    5_000,
)  # cells that are fitted at most, and rows that are fitted however many columns there are
_AS_NAMES = 10_000, 5_000  # rows that are fitted and scored at most to try whole numbers as names
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
        trees_minus_linear: gradient boosting against the linear model, on the sweep's metric; None on too few entities.
        trees_minus_alike: gradient boosting against one with other settings on half of the rows; the two differ about as
            much as a champion and its challenger.
        score: that of the gradient boosting on the sweep's metric.
        linear, trees: their scores on all gate rows, on the metric of the threshold gate.
        seconds: CPU seconds of one fit of the gradient boosting, on ``fitted`` rows.
    """

    trees_minus_linear: Comparison | None
    trees_minus_alike: Comparison | None
    score: float
    linear: float
    trees: float
    seconds: float
    fitted: int

    @property
    def floor(self) -> float:
        """The better score."""
        return max(self.linear, self.trees)


def leaves_for(rows: int) -> list[int]:
    """The numbers of leaves that are drafted for boosted trees on so many sweep rows."""
    if rows < 2_000:
        return [3, 7, 15]
    # From 10,000 rows on scikit-learn's own 31 are in the middle: with fewer a first run found less than plain trees.
    return [7, 15, 31] if rows < 10_000 else [15, 31, 63] if rows < 50_000 else [31, 63, 127]


def rows_of(
    spec: PipelineSpec,
    as_of: datetime,
    connect: Connect = from_environment,
    *,
    before: tuple[PipelineSpec, Quarantine] | None = None,
) -> tuple[Rows, Quarantine]:
    """The rows of a run of this spec with all its features, and its quarantine with the findings of the leak guards.

    Args:
        before: an earlier spec and what was found with it, which holds for this one if both keep the same rows and columns.

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
        if before is not None and _keeps_the_same(before, spec, quarantine):
            known = before[1]
            return rows, known.model_copy(update={"checks": quarantine.checks, "labels": quarantine.labels})
        return rows, guard(run, taken, quarantine, frame, store)


def _keeps_the_same(before: tuple[PipelineSpec, Quarantine], spec: PipelineSpec, quarantine: Quarantine) -> bool:
    """Whether the leak guards, which take as long as all checks, would look at the same rows and columns again."""
    old, found = before
    same = (old.data, old.split.gate, found.snapshot) == (spec.data, spec.split.gate, quarantine.snapshot)
    return same and old.leaks == spec.leaks and found.rows == quarantine.rows


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
        for part, most in zip(rows.folds[0], _AS_NAMES, strict=True)
    )

    def scores(names: tuple[str, ...]) -> tuple[float, float]:
        features = rows.features.astype(dict.fromkeys(names, "Int64")).astype(dict.fromkeys(names, TEXT))
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
    """Fit plain models on the sweep rows, up to 4 million cells of them, and score them on the gate rows.

    Raises:
        DataRejected: the gate has too few rows or only one class.
    """
    classification = rows.run.spec.data.classification
    sweep, gate = rows.split.sweep, rows.split.gate
    train = sweep[sample_positions(len(sweep), max(_FEWEST, _CELLS // max(1, rows.features.shape[1])))]
    for part, positions in (("train", train), ("gate", gate)):
        if len(positions) < 10 or (classification and len(np.unique(rows.target[positions])) < 2):
            few = "rows with both classes" if classification else "rows"
            raise DataRejected(
                f"split: the {part} part has too few {few} ({len(positions)} rows) to learn or judge anything"
            )
    alike = {"learning_rate": 0.05, "max_leaf_nodes": 15}
    trees = {"max_leaf_nodes": max(31, leaves_for(len(sweep))[1])}  # 31 are scikit-learn's own
    said, _ = _predictions(rows, train, LINEAR[classification], {"linear": ({}, 1)})
    more, seconds = _predictions(rows, train, TREES[classification], {"trees": (trees, 1), "alike": (alike, 2)})
    said |= more
    linear, like = (_compared(rows, said["trees"], said[other], metric) for other in ("linear", "alike"))
    reached = {name: said[name].score(floor, rows.target[gate]) for name in ("linear", "trees")}
    own = said["trees"].score(metric, rows.target[gate])
    return Tried(linear, like, own, **reached, seconds=seconds, fitted=len(train))


def _compared(rows: Rows, one: Predictions, other: Predictions, metric: str) -> Comparison | None:
    gate = rows.split.gate
    target, groups = rows.target[gate], rows.groups[gate]
    try:
        return compare(one, other, opponent="baseline", metric=metric, target=target, groups=groups, seed=0)
    except NoNumber:
        return None


def _predictions(
    rows: Rows, train: np.ndarray, path: str, wanted: Mapping[str, tuple[Mapping[str, Any], int]]
) -> tuple[dict[str, Predictions], float]:
    """What models of one class say about the gate rows, and the CPU seconds of the first; they share its preprocessing.

    Args:
        wanted: by name the parameters, and n where a model is fitted on every n-th row only.

    Raises:
        DataRejected: one of them cannot be fitted.
    """
    classification = rows.run.spec.data.classification
    began = time.process_time()
    said = {}
    seconds = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence and the like, as in a trial
        try:
            # Of a wide table the preprocessing takes longer than everything else.
            prepare = build_model(path, {}, 0)[:-1]
            seen = prepare.fit_transform(rows.features.iloc[train], rows.target[train])
            judged = prepare.transform(rows.features.iloc[rows.split.gate])
            for name, (params, step) in wanted.items():
                model = build_model(path, params, 0)[-1].fit(seen[::step], rows.target[train][::step])
                said[name] = Predictions.of(model, judged, classification=classification)
                seconds = seconds or time.process_time() - began
        except ValueError as error:
            raise DataRejected(
                f"a plain {path.rpartition('.')[2]} cannot learn from these rows: {raised(error)}"
            ) from None
    return said, seconds
