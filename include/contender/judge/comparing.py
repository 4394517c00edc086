"""What gates compare: the metrics of each contestant, and the candidate beside an opponent on the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from contender.documents.scoreboard import Comparison, Contestant, Opponent, Slice
from contender.metrics.predictions import NoNumber, Predictions
from contender.stats.comparison import compare
from contender.words import metric_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contender.data.rows import Rows
    from contender.spec.pipeline import PipelineSpec


def compared(
    rows: Rows,
    name: Opponent,
    candidate: Predictions,
    other: Predictions,
    judged: np.ndarray,
    metrics: Sequence[str] | None = None,
) -> tuple[list[Comparison], dict[str, str]]:
    """The candidate compared with an opponent on the ``judged`` rows (a mask), and why not, by metric.

    Args:
        metrics: those of the gates unless given.
    """
    spec, gate = rows.run.spec, rows.split.gate
    target, groups = rows.target[gate][judged], rows.groups[gate][judged]
    ours, theirs = candidate.on(judged), other.on(judged)
    wanted = _compared_metrics(spec, name) if metrics is None else list(metrics)
    everywhere = np.ones(len(target), dtype=bool)
    scored = {
        "candidate": measured(ours, wanted, target, everywhere),  # on the opponent's rows, not on its own
        name: measured(theirs, wanted, target, everywhere),
    }
    found: list[Comparison] = []
    why: dict[str, str] = {}
    for metric in wanted:
        try:
            _both_defined(name, metric, scored, timed=spec.data.time is not None)
            found.append(
                compare(ours, theirs, opponent=name, metric=metric, target=target, groups=groups, seed=spec.seed)
            )
        except NoNumber as error:
            why[metric] = str(error)
    return found, why


def _both_defined(name: Opponent, metric: str, scored: dict[str, Slice], *, timed: bool) -> None:
    """See that a metric is there for both.

    Raises:
        NoNumber: it is not; with whose predictions, on how many rows, and why.
    """
    rows = scored[name].rows
    for who, card in scored.items():
        if metric in card.missing:
            owner = "constant guess" if who == "trivial" else who
            raise NoNumber(f"the {owner}'s predictions on {rows} gate rows: {card.missing[metric]}")
    if all(metric in card.metrics for card in scored.values()):
        return
    label = metric_label(metric)
    if name != "champion":
        msg = f"{label} is not defined on the {rows} gate rows; it needs two rows at least, and both classes"
    elif timed:
        msg = (
            f"only {rows} gate rows are newer than what the champion was trained on, too few for {label}; "
            "a later as_of brings more"
        )
    else:
        msg = (
            f"only {rows} gate rows were surely held out from the champion, which was made under another split, too few for "
            f"{label}; make split.gate larger, or wait for more rows"
        )
    raise NoNumber(msg)


def metrics_of(spec: PipelineSpec) -> list[str]:
    """Every metric that the sweep or a gate names."""
    return list(dict.fromkeys([spec.sweep.metric, *(metric for gate in spec.gates for metric in gate.metrics)]))


def _compared_metrics(spec: PipelineSpec, name: Contestant) -> list[str]:
    """The metrics on which a gate compares the candidate with this opponent; of the candidate itself none."""
    asked = [metric for gate in spec.gates for opponent, metric in gate.opponents if opponent == name]
    return list(dict.fromkeys(metric or spec.sweep.metric for metric in asked))


def measured(
    predicted: Predictions,
    metrics: list[str],
    target: np.ndarray,
    judged: np.ndarray,
    groups: np.ndarray | None = None,
) -> Slice:
    """The metrics that are defined on the ``judged`` rows (a mask): two rows or more, both classes, a finite value.

    Args:
        groups: integer code of each row's entity, shape (n,); None: entities are not counted.
    """
    rows, classes = target[judged], predicted.values.ndim == 2
    values: dict[str, float] = {}
    missing: dict[str, str] = {}
    if len(rows) >= 2 and not (classes and len(np.unique(rows)) < 2):
        values, missing = predicted.on(judged).scores(metrics, rows)
    counted: dict[str, int] = {}
    if groups is not None:
        own = groups[judged]
        counted["entities"] = len(np.unique(own))
        if classes:
            counted["rarest"] = min(len(np.unique(own[rows == label])) for label in (0, 1))
    return Slice(rows=len(rows), metrics=values, missing=missing, **counted)
