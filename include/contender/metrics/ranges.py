"""The ranges of scikit-learn's scorers, so that a threshold that always or never passes is found before a run."""

from __future__ import annotations

from math import inf

# Metrics from 0 to 1, by the beginning of their names: ``f1`` stands for ``f1_macro``, too.
_SHARES = (
    *("accuracy", "average_precision", "balanced_accuracy", "f1", "jaccard", "precision", "recall", "roc_auc"),
    "top_k_accuracy",
)


def metric_range(name: str) -> tuple[float, float]:
    """The lowest and the highest value that a metric can have; infinite where that is not known."""
    if name.startswith("neg_"):
        return -inf, 0.0
    if name.startswith("d2_") or name in ("r2", "explained_variance"):
        return -inf, 1.0
    if name.startswith(_SHARES):
        return 0.0, 1.0
    return (-1.0, 1.0) if name == "matthews_corrcoef" else (-inf, inf)
