"""What a run cost, from the meters of its steps and trials to the outcome, the report and MLflow."""

from __future__ import annotations

import os
import resource
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from builders import AS_OF, LOGISTIC, TIMED, TREE, make_run, make_table, write_parquet
from contender import pipeline
from contender.documents.cost import Usage
from contender.errors import DataRejected
from contender.run.status import status
from contender.store.base import require_document, write_document
from contender.sweep.results import sweep_so_far
from contender.sweep.worker import Worker
from contender.tracking.runs import RUN
from life import live, report_page, sweep
from pages import words

if TYPE_CHECKING:
    from pathlib import Path

    from contender.backends import Backends
    from contender.documents.outcome import Outcome
    from contender.documents.run import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here")]

BASELINE: dict[str, Any] = {"estimator": LOGISTIC, "baseline": True, "params": {"C": {"log_uniform": [0.01, 10]}}}
LOGISTIC_ONLY: dict[str, Any] = {"estimator": LOGISTIC, "baseline": True}
TREES: dict[str, Any] = {"estimator": TREE, "params": {"max_depth": {"choice": [-1, *range(2, 8)]}}}
HALVING: dict[str, Any] = {"strategy": {"kind": "halving", "trials": 9}, "candidates": [BASELINE, TREES]}
SLOW: dict[str, Any] = {"estimator": "estimators.Slow", "params": {"seconds": {"choice": [0.01, 60.0]}}}


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    write_parquet(tmp_path / "lake" / "a.parquet", make_table(900, until=AS_OF + timedelta(days=7), days=90))
    return tmp_path / "lake"


def a_run(lake: Path, run_id: str = "r1", **parts: Any) -> Run:
    priced = {"data": TIMED, "split": {"gate": "14d", "folds": 2}, "cost": {"per_cpu_hour": 3_600, "currency": "EUR"}}
    return make_run(lake, run_id=run_id, **priced | {"sweep": HALVING} | parts)


def cpu_seconds() -> float:
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def lived(run: Run, backends: Backends) -> tuple[Outcome, float]:
    write_document(backends.store, run.key("run.json"), run)
    before = cpu_seconds()
    return live(run, backends), cpu_seconds() - before


def shown(run: Run, backends: Backends) -> tuple[dict[str, float], dict[str, str]]:
    """The run's numbers and tags in MLflow."""
    client = backends.tracking.client
    [found] = client.search_runs([backends.tracking.experiment(run.pipeline)], f"tags.`{RUN}` = '{run.id}'")
    return found.data.metrics, found.data.tags


def test_a_run_costs_what_its_process_measured_and_the_next_one_saves_the_trials(
    backends: Backends, lake: Path
) -> None:
    run = a_run(lake)
    outcome, measured = lived(run, backends)
    cost = outcome.cost
    assert cost is not None
    assert 0.8 * measured < cost.run.cpu_seconds <= measured + 0.1  # what is not in it: announce, MLflow in promote
    own = [result for one in sweep_so_far(run, backends.store).rounds for result in one.own(run)]
    assert cost.sweep.cpu_seconds == pytest.approx(sum(result.cpu_seconds for result in own))
    assert cost.sweep.seconds <= cost.run.seconds
    assert cost.run.money == pytest.approx(cost.run.cpu_seconds)
    keys = backends.store.children(run.key("usage"))
    steps = ["challenge", *["plan"] * 3, "promote", "snapshot", "train-1-0", "train-2-0", "train-3-0", "validate"]
    assert [key.rpartition("-")[0] for key in keys] == steps

    metrics, tags = shown(run, backends)
    assert metrics["run_cpu_seconds"] == pytest.approx(cost.run.cpu_seconds, abs=1e-6)
    assert metrics["sweep_cost"] == pytest.approx(cost.sweep.cpu_seconds, abs=1e-6)
    assert {name: metrics[f"trials_{name}"] for name in outcome.trials} == outcome.trials
    assert tags["contender.currency"] == "EUR"
    assert "contender.truncated" not in tags
    page = words(report_page(run, backends))
    assert "(halving, 3 rounds)" in page
    [line] = status(backends.store)["pipelines"]
    assert line["last_run"]["cost"] == cost.model_dump(mode="json")

    again, _ = lived(a_run(lake, "r2"), backends)
    assert again.trials == outcome.trials | {"reused": outcome.trials["planned"]}
    assert again.cost is not None
    assert (again.cost.sweep.cpu_seconds, again.cost.saved) == (0, cost.sweep)
    assert again.cost.run.cpu_seconds < cost.run.cpu_seconds


def test_a_task_that_was_killed_is_known_by_its_trials_and_none_is_counted_twice(
    backends: Backends, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(lake, sweep={"strategy": {"kind": "grid"}, "candidates": [LOGISTIC_ONLY, TREES]})
    pipeline.snapshot(run, backends)
    pipeline.validate(run, backends)
    pipeline.plan(run, backends, cores=1)
    child = os.fork()
    if not child:
        begun = iter(range(4))
        start = Worker.start
        monkeypatch.setattr(Worker, "start", lambda *arguments: start(*arguments) if next(begun) < 3 else os._exit(9))
        pipeline.train(run, backends, task=0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    before = sweep_so_far(run, backends.store).rounds[0].results
    assert 0 < len(before) < 8
    clock = cpu_seconds()
    sweep(run, backends)
    measured = cpu_seconds() - clock
    [name] = [key for key in backends.store.children(run.key("usage")) if key.startswith("train")]
    task = require_document(backends.store, run.key(f"usage/{name}"), Usage)
    results = sweep_so_far(run, backends.store).rounds[0].results
    later = [result for result in results if result not in before]
    assert len(later) > 0
    assert task.cpu_seconds + sum(result.cpu_seconds for result in later) <= measured + 0.05
    assert task.cpu_seconds > 0


def test_a_sweep_that_the_budget_cut_is_called_truncated_wherever_the_run_is_told_of(
    backends: Backends, lake: Path
) -> None:
    run = a_run(lake, sweep={"budget": "4s", "strategy": {"kind": "grid"}, "candidates": [LOGISTIC_ONLY, SLOW]})
    outcome, _ = lived(run, backends)
    label = "truncated sweep: 2 of 3 trials untried"
    assert outcome.trials == {"planned": 3, "completed": 1, "failed": 0, "untried": 2, "reused": 0}
    assert outcome.sentence.endswith(f" ({label})")
    assert status(backends.store)["pipelines"][0]["last_run"]["sentence"] == outcome.sentence
    assert shown(run, backends)[1]["contender.truncated"] == label
    assert "The sweep is truncated." in words(report_page(run, backends))


def test_a_run_that_fails_has_cost_what_it_cost_until_then(backends: Backends, lake: Path) -> None:
    run = a_run(lake, sweep={"strategy": {"kind": "grid"}, "candidates": [{**TREES, "params": {"max_depth": -1}}]})
    with pytest.raises(DataRejected, match="none of 1 trials completed"):
        lived(run, backends)
    outcome = pipeline.close(backends, "churn", "r1", failed=["challenge"])
    assert outcome.trials["failed"] == 1
    assert outcome.cost is not None
    assert outcome.cost.run.cpu_seconds > 0
    assert shown(run, backends)[0]["run_cpu_seconds"] == pytest.approx(outcome.cost.run.cpu_seconds, abs=1e-6)
