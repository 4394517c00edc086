"""PipelineSpec: one pipeline's YAML as one frozen value.

Structure only: this module is imported at DAG parse, so it imports no pandas, scikit-learn or Great Expectations.
Whether an estimator, metric or expectation exists is checked by ``contender.check`` (``contender check`` and the first
task).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, TypeAdapter, field_validator, model_validator

from contender.errors import did_you_mean
from contender.frozen import Frozen, Guarded, PositiveDuration
from contender.judge.gates import AnyGate, Gate
from contender.spec.cost import CostSpec
from contender.spec.data import DataSpec, Expectation, LeakSpec, QuarantineSpec, SplitSpec
from contender.spec.receivers import AnyReceiver
from contender.sweep.space import CandidateSpec
from contender.sweep.strategies import AnyStrategy, RandomStrategy

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"


class SweepSpec(Frozen):
    """Which candidates are tried, by which metric, and for how long."""

    metric: str = Field(
        min_length=1, description="A scikit-learn scorer's name, or the import path of one; greater is better"
    )
    strategy: AnyStrategy = Field(default_factory=RandomStrategy, description="Which trials are tried; default: random")
    budget: PositiveDuration = Field(
        "1h",
        validate_default=True,
        description="Wall-clock limit of the training tasks, such as 20m; every round has an equal part of it",
    )
    candidates: tuple[CandidateSpec, ...] = Field(min_length=1, description="The kinds of model that are tried")
    parallelism: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Training tasks at a time, over all workers; default: the cores, also the limit on one machine",
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


class ChallengerSpec(Frozen):
    """How long a challenger may ask for the title, and how often one may get it by chance.

    It holds for `beats: champion` with a policy that asks for evidence, on data with a time column.
    """

    patience: PositiveDuration | None = Field(
        "13w",
        validate_default=True,
        description="The span of new data within which a challenger must be shown better; null: any, with less power",
    )
    false_promotions_per_year: float = Field(
        0.25, gt=0, le=52, description="How many promotions of models that are no better a year may have, on average"
    )


class PipelineSpec(Frozen):
    """One pipeline. ``name`` is the YAML file's stem and is not written in the file."""

    name: str = Field(pattern=NAME_PATTERN)
    description: str = Field("", description="One line for people")
    owner: str = Field("contender", description="The owner, as Airflow shows it")
    schedule: str | None = Field("0 3 * * 1", description="Cron in UTC; null: only manual runs")
    as_of: date | None = Field(
        None, description="The date from which runs look unless their trigger sets one; default: the day of the run"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of all random numbers")
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
    gates: tuple[AnyGate, ...] = Field(
        min_length=1, description="Questions asked of the best model; all gates must pass"
    )
    challenger: ChallengerSpec = ChallengerSpec()
    overridable: tuple[str, ...] = Field(
        ("as_of",), description="What a trigger may change, such as sweep.strategy.trials"
    )
    cost: CostSpec | None = Field(None, description="The price of CPU time, to show the cost of runs in money, too")
    deadline: PositiveDuration = Field(
        "6h", validate_default=True, description="A run that takes longer raises a notice"
    )
    notify: tuple[AnyReceiver, ...] = Field(
        (), description="Receivers of notices about failures, lateness and decisions"
    )

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
        for gate in self.gates:
            try:
                gate.check_spec(self)
            except ValueError as error:
                msg = f"gates: {error}"
                raise ValueError(msg) from None
        if not any(gate.asks_first_model for gate in self.gates):
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
        """The newest span of time, whose rows judge; for a pipeline with a time column."""
        return self.split.gate if isinstance(self.split.gate, timedelta) else timedelta(days=28)

    @property
    def gate_share(self) -> float:
        """The share of the rows that judge; for a pipeline without a time column."""
        return self.split.gate if isinstance(self.split.gate, float) else 0.2

    @property
    def embargo(self) -> timedelta:
        """The span before the gate rows whose rows are not trained on."""
        return self.data.label_delay if self.split.embargo is None else self.split.embargo

    @property
    def refit_rows(self) -> Literal["all_rows", "train_rows"]:
        """``refit`` with its default resolved."""
        return self.refit or ("all_rows" if self.data.time is not None else "train_rows")

    @property
    def salt(self) -> str:
        """The salt with which the split hashes ids, so that a row stays on its side from run to run."""
        return self.split.salt or self.name

    @property
    def baseline(self) -> CandidateSpec | None:
        """The candidate marked as baseline."""
        return next((candidate for candidate in self.sweep.candidates if candidate.baseline), None)

    @property
    def import_paths(self) -> frozenset[str]:
        """Everything that the YAML names by import path. Trigger conf may never name any of it."""
        metrics = [self.sweep.metric, *(metric for gate in self.gates for metric in gate.metrics)]
        functions = [path for gate in self.gates for path in gate.imports]
        candidates = [candidate.path for candidate in self.sweep.candidates]
        return frozenset([*candidates, *functions, *(name for name in metrics if "." in name)])

    @property
    def non_features(self) -> frozenset[str]:
        """Columns that are never features."""
        named = (self.data.target, self.data.id, self.data.time)
        return frozenset(self.data.exclude).union(name for name in named if name is not None)

    def override_schema(self, path: str) -> dict[str, Any]:
        """JSON schema of an overridable setting, for the trigger form: title, description, current value as default."""
        owner, name = self._field(path)
        field = type(owner).model_fields[name]
        annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        schema = _flat(TypeAdapter(annotation).json_schema()) | (
            owner.limits(name) if isinstance(owner, Guarded) else {}
        )
        words = " ".join(path.split(".")[-2:]).replace("_", " ").capitalize()
        if isinstance(owner, Gate):
            words = f"{owner.label}: {name.replace('_', ' ')}"
        return {
            "description": field.description or "",
            **schema,
            "title": field.title or words,
            "default": owner.model_dump(mode="json")[name],
        }

    def nullable(self, path: str) -> bool:
        """Whether an overridable setting may be null."""
        owner, name = self._field(path)
        return type(None) in get_args(type(owner).model_fields[name].annotation)

    def check_override(self, path: str, overridden: PipelineSpec) -> None:
        """Check a trigger's value of a setting against its owner's limits. An unchanged value always passes.

        Raises:
            ValueError: the value is outside the limits.
        """
        owner, name = self._field(path)
        value = getattr(overridden._field(path)[0], name)
        if isinstance(owner, Guarded) and value != getattr(owner, name):
            owner.check_override(name, value)

    def _field(self, path: str) -> tuple[Frozen, str]:
        """The model that owns an overridable setting, and the setting's name in it.

        Raises:
            ValueError: there is no such setting, or no trigger may set it.
        """
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
        if isinstance(owner, Guarded):
            try:
                owner.limits(name)
            except ValueError as error:
                msg = f"overridable: {path!r}: {error}"
                raise ValueError(msg) from None
        return owner, name


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    """``anyOf: [{type: number}, {type: null}]`` as ``type: [number, null]``, which Airflow's form understands."""
    value, *null = schema.get("anyOf", [schema])
    if null != [{"type": "null"}] or "type" not in value:
        return schema
    rest = {keyword: said for keyword, said in schema.items() if keyword != "anyOf"}
    return {**rest, **value, "type": [value["type"], "null"]}
