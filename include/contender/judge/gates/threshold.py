"""Is one of the candidate's numbers good enough in itself?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from contender.documents.scoreboard import Scoreboard, Slice, Verdict
from contender.judge.gates.base import Gate
from contender.metrics.ranges import metric_range
from contender.words import listed, metric_label, metric_name, own_direction, score

if TYPE_CHECKING:
    from contender.spec.pipeline import PipelineSpec


NEW_ENTITIES = 20  # ids that no training row had: fewer decide nothing


class ThresholdGate(Gate):
    """Is one of the candidate's numbers good enough in itself?"""

    stricter: ClassVar[dict[str, Literal["up", "down"]]] = {"min": "up", "max": "down", "min_entities": "up"}
    kind: Literal["threshold"]
    metric: str = Field(min_length=1, description="A scikit-learn scorer name; greater is better")
    min: float | None = Field(None, description="The lowest value that passes")
    max: float | None = Field(None, description="The highest value that passes")
    entities: Literal["all", "new_only"] = Field(
        "all", description="Which gate rows count: all, or those whose id does not occur among the rows trained on"
    )
    min_entities: int = Field(
        default_factory=lambda said: NEW_ENTITIES if said.get("entities") == "new_only" else 0,
        ge=0,
        description="Fewer ids among these rows, or fewer than half as many of a class, decide nothing; default: 20 with new_only",
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
        """The gate as people read it; also the name of its verdict."""
        where = " on new entities" if self.entities == "new_only" else ""
        return f"{metric_label(self.metric)}{where} {self._bounds}"

    @property
    def _bounds(self) -> str:
        bounds = [f">= {self.min:g}"] if self.min is not None else []
        bounds += [f"<= {self.max:g}"] if self.max is not None else []
        return " and ".join(bounds)

    def question(self, spec: PipelineSpec) -> str:
        """What is asked, as a sentence for ``contender check``."""
        del spec
        bounds = [f"at least {self.min:g}"] if self.min is not None else []
        bounds += [f"at most {self.max:g}"] if self.max is not None else []
        whom = " on rows of new entities" if self.entities == "new_only" else ""
        return f"is {metric_label(self.metric)}{whom} {listed(bounds)}?"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that every contestant must be scored by."""
        return (self.metric,)

    def check_spec(self, spec: PipelineSpec) -> None:
        """See that the pipeline has an id, if only new entities count.

        Raises:
            ValueError: it has none.
        """
        if self.entities == "new_only" and spec.data.id is None:
            msg = "`entities: new_only` needs to know what a row is about: set data.id"
            raise ValueError(msg)

    def never_passes(self) -> str | None:
        """Which bound lies outside the range of the metric; None when neither does."""
        low, high = metric_range(self.metric)
        if self.min is not None and self.min > high:
            hint = f"; errors count below zero, as in min: {-self.min:g}" if self.metric.startswith("neg_") else ""
            return f"min {self.min:g} can never be met, {self.metric} is at most {high:g}{hint}"
        if self.max is not None and self.max < low:
            return f"max {self.max:g} can never be met, {self.metric} is at least {low:g}"
        return None

    def always_passes(self) -> bool:
        """Whether the bounds include every value of the metric."""
        low, high = metric_range(self.metric)
        return (self.min is None or self.min <= low) and (self.max is None or self.max >= high)

    def ask(self, board: Scoreboard) -> Verdict:
        """Compare the candidate's metric on the gate rows (or those of new entities) with the bounds."""
        whole = board.card("candidate")
        card = None if whole is None else whole.new_entities if self.entities == "new_only" else whole
        too_few = None if card is None else self._too_few(card)
        if too_few is not None:
            return Verdict(gate=self.label, status="undecided", reason=too_few)
        if card is None or self.metric not in card.metrics:
            part = "gate rows" if self.entities == "all" else "gate rows of new entities"
            few = "" if card is None else f" ({card.rows} rows)"
            why = None if card is None else card.missing.get(self.metric)
            reason = f"the candidate has no {metric_label(self.metric)} on the {part}{few}" + (
                f": {why}" if why else ""
            )
            return Verdict(gate=self.label, status="failed", reason=reason)
        value = card.metrics[self.metric]  # a missing or undefined metric failed above, so it is finite
        low, high = self._misses(value)
        bound = self.max if high or self.min is None else self.min
        of = " of new entities" if self.entities == "new_only" else ""
        reason = f"the candidate's {metric_name(self.metric)} is {self._shown(value)} on {card.rows:,} rows{of}"
        if not low and not high:
            return Verdict(gate=self.label, status="passed", reason=reason, observed=value, required=bound)
        reason += f", {'below' if self._shown_below(low=low) else 'above'} {own_direction(self.metric, bound or 0):g}"
        return Verdict(gate=self.label, status="failed", reason=reason, observed=value, required=bound)

    def missed_by_champion(self, board: Scoreboard) -> str | None:
        """That the champion misses the bounds, too, on the rows that are new to it."""
        whole = board.card("champion")
        card = None if whole is None else whole.new_entities if self.entities == "new_only" else whole
        if whole is None or card is None or self._too_few(card) is not None or self.metric not in card.metrics:
            return None
        value = card.metrics[self.metric]
        if not any(self._misses(value)):
            return None
        return f"version {whole.version} misses it too, with {self._shown(value)} on the {card.rows:,} rows new to it"

    def _shown(self, value: float) -> str:
        return score(own_direction(self.metric, value))

    def _shown_below(self, *, low: bool) -> bool:
        """Whether a value that misses a bound is shown below it: an error that is too low a score is shown above."""
        return low == (own_direction(self.metric, 1) > 0)

    def _misses(self, value: float) -> tuple[bool, bool]:
        """Whether a value is below ``min``, and above ``max``."""
        return self.min is not None and value < self.min, self.max is not None and value > self.max

    def _too_few(self, card: Slice) -> str | None:
        """Why the rows decide nothing; None when they are enough.

        Rows of one id are alike, so ids are counted. With 10 of each class a model that knows nothing reaches ROC AUC 0.75 in
        3 runs of 100 (normal approximation of the Mann-Whitney statistic, Hanley and McNeil 1982), with 2 in 1 of 3.
        """
        least = self.min_entities
        found = card.rows if card.entities is None else card.entities
        what = "new ids" if self.entities == "new_only" else "ids"
        if found < least:
            return f"only {found} {what} are among the gate rows, {least} are needed"
        if card.rarest is not None and card.rarest < least / 2:
            return f"only {card.rarest} {what} of a class are among the gate rows, {math.ceil(least / 2)} of each are needed"
        return None

    def numbers(self, verdict: Verdict) -> tuple[str, str]:
        """What was observed and what would have been enough, as cells of a table."""
        where = "on new entities " if self.entities == "new_only" else ""
        return score(verdict.observed), f"{where}{self._bounds}"
