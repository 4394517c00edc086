"""A step happens once, and each of its tries that ends leaves a record of its cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from builders import AS_OF, make_run
from contender.backends import Backends
from contender.documents.cost import Usage
from contender.documents.sweep import Claim, Plan, Trial, TrialResult
from contender.run.costs import costs_of, record_usage
from contender.run.once import once
from contender.spec.cost import CostSpec
from contender.store.base import require_document
from contender.sweep.results import Round

if TYPE_CHECKING:
    from contender.documents.run import Run
    from contender.store.local import LocalStore

RUN = make_run(cost={"per_cpu_hour": 3_600, "currency": "EUR"})


def usages(store: LocalStore) -> list[Usage]:
    return [require_document(store, key, Usage) for key in store.keys(RUN.key("usage"))]


def spin(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def result(key: str, *, run_id: str = RUN.id, cpu: float = 1.0) -> TrialResult:
    return TrialResult(
        trial=Trial(key=key, estimator="pkg.A", params={}, seed=0), status="complete", mean=0.5, seconds=cpu,
        cpu_seconds=cpu, peak_memory=7, started=AS_OF, run_id=run_id,
    )  # fmt: skip


def swept(*results: TrialResult) -> Round:
    return Round(Plan(trials=tuple(one.trial for one in results), tasks=1), list(results))


@pytest.fixture
def backends(store: LocalStore, tmp_path: Any) -> Backends:
    unused: Any = None
    return Backends(store, unused, tmp_path / "key.pem")


def test_a_step_happens_once_and_is_counted_once(backends: Backends, store: LocalStore) -> None:
    calls: list[int] = []

    @once(Claim, "rounds/{number}/claim.json")
    def claim(_run: Run, _backends: Backends, *, task: int, number: int = 1) -> Claim:
        calls.append(number)
        return Claim(task=task)

    for _ in range(2):
        assert claim(RUN, backends, task=1) == Claim(task=1)
        assert claim(RUN, backends, task=2, number=2) == Claim(task=2)
    assert calls == [1, 2]
    assert require_document(store, RUN.round_key(2, "claim.json"), Claim) == Claim(task=2)
    assert [one.step for one in usages(store)] == ["claim", "claim"]


def test_a_step_that_was_believed_dead_returns_what_its_successor_left(backends: Backends, store: LocalStore) -> None:
    @once(Claim, "claim.json")
    def claim(_run: Run, _backends: Backends, *, task: int) -> Claim:
        if task == 1:  # meanwhile it is tried again
            assert claim(RUN, backends, task=2) == Claim(task=2)
        return Claim(task=task)

    assert claim(RUN, backends, task=1) == Claim(task=2)
    assert require_document(store, RUN.key("claim.json"), Claim) == Claim(task=2)
    assert len(usages(store)) == 2  # it has cost what it cost


def test_what_a_stored_document_names_is_seen_to_when_a_step_is_asked_again(backends: Backends) -> None:
    seen: list[Claim] = []

    @once(Claim, "claim.json", lambda _run, _backends, claim: seen.append(claim))
    def claim(_run: Run, _backends: Backends) -> Claim:
        return Claim(task=1)

    assert (claim(RUN, backends), seen) == (Claim(task=1), [])
    assert (claim(RUN, backends), seen) == (Claim(task=1), [Claim(task=1)])


def test_a_try_that_fails_has_cost_what_it_cost_and_the_next_one_too(backends: Backends, store: LocalStore) -> None:
    tries = iter((ZeroDivisionError, None))

    @once(Claim, "claim.json")
    def claim(_run: Run, _backends: Backends) -> Claim:
        spin(0.05)
        if error := next(tries):
            raise error
        return Claim(task=0)

    with pytest.raises(ZeroDivisionError):
        claim(RUN, backends)
    claim(RUN, backends)
    assert len(usages(store)) == 2
    assert min(one.cpu_seconds for one in usages(store)) >= 0.05


def test_trials_have_their_cost_in_their_own_records_and_are_not_counted_twice(store: LocalStore) -> None:
    with record_usage(RUN, store, "train-1-0") as recorded:
        spin(0.3)
        recorded.append(result("a", cpu=0.2))
    with record_usage(RUN, store, "train-1-1") as recorded:
        recorded.append(result("b", cpu=5.0))  # clocks are not that exact
    first, second = usages(store)
    assert 0.1 <= first.cpu_seconds < 0.29
    assert second.cpu_seconds == 0
    found = costs_of(RUN, store, [swept(result("a", cpu=0.2), result("b", cpu=5.0))])
    assert found.sweep.cpu_seconds == pytest.approx(5.2)
    assert found.run.cpu_seconds == pytest.approx(5.2 + first.cpu_seconds)


def test_a_killed_try_leaves_the_cost_of_its_trials(store: LocalStore) -> None:
    found = costs_of(RUN, store, [swept(result("a"))])
    assert (found.run.cpu_seconds, found.run.peak_memory) == (1, 7)


def test_what_another_run_did_is_saved_and_a_trial_of_two_rounds_counts_once(store: LocalStore) -> None:
    rounds = [swept(result("a", run_id="earlier", cpu=3), result("b")), swept(result("b"), result("c"))]
    found = costs_of(RUN, store, rounds)
    assert (found.saved.cpu_seconds, found.sweep.cpu_seconds, found.run.cpu_seconds) == (3, 2, 2)
    assert (found.saved.money, found.run.money, found.run.currency) == (3, 2, "EUR")


def test_before_there_is_anything_it_costs_nothing(store: LocalStore) -> None:
    found = costs_of(RUN, store, [])
    assert found.run == found.sweep == found.saved
    assert RUN.spec.cost == CostSpec(per_cpu_hour=3_600, currency="EUR")
    assert (found.run.cpu_seconds, found.run.money) == (0, 0)
