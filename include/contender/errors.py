"""The errors Contender raises on purpose. One root, few branches; each says whether a retry helps.

A gate's "no" is a value (a Verdict), never an exception.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ContenderError(Exception):
    """Root of everything Contender raises on purpose; never raised itself."""

    retryable = False


class ConfigError(ContenderError, ValueError):
    """A declaration (YAML, trigger conf, connection) is wrong. A retry does not help; the declaration must change."""


class DataUnavailable(ContenderError):
    """The data is not there (yet): no file, no row in the window. A retry can help."""

    retryable = True


class DataRejected(ContenderError):
    """The data is there and bad: a check failed. A retry does not help; the data or the checks must change."""


class BackendError(ContenderError):
    """A store, MLflow or a fresh process did not do its work. A retry can help."""

    retryable = True


class Conflict(ContenderError):
    """Somebody else changed what this run was about to change. A retry of the task does not help; a new run does."""


def one_line(text: object) -> str:
    """Somebody's text for a message: bounded, and escaped where it could break or forge a line."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in str(text)[:60])


def did_you_mean(word: str, allowed: Iterable[str], *, listed: str = "Allowed") -> str:
    """A hint for a mistyped word: `` Did you mean 'x'?``, or the bounded list of what is allowed, or nothing.

    Args:
        listed: what the list begins with; ``There are`` for what is just there, such as a file's columns.
    """
    names = sorted(allowed)
    alike = {name.strip().lower(): name for name in names}
    close = difflib.get_close_matches(word, names, n=1) or difflib.get_close_matches(word.strip().lower(), alike, n=1)
    if close:
        return f" Did you mean {close[0] if close[0] in names else alike[close[0]]!r}?"
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f" {listed}: {shown}."
