"""The queue of trials: each goes to one task, the slow ones first, and a task that is retried goes on with its own."""

from __future__ import annotations

import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import AS_OF, make_run
from contender.documents.sweep import Plan, Point, Trial, TrialResult
from contender.store.base import write_document
from contender.store.local import LocalStore
from contender.sweep.results import result_key
from contender.sweep.trial_queue import TASK_SECONDS, Queue, in_order, tasks_for

RUN = make_run()


def planned(keys: str, **parts: object) -> Plan:
    trials = tuple(Trial(key=key, estimator=f"pkg.{key}", params={}, seed=0) for key in keys)
    points = tuple(Point(candidate=0, params={}) for _ in keys)
    return Plan.model_validate({"trials": trials, "points": points, "tasks": 2, **parts})


def record(store: LocalStore, trial: Trial) -> None:
    result = TrialResult(trial=trial, status="complete", mean=0.5, seconds=1, cpu_seconds=1, started=AS_OF)
    write_document(store, result_key(RUN, trial.key), result)


def names(trials: list[Trial]) -> str:
    return "".join(trial.key for trial in trials)


def test_what_takes_longest_comes_first_and_equals_in_the_order_of_the_plan() -> None:
    plan = planned("abcd", seconds={"b": 9.0, "c": 1.0, "d": 1.0})
    assert names(in_order(plan)) == "bcda"


def test_a_trial_counts_as_what_is_left_of_it_to_fit() -> None:
    trials = (Trial(key="a", estimator="pkg.a", params={}, seed=0, work=0.1), *planned("b").trials)
    assert names(in_order(planned("ab", trials=trials, seconds={"a": 5.0, "b": 1.0}))) == "ba"


def test_a_trial_that_another_run_recorded_goes_to_no_task() -> None:
    assert names(in_order(planned("abc", reused=("b",)))) == "ac"


@pytest.mark.slow
@given(order=st.lists(st.integers(0, 2), min_size=12, max_size=60))
def test_however_tasks_take_turns_every_trial_goes_to_exactly_one_task(order: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(folder)
        queues = [iter(Queue(RUN, planned("abcdef"), store, task)) for task in range(3)]
        given = []
        for task in [*order, *[0] * 7, *[1] * 7, *[2] * 7]:
            trial = next(queues[task], None)
            if trial is not None:
                given.append(trial.key)
                record(store, trial)
        assert sorted(given) == list("abcdef")


def test_a_task_that_is_tried_again_goes_on_with_what_it_had_taken(store: LocalStore) -> None:
    plan = planned("abcd")
    first = iter(Queue(RUN, plan, store, 0))
    record(store, next(first))
    next(first)  # b: taken, and the task is gone
    other = iter(Queue(RUN, plan, store, 1))
    record(store, next(other))
    again = Queue(RUN, plan, store, 0)
    assert names(again.taken) == "ab"
    assert names(list(again)) == "bd"
    assert names(again.taken) == "abd"
    assert again.unrecorded() == ("b", "d")


@pytest.mark.slow
@given(turns=st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=12, max_size=60))
def test_with_trials_taken_ahead_every_trial_goes_to_exactly_one_task(turns: list[tuple[int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(folder)
        queues = [Queue(RUN, planned("abcdefghij"), store, task) for task in range(3)]
        given = []
        for task, ahead in [*turns, *((task, False) for task in [0, 1, 2] * 10)]:
            if ahead:
                queues[task].reserve()
            elif (trial := next(queues[task], None)) is not None:
                given.append(trial.key)
                record(store, trial)
        assert sorted(given) == list("abcdefghij")


def test_a_trial_is_taken_ahead_only_while_two_for_each_task_are_left(store: LocalStore) -> None:
    queue = Queue(RUN, planned("abcdefg"), store, 0)
    taken = []
    for trial in queue:
        queue.reserve()
        queue.reserve()
        taken.append((trial.key, names(queue.taken)[-1]))
    assert taken == [("a", "b"), ("b", "c"), ("c", "d"), *((key, key) for key in "defg")]


def test_a_trial_taken_ahead_by_a_task_that_died_goes_to_its_next_try(store: LocalStore) -> None:
    plan = planned("abcdefgh")
    first = Queue(RUN, plan, store, 0)
    record(store, next(first))
    first.reserve()
    assert next(Queue(RUN, plan, store, 1)).key == "c"
    assert next(Queue(RUN, plan, store, 0)).key == "b"


def test_a_task_leaves_alone_what_another_is_at_work_on(store: LocalStore) -> None:
    next(iter(Queue(RUN, planned("ab"), store, 0)))
    assert names(list(Queue(RUN, planned("ab"), store, 1))) == "b"


@pytest.mark.parametrize(
    ("trials", "seconds", "most", "tasks"),
    [
        (200, 1_000.0, 2, 2),  # one for each that may run side by side, and no more
        (200, 20 * TASK_SECONDS, 8, 2),  # a task costs a tenth of what it fits, at most
        (200, 0.1, 8, 1),
        (3, 1_000.0, 8, 3),
        (0, 0.0, 8, 1),
    ],
)
def test_there_are_as_many_tasks_as_the_work_is_worth(trials: int, seconds: float, most: int, tasks: int) -> None:
    assert tasks_for(trials, seconds, most) == tasks
