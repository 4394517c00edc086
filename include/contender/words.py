"""How numbers, sizes and names are written for people, alike in every log, page and message."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

Point = TypeVar("Point")

_NOTHING = "\N{EN DASH}"
# scikit-learn's errors, which its scorers turn round so that greater is better; and other names that people write otherwise.
_ERRORS = {
    "neg_brier_score": "Brier score",
    "neg_log_loss": "log loss",
    "neg_max_error": "max error",
    "neg_mean_absolute_error": "MAE",
    "neg_mean_absolute_percentage_error": "MAPE",
    "neg_mean_gamma_deviance": "gamma deviance",
    "neg_mean_poisson_deviance": "Poisson deviance",
    "neg_mean_squared_error": "MSE",
    "neg_mean_squared_log_error": "MSLE",
    "neg_median_absolute_error": "median absolute error",
    "neg_negative_likelihood_ratio": "negative likelihood ratio",
    "neg_root_mean_squared_error": "RMSE",
    "neg_root_mean_squared_log_error": "RMSLE",
}
_NAMES = _ERRORS | {"r2": "R2", "roc_auc": "ROC AUC", "f1": "F1", "matthews_corrcoef": "Matthews correlation"}


def score(number: float | None, *, digits: int = 4) -> str:
    """A number with four significant digits: ``0.8422``, ``54.97``, ``123,500``; a dash for None."""
    if number is None:
        return _NOTHING
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    # The exponent is that of the rounded number: 0.99999 is 1.000.
    places = digits - 1 - int(f"{number:.{digits - 1}e}".partition("e")[2])
    return f"{number:.{digits - 1}e}" if places > 8 else f"{round(number, places):,.{max(0, places)}f}"


def signed(number: float | None) -> str:
    """A difference of scores, with its sign and three significant digits: ``+0.0172``."""
    return f"+{score(number, digits=3)}" if number is not None and number > 0 else score(number, digits=3)


def percent(share: float) -> str:
    """A share with three significant digits: ``0.123 %``, ``41.2 %``."""
    return f"{100 * share:.3g} %"


def mean_words(some: float, others: float, *, classification: bool) -> str:
    """Means of labels side by side: ``27.7% positive against 2.3%``, ``mean target 91 against 42``."""
    return (
        f"{some:.1%} positive against {others:.1%}"
        if classification
        else f"mean target {some:.4g} against {others:.4g}"
    )


def duration(seconds: float) -> str:
    """Seconds as ``0.4 s``, ``34 s``, ``2 min 3 s`` or ``1 h 5 min``."""
    if seconds < 9.95:  # from here on one decimal would show 10.0
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def memory(size: int | None) -> str:
    """A size in bytes as ``410 MB`` or ``2.1 GB``: powers of ten, like MLflow's system metrics."""
    if size is None:
        return _NOTHING
    return f"{size / 1e6:.0f} MB" if size < 999.5e6 else f"{size / 1e9:.1f} GB"


def listed(words: Iterable[str]) -> str:
    """``a, b and c``."""
    *most, last = words
    return " and ".join(filter(None, [", ".join(most), last]))


def counted(number: int, noun: str) -> str:
    """``1 trial``, ``20 trials``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def metric_label(metric: str) -> str:
    """A metric as shown to people: a user's own scorer by the last part of its import path."""
    return metric.rpartition(".")[2]


def metric_name(metric: str) -> str:
    """A metric as people call it: ``RMSE`` for scikit-learn's ``neg_root_mean_squared_error``; a user's own as it is named."""
    label = metric_label(metric)
    return label if label != metric else _NAMES.get(metric, metric.replace("_", " "))


def own_direction(metric: str, value: float) -> float:
    """A scorer's value as people read the metric: an error above 0."""
    return -value if metric in _ERRORS else value


def metric_score(metric: str, value: float) -> str:
    """A scorer's value as people read it: ``ROC AUC 0.8422``, ``RMSE 22.50``."""
    return f"{metric_name(metric)} {score(own_direction(metric, value))}"


def model_label(path: str, *, pipeline: bool) -> str:
    """A model as shown to people: a class by its name, a function with its module, as many are called ``build``."""
    return ".".join(path.split(".")[-2 if pipeline else -1 :])


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most ``most`` (two or more) of the points, evenly spaced, the first and the last included."""
    if len(points) <= most:
        return list(points)
    return [points[round(place * (len(points) - 1) / (most - 1))] for place in range(most)]
