"""The contract of a gate. Callers use the members of ``Gate`` only and never ask for its class.

``ask`` is pure, gives exactly one verdict, never raises for a negative answer and never passes on a missing number.
What a gate computes from rows or from the model it computes once, in ``measure``; the answer is stored on the
scoreboard, so that a decision can be read again without the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from contender.frozen import Guarded
from contender.words import listed, score

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from contender.documents.scoreboard import Comparison, GateAnswer, Opponent, Scoreboard, Verdict
    from contender.spec.pipeline import PipelineSpec


@dataclass(frozen=True)
class GateEvidence:
    """What a gate may measure on: copies, except the model.

    Attributes:
        board: every contestant's metrics on the gate rows and the comparisons, as the other gates see them.
        rows: the n gate rows with all columns of the snapshot, features or not.
        target: shape (n,); 1 is the positive class, or the numbers themselves.
        candidate: shape (n,); the probability of the positive class, or the predicted numbers.
        fresh: shape (n,); True on rows that the champion was not trained on: only these compare it.
        champion: like ``candidate``, on the fresh rows only, shape (fresh.sum(),); None without champion or fresh rows.
        model: the candidate as it was fitted for the newest gate rows.
    """

    board: Scoreboard
    rows: pd.DataFrame
    target: np.ndarray
    candidate: np.ndarray
    fresh: np.ndarray
    champion: np.ndarray | None
    model: Any = None


class Gate(Guarded):
    """A question asked of the candidate. A trigger may make a gate stricter, never weaker.

    Attributes:
        stricter: the fields that a trigger may change, each with the direction that is stricter.
        ranks: whether models are compared by the gate's metrics, so that greater must be better.
    """

    stricter: ClassVar[dict[str, Literal["up", "down"]]] = {}
    ranks: ClassVar[bool] = False

    @property
    def label(self) -> str:
        """The gate as people read it; also the name of its verdict."""
        raise NotImplementedError

    def question(self, spec: PipelineSpec) -> str:
        """What is asked, as a sentence for ``contender check``."""
        raise NotImplementedError

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that every contestant must be scored by."""
        return ()

    @property
    def opponents(self) -> tuple[tuple[Opponent, str | None], ...]:
        """The comparisons that the scoreboard must hold: opponent and metric (None: the sweep's)."""
        return ()

    @property
    def adds_up(self) -> tuple[str | None, ...]:
        """The metrics (None: the sweep's) of which the gate judges all that the challenger's looks have seen, not one run."""
        return ()

    @property
    def imports(self) -> tuple[str, ...]:
        """Import paths of the user's own code, besides metrics."""
        return ()

    @property
    def asks_first_model(self) -> bool:
        """Whether it asks anything of the first model, which has no champion to challenge."""
        return True

    def check_spec(self, spec: PipelineSpec) -> None:
        """See that the pipeline has what the gate needs.

        Raises:
            ValueError: it lacks something; the message says what to add.
        """

    def check_code(self, place: str) -> None:
        """Import the user's own code and see that it can be called.

        Raises:
            ConfigError: it cannot, located at ``place``.
        """

    def never_passes(self) -> str | None:
        """Why no model can pass; None when some can."""
        return None

    def always_passes(self) -> bool:
        """Whether every model passes."""
        return False

    @property
    def key(self) -> str:
        """The key of the gate's own answer on the scoreboard."""
        return self.label

    def measure(self, evidence: GateEvidence, place: str) -> GateAnswer | None:
        """The gate's own answer from the evidence; None when the scoreboard is enough for ``ask``.

        Raises:
            ConfigError: it cannot be measured, located at ``place``; it never passes silently.
        """
        del evidence, place
        return None

    def ask(self, board: Scoreboard) -> Verdict:
        """The verdict, from the scoreboard alone."""
        raise NotImplementedError

    def missed_by_champion(self, board: Scoreboard) -> str | None:
        """That the champion would not pass either, with its numbers; None when it would, or cannot be asked."""
        del board
        return None

    def comparison(self, board: Scoreboard) -> Comparison | None:
        """The comparison that the verdict rests on, for the report's picture."""
        del board
        return None

    @property
    def rule(self) -> str:
        """What is asked of the comparison, in a word or two, for the report's picture."""
        return ""

    def numbers(self, verdict: Verdict) -> tuple[str, str]:
        """What was observed and what would have been enough, as cells of a table."""
        return score(verdict.observed), score(verdict.required)

    def limits(self, name: str) -> dict[str, Any]:
        """The declared value is the weakest that a trigger may set; an undeclared bound may be any.

        Raises:
            ValueError: no trigger may set this field.
        """
        if name not in self.stricter:
            these = listed(self.stricter) if self.stricter else "nothing"
            msg = f"only {these} of this gate can be made stricter by a trigger, not {name}"
            raise ValueError(msg)
        weakest = getattr(self, name)
        if weakest is None:
            return {}
        return {"minimum" if self.stricter[name] == "up" else "maximum": weakest}

    def check_override(self, name: str, value: Any) -> None:
        """Refuse a weaker value.

        Raises:
            ValueError: it is weaker than the declared one.
        """
        for keyword, limit in self.limits(name).items():
            weaker = value is None or (value < limit if keyword == "minimum" else value > limit)
            if weaker:
                least = "at least" if keyword == "minimum" else "at most"
                msg = f"got {value}, which is weaker than the pipeline's {limit:g}; a trigger can only make a gate "
                raise ValueError(msg + f"stricter: {least} {limit:g}")
