"""The replay: past weeks with their own snapshot, validation and sweep, in a scratch home, and every way's chain beside them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from contender import pipeline
from contender.backtest.ways import Chain, Way, Week, ways_of
from contender.data.rows import as_features, load_rows
from contender.data.split import naive
from contender.documents.run import Run
from contender.documents.sweep import Plan
from contender.errors import ContenderError
from contender.metrics.predictions import NoNumber, NotFinite, Predictions
from contender.run.code import installed_code
from contender.store.base import require_document
from contender.sweep.results import complete_results

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from contender.backends import Backends
    from contender.data.rows import Rows
    from contender.judge.contest import Champion
    from contender.spec.pipeline import PipelineSpec
    from contender.stats.budget import Policy

_FOLLOWED = 8  # periods for which a champion is compared with the one that it replaced


@dataclass(frozen=True)
class Period:
    """What served by one way from a week's decision to the next one.

    Attributes:
        skill: of what served, on the rows of the period, greater is better; NaN where it is unknown.
        before: of the champion that it replaced, for some periods; else NaN.
    """

    skill: float
    before: float


@dataclass(frozen=True)
class Replayed:
    """One way's chain, period by period.

    Attributes:
        promoted: the numbers of the periods that began with a promotion, the first champion's included.
    """

    way: Way
    periods: tuple[Period, ...]
    trained: int
    promoted: tuple[int, ...]
    cpu_seconds: float


@dataclass(frozen=True)
class Backtest:
    """All of it.

    Attributes:
        starts: when each period begins. skipped: why a week's run came to nothing, by period.
        unscored: how many of the last periods have no labels yet.
    """

    pipeline: str
    metric: str
    every: timedelta
    starts: tuple[datetime, ...]
    ways: tuple[Replayed, ...]
    skipped: dict[int, str]
    unscored: int


def backtest(
    spec: PipelineSpec,
    backends: Backends,
    *,
    first: datetime,
    last: datetime,
    every: timedelta,
    policies: Sequence[Policy],
    tell: Callable[[str], None] = lambda _: None,
) -> Backtest:
    """Replay the periods that begin from ``first`` to ``last``.

    Nothing that a week's run would not have seen is used to decide; skill is measured on the rows that came after.

    Args:
        backends: a scratch home; the caller removes it.
        tell: is called with each line of progress.

    Raises:
        ContenderError: no week's run came through.
    """
    chains = [Chain(way) for way in ways_of(spec, policies)]
    starts = tuple(first + every * number for number in range((last - first) // every + 1))
    judge, skipped = _Judge(spec, every, starts), dict[int, str]()
    failed: ContenderError | None = None
    for number, as_of in enumerate(starts):
        try:
            week = _week(spec, backends, number, as_of)
            judge.score(week.rows)
            promoted = [chain.way.name for chain in chains if chain.due(number) and _went_on(chain, week, skipped)]
            told = f"{len(week.rows.target):,} rows, {len(week.results)} trials; promoted: {', '.join(promoted) or 'by none'}"
        except ContenderError as error:
            skipped[number] = told = str(error)
            failed = error
        tell(f"{as_of:%Y-%m-%d} ({number + 1} of {len(starts)}): {told}")
        judge.served(number, chains)
    if failed is not None and len(skipped) == len(starts):
        raise failed
    try:  # once more, for the labels that came after the last week
        judge.score(_read(spec, backends, "after", starts[-1] + every + spec.data.label_delay))
    except ContenderError as error:
        tell(f"the last periods are not scored: {error}")
    found = tuple(
        Replayed(chain.way, judge.periods(at), len(chain.trained), tuple(chain.promoted), chain.cpu_seconds)
        for at, chain in enumerate(chains)
    )
    return Backtest(spec.name, spec.sweep.metric, every, starts, found, skipped, unscored=judge.unscored)


def _went_on(chain: Chain, week: Week, skipped: dict[int, str]) -> bool:
    """Let a chain decide; whether it promoted."""
    before = len(chain.promoted)
    try:
        chain.go_on(week)
    except ContenderError as error:
        skipped.setdefault(week.number, f"{chain.way.name}: {error}")
    return len(chain.promoted) > before


def _read(spec: PipelineSpec, backends: Backends, run_id: str, as_of: datetime) -> Rows:
    run = Run(id=run_id, spec=spec, as_of=as_of, started=as_of, code=installed_code())
    pipeline.snapshot(run, backends)
    pipeline.validate(run, backends)
    return load_rows(run, backends.store)


def _week(spec: PipelineSpec, backends: Backends, number: int, as_of: datetime) -> Week:
    """A week's run until its sweep is over, by the steps themselves."""
    rows = _read(spec, backends, f"w{number:03}", as_of)
    run = rows.run
    for round_ in range(1, spec.sweep.strategy.rounds + 1):
        pipeline.plan(run, backends, cores=1, number=round_)
        for task in range(require_document(backends.store, run.round_key(round_, "plan.json"), Plan).tasks):
            pipeline.train(run, backends, task=task, number=round_)
    sweep = complete_results(run, backends.store)
    spent = sum(result.cpu_seconds for result in (*sweep.results, *sweep.rungs))
    return Week(number, run, rows, sweep.results, sweep.rungs, backends.store, spent)


class _Judge:
    """Scores what served on the rows of its period, as soon as these have labels."""

    def __init__(self, spec: PipelineSpec, every: timedelta, starts: tuple[datetime, ...]) -> None:
        self._spec, self._every, self._starts = spec, every, starts
        self._served: dict[int, list[tuple[Champion | None, Champion | None]]] = {}
        self._scored: dict[int, list[Period]] = {}

    @property
    def unscored(self) -> int:
        """How many periods have no skill."""
        return len(self._starts) - len(self._scored)

    def served(self, number: int, chains: Sequence[Chain]) -> None:
        """Note what serves in a period, and what was replaced by it not long ago."""
        self._served[number] = [
            (one.serving, one.replaced if one.promoted and number - one.promoted[-1] < _FOLLOWED else None)
            for one in chains
        ]

    def score(self, rows: Rows) -> None:
        """Score the periods whose rows have labels by now and were not scored before."""
        spec = self._spec
        known = rows.run.as_of - spec.data.label_delay
        moments = rows.frame[str(spec.data.time)]
        for number in [one for one in self._served if one not in self._scored]:
            start = self._starts[number]
            if start + self._every > known:
                continue
            where = np.flatnonzero((moments >= naive(start)) & (moments < naive(start + self._every)))
            memo: dict[int, float] = defaultdict(lambda: float("nan"))
            for champion in {id(one): one for pair in self._served[number] for one in pair if one is not None}.values():
                memo[id(champion)] = _skill(champion, rows, where)
            self._scored[number] = [Period(memo[id(now)], memo[id(then)]) for now, then in self._served[number]]
            del self._served[number]

    def periods(self, chain: int) -> tuple[Period, ...]:
        """A chain's periods, in order; without those that were not scored."""
        nothing = Period(float("nan"), float("nan"))
        return tuple(self._scored[n][chain] if n in self._scored else nothing for n in range(len(self._starts)))


def _skill(champion: Champion, rows: Rows, where: np.ndarray) -> float:
    """The sweep's metric of a model on some rows; NaN where it gives none."""
    if len(where) < 2 or (rows.labels is not None and len(np.unique(rows.target[where])) < 2):
        return float("nan")
    features = as_features(rows.frame, champion.release.features).iloc[where]
    try:
        said = Predictions.of(champion.model, features, classification=rows.labels is not None)
        return said.number(rows.run.spec.sweep.metric, rows.target[where])
    except (NoNumber, NotFinite):
        return float("nan")
