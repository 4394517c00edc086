"""Retries of MLflow calls: only after transient errors, for a bounded time, counted and logged."""

from __future__ import annotations

import logging
import os
from threading import Thread

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from contender.patience import patience
from contender.tracking.retrying import is_transient, retried, without_http_retries

TRANSIENT = [
    "(sqlite3.OperationalError) database is locked [SQL: INSERT INTO tags ...]",
    "(psycopg.errors.DeadlockDetected) deadlock detected",
    "(psycopg.OperationalError) server closed the connection unexpectedly",
    "API request to http://h/api failed with exception ('Connection aborted.', RemoteDisconnected('...'))",
    "API request to http://h/api failed with timeout exception Read timed out. (read timeout=120)",
    "API request to endpoint /api/2.0/mlflow/runs/create failed with error code 503 != 200",
    "API request to http://h/api failed with exception too many 502 error responses",
    "(sqlite3.IntegrityError) UNIQUE constraint failed: params.key, params.run_uuid",
]
PERMANENT = [
    "(sqlite3.OperationalError) no such table: runs",
    "(sqlite3.OperationalError) attempt to write a readonly database",
    "API request to endpoint /api/2.0/mlflow/runs/create failed with error code 403 != 200",
    "Run with id=1 not found",
]


class Asker:
    """Fails with the given messages, one after another, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.retries = 0
        self.errors = list(errors)

    @retried
    def ask(self, answer: str) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return answer


@pytest.mark.parametrize("message", TRANSIENT)
def test_a_transient_error_is_retried_and_counted(message: str) -> None:
    asker = Asker(*[MlflowException(message)] * 2)
    assert asker.ask("yes") == "yes"
    assert asker.retries == 2


@pytest.mark.parametrize("message", PERMANENT)
def test_a_permanent_error_is_raised_at_once(message: str) -> None:
    asker = Asker(MlflowException(message))
    with pytest.raises(MlflowException, match=r".*"):
        asker.ask("yes")
    assert asker.retries == 0


def test_what_a_user_wrote_never_looks_like_a_broken_connection() -> None:
    said = "Changing param values is not allowed: 'the connection timed out'"
    assert not is_transient(MlflowException(said, error_code=INVALID_PARAMETER_VALUE))
    assert not is_transient(RuntimeError("database is locked"))


def test_retries_end_after_a_time() -> None:
    asker = Asker(*[MlflowException("database is locked")] * 1_000)
    with pytest.raises(MlflowException, match="database is locked"), patience(0.2):
        asker.ask("yes")
    assert 1 <= asker.retries < 1_000


def test_each_retry_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="contender"):
        Asker(MlflowException("database is locked\nTraceback ...")).ask("yes")
    assert [record.getMessage() for record in caplog.records] == [
        "MLflow is asked again (attempt 2): database is locked"
    ]


@pytest.mark.parametrize("before", [None, "3"])
def test_mlflows_own_client_does_not_retry_inside_the_block_only(
    before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    monkeypatch.delenv(name, raising=False)
    if before is not None:
        monkeypatch.setenv(name, before)

    def ask() -> None:
        for _ in range(200):
            with without_http_retries():
                seen.add(os.environ[name])

    seen: set[str] = set()
    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"0"}
    assert os.environ.get(name) == before
