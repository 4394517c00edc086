"""PipelineSpec: one pipeline's YAML as one frozen value.

Structure only: this module is imported at DAG parse, so it knows no pandas, scikit-learn or Great Expectations. Whether
an estimator, metric or expectation exists is asked by ``contender.libraries`` (``contender check`` and the first task).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, JsonValue, TypeAdapter, field_validator, model_serializer, model_validator

from contender.cost import CostSpec
from contender.data.columns import ColumnType
from contender.data.sources import AnySource
from contender.errors import did_you_mean
from contender.frozen import Duration, Frozen, Guarded, PositiveDuration
from contender.judge.gates import AnyGate, BeatsGate, CustomGate, ThresholdGate
from contender.notices import AnyReceiver
from contender.sweep.space import CandidateSpec
from contender.sweep.strategies import AnyStrategy, RandomStrategy

_WHERE = ("uri", "conn_id", "table", "query")
NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"


class Elapsed(Frozen):
    """``{minutes: [start, end]}``: a column that the source does not have, the minutes between two timestamps."""

    minutes: tuple[str, str]


class DataSpec(Frozen):
    """Where the rows come from and what their columns mean."""

    source: AnySource = Field(description="Where the rows come from")
    derive: dict[str, Elapsed] = Field({}, description="Columns made of others: {trip: {minutes: [start, end]}}")
    target: str = Field(min_length=1, description="The column to predict")
    positive: str | None = Field(None, description="The target's value that counts as 1; absent for regression")
    id: str | None = Field(None, description="What a row is about; never a feature")
    time: str | None = Field(None, description="When a row was observed; never a feature")
    window: Duration | None = Field(None, description="Rows with as_of - window <= time < as_of - label_delay")
    label_delay: Duration = Field(
        default="0s", validate_default=True, description="How long after a row its target is known"
    )
    exclude: tuple[str, ...] = Field((), description="Columns that are neither read nor features")
    columns: dict[str, ColumnType] = Field(
        {}, description="What columns hold; what is not named here is inferred once and then frozen as the contract"
    )
    unknown_columns: Literal["ignore", "stop"] = Field(
        "ignore", description="What happens when the source has columns that the contract does not have"
    )
    min_rows: int = Field(100, ge=2, description="Fewer labelled rows stop the run")
    freshness: PositiveDuration | None = Field(
        None, description="The newest row may be this much older than the end of the window"
    )
    label_coverage: float | None = Field(
        None, gt=0, le=1, description="At least this share of the window's rows must have a label"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.time is None and (self.window is not None or self.label_delay):
            msg = "window and label_delay need a time column: set data.time"
            raise ValueError(msg)
        if self.time is None and self.freshness is not None:
            raise ValueError("freshness needs a time column: set data.time")
        if self.time is not None and self.window is None:
            msg = "a time column needs a window, such as window: 365d"
            raise ValueError(msg)
        if self.window is not None and self.window <= self.label_delay:
            msg = "window must be longer than label_delay, else no row has its label"
            raise ValueError(msg)
        if self.time is not None and self.columns.get(self.time, "timestamp") != "timestamp":
            raise ValueError(f"columns.{self.time}: got {self.columns[self.time]}, but data.time is of timestamps")
        roles = [name for name in (self.target, self.id, self.time) if name is not None]
        if len(set(roles)) < len(roles):
            msg = f"target, id and time must be different columns, got {roles}"
            raise ValueError(msg)
        if set(roles) & set(self.exclude):
            msg = f"exclude: {roles} are never features anyway, and their values are needed; remove them from exclude"
            raise ValueError(msg)
        return self

    @property
    def classification(self) -> bool:
        """Whether the target is a class (``positive`` is given)."""
        return self.positive is not None


class Expectation(Frozen):
    """One Great Expectations check, written ``- name: {arguments}``; ``severity`` is Great Expectations' own."""

    name: str = Field(pattern=r"^expect_[a-z0-9_]+$", examples=["expect_column_values_to_not_be_null"])
    severity: Literal["critical", "warning"] = "critical"
    arguments: dict[str, JsonValue] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or "name" in value:
            return value
        if len(value) != 1:
            msg = f"expected one entry `expect_...: {{arguments}}`, got {len(value)} keys"
            raise ValueError(msg)
        [(name, arguments)] = value.items()
        if arguments is not None and not isinstance(arguments, Mapping):
            msg = f"got {str(arguments)[:60]!r} for {str(name)[:60]!r}, expected arguments such as {{column: age}}"
            raise ValueError(msg)
        arguments = dict(arguments or {})
        return {"name": name, "severity": arguments.pop("severity", "critical"), "arguments": arguments}

    @model_serializer
    def _to_yaml(self) -> dict[str, Any]:
        return {self.name: {**self.arguments, "severity": self.severity}}


class QuarantineSpec(Frozen):
    """How many rows may be set aside before the run stops."""

    max_share: float = Field(0.0, ge=0, lt=1, description="More than this share of the rows stops the run")


class SplitSpec(Frozen):
    """Which rows judge (the gate) and how the others are folded."""

    gate: PositiveDuration | Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="The newest span of time, or without a time column a share of the rows; default: 28d, or 0.2",
    )
    folds: int = Field(5, ge=2, le=50, description="Parts of the other rows for cross-validation")
    embargo: Duration | None = Field(
        None,
        description="Rows this close before those that judge are not trained on; default: label_delay, within which "
        "their labels overlap",
    )
    salt: str | None = Field(None, description="Changes which rows judge; default: the pipeline's name")


LeakKind = Literal[
    "determines", "near_perfect", "missingness", "afterwards", "rewritten", "duplicates", "entity", "id_like"
]
LeakPolicy = Literal["stop", "drop", "warn"]


# What makes every number of a run a lie stops it. An id has nothing to teach, so that nothing is lost without it.
_LEAK_POLICIES: dict[LeakKind, LeakPolicy] = {"id_like": "drop"}


class LeakSpec(Frozen):
    """What to do about columns that seem to give the target away, and about rows that are on both sides."""

    policy: LeakPolicy | None = Field(
        None,
        description="Stop the run, go on without the columns, or only say so; default: drop for id_like, else stop",
    )
    kinds: dict[LeakKind, LeakPolicy] = Field({}, description="Another policy for one kind of finding")
    allow: tuple[str, ...] = Field((), description="Columns that are known to be right, whatever they look like")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kinds.get("duplicates") == "drop":
            msg = "kinds.duplicates: rows are the matter there and no column can be dropped; use stop or warn"
            raise ValueError(msg)
        return self

    def policy_of(self, kind: LeakKind) -> LeakPolicy:
        """What is done about a finding of this kind."""
        asked = self.kinds.get(kind) or self.policy or _LEAK_POLICIES.get(kind, "stop")
        return "stop" if kind == "duplicates" and asked == "drop" else asked


class SweepSpec(Frozen):
    """What is tried, how it is scored and how much of it."""

    metric: str = Field(
        min_length=1, description="A scikit-learn scorer's name, or the import path of one; greater is better"
    )
    strategy: AnyStrategy = Field(default_factory=RandomStrategy, description="Which trials are tried; default: random")
    budget: PositiveDuration = Field(
        "1h",
        validate_default=True,
        description="Wall-clock limit of the training tasks, such as 20m; every round has its equal part",
    )
    candidates: tuple[CandidateSpec, ...] = Field(min_length=1, description="The kinds of model that are tried")
    parallelism: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Training tasks at a time, over all workers; default: the cores, and no more of them on one machine",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        baselines = [candidate.path for candidate in self.candidates if candidate.baseline]
        if len(baselines) > 1:
            msg = f"at most one candidate can be the baseline, got {baselines}"
            raise ValueError(msg)
        self.strategy.check(self.candidates)
        return self

    @property
    def round_budget(self) -> timedelta:
        """The wall-clock limit of one round's training tasks."""
        return self.budget / self.strategy.rounds


class PipelineSpec(Frozen):
    """One model's whole life. ``name`` is the YAML file's stem and is not written in the file."""

    name: str = Field(pattern=NAME_PATTERN)
    description: str = Field("", description="One line for people")
    owner: str = Field("contender", description="Who answers for it, as Airflow shows it")
    schedule: str | None = Field("0 3 * * 1", description="Cron in UTC; null: only by hand")
    as_of: date | None = Field(None, description="The day runs look from when nobody says; default: the day they run")
    seed: int = Field(0, ge=0, lt=2**31, description="What all chance is drawn from")
    data: DataSpec
    expectations: tuple[Expectation, ...] = Field(
        (), description="Great Expectations' checks; rows that fail a critical one are set aside"
    )
    quarantine: QuarantineSpec = QuarantineSpec()
    split: SplitSpec = SplitSpec()
    leaks: LeakSpec = LeakSpec()
    sweep: SweepSpec
    refit: Literal["all_rows", "train_rows"] | None = Field(
        None, description="Rows the promoted model is fitted on; default: all_rows with a time column, else train_rows"
    )
    gates: tuple[AnyGate, ...] = Field(min_length=1, description="What is asked of the best model; all must pass")
    overridable: tuple[str, ...] = Field(
        ("as_of",), description="What a trigger may change, such as sweep.strategy.trials"
    )
    cost: CostSpec | None = Field(None, description="What CPU time is worth, to tell the cost of runs in money, too")
    deadline: PositiveDuration = Field(
        "6h", validate_default=True, description="A run that takes longer raises a notice"
    )
    notify: tuple[AnyReceiver, ...] = Field((), description="Who is told of failures, lateness and decisions")

    @field_validator("schedule")
    @classmethod
    def _cron(cls, value: str | None) -> str | None:
        if value is None:
            return None
        from croniter import CroniterError, croniter  # Airflow's own cron library, light enough for parse time

        if len(value.split()) != 5 and value not in ("@daily", "@weekly", "@monthly", "@hourly"):
            msg = f"got {value!r}, expected five cron fields such as '0 3 * * 1' (UTC), @weekly, or null"
            raise ValueError(msg)
        try:
            croniter(value, datetime(2026, 1, 1, tzinfo=UTC)).get_next(datetime)
        except (CroniterError, ValueError, OverflowError) as error:
            msg = f"got {value!r}, which names no moment ({str(error)[:200]}); expected cron such as '0 3 * * 1'"
            raise ValueError(msg) from None
        return value

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        timed = self.data.time is not None
        if timed and isinstance(self.split.gate, float):
            msg = "split.gate: with a time column the newest rows judge, so give a duration such as 28d, not a share"
            raise ValueError(msg)
        if not timed and isinstance(self.split.gate, timedelta):
            msg = "split.gate: without a time column give a share of the rows such as 0.2, not a duration"
            raise ValueError(msg)
        if not timed and self.refit == "all_rows":
            msg = "refit: all_rows would train on the rows that judge next week; without a time column use train_rows"
            raise ValueError(msg)
        if self.data.window is not None and self.gate_span + self.embargo >= self.data.window - self.data.label_delay:
            msg = "split.gate: gate and embargo take the whole window; make window longer, or gate or embargo shorter"
            raise ValueError(msg)
        if not timed and self.split.embargo:
            msg = "split.embargo: without a time column nothing comes before or after; remove it"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _gates_fit(self) -> Self:
        if self.data.id is None and any(isinstance(g, ThresholdGate) and g.entities == "new_only" for g in self.gates):
            msg = "gates: `entities: new_only` needs to know what a row is about: set data.id"
            raise ValueError(msg)
        asks_baseline = any(isinstance(gate, BeatsGate) and gate.opponent == "baseline" for gate in self.gates)
        if asks_baseline and self.baseline is None:
            msg = "gates: `beats: baseline` needs a candidate marked `baseline: true`"
            raise ValueError(msg)
        if all(isinstance(gate, BeatsGate) and gate.opponent == "champion" for gate in self.gates):
            msg = "gates: nothing is asked of the first model, which has no champion to beat; add a threshold"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _overridable_fits(self) -> Self:
        for path in self.overridable:
            if path != "as_of":
                owner, name = self._field(path)
                if getattr(owner, name) in self.import_paths:
                    msg = f"{path}: got {getattr(owner, name)[:60]!r}, which is imported; what is overridable never names code"
                    raise ValueError(msg)
        return self

    @property
    def gate_span(self) -> timedelta:
        """The newest span of time that judges, with a time column."""
        return self.split.gate if isinstance(self.split.gate, timedelta) else timedelta(days=28)

    @property
    def gate_share(self) -> float:
        """The share of the rows that judges, without a time column."""
        return self.split.gate if isinstance(self.split.gate, float) else 0.2

    @property
    def embargo(self) -> timedelta:
        """How close before the rows that judge nothing is trained on."""
        return self.data.label_delay if self.split.embargo is None else self.split.embargo

    @property
    def refit_rows(self) -> Literal["all_rows", "train_rows"]:
        """``refit`` with its default resolved."""
        return self.refit or ("all_rows" if self.data.time is not None else "train_rows")

    @property
    def salt(self) -> str:
        """What the stable split hashes ids with."""
        return self.split.salt or self.name

    @property
    def baseline(self) -> CandidateSpec | None:
        """The candidate marked as baseline."""
        return next((candidate for candidate in self.sweep.candidates if candidate.baseline), None)

    @property
    def import_paths(self) -> frozenset[str]:
        """Everything of the user's choice that is imported; trigger conf never names it."""
        metrics = [self.sweep.metric, *(gate.metric for gate in self.gates if not isinstance(gate, CustomGate))]
        functions = [gate.function for gate in self.gates if isinstance(gate, CustomGate)]
        candidates = [candidate.path for candidate in self.sweep.candidates]
        return frozenset([*candidates, *functions, *(name for name in metrics if name is not None and "." in name)])

    @property
    def non_features(self) -> frozenset[str]:
        """Columns that are never features."""
        named = (self.data.target, self.data.id, self.data.time)
        return frozenset(self.data.exclude).union(name for name in named if name is not None)

    def override_schema(self, path: str) -> dict[str, Any]:
        """JSON schema (with title, description, current value as default) of one overridable path, for a form."""
        owner, name = self._field(path)
        field = type(owner).model_fields[name]
        annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        schema = _flat(TypeAdapter(annotation).json_schema()) | (
            owner.limits(name) if isinstance(owner, Guarded) else {}
        )
        words = " ".join(path.split(".")[-2:]).replace("_", " ").capitalize()
        if isinstance(owner, ThresholdGate | BeatsGate):
            words = f"{owner.label}: {name.replace('_', ' ')}"
        return {
            "description": field.description or "",
            **schema,
            "title": field.title or words,
            "default": owner.model_dump(mode="json")[name],
        }

    def nullable(self, path: str) -> bool:
        """Whether null is a value of an overridable setting."""
        owner, name = self._field(path)
        return type(None) in get_args(type(owner).model_fields[name].annotation)

    def check_override(self, path: str, overridden: PipelineSpec) -> None:
        """See that a trigger's value of a setting is within the limits that guard it. Left as it was it always is.

        Raises:
            ValueError: it is not.
        """
        owner, name = self._field(path)
        value = getattr(overridden._field(path)[0], name)
        if isinstance(owner, Guarded) and value != getattr(owner, name):
            owner.check_override(name, value)

    def _field(self, path: str) -> tuple[Frozen, str]:
        value: Any = self
        *parents, name = path.split(".")
        for step in [*parents, name]:
            if isinstance(value, tuple) and parents[0] == "gates":
                fields = {str(number): gate for number, gate in enumerate(value)}
            else:
                fields = dict(value) if isinstance(value, Frozen) else {}
                fields.pop("name", None)
            if step not in fields:
                msg = f"overridable: no such setting {path!r} (at {step!r})." + did_you_mean(step, fields)
                raise ValueError(msg)
            owner, value = value, fields[step]
        if isinstance(value, Frozen | tuple | Mapping) or (parents and parents[0] in ("expectations", "notify")):
            msg = f"overridable: {path!r} is a group of settings; name a single one inside it"
            raise ValueError(msg)
        if parents == ["sweep", "strategy"] and name in ("kind", "rounds"):
            msg = f"overridable: {path!r} shapes the DAG, which is built before anybody triggers it; trials can be changed"
            raise ValueError(msg)
        if parents == ["data", "source"] and name in _WHERE and not getattr(owner, "roots", ()):
            msg = f"overridable: {path!r} would let a trigger read from anywhere; "
            raise ValueError(msg + "a file source can say below which folders: roots: [/data/churn]")
        if isinstance(owner, Guarded):
            try:
                owner.limits(name)
            except ValueError as error:
                msg = f"overridable: {path!r}: {error}"
                raise ValueError(msg) from None
        return owner, name


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    """``anyOf: [{type: number}, {type: null}]`` as ``type: [number, null]``, the form that forms understand."""
    value, *null = schema.get("anyOf", [schema])
    if null != [{"type": "null"}] or "type" not in value:
        return schema
    rest = {keyword: said for keyword, said in schema.items() if keyword != "anyOf"}
    return {**rest, **value, "type": [value["type"], "null"]}
