"""The decision of a run, with the numbers that it rests on. It is made in ``judge.challenge``."""

from __future__ import annotations

from typing import Literal

from contender.documents.change import Change
from contender.documents.release import Recipe
from contender.documents.scoreboard import Scoreboard, Verdict
from contender.frozen import Frozen


class Decision(Frozen):
    """Promote, keep or undecided, with all verdicts and the scorecards they rest on.

    Attributes:
        same_model: this recipe was promoted before, so there was no contest.
        champion: the number of the champion's ledger entry when the decision was made; ``promote`` requires it still.
        model: the id of the logged model to promote; None unless the outcome is promote.
        champion_snapshot: the snapshot the champion was trained on; None without one, or for an adopted champion.
        changes: differences between that snapshot and this run's, most important first.
        proved: whether the candidate was shown better than the champion; None when they were not compared.
        judged: the content key of the results that it judged; empty in version 0.1.0.
        report: the name of its page among the run's documents.
        release: the place of the release to promote (see ``documents.release``); None unless the outcome is promote,
            and in version 0.1.0.
    """

    run_id: str
    outcome: Literal["promote", "keep", "undecided"]
    sentence: str
    evaluation_only: bool = False
    same_model: bool = False
    recipe: Recipe
    verdicts: tuple[Verdict, ...]
    board: Scoreboard
    champion: int | None = None
    model: str | None = None
    champion_snapshot: str | None = None
    changes: tuple[Change, ...] = ()
    proved: bool | None = None
    judged: str = ""
    report: str = "report.html"
    release: str | None = None
