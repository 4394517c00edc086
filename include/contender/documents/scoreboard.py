"""The scoreboard that gates look at: the contestants' metrics on the gate rows, and their differences."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from contender.documents.challenger import Challenger, Charge, Former
from contender.frozen import Frozen

# ``proven`` is the last champion that took the title on evidence, when the champion of today is a later one.
Contestant = Literal["candidate", "baseline", "trivial", "champion", "proven"]
Opponent = Literal["champion", "baseline", "trivial", "proven"]


class Slice(Frozen):
    """Metrics on a part of the gate rows.

    Attributes:
        missing: why a metric gives no number here, by metric.
        entities: how many different ids the rows have, of the class that has fewer (None: unknown, or no classes) in
            ``rarest``.
    """

    rows: int
    metrics: dict[str, float]
    missing: dict[str, str] = {}
    entities: int | None = None
    rarest: int | None = None


class Scorecard(Slice):
    """A contestant's metrics on the gate rows. As in scikit-learn's scorers, greater is better.

    ``new_entities`` has the metrics on only those gate rows whose id does not occur among the training rows.
    """

    contestant: Contestant
    estimator: str
    version: str | None = None
    new_entities: Slice | None = None


class Comparison(Frozen):
    """Candidate minus opponent on rows that neither was trained on, with a two-sided interval at ``confidence``.

    Attributes:
        error: the difference's standard error, of ``degrees`` degrees of freedom (t distribution), from so many
            ``entities`` (ids, or rows without one). None in a document of an earlier version.
    """

    opponent: Opponent
    metric: str
    rows: int
    candidate: float
    other: float
    difference: float
    low: float
    high: float
    confidence: float
    error: float | None = None
    degrees: float | None = None
    entities: int | None = None


class WalkStep(Frozen):
    """A step of the walk over the gate: a recipe was fitted on ``trained`` rows, all before ``through``, to be judged by
    ``judged`` rows. ``through`` is None without a time column.
    """

    through: datetime | None
    trained: int
    judged: int


class GateAnswer(Frozen):
    """An answer that a gate measured itself or a user's function returned: passed or not, reason, and numbers."""

    passed: bool
    reason: str = Field(min_length=1)
    observed: float | None = None
    required: float | None = None

    def verdict(self, gate: str) -> Verdict:
        """The answer as the verdict of the gate with this label."""
        return Verdict(
            gate=gate,
            status="passed" if self.passed else "failed",
            reason=" ".join(self.reason.split())[:1_000],
            observed=self.observed,
            required=self.required,
        )


class Scoreboard(Frozen):
    """Everything that a gate may look at.

    Attributes:
        absent: why an opponent has no comparison; ``uncompared``: why it has none on a metric.
        overridden: gates, by label, that an override settles if they cannot be asked: who, until when and why.
        answers: the answers that gates measured themselves (``Gate.measure``), by the gate's key.
        returning: the share of the gate rows whose id occurs among the rows that their model was trained on; None without
            an id.
        of_champion: like ``comparisons``, of the champion in place of the candidate, with the baseline and the constant guess.
        challenger: the candidate as it asks for the title by looks that add up; None where no gate asks for such evidence.
        former: what was seen of the champion before today's.
        charged: what the challengers before it used up of the year's budget.
        walk: how candidate and baselines were judged, oldest step first; empty in version 0.1.0: by one model each.
    """

    metric: str
    cards: tuple[Scorecard, ...]
    comparisons: tuple[Comparison, ...] = ()
    absent: dict[Opponent, str] = {}
    uncompared: dict[Opponent, dict[str, str]] = {}
    overridden: dict[str, str] = {}
    answers: dict[str, GateAnswer] = {}
    returning: float | None = None
    of_champion: tuple[Comparison, ...] = ()
    walk: tuple[WalkStep, ...] = ()
    challenger: Challenger | None = None
    charged: tuple[Charge, ...] = ()
    former: Former | None = None

    def card(self, contestant: Contestant) -> Scorecard | None:
        """The contestant's card, if it was scored."""
        return next((card for card in self.cards if card.contestant == contestant), None)

    def comparison(self, opponent: Opponent, metric: str) -> Comparison | None:
        """The comparison of the candidate with an opponent on a metric, if they could be compared."""
        return next((c for c in self.comparisons if (c.opponent, c.metric) == (opponent, metric)), None)

    def why_not(self, opponent: Opponent, metric: str) -> str | None:
        """Why the candidate was not compared with an opponent on a metric."""
        return self.uncompared.get(opponent, {}).get(metric) or self.absent.get(opponent)

    def cannot_score(self, opponent: Opponent, metric: str) -> bool:
        """Whether the candidate has the metric and the opponent can never have it: it does not predict, or the metric gives
        no number for what it predicts. Too few rows are no such reason: later runs have more.
        """
        ours, theirs = self.card("candidate"), self.card(opponent)
        if ours is None or metric not in ours.metrics:
            return False
        return opponent in self.absent if theirs is None else metric in theirs.missing


class Verdict(Frozen):
    """A gate's answer, with its reason in words and numbers.

    Attributes:
        excused: neither the candidate nor the champion that it beats passes, so that the gate protects nobody.
    """

    gate: str
    status: Literal["passed", "failed", "undecided", "not_applicable"]
    reason: str
    observed: float | None = None
    required: float | None = None
    excused: bool = False
