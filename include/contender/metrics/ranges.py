"""What scikit-learn's scorers can say, by their own names: a metric of the user's own has no known range."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

_SHARES = {
    *("accuracy", "average_precision", "balanced_accuracy", "roc_auc", "top_k_accuracy"),
    *("roc_auc_ovo", "roc_auc_ovo_weighted", "roc_auc_ovr", "roc_auc_ovr_weighted"),
    *(
        name + kind
        for name in ("f1", "jaccard", "precision", "recall")
        for kind in ("", "_macro", "_micro", "_samples", "_weighted")
    ),
}
_AT_MOST_ONE = {"explained_variance", "r2", "d2_absolute_error_score", "d2_brier_score", "d2_log_loss_score"}
_LOSSES = {
    *("neg_brier_score", "neg_log_loss", "neg_max_error", "neg_mean_absolute_error"),
    *("neg_mean_absolute_percentage_error", "neg_mean_gamma_deviance", "neg_mean_poisson_deviance"),
    *("neg_mean_squared_error", "neg_mean_squared_log_error", "neg_median_absolute_error"),
    *("neg_negative_likelihood_ratio", "neg_root_mean_squared_error", "neg_root_mean_squared_log_error"),
}


def metric_range(name: str) -> tuple[float, float]:
    """The lowest and the highest value that a metric can have; infinite where that is not known."""
    if name in _LOSSES:
        return -inf, 0.0
    if name in _AT_MOST_ONE:
        return -inf, 1.0
    if name in _SHARES:
        return 0.0, 1.0
    return (-1.0, 1.0) if name == "matthews_corrcoef" else (-inf, inf)


class Bound(NamedTuple):
    """Above which number predictions and targets must lie; of targets the number itself may be enough."""

    least: float
    target_least: float
    target_may_equal: bool

    @property
    def words(self) -> str:
        """Of predictions: ``above -1``."""
        return f"above {self.least:g}"

    @property
    def target_words(self) -> str:
        """Of targets: ``of at least 0``."""
        return f"of at least {self.target_least:g}" if self.target_may_equal else f"above {self.target_least:g}"

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Which predictions are so; shape (n,), bool."""
        return values > self.least

    def target_holds(self, values: np.ndarray) -> np.ndarray:
        """Which targets are so; shape (n,), bool."""
        return values >= self.target_least if self.target_may_equal else values > self.target_least


_BOUNDS = {
    "neg_mean_squared_log_error": Bound(-1, -1, target_may_equal=False),
    "neg_root_mean_squared_log_error": Bound(-1, -1, target_may_equal=False),
    "neg_mean_poisson_deviance": Bound(0, 0, target_may_equal=True),
    "neg_mean_gamma_deviance": Bound(0, 0, target_may_equal=False),
}


def bound_of(name: str) -> Bound | None:
    """What a metric asks of predictions and targets; None when any number will do."""
    return _BOUNDS.get(name)
