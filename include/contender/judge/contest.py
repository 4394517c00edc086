"""The contest: every contestant scored on the gate rows, and the comparisons that the gates ask for.

Candidate and baselines were fitted on the sweep rows; the champion is scored only on rows that it was not trained on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from contender.data.rows import as_features
from contender.data.split import returning, was_held_out
from contender.documents.scoreboard import Contestant, Opponent, Scoreboard, Scorecard, Slice
from contender.errors import DataRejected
from contender.judge.gates import NO_CHAMPION, Gate, GateEvidence
from contender.metrics.predictions import Predictions
from contender.stats.bootstrap import compare
from contender.telling import raised
from contender.words import metric_label

if TYPE_CHECKING:
    from contender.data.rows import Rows
    from contender.documents.release import Release
    from contender.spec.pipeline import PipelineSpec


@dataclass(frozen=True)
class Champion:
    """The serving model as it enters the contest."""

    version: str
    release: Release
    model: Any


@dataclass(frozen=True)
class Contest:
    """The scoreboard and what it was computed from, on n gate rows.

    Attributes:
        target: shape (n,); predictions: shape (n, ...) each.
        fresh: which rows the champion was not trained on, shape (n,); all False without a champion that can predict.
    """

    board: Scoreboard
    target: np.ndarray
    predictions: dict[Contestant, Predictions]
    fresh: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))


def hold_contest(
    rows: Rows, models: dict[Contestant, tuple[str, Any]], champion: Champion | None, why_none: str = NO_CHAMPION
) -> Contest:
    """Score every contestant and compare the candidate with each opponent that a gate asks about.

    Args:
        models: contestant to (estimator's name, model fitted on the sweep rows); candidate always, baseline and
            trivial if they take part.
        champion: scored only on gate rows that are newer than, or were held out from, what it was trained on.
        why_none: why there is no champion to score.

    Raises:
        DataRejected: the candidate's predictions cannot be scored.
    """
    spec = rows.run.spec
    gate = rows.split.gate
    target, groups = rows.target[gate], rows.groups[gate]
    features = rows.features.iloc[gate]
    names = {name: estimator for name, (estimator, _) in models.items()}
    predictions: dict[Contestant, Predictions] = {}
    absent: dict[Opponent, str] = {}
    for name, (estimator, model) in models.items():
        try:
            predictions[name] = Predictions.of(model, features, classification=spec.data.classification)
        except ValueError as error:
            if name == "candidate":
                msg = f"the candidate {estimator} cannot be judged: {raised(error)}"
                raise DataRejected(msg) from None
            absent[name] = f"{estimator} cannot be judged: {raised(error)}"
    fresh = np.zeros(len(gate), dtype=bool)
    if champion is None:
        absent["champion"] = why_none
    else:
        names["champion"] = champion.release.recipe.label
        try:
            predictions["champion"] = _champion_predictions(champion, rows)
        except Exception as error:  # noqa: BLE001 - an old model may raise anything on new data; it is then absent
            absent["champion"] = (
                f"version {champion.version} cannot predict on today's data: {raised(error)}; mend the data, or give "
                f"the title to a version that can: contender rollback {spec.name} --to VERSION, or contender adopt "
                f"{spec.name} --version VERSION"
            )
        else:
            fresh = was_held_out(rows.frame.iloc[gate], champion.release.recipe.trained_on)
    metrics = metrics_of(spec)
    all_rows = np.ones(len(gate), dtype=bool)
    known = returning(rows.run, rows.frame, rows.split)  # rows whose id was trained on; None without an id
    cards, comparisons = [], []
    for name, predicted in predictions.items():
        judged = fresh if name == "champion" else all_rows
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
        wanted = _compared_metrics(spec, name)
        ours = scores_on(predictions["candidate"], wanted, target, judged)  # on the opponent's rows, not on its own
        for metric in wanted:
            if metric not in scores or metric not in ours:
                absent[name] = _why_no_comparison(name, metric, int(judged.sum()), timed=spec.data.time is not None)  # type: ignore[index]
                continue
            comparisons.append(
                compare(
                    _on_rows(predictions["candidate"], judged),
                    _on_rows(predicted, judged),
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


def _champion_predictions(champion: Champion, rows: Rows) -> Predictions:
    """The champion's predictions on the gate rows.

    Raises:
        DataRejected: it was trained for another target, or its columns are missing.
    """
    release = champion.release
    if release.labels != rows.labels:
        msg = f"it was made to tell {release.labels} apart, today's target takes {rows.labels}"
        raise DataRejected(msg)
    features = as_features(rows.frame, release.features).iloc[rows.split.gate]
    return Predictions.of(champion.model, features, classification=release.labels is not None)


def _why_no_comparison(name: Contestant, metric: str, rows: int, *, timed: bool) -> str:
    if name == "champion" and not timed:
        return (
            f"only {rows} gate rows were surely held out from the champion, which was made under another split, too few for "
            f"{metric_label(metric)}; make split.gate larger, or wait for more rows"
        )
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
    return list(dict.fromkeys([spec.sweep.metric, *(metric for gate in spec.gates for metric in gate.metrics)]))


def _compared_metrics(spec: PipelineSpec, name: Contestant) -> list[str]:
    """The metrics on which a gate compares the candidate with this opponent; of the candidate itself none."""
    asked = [metric for gate in spec.gates for opponent, metric in gate.opponents if opponent == name]
    return list(dict.fromkeys(metric or spec.sweep.metric for metric in asked))


def scores_on(predicted: Predictions, metrics: list[str], target: np.ndarray, judged: np.ndarray) -> dict[str, float]:
    """The metrics that are defined on the ``judged`` rows (a mask): two rows or more, both classes, a finite value."""
    rows = target[judged]
    if len(rows) < 2 or (predicted.values.ndim == 2 and len(np.unique(rows)) < 2):
        return {}
    scores = _on_rows(predicted, judged).scores(metrics, rows)
    return {name: value for name, value in scores.items() if math.isfinite(value)}


def _slice(predicted: Predictions, metrics: list[str], target: np.ndarray, judged: np.ndarray) -> Slice:
    return Slice(rows=int(judged.sum()), metrics=scores_on(predicted, metrics, target, judged))


def _on_rows(predicted: Predictions, judged: np.ndarray) -> Predictions:
    return Predictions(predicted.values[judged])


def with_gate_answers(contest: Contest, rows: Rows, model: Any) -> Contest:
    """The contest, its board completed with the answers that gates measure themselves (``Gate.measure``).

    Args:
        model: the candidate as it was fitted for the contest.

    Raises:
        ConfigError: a gate could not be measured, located; it never passes silently.
    """
    answers = {}
    for number, gate in enumerate(rows.run.spec.gates):
        if type(gate).measure is Gate.measure:  # it asks the board alone, and the evidence is a copy of all gate rows
            continue
        answer = gate.measure(_evidence(contest, rows, model), f"gates.{number}")
        if answer is not None:
            answers[gate.key] = answer
    return replace(contest, board=contest.board.model_copy(update={"answers": answers})) if answers else contest


def _evidence(contest: Contest, rows: Rows, model: Any) -> GateEvidence:
    champion = contest.predictions.get("champion")
    fresh = contest.fresh.copy()  # as all below: the user's code may overwrite what it gets
    return GateEvidence(
        board=contest.board,
        rows=rows.frame.iloc[rows.split.gate].reset_index(drop=True),
        target=contest.target.copy(),
        candidate=_as_vector(contest.predictions["candidate"]),
        fresh=fresh,
        champion=None if champion is None or not fresh.any() else _as_vector(champion)[fresh],
        model=model,
    )


def _as_vector(predictions: Predictions) -> np.ndarray:
    """A copy of the probability of the positive class, or of the predicted numbers; shape (n,)."""
    values = predictions.values
    return (values[:, 1] if values.ndim == 2 else values).copy()
