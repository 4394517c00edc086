"""What the gates are asked about: the contestants' numbers on the gate rows, and who differs from whom by how much."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contender.frozen import Frozen

Contestant = Literal["candidate", "baseline", "trivial", "champion"]
Opponent = Literal["champion", "baseline", "trivial"]


def metric_label(metric: str) -> str:
    """A metric as shown to people: a scorer of the user's own by its last name."""
    return metric.rpartition(".")[2]


class Slice(Frozen):
    """Metrics on a part of the gate rows."""

    rows: int
    metrics: dict[str, float]


class Scorecard(Frozen):
    """One contestant on the gate rows. Every metric is in scikit-learn's sense: greater is better.

    ``new_entities`` is the same on those gate rows only whose id does not occur among the rows that were trained on.
    """

    contestant: Contestant
    estimator: str
    rows: int
    metrics: dict[str, float]
    version: str | None = None
    new_entities: Slice | None = None


class Comparison(Frozen):
    """Candidate minus opponent on rows that neither was trained on, with a two-sided interval of ``confidence``."""

    opponent: Opponent
    metric: str
    rows: int
    candidate: float
    other: float
    difference: float
    low: float
    high: float
    confidence: float


class GateAnswer(Frozen):
    """What a custom gate's function says: passed or not, why, and the numbers that it rests on if there are any."""

    passed: bool
    reason: str = Field(min_length=1)
    observed: float | None = None
    required: float | None = None


class Scoreboard(Frozen):
    """Everything a gate may look at. ``absent`` says why an opponent has no comparison; ``answers`` are the custom
    gates' functions' (see ``contender.judge.custom``), by the gate's key. ``returning`` is the share of the gate rows whose
    id occurs among the rows that were trained on (None without an id).
    """

    metric: str
    cards: tuple[Scorecard, ...]
    comparisons: tuple[Comparison, ...] = ()
    absent: dict[Opponent, str] = {}
    answers: dict[str, GateAnswer] = {}
    returning: float | None = None

    def card(self, contestant: Contestant) -> Scorecard | None:
        """The contestant's card, if it was scored."""
        return next((card for card in self.cards if card.contestant == contestant), None)

    def comparison(self, opponent: Opponent, metric: str) -> Comparison | None:
        """Candidate against the opponent on a metric, if they could be compared."""
        return next((c for c in self.comparisons if (c.opponent, c.metric) == (opponent, metric)), None)


class Verdict(Frozen):
    """A gate's answer, with its reason in words and numbers."""

    gate: str
    status: Literal["passed", "failed", "undecided", "not_applicable"]
    reason: str
    observed: float | None = None
    required: float | None = None
