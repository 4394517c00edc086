"""What a backtest says: a line for each way, and what is recommended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

from contender.words import duration, metric_name, own_direction, score, signed

if TYPE_CHECKING:
    from contender.backtest.replay import Backtest, Replayed

_CONFIDENCE = 0.90
_BLOCK = 8  # periods
_FEWEST = 2 * _BLOCK  # periods, for an interval


@dataclass(frozen=True)
class Line:
    """A way's line.

    Attributes:
        skill: mean over the periods in which every way had something to serve, greater is better.
        better: than the best way, by so much (0 or less), with its interval; NaN: too few periods.
        promoted: after the first champion; of these ``worse`` had a lower mean skill than what they replaced would have had,
            and ``unknown`` were not followed.
    """

    name: str
    skill: float
    better: float
    low: float
    high: float
    trained: int
    promoted: int
    worse: int
    unknown: int
    cpu_seconds: float


@dataclass(frozen=True)
class Summary:
    """All lines, in the order of the ways, the number of periods they are about, and the recommendation."""

    lines: tuple[Line, ...]
    periods: int
    recommendation: str


def summary(found: Backtest) -> Summary:
    """Every way beside the best one, on the same periods."""
    skills = np.array([[period.skill for period in way.periods] for way in found.ways])
    common = np.isfinite(skills).all(axis=0)
    skills = skills[:, common]
    if not common.any():
        lines = tuple(_line(way, float("nan"), np.zeros(0)) for way in found.ways)
        return Summary(
            lines, 0, "Nothing can be said: in no period every way had a model to serve, and labels to score it"
        )
    means = skills.mean(axis=1)
    best = int(means.argmax())
    lines = tuple(
        _line(way, float(mean), skill - skills[best])
        for way, mean, skill in zip(found.ways, means, skills, strict=True)
    )
    return Summary(lines, int(common.sum()), _recommended(found, lines, best))


def _line(way: Replayed, mean: float, behind: np.ndarray) -> Line:
    low, high = _interval(behind)
    effects = [_effect(way, number) for number in way.promoted[1:]]
    return Line(
        name=way.way.name,
        skill=mean,
        better=float(behind.mean()) if len(behind) else float("nan"),
        low=low,
        high=high,
        trained=way.trained,
        promoted=len(effects),
        worse=sum(effect < 0 for effect in effects),
        unknown=sum(not np.isfinite(effect) for effect in effects),
        cpu_seconds=way.cpu_seconds,
    )


def _effect(way: Replayed, number: int) -> float:
    """The mean gain of a promotion over what it replaced, until the next one; NaN where no period tells."""
    end = next((later for later in way.promoted if later > number), len(way.periods))
    gains = [period.skill - period.before for period in way.periods[number:end]]
    known = [gain for gain in gains if np.isfinite(gain)]
    return float(np.mean(known)) if known else float("nan")


def _interval(behind: np.ndarray) -> tuple[float, float]:
    """Of the mean difference, from the means of blocks of periods: what serves stays for weeks, so that these are alike.

    Batch means (Conway, Some tactical problems in digital simulation, Management Science 1963), with a t quantile.
    """
    if len(behind) < _FEWEST:
        return float("nan"), float("nan")
    means = np.array([block.mean() for block in np.array_split(behind, len(behind) // _BLOCK)])
    half = float(student.ppf((1 + _CONFIDENCE) / 2, len(means) - 1)) * means.std(ddof=1) / len(means) ** 0.5
    return float(behind.mean() - half), float(behind.mean() + half)


def _recommended(found: Backtest, lines: tuple[Line, ...], best: int) -> str:
    """The way that trains and promotes least of those that are not shown to be worse than the best."""
    if not np.isfinite(lines[best].low):
        return f"Too few periods ({_FEWEST} are needed) to recommend one"
    alike = [line for line in lines if line.high >= 0]
    chosen = min(alike, key=lambda line: (line.trained, line.worse, line.promoted))
    top, metric = lines[best], metric_name(found.metric)
    if chosen is top:
        why = "the best, and no other that trains as seldom is as good"
    else:
        why = (
            f"not shown worse than the best ({top.name}, {score(own_direction(found.metric, top.skill))}): "
            f"{signed(chosen.better)} in {metric}, {100 * _CONFIDENCE:.0f} % interval {signed(chosen.low)} to {signed(chosen.high)}"
        )
    saved = f"; it trains {chosen.trained} times instead of {top.trained}" if chosen.trained < top.trained else ""
    words = f"{chosen.name}: {why}{saved}"
    if found.ways[0].way.rule == "never" and chosen.name == found.ways[0].way.name:
        words += ". These periods do not show that retraining pays"
    return words


def cost(line: Line) -> str:
    """The CPU time of a way's sweeps, in words."""
    return duration(line.cpu_seconds)
