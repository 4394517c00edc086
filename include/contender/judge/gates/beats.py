"""Does the candidate beat an opponent on rows that neither was trained on?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from contender.documents.scoreboard import Comparison, Contestant, Opponent, Scoreboard, Verdict
from contender.judge.gates.base import Gate
from contender.words import metric_label, metric_name, own_direction, percent, score, signed

if TYPE_CHECKING:
    from contender.documents.challenger import Challenger
    from contender.spec.pipeline import PipelineSpec
    from contender.stats.spending import Gathered

NO_CHAMPION = "no champion yet"
_NAMES = {"baseline": "the baseline", "trivial": "a constant guess"}
BASELINE_STANDS = "the baseline is the candidate"  # of which it cannot be asked whether it beats itself


class BeatsGate(Gate):
    """Does the candidate beat an opponent on rows that neither was trained on?

    ``superior`` asks for evidence that it is better by more than ``margin``, ``non_inferior`` for evidence that it is
    not worse by more than ``margin`` (Wellek, Testing Statistical Hypotheses of Equivalence and Noninferiority, 2010);
    ``unless_worse`` only asks that the observed difference is not below ``-margin`` and that the candidate is not proved worse,
    for gates too small to prove more.

    Against the champion the two that ask for evidence are asked of all that the challenger's looks have seen, each on rows of
    its own: evidence adds up over its patience, and all looks together err as often as one test would. Where time does not
    order the rows, and against the others, one run's interval decides.

    Losses within the margin add up from champion to champion. So the two policies that allow them ask the same of the last
    champion that took the title on evidence (``proven``), too, as long as it can be scored.
    """

    ranks: ClassVar[bool] = True
    kind: Literal["beats"]
    opponent: Literal["champion", "baseline", "trivial"] = Field(
        description="Whom: the champion, the candidate marked as baseline, or a constant guess"
    )
    policy: Literal["superior", "non_inferior", "unless_worse"] = Field(
        "superior", description="Evidence of better, evidence of not worse, or just not seen to be worse"
    )
    margin: float = Field(0.0, ge=0, description="By how much, in the metric's own unit")
    metric: str | None = Field(None, description="Default: the sweep's metric")
    min_rows: int = Field(100, ge=2, description="Fewer rows that neither was trained on decide nothing")

    @property
    def stricter(self) -> dict[str, Literal["up", "down"]]:  # type: ignore[override] # depends on the policy
        """A larger margin is stricter for ``superior``, a smaller one for the policies that allow to be worse by it."""
        return {"margin": "up" if self.policy == "superior" else "down", "min_rows": "up"}

    @property
    def label(self) -> str:
        """The gate as people read it; also the name of its verdict."""
        on = "" if self.metric is None else f" on {metric_label(self.metric)}"
        return f"beats {self.opponent}{on} ({self.policy}, margin {self.margin:g})"

    def question(self, spec: PipelineSpec) -> str:
        """What is asked, as a sentence for ``contender check``."""
        baseline = f"the baseline {spec.baseline.label}" if spec.baseline else "the baseline"
        other = {"champion": "the champion", "baseline": baseline, "trivial": "a constant guess"}[self.opponent]
        metric = metric_label(self.metric or spec.sweep.metric)
        by = f" by more than {self.margin:g}" if self.margin else ""
        asked = {
            "superior": f"is it proved better than {other}{by} on {metric}?",
            "non_inferior": f"is it proved not worse than {other}{by} on {metric}?",
            "unless_worse": f"is its {metric} not seen worse than that of {other}{by}? (no proof: for few rows)",
        }[self.policy]
        first = "" if self.asks_first_model else "; not asked of the first model"
        return f"{asked} On {self.min_rows} or more rows that neither was trained on{first}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that every contestant must be scored by."""
        return () if self.metric is None else (self.metric,)

    @property
    def opponents(self) -> tuple[tuple[Opponent, str | None], ...]:
        """The comparisons that the scoreboard must hold."""
        against: tuple[Opponent, ...] = ("champion", "proven") if self._allows_losses else (self.opponent,)
        return tuple((opponent, self.metric) for opponent in against)

    @property
    def adds_up(self) -> tuple[str | None, ...]:
        """Evidence against the champion adds up over the weeks."""
        return (self.metric,) if self.opponent == "champion" and self.policy != "unless_worse" else ()

    @property
    def _allows_losses(self) -> bool:
        return self.opponent == "champion" and self.policy != "superior"

    @property
    def asks_first_model(self) -> bool:
        """A first model has no champion to beat."""
        return self.opponent != "champion"

    def check_spec(self, spec: PipelineSpec) -> None:
        """See that a candidate is marked as the baseline, if that is the opponent.

        Raises:
            ValueError: no candidate is.
        """
        if self.opponent == "baseline" and spec.baseline is None:
            msg = "`beats: baseline` needs a candidate marked `baseline: true`"
            raise ValueError(msg)

    def ask(self, board: Scoreboard) -> Verdict:
        """Read the comparison with the opponent under the policy."""
        comparison = self.comparison(board)
        if comparison is None:
            metric = metric_label(self.metric or board.metric)
            why = board.why_not(self.opponent, self.metric or board.metric)
            reason = why or f"there is no comparison with the {self.opponent} on {metric}"
            settled = board.overridden.get(self.label)
            if settled and self.opponent == "champion" and board.cannot_score("champion", self.metric or board.metric):
                return Verdict(gate=self.label, status="not_applicable", reason=f"{settled}; {reason}"[:1_000])
            # A champion that cannot predict must not let the candidate pass; only a first model is excused.
            first = self.opponent == "champion" and reason == NO_CHAMPION
            itself = self.opponent == "baseline" and reason.startswith(BASELINE_STANDS)
            return Verdict(gate=self.label, status="not_applicable" if first or itself else "undecided", reason=reason)
        required = self._required
        challenger = board.challenger if self.adds_up else None
        if challenger is not None:
            return self._of_looks(challenger, board, comparison)
        if comparison.rows < self.min_rows:
            reason = (
                f"only {comparison.rows} gate rows are newer than what the {self.opponent} was trained on, "
                f"{self.min_rows} are needed"
            )
            card = board.card("candidate")
            if card is not None and card.rows < self.min_rows:
                reason += f"; the whole gate holds {card.rows}, so this is never decided: make split.gate longer or min_rows smaller"
            return Verdict(gate=self.label, status="undecided", reason=reason, required=required)
        whom = _version_of(board, "champion") if self.opponent == "champion" else _NAMES[self.opponent]
        status, reason = self._status(comparison, required), _in_words(comparison, whom, required)
        if status == "undecided":
            reason += _still_missing(comparison, required)
        return self._verdict(board, status, reason, comparison.difference)

    def _of_looks(self, challenger: Challenger, board: Scoreboard, comparison: Comparison) -> Verdict:
        """The verdict on all that was seen of the challenger."""
        required = self._required
        rows = sum(look.seen[self.metric or board.metric].rows for look in challenger.looks)
        if rows < self.min_rows:
            unseen = f"; {challenger.unseen}" if challenger.unseen else ""
            reason = (
                f"only {rows} rows are new to it since it became the challenger, {self.min_rows} are needed{unseen}"
            )
            return Verdict(gate=self.label, status="undecided", reason=reason, required=required)
        found = self.gathered(challenger, board)
        status: Literal["passed", "failed", "undecided"] = "undecided"
        if found.proved:
            status = "passed"
        elif found.over or found.no_longer(required):
            status = "failed"
        reason = _told(challenger, found, comparison, _version_of(board, "champion"), rows)
        return self._verdict(board, status, reason, found.difference)

    def gathered(self, challenger: Challenger, board: Scoreboard) -> Gathered:
        """What all looks at a challenger say together of this gate's question; there is one at least."""
        from contender.stats.eprocess import anytime
        from contender.stats.spending import gathered, looks_of

        looks = looks_of(challenger.looks, self.metric or board.metric, challenger.patience)
        together = anytime if challenger.patience is None else gathered
        return together(looks, required=self._required, alpha=challenger.error)

    def _verdict(
        self, board: Scoreboard, status: Literal["passed", "failed", "undecided"], reason: str, observed: float
    ) -> Verdict:
        """The verdict; one that passed, and may be a loss, is asked of the last champion on evidence, too."""
        required = self._required
        proven = board.comparison("proven", self.metric or board.metric) if self._allows_losses else None
        if status == "passed" and proven is not None and proven.rows >= self.min_rows:
            status = self._status(proven, required)
            if status != "passed":
                whom = f"{_version_of(board, 'proven')}, the last that took the title on evidence,"
                reason = f"{_in_words(proven, whom, required)}; {reason}"
        return Verdict(gate=self.label, status=status, reason=reason, observed=observed, required=required)

    @property
    def _required(self) -> float:
        return self.margin if self.policy == "superior" else -self.margin

    def missed_by_champion(self, board: Scoreboard) -> str | None:
        """That the champion would not pass against the same opponent, on the rows that are new to it."""
        metric = self.metric or board.metric
        met = next((one for one in board.of_champion if (one.opponent, one.metric) == (self.opponent, metric)), None)
        if met is None or met.rows < self.min_rows or self._status(met, self._required) == "passed":
            return None
        return _in_words(met, _NAMES[self.opponent], self._required, who=_version_of(board, "champion"))

    def comparison(self, board: Scoreboard) -> Comparison | None:
        """The comparison that the verdict rests on."""
        return board.comparison(self.opponent, self.metric or board.metric)

    @property
    def rule(self) -> str:
        """The policy."""
        return self.policy.replace("_", " ")

    def numbers(self, verdict: Verdict) -> tuple[str, str]:
        """The difference, and the bound for it or for its interval."""
        least = 0.0 if not self.margin else self.margin if self.policy == "superior" else -self.margin
        what = "difference >=" if self.policy == "unless_worse" else "shown above"
        return signed(verdict.observed), f"{what} {least:g}"

    def _status(self, comparison: Comparison, required: float) -> Literal["passed", "failed", "undecided"]:
        if self.policy == "unless_worse":
            return "passed" if comparison.difference >= required and comparison.high >= 0 else "failed"
        if comparison.low > required:
            return "passed"
        return "failed" if comparison.high <= required else "undecided"


def _still_missing(comparison: Comparison, required: float) -> str:
    """How many rows more would prove what is seen; empty where none would, or in a document of version 0.1.0."""
    from contender.stats.budget import rows_missing
    from contender.stats.spending import Gathered

    if comparison.error is None:
        return ""
    seen = Gathered(comparison.difference, comparison.error, math.inf, proved=False, over=False)
    more = rows_missing(seen, comparison.rows, required=required)
    return "" if not more else f"; if it stays so, about {float(f'{more:.2g}'):,.0f} more rows would prove it"


def _told(challenger: Challenger, found: Gathered, comparison: Comparison, whom: str, rows: int) -> str:
    """``the candidate is 0.00400 better than version 3 in ROC AUC over 3 looks at 2,100 rows since 2026-02-02; ...``."""
    looks, begin = len(challenger.looks), challenger.looks[0].begin
    times = "at its first look" if looks == 1 else f"over {looks} looks"
    how = _how(found.difference, whom)
    said = f"the candidate is {how} in {metric_name(comparison.metric)} {times}, {rows:,} rows since {begin:%Y-%m-%d}"
    if found.proved:
        return f"{said}, which is enough"
    said += f"; {signed(found.needed)} would be enough" if math.isfinite(found.needed) else "; too early to prove any"
    if challenger.patience is not None:
        ends = f"ends with the rows of {begin + challenger.patience:%Y-%m-%d}"
        said += f"; its patience {'is over' if found.over else ends}"
    return said + (f"; no look today: {challenger.unseen}" if challenger.unseen else "")


def _how(difference: float, whom: str) -> str:
    if not difference:
        return f"as good as {whom}"
    return f"{score(abs(difference), digits=3)} {'better' if difference > 0 else 'worse'} than {whom}"


def _version_of(board: Scoreboard, contestant: Contestant) -> str:
    card = board.card(contestant)
    return f"version {card.version}" if card is not None and card.version else f"the {contestant}"


def _in_words(comparison: Comparison, opponent: str, allowed: float = 0, *, who: str = "the candidate") -> str:
    """``the candidate is 0.0170 worse than the champion in ROC AUC (0.8440 against 0.8610 on ...)``."""
    one = comparison
    values = " against ".join(score(own_direction(one.metric, value)) for value in (one.candidate, one.other))
    where = f"the {one.rows:,} rows new to both" if one.opponent in ("champion", "proven") else f"{one.rows:,} rows"
    interval = f"{percent(one.confidence)} interval {signed(one.low)} to {signed(one.high)}"
    limit = (
        f"; allowed {signed(allowed)}" if allowed < 0 else f"; asked for more than {signed(allowed)}" if allowed else ""
    )
    return f"{who} is {_how(one.difference, opponent)} in {metric_name(one.metric)} ({values} on {where}; {interval}{limit})"
