"""The challenger: a recipe that asks for the title until the evidence is enough, one way or the other.

It is part of each decision's scoreboard, where the next run reads it. How it goes on is decided in ``judge.challenger``.
"""

from __future__ import annotations

from datetime import datetime

from contender.documents.sweep import Trial
from contender.frozen import Duration, Frozen


class Seen(Frozen):
    """Candidate minus champion on the rows of one look, with its standard error, of ``degrees`` degrees of freedom."""

    difference: float
    error: float
    degrees: float
    rows: int
    entities: int


class Look(Frozen):
    """What a run saw on rows that no look before it had seen: those with ``begin <= time < through``, by metric."""

    run_id: str
    begin: datetime
    through: datetime
    seen: dict[str, Seen]


class Charge(Frozen):
    """What an earlier challenger used up of the year's budget of false promotions, by the moment of its last look."""

    through: datetime
    error: float


class Challenger(Frozen):
    """A recipe that asks for a champion's title.

    Attributes:
        trial: its parameters, with the key that it had in the run that decided.
        champion: the number of the ledger entry of the champion that it challenges.
        terms: the content key of what it is asked and on which rows; other terms are another contest.
        error: the probability that it may be promoted when it is no better than required.
        patience: the span of the data within which it must be shown better; None: any.
        looks: oldest first. ``unseen``: why the run that decided added none; empty when it did.
    """

    trial: Trial
    champion: int
    terms: str
    error: float
    patience: Duration | None
    looks: tuple[Look, ...] = ()
    unseen: str = ""

    @property
    def since(self) -> datetime | None:
        """The moment from which on its rows are; its patience counts from here. None before the first look."""
        return self.looks[0].begin if self.looks else None

    @property
    def share(self) -> float:
        """The share of the patience that has passed by the newest look; 0 before the first, 1 at most."""
        if self.patience is None or not self.looks:
            return 0.0
        return min(1.0, (self.looks[-1].through - self.looks[0].begin) / self.patience)


class Former(Frozen):
    """What was seen of the champion before today's: it minus today's, on rows that are new to both.

    Attributes:
        champion, number: the numbers of the ledger entries of today's and of the one before, which is ``version``.
        metric: by which they are compared; another one begins anew.
    """

    champion: int
    number: int
    version: str
    metric: str
    looks: tuple[Look, ...] = ()
