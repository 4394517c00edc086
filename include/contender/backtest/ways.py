"""Ways to decide what serves, and the chain of champions that each of them makes of the same weeks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from contender.documents.release import Recipe
from contender.judge.challenge import decide, fit_trial, recipe_of
from contender.judge.challenger import Previous, left_by
from contender.judge.contest import Champion
from contender.judge.title import Title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contender.data.rows import Rows
    from contender.documents.decision import Decision
    from contender.documents.run import Run
    from contender.documents.sweep import Trial, TrialResult
    from contender.judge.gates import AnyGate, BeatsGate
    from contender.spec.pipeline import PipelineSpec
    from contender.stats.budget import Policy
    from contender.store.base import ArtifactStore

POLICIES: tuple[Policy, ...] = ("superior", "non_inferior", "unless_worse")
_SCHEDULES = {2: "2nd", 4: "4th", 8: "8th"}  # periods, besides every one


@dataclass
class Week:
    """A replayed period: its run until the sweep, whose results every way uses.

    Attributes:
        cpu_seconds: of the sweep's trials.
    """

    number: int
    run: Run
    rows: Rows
    results: Sequence[TrialResult]
    rungs: Sequence[TrialResult]
    store: ArtifactStore
    cpu_seconds: float
    _fitted: dict[tuple[str, int], Any] = field(default_factory=dict)

    def fit(self, trial: Trial, features: Any, target: Any) -> Any:
        """A trial's model. Ways ask for the same ones, on the first so many of the same rows."""
        key = (trial.key, len(target))
        if key not in self._fitted:
            self._fitted[key] = fit_trial(trial, features, target)
        return self._fitted[key]

    def asked(self, gates: tuple[AnyGate, ...]) -> Rows:
        """The rows, of a run that is asked other gates."""
        spec = self.run.spec.model_copy(update={"gates": gates})
        rows = replace(self.rows, run=self.run.model_copy(update={"spec": spec}))
        rows.__dict__.update(features=self.rows.features, split=self.rows.split)  # they do not depend on the gates
        return rows

    def champion(self, recipe: Recipe) -> Champion:
        """The recipe's model on all rows of the week, as it would have served."""
        rows = self.rows
        features, target = rows.features, rows.target
        if recipe.rows == "train_rows":
            features, target = features.iloc[rows.split.sweep], target[rows.split.sweep]
        return Champion.unreleased(str(self.number + 1), rows, recipe, self.fit(recipe.trial, features, target))


@dataclass(frozen=True)
class Way:
    """How it is decided what serves.

    Attributes:
        name: as the table shows it.
        rule: ``gates``: as Contender does; ``never`` after the first; ``always``; ``observed``: when the difference that is
            seen on the rows new to both is at least ``least`` times the champion's score.
        every: it trains in each so many periods only.
    """

    name: str
    rule: Literal["gates", "never", "always", "observed"]
    gates: tuple[AnyGate, ...]
    every: int = 1
    least: float = 0.0


@dataclass
class Chain:
    """What one way has made of the weeks so far.

    Attributes:
        serving, replaced: the champion and the one before it; a first champion has none before it.
        trained, promoted: the numbers of the weeks.
    """

    way: Way
    serving: Champion | None = None
    replaced: Champion | None = None
    trained: list[int] = field(default_factory=list)
    promoted: list[int] = field(default_factory=list)
    cpu_seconds: float = 0.0
    _previous: Previous = Previous()  # noqa: RUF009 - frozen
    _proven: Champion | None = None

    def due(self, number: int) -> bool:
        """Whether it trains in a week."""
        return number % self.way.every == 0 and (self.way.rule != "never" or self.serving is None)

    def go_on(self, week: Week) -> None:
        """Train in a week, and decide.

        Raises:
            ContenderError: nothing could be decided; what serves goes on.
        """
        self.trained.append(week.number)
        self.cpu_seconds += week.cpu_seconds
        rows = week.asked(self.way.gates)
        recipe = recipe_of(rows.run, week.store, rows, week.results, week.rungs, self._previous)
        if self.way.rule in ("never", "always") or (self.way.rule == "observed" and self.serving is None):
            self._promote(week, recipe, proved=None)
            return
        title = Title(
            number=len(self.promoted) or None,
            version=None if self.serving is None else self.serving.version,
            champion=self.serving,
            proven=None if self._proven is self.serving else self._proven,
        )
        decision = decide(
            rows.run, week.store, rows, week.results, recipe, title, self._previous, fit=week.fit
        ).decision
        if self._takes(decision):
            self._promote(week, decision.recipe, proved=decision.proved)
        undecided = decision.outcome == "undecided"
        self._previous = left_by(decision.board, rows.run.spec, len(self.promoted) or None, undecided=undecided)

    def _takes(self, decision: Decision) -> bool:
        if self.way.rule == "gates":
            return decision.outcome == "promote"
        met = decision.board.comparison("champion", decision.board.metric)
        return met is not None and met.difference >= self.way.least * abs(met.other)

    def _promote(self, week: Week, recipe: Recipe, *, proved: bool | None) -> None:
        self.replaced, self.serving = self.serving, week.champion(recipe)
        self.promoted.append(week.number)
        if proved is not False:
            self._proven = self.serving


def ways_of(spec: PipelineSpec, policies: Sequence[Policy]) -> list[Way]:
    """All ways that are compared: by hand, by each policy, and the YAML's own gates less often."""
    own = tuple(spec.gates)
    seen = tuple(_asked(gate, "unless_worse", 0.0) for gate in own)
    found = [
        Way("never again", "never", own),
        Way("always", "always", own),
        Way("when it looks as good", "observed", seen),
        Way("when it looks 2 % better", "observed", seen, least=0.02),
        Way("the YAML's gates", "gates", own),
    ]
    margin = next((gate.margin for gate in own if _against_champion(gate) and gate.margin), 0.0)
    for policy in policies:
        gates = tuple(_asked(gate, policy, 0.0 if policy == "superior" else margin) for gate in own)
        if gates != own and any(_against_champion(gate) for gate in own):
            found.append(Way(policy.replace("_", " "), "gates", gates))
    return [
        *found,
        *(Way(f"the YAML's gates, every {nth} period", "gates", own, every) for every, nth in _SCHEDULES.items()),
    ]


def _against_champion(gate: AnyGate) -> TypeGuard[BeatsGate]:
    return gate.kind == "beats" and gate.opponent == "champion"


def _asked(gate: AnyGate, policy: str, margin: float) -> AnyGate:
    """The gate with another policy, if it is one against the champion."""
    if not _against_champion(gate):
        return gate
    return gate.model_copy(update={"policy": policy, "margin": margin})
