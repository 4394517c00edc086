"""The report's tables of evidence: what was seen of the challenger look by look, and what each policy costs on these rows."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from contender.judge.walk import between_runs
from contender.words import metric_name, percent, score, signed

if TYPE_CHECKING:
    from datetime import datetime

    from contender.documents.challenger import Challenger
    from contender.documents.decision import Decision
    from contender.documents.run import Run
    from contender.judge.gates import BeatsGate
    from contender.stats.budget import Policy

_YEAR = timedelta(days=365)
_NEWEST = 26  # looks
_SELDOM = 0.001  # below it the normal approximation says nothing more


class LookRow(NamedTuple):
    """A look, and what it and those before it say together: difference and what would have been enough."""

    begin: datetime
    through: datetime
    rows: int
    entities: int
    difference: str
    together: str
    needed: str


class LookTable(NamedTuple):
    """The looks at one metric."""

    metric: str
    rows: tuple[LookRow, ...]


class Price(NamedTuple):
    """How often a year of a policy promotes a model that is as good, worse, or better by some gain."""

    policy: str
    equal: str
    worse: str
    better: str


class Prices(NamedTuple):
    """What each policy costs.

    Attributes:
        gain: by how much worse or better, in the metric; ``rows``: new ones from run to run.
        detectable: the gain that ``superior`` finds in four of five challengers.
    """

    metric: str
    gain: str
    rows: int
    looks: int
    detectable: str
    policies: tuple[Price, ...]


def look_tables(run: Run, decision: Decision) -> tuple[LookTable, ...]:
    """One table for each gate that judges looks; none without a look."""
    challenger = decision.board.challenger
    if challenger is None or not challenger.looks or decision.same_model:  # then the board is of an earlier run
        return ()
    return tuple(
        LookTable(
            metric=metric_name(gate.metric or decision.board.metric),
            rows=tuple(_look_rows(gate, challenger, decision)),
        )
        for gate in _champions_gates(run)
        if gate.adds_up
    )


def _look_rows(gate: BeatsGate, challenger: Challenger, decision: Decision) -> list[LookRow]:
    found: list[LookRow] = []
    for number, look in list(enumerate(challenger.looks, start=1))[-_NEWEST:]:
        together = gate.gathered(challenger.model_copy(update={"looks": challenger.looks[:number]}), decision.board)
        seen = look.seen[gate.metric or decision.board.metric]
        found.append(
            LookRow(
                begin=look.begin,
                through=look.through,
                rows=seen.rows,
                entities=seen.entities,
                difference=signed(seen.difference),
                together=signed(together.difference),
                needed=signed(together.needed) if math.isfinite(together.needed) else "none yet",
            )
        )
    return found


def _champions_gates(run: Run) -> list[BeatsGate]:
    from contender.judge.gates import BeatsGate

    return [gate for gate in run.spec.gates if isinstance(gate, BeatsGate) and gate.opponent == "champion"]


def prices(run: Run, decision: Decision) -> Prices | None:
    """What each policy would cost, from the error of this run's comparison with the champion; None without one.

    The gain that is asked about is the gate's margin, or one that ``superior`` finds.
    """
    from contender.stats.budget import detectable, promoted

    gates = _champions_gates(run)
    metric = next((gate.metric or decision.board.metric for gate in gates), None)
    met = None if metric is None else decision.board.comparison("champion", metric)
    card = decision.board.card("candidate")
    if met is None or not met.error or card is None or run.spec.data.time is None or decision.same_model:
        return None
    every = between_runs(run) or timedelta(days=7)
    rows = max(1, round(card.rows * min(1.0, every / run.spec.gate_span)))
    error = met.error * (met.rows / rows) ** 0.5
    patience = run.spec.challenger.patience or 13 * every
    looks, year = max(1, patience // every), max(1, _YEAR // every)
    least = detectable(error=error, looks=looks)
    gain = gates[0].margin or float(f"{least:.1g}")

    def chance(policy: Policy, true: float) -> str:
        margin = 0.0 if policy == "superior" else gain
        share = promoted(policy, true, error=error, looks=looks, margin=margin, year=year)
        return percent(float(f"{share:.2g}")) if share >= _SELDOM else f"under {percent(_SELDOM)}"

    policies: tuple[Policy, ...] = ("superior", "non_inferior", "unless_worse")
    return Prices(
        metric=metric_name(str(metric)),
        gain=score(gain, digits=3),
        rows=rows,
        looks=looks,
        detectable=score(least, digits=2),
        policies=tuple(
            Price(policy.replace("_", " "), *(chance(policy, true) for true in (0.0, -gain, gain)))
            for policy in policies
        ),
    )
