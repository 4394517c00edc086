"""The search space: what a candidate and its parameters in YAML can be."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from contender.canonical import canonical_json
from contender.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

IMPORT_PATH = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"
Scalar = bool | int | float | str | None
COUNTABLE = 1_000


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
    """An estimator by import path and the parameters to search."""

    estimator: str = Field(pattern=IMPORT_PATH, examples=["sklearn.linear_model.LogisticRegression"])
    params: dict[str, Parameter] = {}
    baseline: bool = Field(default=False, description="The model that every candidate must beat")

    @property
    def label(self) -> str:
        """The class name, as shown to people."""
        return self.estimator.rpartition(".")[2]


def distributions(params: Mapping[str, Parameter]) -> dict[str, Any]:
    """The space as ParameterSampler and ParameterGrid take it: name to list or scipy distribution, names sorted."""
    ranges = (Choice, Uniform, LogUniform, IntUniform)
    return {
        name: value.distribution() if isinstance(value, ranges) else [value] for name, value in sorted(params.items())
    }
