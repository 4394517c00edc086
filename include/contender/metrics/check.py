"""The check of a metric before a run: the scorer exists, takes predictions and weighted rows, and greater is better."""

from __future__ import annotations

import difflib

import numpy as np
from sklearn.metrics import get_scorer_names

from contender.errors import ConfigError
from contender.metrics.predictions import Predictions
from contender.metrics.scorers import is_own
from contender.usercode import import_path


def check_metric(name: str, place: str, *, classification: bool, ranks: bool = True) -> None:
    """See that the scorer exists and can score this kind of target on weighted rows.

    Args:
        ranks: whether models are compared by it, so that greater must be better; checked of the user's own only.

    Raises:
        ConfigError: it does not exist, with a suggestion, or cannot score, with its reason.
    """
    if is_own(name):
        _check_own(name, place, classification=classification, ranks=ranks)
        return
    names = get_scorer_names()
    if name not in names:
        if f"neg_{name}" in names:
            msg = f"{place}: {name} is less for a better model; give scikit-learn's neg_{name}, which is greater"
            raise ConfigError(msg)
        close = difflib.get_close_matches(name, names, n=3) or ["roc_auc", "neg_log_loss", "r2"]
        msg = f"{place}: scikit-learn has no scorer {name!r}. Did you mean {' or '.join(map(repr, close))}?"
        raise ConfigError(msg)
    predicted, labels = np.array([0.2, 0.4, 0.6, 0.8]), np.array([0, 1, 0, 1])
    example = Predictions(np.column_stack([1 - predicted, predicted])) if classification else Predictions(predicted)
    try:
        example.score(name, labels if classification else predicted[::-1], weights=np.array([1.0, 2.0, 1.0, 1.0]))
    except Exception as error:  # noqa: BLE001 - a scorer may raise anything on a target of another kind
        kind = "classification" if classification else "regression"
        msg = f"{place}: {name} cannot judge a {kind} with weighted rows: {str(error)[:200]}"
        raise ConfigError(msg) from None


def _check_own(name: str, place: str, *, classification: bool, ranks: bool) -> None:
    """See that a user's own scorer needs predictions only and counts a row ``sample_weight`` times.

    An interval rests on both: it has no features, and it gives weights instead of leaving rows out.
    """
    import_path(name, place, kind="scorer")
    counts = np.array([1, 2, 0, 3, 1, 1, 2, 1])  # one row left out and some repeated: ignored weights show
    predicted, labels = np.array([0.1, 0.3, 0.4, 0.2, 0.6, 0.9, 0.7, 0.8]), np.array([0, 1, 0, 0, 1, 0, 1, 1])
    target = labels if classification else predicted[::-1].copy()
    sure = np.where(labels, 0.95, 0.05)
    right, wrong = (sure, 1 - sure) if classification else (target, predicted)
    examples = (np.column_stack([1 - one, one]) if classification else one for one in (predicted, right, wrong))
    mixed, best, worst = (Predictions(values) for values in examples)
    copies = np.repeat(np.arange(len(predicted)), counts)
    try:
        weighted = mixed.score(name, target, weights=counts.astype(float))
        copied = Predictions(mixed.values[copies]).score(name, target[copies])
        high, low = best.score(name, target), worst.score(name, target)
    except ConfigError as error:
        msg = (
            f"{place}: {str(error)[:400]}; expected a scorer, as sklearn.metrics.make_scorer gives one, or a function "
            "(estimator, X, y, sample_weight=None) that asks the estimator for predictions of X and nothing else of X"
        )
        raise ConfigError(msg) from None
    if not np.isclose(weighted, copied, rtol=1e-6, atol=1e-9, equal_nan=True):
        msg = (
            f"{place}: {name} gives {weighted:.6g} for weighted rows and {copied:.6g} for rows repeated as often; "
            "count each row sample_weight times, else no interval means anything"
        )
        raise ConfigError(msg)
    if ranks and high < low:
        msg = (
            f"{place}: {name} gives {high:.6g} for right answers and {low:.6g} for wrong ones, but greater must be "
            "better: turn its sign round, as make_scorer(..., greater_is_better=False) does"
        )
        raise ConfigError(msg)
