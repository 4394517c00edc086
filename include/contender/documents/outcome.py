"""How a run ended. Outcomes are made in ``run.outcome``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from contender.documents.cost import Costs
from contender.documents.scoreboard import Verdict
from contender.frozen import Frozen


class Failure(Frozen):
    """Why a step's last try failed. ``error``, the error's class, is empty when the process was killed."""

    step: str
    error: str = ""
    message: str = ""


class Outcome(Frozen):
    """How a run ended, as ``announce`` returns it and ``contender status`` reads it. Plain values only.

    Attributes:
        promoted: the version that this run promoted, None when it lost the title since; ``champion`` is the champion after the run.
        trials: counts of planned, completed, failed, untried (cut by the budget: the sweep is truncated) and reused
            (trained by an earlier run) trials.
        cost: the cost of the run until this document was written.
        attention: warnings about the data, although the run went on.
    """

    run_id: str
    pipeline: str
    state: Literal["success", "failed"]
    as_of: datetime | None = None
    decision: Literal["promote", "keep", "undecided"] | None = None
    sentence: str = ""
    evaluation_only: bool = False
    failure: Failure | None = None
    promoted: str | None = None
    metric: str | None = None
    candidate: dict[str, Any] | None = None
    baseline: dict[str, Any] | None = None
    champion: dict[str, Any] | None = None
    previous_champion: dict[str, Any] | None = None
    verdicts: tuple[Verdict, ...] = ()
    trials: dict[str, int] = {}
    cost: Costs | None = None
    attention: tuple[str, ...] = ()
    report: str | None = None
    mlflow_url: str | None = None
