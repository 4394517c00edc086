"""Asking MLflow again when what went wrong passes by itself: a lock, a connection that broke, a server that restarts.

Only what may be repeated is asked again: a question, or an effect that is the same the second time.
"""

from __future__ import annotations

import logging
import os
import re
from contextlib import contextmanager
from functools import wraps
from threading import Lock
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from mlflow.exceptions import MlflowException
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tenacity import RetryCallState

SECONDS = 120.0  # longer than a server's restart
_PASSING = re.compile(
    r"database (table )?is locked|deadlock|could not serialize|connection|timed? ?out"
    r"|too many \d+ error responses|error code (429|50[0234])"
    # Of two that write the same thing at once, the database lets one through; the other finds it there.
    r"|UNIQUE constraint|duplicate (key|entry)",
    re.IGNORECASE,
)
_HTTP_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_ONE_AT_A_TIME = Lock()
_logger = logging.getLogger(__name__)


class Counting(Protocol):
    """Whoever asks, and counts how often again."""

    retries: int


Who = TypeVar("Who", bound=Counting)
P = ParamSpec("P")
R = TypeVar("R")


def passes(error: BaseException) -> bool:
    """Whether it is the kind of error that goes away."""
    if not isinstance(error, MlflowException) or error.error_code == "INVALID_PARAMETER_VALUE":
        return False
    return _PASSING.search(str(error)) is not None


def attempts(who: Counting) -> Retrying:
    """Attempts with growing random pauses, for at most ``SECONDS``; each beyond the first is counted and logged."""

    def again(state: RetryCallState) -> None:
        who.retries += 1
        error = state.outcome.exception() if state.outcome else None
        _logger.warning("MLflow is asked again (attempt %d): %s", state.attempt_number + 1, first_line(error))

    return Retrying(
        retry=retry_if_exception(passes),
        wait=wait_random_exponential(multiplier=0.05, max=10),
        stop=stop_after_delay(SECONDS),
        before_sleep=again,
        reraise=True,
    )


def asked_again(method: Callable[Concatenate[Who, P], R]) -> Callable[Concatenate[Who, P], R]:
    """A method that is called again when what went wrong passes; it must be one that may be."""

    @wraps(method)
    def patiently(self: Who, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return attempts(self)(method, self, *args, **kwargs)

    return patiently


@contextmanager
def asked_once() -> Iterator[None]:
    """MLflow's HTTP client sends a request again when the reply was lost, and does not say so: it would create twice."""
    with _ONE_AT_A_TIME:
        before = os.environ.get(_HTTP_RETRIES)
        os.environ[_HTTP_RETRIES] = "0"
        try:
            yield
        finally:
            del os.environ[_HTTP_RETRIES]
            if before is not None:
                os.environ[_HTTP_RETRIES] = before


def first_line(error: BaseException | None) -> str:
    """What it says, bounded."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
