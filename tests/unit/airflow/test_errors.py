"""What Airflow does after each of Contender's errors, derived from the errors themselves."""

from __future__ import annotations

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy
from airflow.sdk.exceptions import AirflowFailException

from contender.errors import ContenderError
from contender_airflow.errors import RETRY_POLICY, translated

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


def test_an_error_that_is_not_ours_passes_as_it_is() -> None:
    with pytest.raises(KeyError), translated():
        raise KeyError("x")
