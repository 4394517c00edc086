"""A step's time limit follows from what the YAML says of time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from builders import make_spec
from contender.spec.timeouts import step_timeout, train_timeout, verification_timeout

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("said", "hours"),
    [
        ({"deadline": "30m"}, 1),
        ({}, 6),
        ({"deadline": "12h"}, 12),
        ({"sweep": {"budget": "48h"}}, 48),
        ({"deadline": "12h", "sweep": {"budget": "48h"}}, 48),
    ],
)
def test_no_step_is_stopped_before_the_run_is_late_or_the_sweep_would_end(said: dict[str, Any], hours: int) -> None:
    spec = make_spec(**said)
    assert step_timeout(spec) == hours * HOUR
    assert HOUR / 2 <= verification_timeout(spec) < step_timeout(spec)


def test_a_training_task_has_the_time_of_its_round_and_some_beside_it() -> None:
    spec = make_spec(sweep={"budget": "3h", "strategy": {"kind": "halving", "trials": 9, "rounds": 3}})
    assert HOUR < train_timeout(spec) < 2 * HOUR


def test_the_verification_of_an_adopted_model_has_a_limit_too() -> None:
    assert verification_timeout(None) == HOUR / 2
