"""The intervals of comparisons on made-up rows: how often equal models are told apart, how often the truth is inside, and time."""

from __future__ import annotations

import multiprocessing
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtr
from scipy.stats import beta
from scipy.stats import t as student

from bench.rows import CORES, Row, in_a_process
from bench.tables import peak_gigabytes
from contender.metrics.predictions import NoNumber, Predictions
from contender.stats.comparison import compare
from contender.stats.influence import _CLASSIFIERS, _REGRESSORS, influence

if TYPE_CHECKING:
    from pathlib import Path

    from contender.documents.scoreboard import Comparison

_DRAWS = {200: 8_000, 1_000: 4_000, 5_000: 3_000, 20_000: 2_500}  # gates of each size in a world
_CLASSES, _NUMBERS = ("roc_auc", "neg_log_loss"), ("neg_root_mean_squared_error",)


@dataclass(frozen=True)
class World:
    """Rows of a gate.

    Attributes:
        entities: None: each row is its own.
        rate: the share of positive rows; 0 for regression.
        alike: the share of the variance of truth, noise and each model's errors that rows of one entity have in common.
        skew: of the entities' sizes, as the standard deviation of their logarithm.
        gap: by how much the second model's own noise is larger than the first one's; 0: they are equally good.
    """

    rows: int
    entities: int | None = None
    rate: float = 0.0
    alike: float = 0.0
    skew: float = 0.0
    gap: float = 0.0

    def draw(self, random: np.random.Generator) -> tuple[np.ndarray, tuple[Predictions, Predictions], np.ndarray]:
        """Target, the two models' predictions, and the entities."""
        groups = np.arange(self.rows)
        if self.entities is not None:
            sizes = random.lognormal(0, self.skew, self.entities)
            groups = random.choice(self.entities, size=self.rows, p=sizes / sizes.sum())

        def noise() -> np.ndarray:
            own = random.normal(size=self.rows) * (1 - self.alike) ** 0.5
            return np.asarray(own + self.alike**0.5 * random.normal(size=int(groups.max()) + 1)[groups])

        truth, shared = noise(), noise() / 2
        target = truth + noise()
        scores = [truth + shared + (0.6 + more) * noise() for more in (0.0, self.gap)]
        if not self.rate:
            return target, (Predictions(scores[0] / 1.6), Predictions(scores[1] / 1.6)), groups
        limit = 2**0.5 * float(student.isf(self.rate, 1e9))
        shares = [ndtr((0.6 * score - limit) / 1.2) for score in scores]
        one, other = (Predictions(np.column_stack([1 - share, share])) for share in shares)
        return (target > limit).astype(int), (one, other), groups

    @property
    def metrics(self) -> tuple[str, ...]:
        """By what the models are compared."""
        return _CLASSES if self.rate else _NUMBERS

    def __str__(self) -> str:
        kind = f"{self.rate:.0%} positive" if self.rate else "regression"
        about = "independent" if self.entities is None else f"{self.entities} entities"
        sizes = " of unequal size" if self.skew else ""
        return f"{self.rows:,} rows, {kind}, {about}{sizes}" + (", correlated" if self.alike else "")


class Told(NamedTuple):
    """Of one world and metric: draws, those with an interval, false claims of either side, and 95 % intervals that cover."""

    world: World
    metric: str
    draws: int
    answered: int
    claims: int
    covered: int


def _worlds(gap: float, *sizes: int) -> list[World]:
    """Of each size: independent rows, few and many positives; and entities, few and many, of equal and of unequal size."""
    return [
        World(rows, entities, rate, alike, skew, gap)
        for rows in sizes
        for entities, rate, alike, skew in (
            (None, 0.0, 0.0, 0.0),
            (None, 0.05, 0.0, 0.0),
            (None, 0.5, 0.0, 0.0),
            (5, 0.5, 0.3, 0.0),
            (10, 0.5, 0.3, 0.0),
            (10, 0.2, 0.3, 1.0),
            (10, 0.0, 0.3, 1.0),
            (30, 0.05, 0.3, 1.0),
            (500, 0.05, 0.3, 0.0),
        )
    ]


EQUAL = _worlds(0.0, 200, 1_000, 5_000, 20_000)
APART = _worlds(0.3, 200, 1_000, 5_000)


def false_claims(root: Path) -> Row:
    """How often one of two equal models is called superior: at worst over all worlds, as a 99 % upper bound."""
    del root
    limit = 0.065
    found = _tell(EQUAL)
    bounds = [float(beta.ppf(0.99, told.claims + 1, 2 * told.draws - told.claims)) for told in found]
    worst = int(np.argmax(bounds))
    mean = sum(told.claims for told in found) / sum(2 * told.draws for told in found)
    return Row(
        name="false_claims",
        value=round(bounds[worst], 4),
        unit="share",
        against="5 %, which each end of the interval promises",
        limit=limit,
        ok=max(bounds) < limit,
        how=f"2,500 to 8,000 gates in each of {len(EQUAL)} worlds, both models' turn counted; worst of {len(found)} is {found[worst].metric} on "
        f"{found[worst].world}; mean of all {mean:.2%}; too few entities for an answer is no claim",
    )


def coverage(root: Path) -> Row:
    """How often an interval, made two-sided 95 %, covers the true difference of two unequal models: at worst."""
    del root
    limit = 0.93
    found = [told for told in _tell(APART) if 10 * told.answered >= told.draws]
    shares = [told.covered / told.answered for told in found]
    worst = int(np.argmin(shares))
    inside = np.mean([0.93 <= share <= 0.97 for share in shares])
    return Row(
        name="coverage",
        value=round(shares[worst], 4),
        unit="share",
        against="95 %, which the interval promises; more is wider than need be",
        limit=limit,
        better="higher",
        ok=shares[worst] >= limit,
        how=f"3,000 to 8,000 gates in each of {len(APART)} worlds; worst of {len(found)} is {found[worst].metric} on {found[worst].world}; "
        f"highest {max(shares):.1%}, {inside:.0%} of them in 93 to 97 %",
    )


def influence_time(root: Path) -> Row:
    """Two models on a million clustered rows, by every metric that has influence values."""
    del root
    limit = 5.0
    seconds, before, peak = in_a_process("bench.evidence")
    return Row(
        name="influence",
        value=round(seconds, 1),
        unit="s (CPU)",
        against="300 resamples of one metric took 98 s on 200,000 rows",
        limit=limit,
        ok=seconds < limit,
        how=f"1,000,000 rows of 50,000 entities, {len(_timed())} metrics; peak {peak:.2f} GB, of which the rows {before:.2f} GB",
    )


def _tell(worlds: list[World]) -> list[Told]:
    with multiprocessing.get_context("fork").Pool(CORES) as pool:
        return [told for few in pool.imap(_told, worlds, chunksize=1) for told in few]


def _told(world: World) -> list[Told]:
    random = np.random.default_rng(0)
    truth = dict.fromkeys(world.metrics, 0.0)
    if world.gap:  # of all rows there are
        target, both, _ = World(4_000_000, rate=world.rate, gap=world.gap).draw(np.random.default_rng(1))
        for metric in truth:
            one, other = (influence(metric, model.values, target) for model in both)
            truth[metric] = 0.0 if one is None or other is None else one[0] - other[0]
    tally = {metric: np.zeros(3, dtype=int) for metric in truth}
    for _ in range(_DRAWS[world.rows]):
        target, both, groups = world.draw(random)
        for metric, expected in truth.items():
            try:
                said = compare(*both, opponent="champion", metric=metric, target=target, groups=groups, seed=0)
            except NoNumber:
                continue
            tally[metric] += [1, (said.low > expected) + (said.high < expected), _covers(said, expected)]
    return [Told(world, metric, _DRAWS[world.rows], *map(int, counts)) for metric, counts in tally.items()]


def _covers(said: Comparison, expected: float) -> bool:
    assert said.error is not None  # noqa: S101 - of this version
    assert said.degrees is not None  # noqa: S101
    return bool(abs(said.difference - expected) <= student.isf(0.025, said.degrees) * said.error)


def _timed() -> dict[str, bool]:
    """The metrics with influence values, and whether they are of classes; of those that are one by another name one."""
    classes = [name for name in _CLASSIFIERS if not name.startswith("roc_auc_o")]
    return dict.fromkeys(classes, True) | dict.fromkeys(_REGRESSORS, False)


def _time() -> None:
    """Print the CPU seconds, of one core, and the memory in GB before and at the peak."""
    random = np.random.default_rng(0)
    by_kind = {kind: World(1_000_000, 50_000, rate=0.1 * kind, alike=0.2).draw(random) for kind in (True, False)}
    numbers, (one, other), groups = by_kind[False]
    by_kind[False] = np.exp(numbers), (Predictions(np.exp(one.values)), Predictions(np.exp(other.values))), groups
    before = peak_gigabytes()
    began = time.process_time()
    for metric, kind in _timed().items():
        target, both, groups = by_kind[kind]
        compare(*both, opponent="champion", metric=metric, target=target, groups=groups, seed=0)
    sys.stdout.write(f"{time.process_time() - began} {before} {peak_gigabytes()}\n")


if __name__ == "__main__":
    _time()
