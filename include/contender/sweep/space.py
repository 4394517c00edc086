"""The search space: the candidates and parameter ranges of the YAML, and what a share of a trial's cost buys."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from contender.canonical import canonical_json
from contender.frozen import Frozen, ImportPath
from contender.words import model_label

if TYPE_CHECKING:
    from collections.abc import Mapping

Scalar = bool | int | float | str | None
COUNTABLE = 1_000  # a range of fewer integers is listed
_HALF = 0.5  # shares above half a fold use the whole fold, so that no two rounds of halving are alike


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
        """Whether the value is of the bounds' type and between them, ends included."""
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
        """All its values when they are fewer than ``COUNTABLE``, so that none is drawn twice; else a distribution."""
        low, high = self.int_uniform
        if high - low < COUNTABLE:
            return list(range(low, high + 1))
        from scipy.stats import randint

        return randint(low, high + 1)


_RANGES = (Choice, Uniform, LogUniform, IntUniform)
_KINDS: dict[str, type[Frozen]] = {name: model for model in _RANGES for name in model.model_fields}


def _kind(value: Any) -> str | None:
    """The tag of a parameter: the one key of a range, ``constant`` for a single value, None for anything else."""
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
        """The import path of the estimator or of the pipeline function."""
        return self.estimator or self.pipeline or ""

    @property
    def label(self) -> str:
        """The candidate as shown to people."""
        return model_label(self.path, pipeline=self.pipeline is not None)


def distributions(params: Mapping[str, Parameter]) -> dict[str, Any]:
    """The space as scikit-learn's samplers take it: name to list or scipy distribution, names sorted."""
    return {
        name: value.distribution() if isinstance(value, _RANGES) else [value] for name, value in sorted(params.items())
    }


def in_space(candidate: CandidateSpec, params: Mapping[str, Any]) -> bool:
    """Whether parameters, such as those of an earlier run, are a point of the candidate's space as it is now."""
    return params.keys() == candidate.params.keys() and all(
        declared.holds(params[name])
        if isinstance(declared, _RANGES)
        else canonical_json(declared) == canonical_json(params[name])
        for name, declared in candidate.params.items()
    )


class Part(NamedTuple):
    """A trial cut down to a share of its cost.

    Attributes:
        params: its parameters, with less of the candidate's resource if that is what is cut.
        folds: the number of folds, the last ones; None: all.
        share: of each fold's training rows.
        work: its cost as a part of a whole trial's; above the share that was asked for by less than a fold.
    """

    params: dict[str, Any]
    folds: int | None
    share: float
    work: float


def at_share(candidate: CandidateSpec, params: Mapping[str, Any], share: float, folds: int) -> Part:
    """Cut a trial down to a share of its cost: fewer whole folds, or at most half a fold a part of one.

    Folds are cut before rows: a fold less saves its part of the cost for every estimator, half of few rows saves
    little, and a fold that was fitted whole keeps its score for a larger share.

    Args:
        share: above 0 and at most 1.
        folds: how many a whole trial has. A part of a fold is a part of the candidate's ``resource`` (at least 1) with
            all rows, or without a resource a part of the rows.
    """
    needed = math.ceil(folds * share)
    part = 1.0 if folds * share > _HALF else folds * share
    kept = None if needed == folds else needed
    work = needed * part / folds
    if candidate.resource is None:
        return Part(dict(params), kept, part, work)
    return Part({**params, candidate.resource: max(1, round(params[candidate.resource] * part))}, kept, 1.0, work)
