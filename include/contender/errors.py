"""The errors Contender raises on purpose: one root, five branches; each says whether a retry helps, and after how long.

A gate's "no" is a value (a Verdict), never an exception.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar


class ContenderError(Exception):
    """Root of everything Contender raises on purpose; never raised itself."""

    #: How long to wait before a retry; None: a retry does not help.
    retry_seconds: ClassVar[float | None] = None

    @property
    def retryable(self) -> bool:
        """Whether a retry can help."""
        return self.retry_seconds is not None


class ConfigError(ContenderError, ValueError):
    """A declaration (YAML, trigger conf, connection) is wrong. A retry does not help; the declaration must change."""


class DataUnavailable(ContenderError):
    """The data is not there (yet): no file, no row in the window. A retry can help."""

    retry_seconds = 30.0  # data that is being delivered is rarely complete within seconds


class DataRejected(ContenderError):
    """The data is there and bad: a check failed. A retry does not help; the data or the checks must change."""


class BackendError(ContenderError):
    """A store, MLflow or a fresh process did not do its work. A retry can help."""

    retry_seconds = 5.0  # a service that restarts is back within seconds


class Conflict(ContenderError):
    """Another process changed what this run was about to change. A retry of the task does not help; a new run does."""


@contextmanager
def next_move(words: str) -> Iterator[None]:
    """Tell what to do when data is rejected in the block: that depends on the step more than on the data."""
    try:
        yield
    except DataRejected as error:
        raise DataRejected(f"{str(error).rstrip('. ')}. {words}") from None


def one_line(text: object) -> str:
    """Foreign text for a message: at most 60 characters, escaped where it could break or forge a line."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in str(text)[:60])


def did_you_mean(word: str, allowed: Iterable[str], *, listed: str = "Allowed") -> str:
    """A hint for a mistyped word: `` Did you mean 'x'?``, or a bounded list of the allowed words, or nothing.

    Args:
        listed: the first words of that list; ``There are`` for names that exist, such as a file's columns.
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
