"""Scores that are too good to be true: seldom does a column that is known before the target give it away so exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contender.words import metric_label, score

if TYPE_CHECKING:
    from contender.documents.scoreboard import Scoreboard

# A score above its limit is suspected. Of log losses and the like no limit is known.
_LIMITS = {"roc_auc": 0.99, "average_precision": 0.99, "r2": 0.99}
_SQUARED = {"neg_root_mean_squared_error": 2, "neg_mean_squared_error": 1}  # the power that makes squares of them


def too_good(metric: str, value: float) -> str | None:
    """A sentence if a score is beyond what is plausible, else None."""
    if value <= _LIMITS.get(metric, float("inf")):
        return None
    return (
        f"{metric_label(metric)} {score(value)} is too good to be true: does a column know the answer? Look at what the model "
        "was given (data.exclude leaves out what is known only with the target)"
    )


def too_good_candidate(board: Scoreboard) -> str | None:
    """The same of the candidate on the gate rows; an error is compared with that of a constant guess, which gives its R2."""
    card, constant = board.card("candidate"), board.card("trivial")
    if card is None:
        return None
    scores = dict(card.metrics)
    for metric, power in _SQUARED.items():
        least = None if constant is None else constant.metrics.get(metric)
        if metric in scores and least:
            scores.setdefault("r2", 1 - (scores[metric] / least) ** power)
    found = (too_good(metric, value) for metric, value in scores.items())
    return next((sentence for sentence in found if sentence is not None), None)
