"""Contender's errors as Airflow's outcomes: the only module that knows both."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowFailException

from contender.errors import ContenderError

if TYPE_CHECKING:
    from collections.abc import Iterator


def _rule(branch: type[ContenderError]) -> RetryRule:
    """What Airflow does after an error of this branch; the branch itself says whether a retry helps."""
    if branch.retry_seconds is None:
        return RetryRule(branch, action=RetryAction.FAIL, reason="a retry does not help")
    return RetryRule(branch, retry_delay=timedelta(seconds=branch.retry_seconds), reason="a retry can help")


#: One rule for each branch of ContenderError. Any other exception is retried as the task's own arguments say.
RETRY_POLICY = ExceptionRetryPolicy(rules=[_rule(branch) for branch in ContenderError.__subclasses__()])


@contextmanager
def translated() -> Iterator[None]:
    """Let an error that no retry helps fail the task at once, with its message as the last word and no traceback."""
    try:
        yield
    except ContenderError as error:
        if error.retryable:
            raise
        raise AirflowFailException(f"{type(error).__name__}: {error}") from None
