"""The account of a sweep: no planned trial is missing unless the budget cut it, and the best one is always the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import AS_OF, make_run
from contender.documents.sweep import Plan, TaskReport, Trial, TrialResult
from contender.errors import BackendError, DataRejected
from contender.store.base import write_document
from contender.sweep.results import (
    Round,
    Sweep,
    best,
    complete_results,
    nothing_completed,
    result_key,
    sweep_so_far,
)

if TYPE_CHECKING:
    from contender.store.local import LocalStore

RUN = make_run()


def trial(key: str, *, baseline: bool = False) -> Trial:
    return Trial(key=key, estimator="pkg.A", params={}, seed=0, baseline=baseline)


def result(key: str, mean: float | None, *, baseline: bool = False, error: str | None = None) -> TrialResult:
    return TrialResult(
        trial=trial(key, baseline=baseline), status="failed" if mean is None else "complete", mean=mean,
        seconds=1, cpu_seconds=1, started=AS_OF, error=error,
    )  # fmt: skip


def swept(store: LocalStore, *results: TrialResult, missing: str = "", untried: str = "") -> None:
    """A plan of these results and of keys without one; the last task reports what it did not try."""
    keys = [*(found.trial.key for found in results), *missing, *untried]
    write_document(store, RUN.round_key(1, "plan.json"), Plan(trials=tuple(map(trial, keys)), tasks=1))
    for found in results:
        write_document(store, result_key(RUN, found.trial.key), found)
    report = TaskReport(index=0, done=0, failed=0, untried=tuple(untried))
    write_document(store, RUN.round_key(1, "shards/0.json"), report)


def test_every_planned_trial_is_accounted_for_in_order(store: LocalStore) -> None:
    swept(store, result("c", 0.5), result("a", 0.7), result("b", None, error="boom"))
    sweep = complete_results(RUN, store)
    assert [found.trial.key for found in sweep.results] == ["c", "a", "b"]
    assert (sweep.rungs, sweep.untried) == ([], ())


def test_a_missing_trial_is_an_error_that_says_what_to_do(store: LocalStore) -> None:
    swept(store, result("a", 0.5), missing="bc")
    with pytest.raises(BackendError, match=r"^2 of 3 planned trials have no record \(b, c\); clear the train tasks"):
        complete_results(RUN, store)


def test_a_trial_that_the_budget_cut_is_not_missing_and_named(store: LocalStore) -> None:
    swept(store, result("a", 0.5), untried="cb")
    assert complete_results(RUN, store).untried == ("b", "c")


def test_a_cut_trial_that_was_recorded_after_all_is_not_cut(store: LocalStore) -> None:
    swept(store, result("a", 0.5), untried="b")
    write_document(store, result_key(RUN, "b"), result("b", 0.6))
    sweep = complete_results(RUN, store)
    assert ([found.trial.key for found in sweep.results], sweep.untried) == (["a", "b"], ())


def test_a_round_counts_its_trials_by_how_they_ended_and_by_who_did_them(store: LocalStore) -> None:
    swept(store, result("a", 0.5).model_copy(update={"run_id": RUN.id}), result("b", None), untried="c", missing="d")
    counts = {"planned": 4, "completed": 1, "failed": 1, "untried": 1, "reused": 1}
    [one] = sweep_so_far(RUN, store).rounds
    assert (one.counts(RUN), one.missing) == (counts, ("d",))
    assert Sweep([one, one]).counts(RUN) == {name: 2 * count for name, count in counts.items()}


def test_before_the_plan_there_is_nothing_to_count(store: LocalStore) -> None:
    assert sweep_so_far(RUN, store).counts(RUN) == {}


def test_when_every_trial_failed_the_reasons_are_named(store: LocalStore) -> None:
    swept(store, result("a", None, error="ValueError: x"), result("b", None, error="ValueError: x"), result("c", None))
    with pytest.raises(DataRejected, match="none of 3 trials completed: ValueError: x; no reason given"):
        complete_results(RUN, store)


def test_when_the_budget_cut_everything_it_is_named(store: LocalStore) -> None:
    swept(store, untried="ab")
    with pytest.raises(
        DataRejected, match=r"none of 2 trials completed: the budget ended before the others; raise sweep\.budget"
    ):
        complete_results(RUN, store)


def test_a_round_that_came_to_nothing_is_named_with_its_own_reasons() -> None:
    def a_round(number: int, *results: TrialResult, untried: str = "") -> Round:
        trials = (*(one.trial for one in results), *map(trial, untried))
        return Round(Plan(round=number, trials=trials, tasks=1, may_win=number == 3), list(results), tuple(untried))

    rungs = [a_round(1, result("a", 0.5), result("b", None, error="no")), a_round(2, result("c", None, error="boom"))]
    said = [str(nothing_completed(Sweep(rounds))) for rounds in (rungs, [*rungs, a_round(3)])]
    assert said == ["sweep: none of 1 trials of round 2 completed: boom"] * 2
    cut = [rungs[0], a_round(2, result("c", None, error="boom"), untried="d")]
    assert str(nothing_completed(Sweep(cut))) == (
        "sweep: none of 2 trials of round 2 completed: boom; the budget ended before the others; raise sweep.budget"
    )


def test_who_is_the_baseline_is_this_plans_say_not_an_earlier_records(store: LocalStore) -> None:
    swept(store, result("a", 0.9, baseline=True), result("b", 0.5))
    results = complete_results(RUN, store).results
    assert [found.trial.baseline for found in results] == [False, False]
    assert [found.mean for found in results] == [0.9, 0.5]


def test_the_best_has_the_greatest_mean_and_of_equals_the_smallest_key() -> None:
    results = [result("c", 0.7), result("b", 0.7), result("a", None), result("d", -0.2)]
    found = best(results)
    assert found is not None
    assert found.trial.key == "b"


@given(st.permutations([result("a", 0.7), result("b", 0.7, baseline=True), result("c", 0.6), result("d", None)]))
def test_the_order_of_results_does_not_decide(results: list[TrialResult]) -> None:
    found = [best(results), best(results, baseline=True), best(results, baseline=False)]
    assert [one.trial.key if one else None for one in found] == ["a", "b", "a"]


def test_a_score_of_nothing_is_a_score() -> None:
    found = best([result("a", -0.5), result("b", 0.0)])
    assert found is not None
    assert found.trial.key == "b"


@pytest.mark.parametrize("baseline", [True, False, None])
def test_without_a_complete_trial_there_is_no_best(baseline: bool | None) -> None:
    assert best([result("a", None)], baseline=baseline) is None
    assert best([], baseline=baseline) is None
