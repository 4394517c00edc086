"""A metric by name: one of scikit-learn's scorers, or the user's own by import path; greater is better."""

from __future__ import annotations

from typing import Any

from contender.errors import ConfigError
from contender.telling import raised
from contender.usercode import import_path


def is_own(metric: str) -> bool:
    """Whether a metric is the user's own, by import path: no scorer of scikit-learn has a dot in its name."""
    return "." in metric


def score(metric: str, model: Any, features: Any, target: Any, weights: Any = None) -> float:
    """The scorer's value for a fitted model on n rows, each counted ``weights`` times; shapes (n, ...), (n,), (n,).

    Raises:
        ConfigError: the user's own scorer cannot be imported, raised something or returned no number.
    """
    from sklearn.metrics import get_scorer

    arguments = {} if weights is None else {"sample_weight": weights}
    if not is_own(metric):
        return float(get_scorer(metric)(model, features, target, **arguments))
    scorer = import_path(metric, "metric", kind="scorer")
    try:
        return float(scorer(model, features, target, **arguments))
    except Exception as error:  # noqa: BLE001 - the user's own code may raise anything
        msg = f"{metric} raised {raised(error)}"
        raise ConfigError(msg) from None


def metric_names() -> list[str]:
    """The names of scikit-learn's scorers."""
    from sklearn.metrics import get_scorer_names

    return list(get_scorer_names())
