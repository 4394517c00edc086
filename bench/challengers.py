"""Years of weekly runs with challengers that follow each other: how often the gate promotes a model that is no better.

The rules are Contender's own (``judge.challenger``, ``beats: champion``); what a week's rows say is drawn. Nothing is fitted.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.rows import Row
from contender.documents.challenger import Look, Seen
from contender.documents.scoreboard import Comparison, Scoreboard
from contender.documents.sweep import Trial
from contender.judge.challenger import Previous, asking, left_by, looked
from contender.spec.pipeline import PipelineSpec
from contender.stats import spending

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_COMPUTED = spending.boundaries
_START, _WEEK = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=7)
_ERROR, _ROWS = 0.01, 200  # of one week's difference, and the rows that it comes from
_YEARS, _FEW = 400, 100
_SPEC: dict[str, Any] = {
    "name": "year",
    "data": {
        "source": {"kind": "parquet", "uri": "/nowhere"},
        "target": "y",
        "positive": "yes",
        "time": "at",
        "window": "365d",
    },
    "sweep": {"metric": "roc_auc", "candidates": [{"estimator": "sklearn.linear_model.LogisticRegression"}]},
}


def measure(root: Path) -> Row:
    """False promotions a year, of equal models whose challengers are replaced seldom, often and always."""
    del root
    # Every week has the same error, so the boundaries of all years are the same few.
    spending.boundaries = lambda steps, shares, alpha: _boundaries(tuple(steps), tuple(shares), alpha)
    spec = _spec("superior")
    found = {often: _years(spec, _YEARS, lambda _: 0.0, replaced=often)[0] for often in (0.0, 0.3, 1.0)}
    worst, budget = max(found.values()), spec.challenger.false_promotions_per_year
    open_end = _years(_spec("superior", patience=None), _FEW, lambda _: 0.0, replaced=0.3)[0]
    not_worse = _years(_spec("non_inferior", margin=_ERROR), _FEW, lambda _: -_ERROR, replaced=0.3)[0]
    gains = {gain: _years(spec, _FEW, lambda _, gain=gain: gain * _ERROR)[1] for gain in (0.5, 1.0, 2.0)}  # type: ignore[misc]
    waits = ", ".join(f"{gain:g} errors of a week: {weeks:.1f} weeks" for gain, weeks in gains.items())
    return Row(
        name="challengers",
        value=round(worst, 3),
        unit="false promotions a year",
        against=f"false_promotions_per_year {budget:g}",
        limit=budget,
        ok=worst <= budget,
        how=f"{_YEARS} years of 52 runs of equal models each, superior, patience 13w; this week's winner takes the "
        "challenger's place in "
        + ", ".join(f"{often:.0%} of the weeks: {count:.3f} a year" for often, count in found.items())
        + f"; {_FEW} years each, 30 % of the weeks: without patience {open_end:.3f}, non_inferior of models that are worse "
        f"by just the margin {not_worse:.3f}; a champion whose challengers are all better is replaced after, by a gain of {waits}",
    )


@cache
def _boundaries(steps: tuple[float, ...], shares: tuple[float, ...], alpha: float) -> np.ndarray:
    return _COMPUTED(np.array(steps), shares, alpha)


def _spec(policy: str, *, margin: float = 0.0, patience: str | None = "13w") -> PipelineSpec:
    gates = [
        {"kind": "threshold", "metric": "roc_auc", "min": 0.5},
        {"kind": "beats", "opponent": "champion", "policy": policy, "margin": margin},
    ]
    return PipelineSpec.model_validate(_SPEC | {"gates": gates, "challenger": {"patience": patience}}, strict=False)


def _years(
    spec: PipelineSpec, years: int, gain: Callable[[int], float], *, replaced: float = 0.0
) -> tuple[float, float]:
    """Promotions a year, and the weeks until the first one (53 without one), both as means.

    Args:
        gain: the true difference between challenger and champion in a week.
        replaced: the share of the weeks in which another recipe is the candidate.
    """
    counts, first = [], []
    for seed in range(years):
        promoted = _year(spec, np.random.default_rng(seed), gain, replaced)
        counts.append(len(promoted))
        first.append(promoted[0] + 1 if promoted else 53)
    return mean(counts), mean(first)


def _year(spec: PipelineSpec, random: np.random.Generator, gain: Callable[[int], float], replaced: float) -> list[int]:
    """The weeks in which a challenger was promoted."""
    promoted: list[int] = []
    previous, recipe = Previous(1), 0
    for week in range(52):
        recipe += random.random() < replaced
        trial = Trial(key=str(recipe), estimator="a.B", params={"recipe": recipe}, seed=0)
        through = _START + (week + 1) * _WEEK
        challenger: Any  # there is a champion, and the gate asks for evidence
        challenger, charged = asking(spec, through, trial, previous)
        seen = Seen(difference=random.normal(gain(week), _ERROR), error=_ERROR, degrees=150, rows=_ROWS, entities=_ROWS)
        look = Look(run_id=str(week), begin=through - _WEEK, through=through, seen={"roc_auc": seen})
        board = Scoreboard(
            metric="roc_auc",
            cards=(),
            comparisons=(_compared(seen),),
            challenger=looked(challenger, look),
            charged=charged,
        )
        status = spec.gates[-1].ask(board).status
        if status == "passed":
            promoted.append(week)
            recipe += 1
        champion = 1 + len(promoted)
        previous = left_by(board, spec, champion, undecided=status == "undecided")
    return promoted


def _compared(seen: Seen) -> Comparison:
    half = 1.645 * seen.error
    return Comparison(
        opponent="champion",
        metric="roc_auc",
        rows=seen.rows,
        candidate=0.8 + seen.difference,
        other=0.8,
        difference=seen.difference,
        low=seen.difference - half,
        high=seen.difference + half,
        confidence=0.9,
    )
