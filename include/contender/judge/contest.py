"""The contest: candidate, baseline, trivial baseline and champion on rows that the compared models never saw."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from contender.data.rows import as_features
from contender.data.split import returning, was_held_out
from contender.errors import DataRejected
from contender.judge.compare import compare
from contender.judge.gates import NO_CHAMPION, BeatsGate, CustomGate
from contender.judge.metrics import Predictions
from contender.judge.scorecard import Contestant, Opponent, Scoreboard, Scorecard, Slice, metric_label

if TYPE_CHECKING:
    from contender.data.rows import Rows
    from contender.documents import Release
    from contender.spec import PipelineSpec


@dataclass(frozen=True)
class Champion:
    """The serving model as it enters the contest."""

    version: str
    release: Release
    model: Any


@dataclass(frozen=True)
class Contest:
    """The scoreboard and what it was computed from: target and predictions on the gate rows, shape (gate rows, ...)."""

    board: Scoreboard
    target: np.ndarray
    predictions: dict[Contestant, Predictions]
    fresh: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))


def hold_contest(rows: Rows, models: dict[Contestant, tuple[str, Any]], champion: Champion | None) -> Contest:
    """Score everyone and compare the candidate with each opponent that a gate asks about.

    Args:
        models: contestant to (estimator's name, model fitted on the sweep rows); candidate always, baseline and
            trivial if they take part.
        champion: judged only on gate rows that are newer than (or were held out from) what it was trained on.
    """
    spec = rows.run.spec
    gate = rows.split.gate
    target, groups = rows.target[gate], rows.groups[gate]
    today = rows.features.iloc[gate]
    names = {name: estimator for name, (estimator, _) in models.items()}
    predictions: dict[Contestant, Predictions] = {}
    absent: dict[Opponent, str] = {}
    for name, (estimator, model) in models.items():
        try:
            predictions[name] = Predictions.of(model, today, classification=spec.data.classification)
        except ValueError as error:
            if name == "candidate":
                msg = f"the candidate {estimator} cannot be judged: {str(error)[:300]}"
                raise DataRejected(msg) from error
            absent[name] = f"{estimator} cannot be judged: {str(error)[:300]}"
    fresh = np.zeros(len(gate), dtype=bool)
    if champion is None:
        absent["champion"] = NO_CHAMPION
    else:
        names["champion"] = champion.release.recipe.label
        try:
            predictions["champion"] = _ask(champion, rows)
        except Exception as error:  # noqa: BLE001 - whatever an old model raises on new data, it is no opponent then
            absent["champion"] = (
                f"version {champion.version} cannot predict on today's data: {str(error)[:300]}; mend the data, or give "
                f"the title to a version that can: contender rollback {spec.name} --to VERSION, or contender adopt "
                f"{spec.name} --version VERSION"
            )
        else:
            fresh = was_held_out(rows.frame.iloc[gate], champion.release.recipe.trained_on)
    metrics = metrics_of(spec)
    everywhere = np.ones(len(gate), dtype=bool)
    known = returning(rows.run, rows.frame, rows.split)
    cards, comparisons = [], []
    for name, predicted in predictions.items():
        judged = fresh if name == "champion" else everywhere
        scores = scores_on(predicted, metrics, target, judged)
        cards.append(
            Scorecard(
                contestant=name,
                estimator=names[name],
                rows=int(judged.sum()),
                metrics=scores,
                version=champion.version if champion is not None and name == "champion" else None,
                new_entities=None if known is None else _slice(predicted, metrics, target, judged & ~known),
            )
        )
        ours = scores_on(predictions["candidate"], _asked(spec, name), target, judged)
        for metric in _asked(spec, name):
            if metric not in scores or metric not in ours:
                absent[name] = _why_not(name, metric, int(judged.sum()))  # type: ignore[index]
                continue
            comparisons.append(
                compare(
                    _only(predictions["candidate"], judged),
                    _only(predicted, judged),
                    opponent=name,  # type: ignore[arg-type]
                    metric=metric,
                    target=target[judged],
                    groups=groups[judged],
                    seed=rows.run.spec.seed,
                )
            )
    board = Scoreboard(
        metric=spec.sweep.metric,
        cards=tuple(cards),
        comparisons=tuple(comparisons),
        absent=absent,
        returning=None if known is None else float(known.mean()),
    )
    return Contest(board, target, predictions, fresh)


def _ask(champion: Champion, rows: Rows) -> Predictions:
    """The champion's predictions on the gate rows.

    Raises:
        DataRejected: it was made for other columns or for another target.
    """
    release = champion.release
    if release.labels != rows.labels:
        msg = f"it was made to tell {release.labels} apart, today's target takes {rows.labels}"
        raise DataRejected(msg)
    features = as_features(rows.frame, release.features).iloc[rows.split.gate]
    return Predictions.of(champion.model, features, classification=release.labels is not None)


def _why_not(name: Contestant, metric: str, rows: int) -> str:
    if name == "champion":
        return (
            f"only {rows} gate rows are newer than what the champion was trained on, too few for {metric_label(metric)}; "
            "a later as_of brings more"
        )
    return (
        f"{metric_label(metric)} is not defined on the {rows} gate rows; it needs two rows at least, and both classes"
    )


def metrics_of(spec: PipelineSpec) -> list[str]:
    """Every metric that the sweep or a gate names."""
    asked = [gate.metric for gate in spec.gates if not isinstance(gate, CustomGate) and gate.metric is not None]
    return list(dict.fromkeys([spec.sweep.metric, *asked]))


def _asked(spec: PipelineSpec, name: Contestant) -> list[str]:
    gates = [gate for gate in spec.gates if isinstance(gate, BeatsGate) and gate.opponent == name]
    return list(dict.fromkeys(gate.metric or spec.sweep.metric for gate in gates))


def scores_on(predicted: Predictions, metrics: list[str], target: np.ndarray, judged: np.ndarray) -> dict[str, float]:
    """The metrics that mean something on the judged rows: enough of them, both classes, a finite value."""
    rows = target[judged]
    if len(rows) < 2 or (predicted.values.ndim == 2 and len(np.unique(rows)) < 2):
        return {}
    scores = _only(predicted, judged).scores(metrics, rows)
    return {name: value for name, value in scores.items() if math.isfinite(value)}


def _slice(predicted: Predictions, metrics: list[str], target: np.ndarray, judged: np.ndarray) -> Slice:
    return Slice(rows=int(judged.sum()), metrics=scores_on(predicted, metrics, target, judged))


def _only(predicted: Predictions, judged: np.ndarray) -> Predictions:
    return Predictions(predicted.values[judged])
