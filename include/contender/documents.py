"""The stored nouns: Run, Snapshot, Quarantine, Plan, Trial, Decision, Release, Outcome; and the keys they live under.

Each is one frozen JSON document beside its data. Nothing here computes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from contender.cost import Costs
from contender.data.columns import Column, ColumnStatistics, ColumnType
from contender.data.reading.request import SourceFile
from contender.data.record.change import Change
from contender.frozen import Frozen
from contender.judge.scorecard import Scoreboard, Verdict
from contender.spec import LeakPolicy, PipelineSpec
from contender.sweep.space import Params, model_label
from contender.sweep.strategies.base import History, Point


class Code(Frozen):
    """Which code made something: a fingerprint of Contender's own source, and the versions it ran with.

    ``lock`` is a hash of all that is installed beside it, for people who ask whether anything was different.
    """

    fingerprint: str
    python: str
    versions: dict[str, str]
    commit: str | None = None
    lock: str | None = None


class Run(Frozen):
    """What one DAG run was asked to do, frozen by its first task. Every later task reads only this."""

    id: str
    spec: PipelineSpec
    as_of: datetime
    promote: bool = True
    reason: str = ""
    by: str = "scheduler"
    started: datetime
    code: Code

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return self.spec.name

    def key(self, name: str) -> str:
        """Where one of this run's documents lives."""
        return run_key(self.pipeline, self.id, name)

    def round_key(self, number: int, name: str) -> str:
        """Where a document of one of the sweep's rounds (from 1) lives."""
        return self.key(f"rounds/{number}/{name}")


def run_key(pipeline: str, run_id: str, name: str) -> str:
    """Where a document of a run lives."""
    return f"{pipeline}/runs/{run_id}/{name}"


class Contract(Frozen):
    """What a pipeline's columns hold, as its first validated run found them: frozen, so that later data must fit.

    Attributes:
        open: columns that had no value then: what they hold, later rows say.
    """

    run_id: str
    as_of: datetime
    columns: tuple[Column, ...]
    open: tuple[str, ...] = ()


class Uncoerced(Frozen):
    """Cells of a column that are not what the contract says it holds: how many, and where the first one is (if known)."""

    column: str
    expected: ColumnType
    rows: int
    first: str = ""

    @property
    def where(self) -> str:
        """Where the first one is, as the end of a sentence; empty when nobody can say."""
        return f", the first at {self.first}" if self.first else ""

    @property
    def reason(self) -> str:
        """What stands at a row with such a cell."""
        article = {"integer": "an ", "text": ""}.get(self.expected, "a ")
        return f"{self.column} is not {article}{self.expected}"


class Snapshot(Frozen):
    """The immutable data of one window, and where it came from.

    Attributes:
        id: hash of the logical content (schema, and rows in canonical order), not of the file's bytes.
        rows: labelled rows, which are all the rows that are kept.
        unlabelled: rows of the window whose label has not arrived; they are left out.
        sources: the files that were read, as they were then; empty for a database.
        query: what a database was asked.
        window: first moment, and first moment after it; None without a time column.
        types: what the source itself calls the columns' types, as far as it has any.
        ignored: columns of the source that the contract does not have; they are not used.
        sha256: hash of the file ``data.parquet``, for whoever reads it.
        statistics: what each column holds; empty of a snapshot that was taken before there were any.
    """

    id: str
    rows: int
    columns: tuple[Column, ...]
    unlabelled: int
    sources: tuple[SourceFile, ...] = ()
    query: str | None = None
    as_of: datetime | None = None
    window: tuple[datetime, datetime] | None = None
    uncoerced: tuple[Uncoerced, ...] = ()
    types: dict[str, str] = {}
    ignored: tuple[str, ...] = ()
    sha256: str | None = None
    code: Code | None = None
    statistics: tuple[ColumnStatistics, ...] = ()

    def key(self, pipeline: str, name: str) -> str:
        """Where one of the snapshot's files lives."""
        return f"{pipeline}/snapshots/{self.id}/{name}"


class CheckResult(Frozen):
    """One check's answer, without a single value of the data.

    Attributes:
        unexpected: rows that fail it; 0 for a check of a whole column or table.
        missing: rows that it left out because the column has no value there.
        observed: what a check of a whole column or table saw, when that is no row's value.
    """

    name: str
    column: str | None
    severity: str
    success: bool
    unexpected: int
    checked: int
    missing: int = 0
    observed: float | None = None
    detail: str = ""

    @property
    def stops(self) -> bool:
        """Whether it failed and must not have: a run goes on only without the rows that failed it."""
        return not self.success and self.severity == "critical"

    @property
    def sets_aside(self) -> bool:
        """Whether it failed by rows, and these are set aside."""
        return self.stops and self.unexpected > 0

    @property
    def label(self) -> str:
        """The check as people read it, and as a quarantined row's reason."""
        return self.name if self.column is None else f"{self.name}({self.column})"


class Finding(Frozen):
    """A suspicion of a leak: which columns, on what evidence (numbers, never values), and what is done about it."""

    kind: str
    columns: tuple[str, ...]
    evidence: str
    policy: LeakPolicy

    @property
    def words(self) -> str:
        """``'status' (near_perfect): reaches ROC AUC 0.993 alone``, bounded however many columns there are."""
        names = [*map(repr, self.columns[:5]), *(["..."] if len(self.columns) > 5 else [])]
        return f"{' and '.join(names)} ({self.kind}): {self.evidence}".lstrip()


class Quarantine(Frozen):
    """The rows of a snapshot set aside by validation: position to reasons. Kept plus quarantined is all.

    Attributes:
        rows: without those of checks whose count of rows alone stopped the run; ``kept`` is None then.
        kept: rows that are not set aside.
        structure: our own checks of the rows as such, before the expectations.
        checks: the expectations' answers in the YAML's order; empty when the structure stopped the run.
        dropped: columns that are no features because a finding says so.
    """

    id: str
    snapshot: str
    rows: dict[int, tuple[str, ...]]
    checks: tuple[CheckResult, ...]
    kept: int | None = None
    structure: tuple[CheckResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    dropped: tuple[str, ...] = ()


class Trial(Frozen):
    """One estimator with one set of hyperparameters, to be cross-validated. ``key`` says everything it depends on.

    Attributes:
        pipeline: whether ``estimator`` is the path of a function that builds it.
        own: the fingerprint of the code outside Contender that it was planned with.
        folds: on how many of the folds, the last ones; None: on all.
        share: how much of each one's training rows it is fitted on.
        scored: its scores on the last of these folds, from the round before; they are not fitted again.
        work: what is left to fit, as a part of a whole trial's cost; a forecast.
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
    """The trials of one round, by value, and over how many training tasks they are spread.

    Attributes:
        trials: in the order they were proposed; ``points`` are what was proposed, one each.
        shards: training tasks of this round; each takes the next trial that nobody has, until none is left.
        reused: keys of trials that another run has recorded.
        may_win: whether they are trained as the candidate will be; of halving's rungs only the last is.
        history: what the round was proposed from.
        seconds: what a whole trial of each kind of model is expected to take, by label; ``seconds_from`` says how that
            is known.
    """

    round: int = 1
    trials: tuple[Trial, ...]
    points: tuple[Point, ...] = ()
    shards: int
    reused: tuple[str, ...] = ()
    may_win: bool = True
    history: History = History()
    seconds: dict[str, float] = {}
    seconds_from: str = ""


class Claim(Frozen):
    """Which training task of a round took a trial; put if absent, so that nobody else takes it."""

    shard: int


class TrialResult(Frozen):
    """The one complete record of a trial. Written last, so its presence is the completion.

    Attributes:
        seconds: wall time of the whole trial; ``fit_seconds`` of fitting alone, over all folds that it fitted itself.
        cpu_seconds: user and system time of the process that ran it, all its threads and ended children.
        peak_memory: bytes, the most that process had resident meanwhile; None where the system does not say.
        curves: what changed while it was fitted (loss per epoch, score per stage), as step and value.
        run_id: the run that tried it; snapshot and code as that run had them.
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


class ShardReport(Frozen):
    """What one training task did. ``untried`` trials were cut by the wall-clock budget and label the run truncated."""

    index: int
    label: str = ""
    done: int
    failed: int
    untried: tuple[str, ...] = ()


class TrainedOn(Frozen):
    """Which rows a model has seen, so that none of them ever judges it: all whose time is before ``through``, or
    (without a time column) all whose hash with ``salt`` is at or above ``gate``.

    ``columns`` are those that decide it (the time, else the id, else all), each with its type.
    """

    columns: dict[str, str]
    through: datetime | None = None
    salt: str | None = None
    gate: float | None = None


class Recipe(Frozen):
    """How the candidate's model is made: everything its predictions depend on. ``key`` is the hash of the rest."""

    key: str
    trial: Trial
    snapshot: str
    quarantine: str
    rows: Literal["all_rows", "train_rows"]
    trained_on: TrainedOn

    @property
    def label(self) -> str:
        """The estimator, as shown to people."""
        return self.trial.label


class Adopted(Frozen):
    """What is known of a model that somebody else made: where it came from, what it takes, how its answers are read.

    Attributes:
        inputs: the type each of its columns is handed to it as, by name.
        positive: which of its two answers is the probability of the positive class; None for regression.
        trained_on: what whoever adopted it says (or MLflow shows) it can have seen.
    """

    source: str
    estimator: str
    inputs: dict[str, str]
    positive: int | None
    trained_on: TrainedOn

    @property
    def label(self) -> str:
        """The estimator, as shown to people."""
        return f"{self.estimator.rpartition('.')[2]} (adopted)"


class Decision(Frozen):
    """Promote, keep or undecided, with all verdicts and the scorecards they rest on.

    Attributes:
        champion_snapshot: what the champion was made from; None of one that somebody else made, or without a champion.
        changes: what is different in this run's data since then, most important first.
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


class Release(Frozen):
    """The manifest of the bundle that serves: what it is made of, with which hashes, by which code.

    ``files`` are the model's as MLflow serves them; ``golden`` holds rows and what the model must predict for them.
    ``shipped`` are the user's packages whose code is inside the model, with the folders they came from.
    """

    pipeline: str
    run_id: str
    as_of: datetime
    recipe: Recipe | Adopted
    code: Code
    model: str
    features: tuple[Column, ...]
    labels: tuple[str, str] | None
    files: dict[str, str]
    golden: str
    shipped: dict[str, tuple[str, ...]] = {}

    def key(self, name: str) -> str:
        """Where one of the bundle's files lives."""
        return release_key(self.pipeline, self.run_id, name)


def release_key(pipeline: str, run_id: str, name: str) -> str:
    """Where a file of a release lives."""
    return f"{pipeline}/releases/{run_id}/{name}"


class Failure(Frozen):
    """Why a step's last try failed. ``error`` is empty when the step could not say (it was killed)."""

    step: str
    error: str = ""
    message: str = ""


class Outcome(Frozen):
    """How a run ended, as ``announce`` returns it and ``contender status`` reads it. Plain values only.

    ``promoted`` is the version that this run gave the title to, ``champion`` who has it now. ``trials`` counts those that were
    planned, completed, failed, untried (the budget cut them: the sweep is truncated) and reused (an earlier run had done
    them). ``cost`` is that of the run until then. ``attention`` is what somebody should know of the data although the run
    went on.
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
