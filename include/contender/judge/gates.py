"""The gate family: a question asked of the candidate, answered by a Verdict.

Contract: ``ask`` is pure, never raises for a negative answer, never passes on a number that is missing, and every
declared gate gives exactly one verdict. ``metrics`` names what the scoreboard must hold for it.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from contender.canonical import canonical_json
from contender.frozen import Guarded, ImportPath
from contender.judge.scorecard import Comparison, Opponent, Scoreboard, Verdict, metric_label


class _Gate(Guarded):
    """A trigger may make a gate stricter, never weaker. ``stricter``: which fields, and the way up or down that is so."""

    stricter: ClassVar[dict[str, Literal["up", "down"]]] = {}

    def limits(self, name: str) -> dict[str, Any]:
        """The declared value is the weakest; a bound that is not declared can only be added."""
        if name not in self.stricter:
            these = " and ".join(self.stricter) or "nothing"
            msg = f"only {these} of this gate can be made stricter by a trigger, not {name}"
            raise ValueError(msg)
        weakest = getattr(self, name)
        if weakest is None:
            return {}
        return {"minimum" if self.stricter[name] == "up" else "maximum": weakest}

    def check_override(self, name: str, value: Any) -> None:
        """Refuse what is weaker."""
        for keyword, limit in self.limits(name).items():
            weaker = value is None or (value < limit if keyword == "minimum" else value > limit)
            if weaker:
                least = "at least" if keyword == "minimum" else "at most"
                msg = f"got {value}, which is weaker than the pipeline's {limit:g}; a trigger can only make a gate "
                raise ValueError(msg + f"stricter: {least} {limit:g}")


class ThresholdGate(_Gate):
    """Is one of the candidate's numbers good enough in itself?"""

    stricter: ClassVar[dict[str, Literal["up", "down"]]] = {"min": "up", "max": "down"}
    kind: Literal["threshold"]
    metric: str = Field(min_length=1, description="A scikit-learn scorer name; greater is better")
    min: float | None = Field(None, description="The lowest value that passes")
    max: float | None = Field(None, description="The highest value that passes")
    entities: Literal["all", "new_only"] = Field(
        "all", description="Which gate rows count: all, or those whose id does not occur among the rows trained on"
    )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            msg = "threshold: give min, max, or both"
            raise ValueError(msg)
        if self.min is not None and self.max is not None and self.min > self.max:
            msg = f"threshold: min {self.min:g} is above max {self.max:g}, so nothing could ever pass"
            raise ValueError(msg)
        return self

    @property
    def label(self) -> str:
        """The gate as people read it."""
        bounds = [f">= {self.min:g}"] if self.min is not None else []
        bounds += [f"<= {self.max:g}"] if self.max is not None else []
        where = " on new entities" if self.entities == "new_only" else ""
        return f"{metric_label(self.metric)}{where} {' and '.join(bounds)}"

    def ask(self, board: Scoreboard) -> Verdict:
        """Compare the candidate's metric on the gate rows (or those of new entities) with the bounds."""
        whole = board.card("candidate")
        card = None if whole is None else whole.new_entities if self.entities == "new_only" else whole
        if card is None or self.metric not in card.metrics:
            part = "gate rows" if self.entities == "all" else "gate rows of new entities"
            few = "" if card is None else f" ({card.rows} rows)"
            reason = f"the candidate has no {metric_label(self.metric)} on the {part}{few}"
            return Verdict(gate=self.label, status="failed", reason=reason)
        value = card.metrics[self.metric]
        low = self.min is not None and value < self.min
        high = self.max is not None and value > self.max
        bound = self.max if high or self.min is None else self.min
        of = " of new entities" if self.entities == "new_only" else ""
        reason = f"{metric_label(self.metric)} {value:.4f} on {card.rows} rows{of}"
        if not low and not high:
            return Verdict(gate=self.label, status="passed", reason=reason, observed=value, required=bound)
        reason += f" is {'below' if low else 'above'} {bound:g}"
        return Verdict(gate=self.label, status="failed", reason=reason, observed=value, required=bound)


class BeatsGate(_Gate):
    """Does the candidate beat an opponent on rows that neither was trained on?

    ``superior`` asks for evidence that it is better by more than ``margin``, ``non_inferior`` for evidence that it is
    not worse by more than ``margin`` (Wellek, Testing Statistical Hypotheses of Equivalence and Noninferiority, 2010);
    ``unless_worse`` only asks that the observed difference is not below ``-margin``, for gates too small to prove more.
    """

    kind: Literal["beats"]
    opponent: Opponent = Field(description="Whom: the champion, the candidate marked as baseline, or a constant guess")
    policy: Literal["superior", "non_inferior", "unless_worse"] = Field(
        "superior", description="Evidence of better, evidence of not worse, or just not seen to be worse"
    )
    margin: float = Field(0.0, ge=0, description="By how much, in the metric's own unit")
    metric: str | None = Field(None, description="Default: the sweep's metric")
    min_rows: int = Field(100, ge=2, description="Fewer rows that neither was trained on decide nothing")

    @property
    def stricter(self) -> dict[str, Literal["up", "down"]]:  # type: ignore[override] # what a margin is depends on the policy
        """To be better by more is stricter, and so is to be allowed to be worse by less."""
        return {"margin": "up" if self.policy == "superior" else "down", "min_rows": "up"}

    @property
    def label(self) -> str:
        """The gate as people read it."""
        on = "" if self.metric is None else f" on {metric_label(self.metric)}"
        return f"beats {self.opponent}{on} ({self.policy}, margin {self.margin:g})"

    def ask(self, board: Scoreboard) -> Verdict:
        """Read the comparison with the opponent under the policy."""
        metric = self.metric or board.metric
        comparison = board.comparison(self.opponent, metric)
        if comparison is None:
            reason = board.absent.get(
                self.opponent, f"there is no comparison with the {self.opponent} on {metric_label(metric)}"
            )
            first = self.opponent == "champion" and reason == NO_CHAMPION
            return Verdict(gate=self.label, status="not_applicable" if first else "undecided", reason=reason)
        required = self.margin if self.policy == "superior" else -self.margin
        if comparison.rows < self.min_rows:
            reason = (
                f"only {comparison.rows} gate rows are newer than what the {self.opponent} was trained on, "
                f"{self.min_rows} are needed"
            )
            return Verdict(gate=self.label, status="undecided", reason=reason, required=required)
        return Verdict(
            gate=self.label,
            status=self._status(comparison, required),
            reason=_in_words(comparison),
            observed=comparison.difference,
            required=required,
        )

    def _status(self, comparison: Comparison, required: float) -> Literal["passed", "failed", "undecided"]:
        if self.policy == "unless_worse":
            return "passed" if comparison.difference >= required else "failed"
        if comparison.low > required:
            return "passed"
        return "failed" if comparison.high <= required else "undecided"


NO_CHAMPION = "no champion yet"


def _in_words(comparison: Comparison) -> str:
    return (
        f"{metric_label(comparison.metric)} {comparison.candidate:.4f} against {comparison.other:.4f}: "
        f"{comparison.difference:+.4f} [{comparison.low:+.4f}, {comparison.high:+.4f}] on {comparison.rows} rows"
    )


class CustomGate(_Gate):
    """Does the user's own function say yes? It is called with a ``contender.judge.custom.GateEvidence`` and the arguments."""

    kind: Literal["custom"]
    function: ImportPath = Field(examples=["mypkg.gates.enough_profit"], description="The function, by import path")
    arguments: dict[str, JsonValue] = Field({}, description="What it is called with besides the evidence")

    @property
    def label(self) -> str:
        """The gate as people read it."""
        arguments = ", ".join(f"{name}={str(value)[:60]}" for name, value in self.arguments.items())
        return f"{metric_label(self.function)}({arguments[:300]})"

    @property
    def key(self) -> str:
        """What its answer stands under on the scoreboard."""
        return f"{self.function} {canonical_json(self.arguments).decode()}"

    def ask(self, board: Scoreboard) -> Verdict:
        """Read the function's answer off the board."""
        answer = board.answers.get(self.key)
        if answer is None:
            return Verdict(gate=self.label, status="failed", reason=f"{self.function} gave no answer")
        return Verdict(
            gate=self.label,
            status="passed" if answer.passed else "failed",
            reason=" ".join(answer.reason.split())[:1_000],
            observed=answer.observed,
            required=answer.required,
        )


AnyGate = Annotated[ThresholdGate | BeatsGate | CustomGate, Field(discriminator="kind")]
