"""Contender's errors as Airflow's outcomes: the only module that knows both."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from contender.errors import ContenderError
from contender.telling import raised

if TYPE_CHECKING:
    from collections.abc import Iterator


def _rule(branch: type[ContenderError]) -> RetryRule:
    """What Airflow does after an error of this branch; the branch itself says whether a retry helps."""
    if branch.retry_seconds is None:
        return RetryRule(branch, action=RetryAction.FAIL, reason="a retry does not help")
    return RetryRule(branch, retry_delay=timedelta(seconds=branch.retry_seconds), reason="a retry can help")


#: One rule for each branch of ContenderError. Any other exception is retried as the task's own arguments say.
RETRY_POLICY = ExceptionRetryPolicy(rules=[_rule(branch) for branch in ContenderError.__subclasses__()])


class Unexpected(AirflowException):
    """An exception of foreign code as the task's log may show it: its type, its place, its frames, and no value."""


@contextmanager
def translated() -> Iterator[None]:
    """Let errors end a task as they should, with their message as the last word.

    One that no retry helps fails it at once, without a traceback. One that is not ours may quote rows of the data, and
    Airflow logs its text and that of all errors behind it: it becomes ``Unexpected``, with the same frames.
    """
    try:
        yield
    except ContenderError as error:
        if error.retryable:
            error.__cause__, error.__suppress_context__ = None, True
            raise
        raise AirflowFailException(f"{type(error).__name__}: {error}") from None
    except AirflowException:
        raise
    except Exception as error:  # noqa: BLE001 - any
        raise Unexpected(raised(error)).with_traceback(error.__traceback__) from None
