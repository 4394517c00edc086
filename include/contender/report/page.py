"""What the pages share: the template environment and how values are written; ``contender.words`` writes scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from jinja2 import Environment

_LONGEST = 300  # characters of one value, so that a parameter or an error cannot fill the page


def page_environment() -> Environment:
    """The Jinja environment of the pages: all text is escaped, and an undefined name is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("contender", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(rows=rows, moment=moment)
    return environment


def rows(number: int) -> str:
    """A number of rows: 12,345."""
    return f"{number:,}"


def moment(when: datetime) -> str:
    """A moment in UTC; at midnight the day alone."""
    return f"{when:%Y-%m-%d}" if (when.hour, when.minute, when.second) == (0, 0, 0) else f"{when:%Y-%m-%d %H:%M} UTC"


def setting(value: Any) -> str:
    """The value of a parameter or an argument, cut at ``_LONGEST`` characters."""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = ", ".join(map(setting, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def settings(params: Mapping[str, Any]) -> str:
    """Parameters on one line."""
    return ", ".join(f"{name}={setting(value)}" for name, value in params.items()) or "as they are"
