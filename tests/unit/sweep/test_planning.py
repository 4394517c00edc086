"""The plan: the same trials under the same keys, and another key for everything that could change a number."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from builders import AS_OF, LOGISTIC, TIMED, TREE, make_run
from contender.canonical import canonical_json
from contender.documents.code import Code
from contender.documents.data import Quarantine, Snapshot
from contender.documents.run import Run
from contender.documents.sweep import Trial, TrialResult
from contender.errors import Conflict, DataRejected
from contender.store.base import write_document
from contender.sweep.planning import check_same_code, make_plan
from contender.sweep.results import result_key
from contender.sweep.trial_queue import in_order
from ownpkg import importable, write_package

if TYPE_CHECKING:
    from pathlib import Path

    from contender.documents.sweep import Plan
    from contender.store.local import LocalStore

CODE = Code(fingerprint="f", python="3.11.0", versions={"numpy": "2.0.0"})
SWEEP = {"strategy": {"kind": "random", "trials": 6}, "candidates": [
    {"estimator": LOGISTIC, "params": {"C": {"log_uniform": [0.01, 10]}}, "baseline": True},
    {"estimator": TREE, "params": {"max_depth": {"int_uniform": [2, 9]}}},
]}  # fmt: skip


def planned(store: LocalStore, run: Run, *, snapshot: str = "s1", quarantine: str = "q1", tasks: int = 2) -> Plan:
    columns = ({"name": "x", "type": "number"},)
    write_document(
        store, run.key("snapshot.json"),
        Snapshot(id=snapshot, rows=9, columns=columns, unlabelled=0, sources=()),  # type: ignore[arg-type]
    )  # fmt: skip
    write_document(store, run.key("quarantine.json"), Quarantine(id=quarantine, snapshot=snapshot, rows={}, checks=()))
    return make_plan(run, store, tasks=tasks, probe=lambda trials: {trial.label: 60.0 for trial in trials})


def asked(**changes: Any) -> Run:
    code = changes.pop("code", CODE)
    return make_run(**{"sweep": SWEEP, "data": TIMED, **changes}).model_copy(update={"code": code})


def keys(plan: Plan) -> list[str]:
    return [trial.key for trial in plan.trials]


def recorded(store: LocalStore, run: Run, trial: Trial, error: str | None = None) -> None:
    ended: Any = {"status": "failed", "error": error} if error else {"status": "complete", "mean": 0.5}
    result = TrialResult(trial=trial, seconds=1, cpu_seconds=1, started=AS_OF, **ended)
    write_document(store, result_key(run, trial.key), result)


def test_a_round_after_one_in_which_all_failed_is_not_planned(store: LocalStore) -> None:
    run = asked(sweep={**SWEEP, "strategy": {"kind": "halving", "trials": 9}})
    plan = planned(store, run)
    for number, error in ((1, None), (2, "boom")):
        write_document(store, run.round_key(number, "plan.json"), plan)
        for trial in plan.trials:
            recorded(store, run, trial, error)
        if error:
            with pytest.raises(DataRejected, match=r"^sweep: none of 4 trials of round 2 completed: boom$"):
                make_plan(run, store, number=3, tasks=1, probe=lambda _: {})
        else:
            plan = make_plan(run, store, number=2, tasks=1, probe=lambda _: {})


def test_a_plan_holds_each_trial_once_with_the_point_it_came_from(store: LocalStore) -> None:
    plan = planned(store, asked())
    assert len(set(keys(plan))) == 6
    assert [trial.baseline for trial in plan.trials] == [True] * 3 + [False] * 3
    assert (plan.tasks, plan.reused, len(plan.points)) == (2, (), 6)


@pytest.mark.parametrize("tasks", [1, 3, 50])
def test_packing_changes_no_trial(store: LocalStore, tasks: int) -> None:
    assert planned(store, asked(), tasks=tasks).trials == planned(store, asked()).trials


def test_another_run_of_the_same_plans_the_same_keys(store: LocalStore) -> None:
    changed = asked(run_id="r2", reason="again", owner="another-team", description="else", promote=False)
    assert keys(planned(store, changed)) == keys(planned(store, asked()))


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"as_of": AS_OF + timedelta(days=1)},
        {"split": {"folds": 3}},
        {"split": {"gate": "7d", "folds": 2}},
        {"sweep": {**SWEEP, "metric": "accuracy"}},
        {"data": {**TIMED, "label_delay": "1d"}},
        {"data": {**TIMED, "exclude": ["x"]}},
        {"data": {**TIMED, "positive": "no"}},
        {"data": {**TIMED, "target": "z"}},
        {"data": {**TIMED, "id": None}},
        {"code": CODE.model_copy(update={"fingerprint": "g"})},
        {"code": CODE.model_copy(update={"versions": {"numpy": "2.0.1"}})},
    ],
)
def test_whatever_can_change_a_number_changes_every_key(store: LocalStore, changes: dict[str, Any]) -> None:
    assert not set(keys(planned(store, asked(**changes)))) & set(keys(planned(store, asked())))


def test_code_of_the_users_own_changes_the_keys_of_what_it_is_behind(store: LocalStore, tmp_path: Path) -> None:
    own = {"strategy": {"kind": "grid"}, "candidates": [{"estimator": LOGISTIC}, {"pipeline": "mypkg.models.build"}]}
    found = []
    for constants in ("SCALE = 1.0\n", "SCALE = 2.0\n"):
        with importable(write_package(tmp_path, constants=constants)):
            found.append(planned(store, asked(sweep=own)).trials)
            found.append(planned(store, asked(sweep={**own, "metric": "mypkg.metrics.profit"})).trials)
    before, by_profit, after, after_by_profit = ([trial.key for trial in trials] for trials in found)
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False]
    assert not set(by_profit) & set(after_by_profit)
    assert [(trial.pipeline, trial.label) for trial in found[0]] == [
        (False, "LogisticRegression"),
        (True, "models.build"),
    ]


def test_code_that_changed_since_the_plan_is_seen(store: LocalStore, tmp_path: Path) -> None:
    run = asked(sweep={"strategy": {"kind": "grid"}, "candidates": [{"pipeline": "mypkg.models.build"}]})
    with importable(write_package(tmp_path)):
        trials = planned(store, run).trials
        check_same_code(run, trials)
        write_package(tmp_path, helpers___init__="# nothing\n")
        with pytest.raises(Conflict, match=r"the code behind mypkg\.models\.build .* changed .*; start a new run"):
            check_same_code(run, trials)


@pytest.mark.parametrize("names", [{"snapshot": "s2"}, {"quarantine": "q2"}])
def test_other_rows_are_other_trials(store: LocalStore, names: dict[str, str]) -> None:
    assert not set(keys(planned(store, asked(), **names))) & set(keys(planned(store, asked())))  # type: ignore[arg-type]


def test_without_a_time_column_the_salt_decides_the_keys_and_as_of_does_not(store: LocalStore) -> None:
    plain = keys(planned(store, asked(data={})))
    assert keys(planned(store, asked(data={}, as_of=AS_OF + timedelta(days=7)))) == plain
    assert not set(keys(planned(store, asked(data={}, split={"folds": 2, "salt": "other"})))) & set(plain)


def test_what_another_run_recorded_is_planned_but_not_run(store: LocalStore) -> None:
    first = planned(store, asked())
    for trial in first.trials[:4]:
        recorded(store, asked(), trial)
    again = planned(store, asked(run_id="r2"))
    assert again.trials == first.trials
    assert again.reused == tuple(keys(first)[:4])
    assert [trial.key for trial in in_order(again)] == keys(first)[4:]


def test_when_everything_is_recorded_one_training_task_is_left(store: LocalStore) -> None:
    for trial in planned(store, asked()).trials:
        recorded(store, asked(), trial)
    again = planned(store, asked(run_id="r2"))
    assert (again.tasks, in_order(again)) == (1, [])


def test_the_baseline_is_a_candidate_and_not_every_one_of_its_class(store: LocalStore) -> None:
    twice = {"strategy": {"kind": "grid"}, "candidates": [
        {"estimator": LOGISTIC, "baseline": True},
        {"estimator": LOGISTIC, "params": {"C": {"choice": [0.1, 10.0]}}},
    ]}  # fmt: skip
    plan = planned(store, asked(sweep=twice))
    assert [(trial.params, trial.baseline) for trial in plan.trials] == [
        ({}, True),
        ({"C": 0.1}, False),
        ({"C": 10.0}, False),
    ]


def test_the_same_trial_of_two_candidates_is_tried_once(store: LocalStore) -> None:
    twice = {"strategy": {"kind": "grid"}, "candidates": [
        {"estimator": TREE, "params": {"max_depth": 2}},
        {"estimator": TREE, "params": {"max_depth": {"choice": [2, 3]}}},
    ]}  # fmt: skip
    assert len(planned(store, asked(sweep=twice)).trials) == 2


HALVING = {**SWEEP, "strategy": {"kind": "halving", "trials": 18}}


def halved(store: LocalStore, run: Run, *, seconds: float = 1.0) -> list[Plan]:
    """The plans of all three rounds, each trial scored by its place and its folds by their number."""
    made = [planned(store, run)]
    for number in (1, 2, 3):
        write_document(store, run.round_key(number, "plan.json"), made[-1])
        for place, trial in enumerate(made[-1].trials):
            scores = tuple(place + fold / 10 for fold in range(trial.folds or 5))[::-1]
            result = TrialResult(trial=trial, status="complete", scores=scores, mean=place,
                                 seconds=seconds * trial.work, cpu_seconds=1, started=AS_OF)  # fmt: skip
            write_document(store, result_key(run, trial.key), result)
        if number < 3:
            made.append(make_plan(run, store, number=number + 1, tasks=2, probe=lambda _: {}))
    return made


def test_a_trial_that_goes_on_keeps_the_scores_of_the_round_before_and_fits_the_other_folds(store: LocalStore) -> None:
    plans = halved(store, asked(sweep=HALVING, split={"gate": "7d", "folds": 5}))
    parts = [{(trial.folds, trial.share, len(trial.scored)) for trial in plan.trials} for plan in plans]
    assert parts == [{(1, 1.0, 0)}, {(2, 1.0, 1)}, {(None, 1.0, 2)}]
    assert [{round(trial.work, 9) for trial in plan.trials} for plan in plans] == [{0.2}, {0.2}, {0.6}]
    for before, after in pairwise(plans):
        places = {canonical_json(trial.params): place for place, trial in enumerate(before.trials)}
        for trial in after.trials:
            assert trial.scored[-1] == places[canonical_json(trial.params)]


def test_scores_on_fewer_rows_or_less_of_a_resource_are_not_kept(store: LocalStore) -> None:
    iterations = {"estimator": TREE, "params": {"max_depth": 8, "a": {"uniform": [0, 1]}}, "resource": "max_depth"}
    half = {**HALVING, "candidates": [SWEEP["candidates"][0], iterations]}
    plans = halved(store, asked(sweep=half, split={"gate": "7d", "folds": 2}))
    assert {(t.label, t.folds, t.params.get("max_depth"), round(t.share, 3)) for t in plans[0].trials} == {
        ("LogisticRegression", 1, None, 0.222),
        ("DecisionTreeClassifier", 1, 2, 1.0),
    }
    assert [{len(trial.scored) for trial in plan.trials} for plan in plans] == [{0}, {0}, {1}]


def test_that_folds_are_scored_changes_no_key(store: LocalStore) -> None:
    run = asked(sweep=HALVING, split={"gate": "7d", "folds": 5})
    last = halved(store, run)[-1]
    drawn = {**SWEEP, "strategy": {"kind": "random", "trials": 18}}
    whole = planned(store, asked(run_id="r2", sweep=drawn, split={"gate": "7d", "folds": 5}))
    assert set(keys(last)) <= set(keys(whole))
    assert set(whole.reused) == set(keys(last))


def test_what_is_left_to_fit_is_what_a_round_is_expected_to_take(store: LocalStore) -> None:
    _, second, third = halved(store, asked(sweep=HALVING, split={"gate": "7d", "folds": 5}), seconds=6.0)
    assert [*second.seconds.values(), *third.seconds.values()] == [pytest.approx(6.0)] * 4
    assert [(len(second.trials), second.tasks), (len(third.trials), third.tasks)] == [(7, 1), (2, 1)]  # 8.4 and 7.2 s
