"""Trials shown through a real MLflow server whose replies are lost, cut or late, or that is killed meanwhile."""

from __future__ import annotations

import random
import shutil
import threading
import uuid
from typing import TYPE_CHECKING

import pytest
from mlflow.entities import ViewType

from builders import make_result, make_run
from contender.tracking.runs import RUN, Tracking
from contender.tracking.sqlite import write_ahead
from contender.tracking.trials import TRIAL
from faultproxy import Fault, Proxy, Request, proxy_to
from mlflowserver import Server, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlflow.entities import Run as MlflowRun

pytestmark = pytest.mark.integration

LOST = Fault(lose=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    shutil.copyfile(empty_mlflow, folder / "mlflow.db")
    write_ahead(folder / "mlflow.db")
    with serving(f"sqlite:///{folder / 'mlflow.db'}", folder) as found:
        yield found


@pytest.fixture
def proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")  # its pauses are for servers far away
    with proxy_to(server.url) as found:
        yield found


@pytest.fixture
def pipeline() -> str:
    """An experiment of the test's own."""
    return f"p{uuid.uuid4().hex}"


def first(call: str, fault: Fault, times: int = 1) -> Callable[[Request], Fault | None]:
    """What goes wrong with the first requests of a kind."""
    left = [fault] * times

    def chosen(request: Request) -> Fault | None:
        return left.pop() if left and request.path.endswith(call) else None

    return chosen


def all_runs(tracking: Tracking, pipeline: str, view: int = ViewType.ALL) -> list[MlflowRun]:
    return list(tracking.client.search_runs([tracking.experiment(pipeline)], run_view_type=view))


def test_a_run_whose_creation_was_not_answered_is_there_once(proxy: Proxy, pipeline: str) -> None:
    proxy.fault = first("runs/create", LOST)
    tracking = Tracking(proxy.endpoint)
    run = make_run(name=pipeline)
    opened = tracking.run_id(run)
    assert [one.info.run_id for one in all_runs(tracking, pipeline)] == [opened]
    assert tracking.retries == 1


@pytest.mark.parametrize("fault", [LOST, Fault(cut=20), Fault(answer=(503, "SlowDown"))], ids=["lost", "cut", "busy"])
@pytest.mark.parametrize("call", ["runs/create", "runs/log-batch", "runs/update"])
def test_a_trial_is_there_once_whichever_request_was_not_answered(
    proxy: Proxy, pipeline: str, call: str, fault: Fault
) -> None:
    tracking = Tracking(proxy.endpoint)
    run = make_run(name=pipeline)
    parent = tracking.run_id(run)
    proxy.fault = first(call, fault, 3)
    recorded = tracking.record_trial(run, parent, make_result())
    assert tracking.retries > 0 or call != "runs/create"  # MLflow's own client repeats the others itself
    [found] = [one for one in all_runs(tracking, pipeline) if TRIAL in one.data.tags]  # not even a deleted one
    assert (found.info.run_id, found.info.status) == (recorded, "FINISHED")
    assert (found.data.metrics["cv_roc_auc"], found.data.params["seed"]) == (0.7, "3")
    assert tracking.show_trials(run, [make_result()]) == 0


def test_a_trial_costs_three_requests(proxy: Proxy, pipeline: str) -> None:
    tracking = Tracking(proxy.endpoint)
    run = make_run(name=pipeline)
    parent = tracking.run_id(run)
    tracking.record_trial(run, parent, make_result("a" * 64))
    proxy.seen.clear()
    tracking.record_trial(run, parent, make_result("b" * 64))
    assert [one.path.rpartition("/")[2] for one in proxy.seen] == ["create", "log-batch", "update"]


def test_however_many_replies_are_lost_each_trial_is_there_once(proxy: Proxy, pipeline: str) -> None:
    chances = random.Random(5)  # noqa: S311 - chances, not secrets
    faults = [LOST, Fault(cut=30), Fault(answer=(503, "SlowDown")), Fault(wait=0.05)]
    proxy.fault = lambda _: chances.choice(faults) if chances.random() < 0.3 else None
    tracking = Tracking(proxy.endpoint)
    run = make_run(name=pipeline)
    results = [make_result(f"{number:064d}") for number in range(30)]
    parent = tracking.run_id(run)
    for one in results[:20]:
        tracking.record_trial(run, parent, one)
    assert tracking.show_trials(run, results) == 10
    proxy.fault = lambda _: None
    assert tracking.retries > 5
    found = all_runs(tracking, pipeline)
    assert [one.info.run_id for one in found if RUN in one.data.tags] == [parent]
    assert sorted(one.data.tags[TRIAL] for one in found if TRIAL in one.data.tags) == [one.trial.key for one in results]
    assert {one.info.status for one in found if TRIAL in one.data.tags} == {"FINISHED"}


def test_a_server_that_is_killed_and_comes_back_has_lost_nothing_that_it_confirmed(
    server: Server, pipeline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    tracking = Tracking(server.url)
    run = make_run(name=pipeline)
    parent = tracking.run_id(run)
    results = [make_result(f"{number:064d}") for number in range(12)]
    for one in results[:4]:
        tracking.record_trial(run, parent, one)
    server.kill()
    starting = threading.Timer(2, server.start)
    starting.start()
    for one in results[4:]:
        tracking.record_trial(run, parent, one)
    starting.join()
    assert tracking.retries > 0
    assert tracking.show_trials(run, results) == 0
    assert len([one for one in all_runs(tracking, pipeline) if TRIAL in one.data.tags]) == 12
