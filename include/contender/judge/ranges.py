"""Which values scikit-learn's scorers can have, so that a threshold that decides nothing is seen before it does."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contender.judge.gates import ThresholdGate

_SHARES = (
    *("accuracy", "average_precision", "balanced_accuracy", "f1", "jaccard", "precision", "recall", "roc_auc"),
    "top_k_accuracy",
)


def metric_range(name: str) -> tuple[float, float]:
    """The lowest and the highest value that a metric can have, as far as known."""
    if name.startswith("neg_"):
        return -inf, 0.0
    if name.startswith("d2_") or name in ("r2", "explained_variance"):
        return -inf, 1.0
    if name.startswith(_SHARES):
        return 0.0, 1.0
    return (-1.0, 1.0) if name == "matthews_corrcoef" else (-inf, inf)


def never_met(gate: ThresholdGate) -> str | None:
    """Why no model can pass, if so."""
    low, high = metric_range(gate.metric)
    if gate.min is not None and gate.min > high:
        hint = f"; errors count below zero, as in min: {-gate.min:g}" if gate.metric.startswith("neg_") else ""
        return f"min {gate.min:g} can never be met, {gate.metric} is at most {high:g}{hint}"
    if gate.max is not None and gate.max < low:
        return f"max {gate.max:g} can never be met, {gate.metric} is at least {low:g}"
    return None


def always_met(gate: ThresholdGate) -> bool:
    """Whether every model passes."""
    low, high = metric_range(gate.metric)
    return (gate.min is None or gate.min <= low) and (gate.max is None or gate.max >= high)
