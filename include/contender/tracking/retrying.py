"""Retries of MLflow calls after transient errors: a lock, a broken connection, a server that restarts.

Retry only idempotent calls: reads, and writes that have the same effect the second time.
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

from contender.patience import patient
from contender.telling import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tenacity import RetryCallState, Retrying

_TRANSIENT = re.compile(
    r"database (table )?is locked|deadlock|could not serialize|connection|timed? ?out"
    r"|too many \d+ error responses|error code (429|50[0234])"
    # When two processes create the same thing at once, the database rejects one of them; its retry finds the thing.
    r"|UNIQUE constraint|duplicate (key|entry)",
    re.IGNORECASE,
)
_FOR_GOOD = ("INVALID_PARAMETER_VALUE", "UNAUTHENTICATED", "PERMISSION_DENIED", "ENDPOINT_NOT_FOUND", "NOT_FOUND")
_HTTP_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_ENVIRONMENT_LOCK = Lock()  # the environment is the whole process's
_logger = logging.getLogger(__name__)


class RetryCounter(Protocol):
    """An object that makes the calls and counts their retries."""

    retries: int


Caller = TypeVar("Caller", bound=RetryCounter)
P = ParamSpec("P")
R = TypeVar("R")


def is_transient(error: BaseException) -> bool:
    """Whether a retry can succeed. MLflow has no error code for it, so the text decides."""
    if not isinstance(error, MlflowException) or error.error_code in _FOR_GOOD:
        return False
    return _TRANSIENT.search(str(error)) is not None


def attempts(caller: RetryCounter) -> Retrying:
    """Attempts as ``contender.patience`` has them; each retry is counted and logged."""

    def count_retry(state: RetryCallState) -> None:
        caller.retries += 1
        error = state.outcome.exception() if state.outcome else None
        _logger.warning("MLflow is asked again (attempt %d): %s", state.attempt_number + 1, first_line(error))

    return patient(is_transient, count_retry)


def retried(method: Callable[Concatenate[Caller, P], R]) -> Callable[Concatenate[Caller, P], R]:
    """Call a method again after a transient error. The method must be idempotent."""

    @wraps(method)
    def call(self: Caller, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return attempts(self)(method, self, *args, **kwargs)

    return call


def asked_once(caller: RetryCounter, find: Callable[[], R | None], create: Callable[[], R], *, new: bool = False) -> R:
    """What ``find`` finds, else what ``create`` creates. It is created once, also when a reply is lost.

    Args:
        find: looks it up by a key that is set by the creating call itself.
        new: it cannot exist yet, so that only the attempts after a lost reply look it up.
    """
    look = not new

    def ask() -> R:
        nonlocal look
        found = find() if look else None
        look = True
        if found is not None:
            return found
        with without_http_retries():
            return create()

    return attempts(caller)(ask)


@contextmanager
def without_http_retries() -> Iterator[None]:
    """Send each request once: MLflow's HTTP client repeats a request whose reply was lost, which creates twice."""
    with _ENVIRONMENT_LOCK:
        before = os.environ.get(_HTTP_RETRIES)
        os.environ[_HTTP_RETRIES] = "0"
        try:
            yield
        finally:
            del os.environ[_HTTP_RETRIES]
            if before is not None:
                os.environ[_HTTP_RETRIES] = before
