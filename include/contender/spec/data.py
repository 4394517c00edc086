"""The part of a YAML about the data: source, columns, expectations, quarantine, split and leaks. Structure only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, model_serializer, model_validator

from contender.data.sources import AnySource
from contender.frozen import Duration, Frozen, PositiveDuration
from contender.spec.columns import ColumnType


class Elapsed(Frozen):
    """``{minutes: [start, end]}``: a derived column, the minutes between two timestamp columns."""

    minutes: tuple[str, str]


class DataSpec(Frozen):
    """Where the rows come from and what their columns mean."""

    source: AnySource = Field(description="Where the rows come from")
    derive: dict[str, Elapsed] = Field({}, description="Columns computed from others: {trip: {minutes: [start, end]}}")
    target: str = Field(min_length=1, description="The column to predict")
    positive: str | None = Field(None, description="The target's value that counts as 1; absent for regression")
    id: str | None = Field(None, description="The column that identifies what a row is about; never a feature")
    time: str | None = Field(None, description="The column with the time a row was observed; never a feature")
    window: Duration | None = Field(None, description="Rows with as_of - window <= time < as_of - label_delay")
    label_delay: Duration = Field(
        default="0s", validate_default=True, description="How long after a row's time its target is known"
    )
    exclude: tuple[str, ...] = Field((), description="Columns that are neither read nor features")
    columns: dict[str, ColumnType] = Field(
        {}, description="Types of columns; the types of the others are inferred once and then frozen as the contract"
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
    """Which rows judge (the gate rows), and the cross-validation folds of the others."""

    gate: PositiveDuration | Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="The newest span of time, or without a time column a share of the rows; default: 28d, or 0.2",
    )
    folds: int = Field(5, ge=2, le=50, description="Folds of the other rows, for cross-validation")
    embargo: Duration | None = Field(
        None,
        description="Rows less than this before the gate rows are not trained on; default: label_delay, within which "
        "their labels overlap",
    )
    salt: str | None = Field(None, description="Changes which rows judge; default: the pipeline's name")


LeakKind = Literal[
    "determines", "near_perfect", "missingness", "afterwards", "rewritten", "duplicates", "entity", "id_like"
]
LeakPolicy = Literal["stop", "drop", "warn"]

# A leak makes every score of a run wrong, so the default is to stop. An id-like column has no signal that generalizes,
# so dropping it loses nothing.
_LEAK_POLICIES: dict[LeakKind, LeakPolicy] = {"id_like": "drop"}


class LeakSpec(Frozen):
    """What to do about columns that seem to leak the target, and about rows and entities on both sides of the split."""

    policy: LeakPolicy | None = Field(
        None,
        description="Stop the run, go on without the columns, or only warn; default: drop for id_like, else stop",
    )
    kinds: dict[LeakKind, LeakPolicy] = Field({}, description="Another policy for one kind of finding")
    allow: tuple[str, ...] = Field(
        (), description="Columns that are never suspected, because they are known not to leak"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kinds.get("duplicates") == "drop":
            msg = "kinds.duplicates: rows are the matter there and no column can be dropped; use stop or warn"
            raise ValueError(msg)
        return self

    def policy_of(self, kind: LeakKind) -> LeakPolicy:
        """What to do about a finding of this kind. ``drop`` becomes ``stop`` for duplicates, which are rows."""
        asked = self.kinds.get(kind) or self.policy or _LEAK_POLICIES.get(kind, "stop")
        return "stop" if kind == "duplicates" and asked == "drop" else asked
