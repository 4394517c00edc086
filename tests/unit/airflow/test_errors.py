"""What Airflow does after each of Contender's errors, derived from the errors themselves."""

from __future__ import annotations

import traceback

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from contender.errors import BackendError, ContenderError
from contender_airflow.errors import RETRY_POLICY, Unexpected, translated

ROW = "7 Elm Row"
BRANCHES = ContenderError.__subclasses__()


@pytest.mark.parametrize("branch", BRANCHES)
def test_every_branch_has_exactly_one_rule_which_fails_exactly_what_no_retry_helps(
    branch: type[ContenderError],
) -> None:
    error = branch("x")
    [rule] = [rule for rule in RETRY_POLICY.rules if rule.matches(error)]
    decision = RETRY_POLICY.evaluate(error, 1, 3, None)
    assert decision.action is rule.action is (RetryAction.RETRY if error.retryable else RetryAction.FAIL)
    delay = None if decision.retry_delay is None else decision.retry_delay.total_seconds()
    assert delay == branch.retry_seconds


def test_there_is_no_rule_for_anything_else() -> None:
    assert len(RETRY_POLICY.rules) == len(BRANCHES)
    assert RETRY_POLICY.evaluate(ValueError("x"), 1, 3, None).action is RetryAction.DEFAULT


def test_the_policy_survives_serialization() -> None:
    again = ExceptionRetryPolicy.deserialize(RETRY_POLICY.serialize())
    for branch in BRANCHES:
        assert again.evaluate(branch("x"), 1, 3) == RETRY_POLICY.evaluate(branch("x"), 1, 3)


@pytest.mark.parametrize("branch", BRANCHES)
def test_what_no_retry_helps_fails_the_task_with_its_message_and_no_traceback(branch: type[ContenderError]) -> None:
    error = branch("data.source: no such file")
    with pytest.raises(branch if error.retryable else AirflowFailException) as caught, translated():
        raise error
    if not error.retryable:
        assert str(caught.value) == f"{branch.__name__}: data.source: no such file"
        assert caught.value.__suppress_context__


def fail(kind: type[Exception]) -> None:
    try:
        raise KeyError(ROW)
    except KeyError as error:
        msg = f"this row is odd: {error}"
        raise kind(msg) from error


def test_an_error_that_is_not_ours_is_told_without_its_text_and_without_those_behind_it() -> None:
    told = r"^ValueError: this row is odd: \.\.\. \(.*test_errors\.py:\d+\)$"
    with pytest.raises(Unexpected, match=told) as caught, translated():
        fail(ValueError)
    shown = "".join(traceback.format_exception(caught.value))
    assert ROW not in shown
    assert "in fail" in shown
    assert RETRY_POLICY.evaluate(caught.value, 1, 3, None).action is RetryAction.DEFAULT


def test_an_error_that_a_retry_helps_is_shown_without_the_foreign_one_behind_it() -> None:
    with pytest.raises(BackendError) as caught, translated():
        fail(BackendError)
    assert "direct cause" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("kind", [AirflowSkipException, AirflowFailException, AirflowException])
def test_what_airflow_raises_passes_as_it_is(kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"^x$"), translated():
        raise kind("x")
