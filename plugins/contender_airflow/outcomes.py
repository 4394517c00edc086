"""Contender's errors as Airflow's outcomes. The only place that knows both."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowFailException

from contender.errors import BackendError, ConfigError, Conflict, ContenderError, DataRejected, DataUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Retries help where the world may change by itself; a wrong declaration or bad data stays what it is.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule([ConfigError, DataRejected, Conflict], action=RetryAction.FAIL, reason="a retry cannot help"),
        RetryRule(DataUnavailable, retry_delay=timedelta(seconds=30), reason="the data may still arrive"),
        RetryRule(BackendError, retry_delay=timedelta(seconds=5), reason="the store or MLflow may answer again"),
    ]
)


@contextmanager
def translated() -> Iterator[None]:
    """Let a user's mistake fail with its message as the last word, without a retry."""
    try:
        yield
    except ContenderError as error:
        if error.retryable:
            raise
        raise AirflowFailException(f"{type(error).__name__}: {error}") from None
