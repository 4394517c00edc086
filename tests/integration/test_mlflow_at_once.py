"""Whatever tasks set in MLflow at once: the database takes the first, and the others ask again without being told to."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient

import contender.tracking
from builders import make_run
from contender.tracking import models
from contender.tracking.access import IDEMPOTENT
from contender.tracking.runs import Tracking

if TYPE_CHECKING:
    from collections.abc import Callable

    from contender.backends import Backends

pytestmark = pytest.mark.integration

TASKS = 6
ASKED_ONCE = {  # by ``asked_once``, ``attempts`` or a method that begins anew
    "create_experiment", "create_logged_model", "create_model_version", "create_registered_model", "create_run",
    "delete_run", "log_outputs",
}  # fmt: skip


def at_once(backends: Backends, act: Callable[[Tracking], object]) -> None:
    """Let as many tasks do it at the same moment, each with a client of its own. Raises what one of them raises."""
    start = Barrier(TASKS, timeout=60)

    def task(_number: int) -> None:
        tracking = Tracking(backends.tracking.uri)
        tracking.client.search_experiments()  # it is connected
        start.wait()
        act(tracking)

    with ThreadPoolExecutor(TASKS) as pool:
        list(pool.map(task, range(TASKS)))


def test_what_all_set_at_once_is_set(backends: Backends, tmp_path: Path) -> None:
    tracking = backends.tracking
    tracking.client.create_registered_model("churn")
    version = tracking.client.create_model_version("churn", source=str(tmp_path)).version
    mlflow_run = tracking.run_id(make_run())
    acts: dict[str, Callable[[Tracking, str], object]] = {
        "tag of the experiment": lambda one, name: models.tag_experiment(one, "churn", name, "x"),
        "tag of the version": lambda one, name: models.mark(one, "churn", version, name),
        "tag of the run": lambda one, name: one.client.set_tag(mlflow_run, name, "x"),
        "tag of the model": lambda one, name: one.client.set_registered_model_tag("churn", name, "x"),
        "alias": lambda one, name: one.client.set_registered_model_alias("churn", name, version),
    }
    for what, act in acts.items():
        for number in range(8):
            name = f"{what.replace(' ', '-')}-{number}"
            at_once(backends, lambda one, act=act, name=name: act(one, name))  # type: ignore[misc]
    found = tracking.client.get_registered_model("churn")
    assert len(found.aliases) == 8
    assert {f"tag-of-the-model-{n}" for n in range(8)} <= set(found.tags)
    assert {f"tag-of-the-experiment-{n}" for n in range(8)} <= set(models.experiment_tags(tracking, "churn"))


def test_every_call_of_mlflow_is_asked_again_by_the_client_or_known_to_be_asked_once() -> None:
    source = "".join(file.read_text() for file in Path(str(contender.tracking.__file__)).parent.glob("*.py"))
    called = set(re.findall(r"\bclient\.([a-z_]+)", source)) & {name for name in dir(MlflowClient) if name[0] != "_"}
    assert called >= {"set_experiment_tag", "create_run", "search_runs"}
    assert {name for name in called if not name.startswith(IDEMPOTENT)} <= ASKED_ONCE
