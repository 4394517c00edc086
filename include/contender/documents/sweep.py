"""The sweep's documents: points of the search space, a round's plan, trials, their records and tasks' reports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, Field

from contender.canonical import canonical_json
from contender.documents.code import Code
from contender.frozen import Frozen
from contender.words import model_label


def _from_json(params: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in params.items()}


# JSON has no tuples, but a hyperparameter may need one, such as hidden_layer_sizes.
Params = Annotated[dict[str, Any], AfterValidator(_from_json)]


class Point(Frozen):
    """One candidate's parameters, by value.

    Attributes:
        candidate: which of the spec's candidates, from 0.
        share: the part of a whole trial's cost that it is tried with, above 0, at most 1 (see
            ``sweep.space.at_share``).
    """

    candidate: int
    params: Params
    share: float = Field(1.0, gt=0, le=1)

    @property
    def key(self) -> bytes:
        """The identity of the point: equal for equal parameters of one candidate, whatever the share."""
        return canonical_json([self.candidate, self.params])


class Tried(Frozen):
    """A point and its mean score, greater is better; None when its trial failed or the budget cut it."""

    point: Point
    value: float | None


class History(Frozen):
    """What a strategy knows when it proposes a round.

    Attributes:
        warm: warm-start points: of each candidate the best of the last run, and the one that was judged then.
        rounds: the results of each earlier round, in the order its points were proposed.
    """

    warm: tuple[Point, ...] = ()
    rounds: tuple[tuple[Tried, ...], ...] = ()


class Trial(Frozen):
    """One estimator with one set of hyperparameters, to be cross-validated.

    Attributes:
        key: hash of everything that its scores depend on.
        pipeline: whether ``estimator`` is the path of a function that builds it.
        own: the fingerprint of the user's code behind it, when it was planned.
        folds: how many folds, the last ones, it is scored on; None: all.
        share: the share of each fold's training rows that it is fitted on.
        scored: its scores on the last of these folds, from an earlier round; these are not fitted again.
        work: forecast of the work that is left, as a part of a whole trial's cost.
    """

    key: str
    estimator: str
    params: Params
    seed: int
    baseline: bool = False
    pipeline: bool = False
    own: str = ""
    folds: int | None = None
    share: float = 1.0
    scored: tuple[float, ...] = ()
    work: float = 1.0

    @property
    def label(self) -> str:
        """The trial's model as shown to people."""
        return model_label(self.estimator, pipeline=self.pipeline)


class Plan(Frozen):
    """The trials of one round, by value, and the number of training tasks that run them.

    Attributes:
        trials: in the order they were proposed; ``points`` are the proposed points, one for each trial.
        tasks: the number of training tasks; each claims the next unclaimed trial until none is left.
        reused: keys of trials that another run has recorded.
        may_win: whether the candidate can be one of them: only the last of halving's rungs trains in full.
        history: what the strategy knew when it proposed the round.
        seconds: expected wall time of a whole trial, by label of the model; ``seconds_from`` names the source.
        snapshot, quarantine: ids of the rows that it was planned on; empty in version 0.1.0.
    """

    round: int = 1
    trials: tuple[Trial, ...]
    points: tuple[Point, ...] = ()
    tasks: int = Field(validation_alias=AliasChoices("tasks", "shards"))  # as version 0.1.0 called them
    reused: tuple[str, ...] = ()
    may_win: bool = True
    history: History = History()
    seconds: dict[str, float] = {}
    seconds_from: str = ""
    snapshot: str = ""
    quarantine: str = ""


class Claim(Frozen):
    """The training task of a round that claimed a trial. It is put if absent, so no other task can claim the trial."""

    task: int = Field(validation_alias=AliasChoices("task", "shard"))  # as version 0.1.0 called it


class TrialResult(Frozen):
    """The one complete record of a trial. It is written last, so its presence says that the trial is complete.

    A failure is a result when the estimator's own code made it. When the machine did it is ``lost``: nothing is known of
    the trial, so whoever comes next tries it again.

    Attributes:
        machine: whether it failed of its machine, not of its estimator; None in records of earlier versions.
        attempts: how often it was begun for this result.
        seconds: wall time of the whole trial; ``fit_seconds`` is that of fitting alone, over the folds fitted here.
        cpu_seconds: user and system time of the process that ran it, with all threads and ended children.
        peak_memory: peak resident memory of that process meanwhile, in bytes; None where the system does not report it.
        curves: learning curves (loss per epoch, score per stage) by name, as pairs of step and value.
        run_id: the run that trained it; ``snapshot`` and ``code`` are that run's.
    """

    trial: Trial
    status: Literal["complete", "failed"]
    scores: tuple[float, ...] = ()
    mean: float | None = None
    std: float | None = None
    seconds: float
    fit_seconds: float = 0.0
    cpu_seconds: float
    peak_memory: int | None = None
    started: datetime
    error: str | None = None
    curves: dict[str, tuple[tuple[int, float], ...]] = {}
    run_id: str | None = None
    snapshot: str | None = None
    code: Code | None = None
    machine: bool | None = None
    attempts: int = 1

    @property
    def lost(self) -> bool:
        """Whether the machine ended it: a killed process, memory, a disk, a library that is not there."""
        if self.status == "complete" or self.machine is False:
            return False
        return self.machine is True or (self.error or "").startswith(_LOST_BEFORE)


# How version 0.1.0 began the errors of such trials, which it recorded like results.
_LOST_BEFORE = ("its process ", "MemoryError", "_ArrayMemoryError", "ArrowMemoryError")


class Lost(Frozen):
    """What a run knows of a trial that has no record because of its machine. It lies below the run, so that the next run
    tries the trial as if it were new; so does a task of this run that is cleared or tried again.

    Attributes:
        result: how it ended when it was tried last; None before.
        deaths: how many tries of a training task in a row have begun it and were not heard of again.
    """

    result: TrialResult | None = None
    deaths: int = 0


class TaskReport(Frozen):
    """What one training task did. ``untried`` trials were cut by the wall-clock budget, which truncates the sweep."""

    index: int
    label: str = ""
    done: int
    failed: int
    untried: tuple[str, ...] = ()
