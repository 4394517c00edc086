"""The base of every declared or stored value, and the field types (duration, import path) that models share."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

# Trigger conf can never set an import path: see PipelineSpec.import_paths.
ImportPath = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]
_DURATION = re.compile(r"(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")
_LONGEST = timedelta(days=36_525)  # 100 years; an as_of (1970 or later) minus that is still a valid date
_LONGEST_TEXT = 60
_UNITS = (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


class Frozen(BaseModel):
    """An immutable value with a JSON form. Unknown fields and non-finite numbers are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants")


class Guarded(Frozen):
    """A part of the spec that limits how a trigger may change its overridable fields."""

    def limits(self, name: str) -> dict[str, Any]:
        """The limits on a trigger's value beyond the field's own, as JSON schema keywords.

        Raises:
            ValueError: no trigger may set this field.
        """
        raise NotImplementedError

    def check_override(self, name: str, value: Any) -> None:
        """Check a trigger's value, already of the field's type, against the limits.

        Raises:
            ValueError: the value is outside them.
        """
        raise NotImplementedError


def parse_duration(value: Any) -> Any:
    """``"28d"``, ``"1d12h"``, ``"20m"`` as a timedelta; a timedelta is returned as it is.

    Raises:
        ValueError: not a duration, or longer than 100 years.
    """
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT else None
    if match is None:
        msg = f"got {str(value)[:60]!r}, expected a duration such as 365d, 12h, 20m or 1d12h"
        raise ValueError(msg)
    amounts = [int(group or 0) for group in match.groups()]
    seconds = sum(n * seconds for n, (_, seconds) in zip(amounts, _UNITS, strict=True))
    if seconds > _LONGEST.total_seconds():
        msg = f"got {value!r}, expected at most {_LONGEST.days}d"
        raise ValueError(msg)
    return timedelta(seconds=seconds)


def format_duration(value: timedelta) -> str:
    """The shortest text, in days and smaller units, that ``parse_duration`` reads as the same value."""
    rest = int(value.total_seconds())
    parts = []
    for unit, seconds in _UNITS[1:]:
        amount, rest = divmod(rest, seconds)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(?=.)(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?$", "examples": ["28d", "20m"]}
    ),
]


def _above_zero(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        msg = "must be longer than nothing"
        raise ValueError(msg)
    return value


PositiveDuration = Annotated[Duration, AfterValidator(_above_zero)]
