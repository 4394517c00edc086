"""The search space: what a candidate and its parameters in YAML can be, and what is a point of it."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from contender.canonical import canonical_json
from contender.frozen import Frozen, ImportPath

if TYPE_CHECKING:
    from collections.abc import Mapping

Scalar = bool | int | float | str | None
COUNTABLE = 1_000
_HALF = 0.5  # of a fold; whoever asks for more gets all of it. So no two rounds of halving are alike


def _from_json(params: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in params.items()}


# JSON has no tuples, but a choice may be one, and an estimator may insist on it.
Params = Annotated[dict[str, Any], AfterValidator(_from_json)]


class Choice(Frozen):
    """``{choice: [15, 31, 63]}``: one of the listed values."""

    choice: tuple[Scalar | tuple[Scalar, ...], ...] = Field(min_length=1)

    @field_validator("choice")
    @classmethod
    def _distinct(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        twice = [text for text, times in Counter(map(canonical_json, values)).items() if times > 1]
        if twice:
            msg = f"got {twice[0].decode()[:60]} more than once; every value is tried once"
            raise ValueError(msg)
        return values

    def distribution(self) -> list[Any]:
        """The values, as scikit-learn's ParameterSampler takes them."""
        return list(self.choice)

    def holds(self, value: Any) -> bool:
        """Whether the value is one of them; 1, 1.0 and true are three."""
        return canonical_json(value) in map(canonical_json, self.choice)


class _Interval(Frozen):
    @model_validator(mode="after")
    def _ordered(self) -> Self:
        [(name, (low, high))] = ((name, getattr(self, name)) for name in type(self).model_fields)
        if not low < high:
            msg = f"got [{low}, {high}], expected [low, high] with low < high"
            raise ValueError(msg)
        if name.startswith("log") and low <= 0:
            msg = f"got {low} as low, expected more than 0"
            raise ValueError(msg)
        return self

    def holds(self, value: Any) -> bool:
        """Whether the value is of its type and not outside."""
        [(low, high)] = (getattr(self, name) for name in type(self).model_fields)
        return type(value) is type(low) and low <= value <= high


class Uniform(_Interval):
    """``{uniform: [0, 1]}``: a float, evenly."""

    uniform: tuple[float, float]

    def distribution(self) -> Any:
        """The frozen scipy distribution."""
        from scipy.stats import uniform

        low, high = self.uniform
        return uniform(low, high - low)


class LogUniform(_Interval):
    """``{log_uniform: [0.001, 100]}``: a float, evenly in its logarithm."""

    log_uniform: tuple[float, float]

    def distribution(self) -> Any:
        """The frozen scipy distribution."""
        from scipy.stats import loguniform

        return loguniform(*self.log_uniform)


class IntUniform(_Interval):
    """``{int_uniform: [2, 20]}``: an integer, evenly, both ends included."""

    int_uniform: tuple[int, int]

    def distribution(self) -> Any:
        """All its values when they can be counted, so that none is drawn twice; else the frozen scipy distribution."""
        low, high = self.int_uniform
        if high - low < COUNTABLE:
            return list(range(low, high + 1))
        from scipy.stats import randint

        return randint(low, high + 1)


_RANGES = (Choice, Uniform, LogUniform, IntUniform)
_KINDS: dict[str, type[Frozen]] = {
    "choice": Choice,
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "int_uniform": IntUniform,
}


def _kind(value: Any) -> str | None:
    """The one key of a range is its tag; every single value is a constant."""
    if isinstance(value, dict):
        return next(iter(value)) if len(value) == 1 and next(iter(value)) in _KINDS else None
    if isinstance(value, list | tuple):
        return None
    return next((kind for kind, model in _KINDS.items() if isinstance(value, model)), "constant")


Parameter = Annotated[
    Annotated[Choice, Tag("choice")]
    | Annotated[Uniform, Tag("uniform")]
    | Annotated[LogUniform, Tag("log_uniform")]
    | Annotated[IntUniform, Tag("int_uniform")]
    | Annotated[Scalar, Tag("constant")],
    Discriminator(
        _kind,
        custom_error_type="parameter",
        custom_error_message="expected a single value or one of {choice: [...]}, {uniform: [low, high]}, "
        "{log_uniform: [low, high]}, {int_uniform: [low, high]}",
    ),
]


class CandidateSpec(Frozen):
    """An estimator, or a whole pipeline of the user's own, by import path, and the parameters to search."""

    estimator: ImportPath | None = Field(
        None,
        examples=["sklearn.linear_model.LogisticRegression"],
        description="A class with scikit-learn's API, by import path",
    )
    pipeline: ImportPath | None = Field(
        None,
        examples=["mypkg.models.build"],
        description="A function without arguments that returns an unfitted scikit-learn Pipeline, or an estimator",
    )
    params: dict[str, Parameter] = Field({}, description="Its parameters: a value each, or a range to search")
    baseline: bool = Field(default=False, description="The model that every candidate must beat")
    resource: str | None = Field(
        None,
        examples=["max_iter"],
        description="The parameter, a whole number in params, that strategy halving gives less of before its last round, "
        "such as max_iter or n_estimators, where fewer folds are not enough; default: it gives fewer rows",
    )

    @model_validator(mode="after")
    def _one_path(self) -> Self:
        if (self.estimator is None) == (self.pipeline is None):
            msg = "expected either estimator (a class) or pipeline (a function that returns a Pipeline), exactly one"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _whole_resource(self) -> Self:
        if self.resource is not None:
            full = self.params.get(self.resource)
            if type(full) is not int or full < 1:
                msg = f"resource: params.{self.resource} must be there, one whole number above 0: what the last round gives"
                raise ValueError(msg)
        return self

    @property
    def path(self) -> str:
        """The import path, of whichever kind."""
        return self.estimator or self.pipeline or ""

    @property
    def label(self) -> str:
        """The candidate as shown to people."""
        return model_label(self.path, pipeline=self.pipeline is not None)


def model_label(path: str, *, pipeline: bool) -> str:
    """A class by its name, a function with its module's: many are called ``build``."""
    return ".".join(path.split(".")[-2 if pipeline else -1 :])


def distributions(params: Mapping[str, Parameter]) -> dict[str, Any]:
    """The space as ParameterSampler and ParameterGrid take it: name to list or scipy distribution, names sorted."""
    return {
        name: value.distribution() if isinstance(value, _RANGES) else [value] for name, value in sorted(params.items())
    }


def fits(candidate: CandidateSpec, params: Mapping[str, Any]) -> bool:
    """Whether parameters (of an earlier run, say) are a point of the candidate's space as it is now."""
    return params.keys() == candidate.params.keys() and all(
        declared.holds(params[name])
        if isinstance(declared, _RANGES)
        else canonical_json(declared) == canonical_json(params[name])
        for name, declared in candidate.params.items()
    )


class Part(NamedTuple):
    """What a trial gets for a share of its cost.

    Attributes:
        params: what it is fitted with.
        folds: on how many folds, the last ones; None: on all.
        share: of each fold's training rows.
        work: what it costs, as a part of a whole trial; at most a fold's part more than was asked for.
    """

    params: dict[str, Any]
    folds: int | None
    share: float
    work: float


def at_share(candidate: CandidateSpec, params: Mapping[str, Any], share: float, folds: int) -> Part:
    """What a trial gets for a share of its cost: fewer folds; and when that is not even half of one, a part of it.

    Folds come first, and whole: one less saves its part whatever is fitted, where half of the rows save little when they are
    few, and what was fitted on all of a fold's rows need not be fitted again for a larger share.

    Args:
        share: above 0 and at most 1.
        folds: how many a whole trial has. A part of one is of the candidate's ``resource`` when that names one, of which
            at least 1 is left and the rows are all there; else of its rows.
    """
    some = math.ceil(folds * share)
    part = 1.0 if folds * share > _HALF else folds * share
    kept = None if some == folds else some
    work = some * part / folds
    if candidate.resource is None:
        return Part(dict(params), kept, part, work)
    return Part({**params, candidate.resource: max(1, round(params[candidate.resource] * part))}, kept, 1.0, work)
