"""Staggered and limited pipelines: what the DAG looks like, and when its first task lets a run go on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowRescheduleException
from airflow.serialization.serialized_objects import DagSerialization

from contender.errors import ConfigError
from contender.run.slots import stagger
from contender.spec.loading import load_spec
from contender_airflow.dags import build_dags
from contender_airflow.operators.slot import SlotSensor

if TYPE_CHECKING:
    from pathlib import Path

TICK = datetime(2026, 3, 2, 3, tzinfo=UTC)


def sensor(**arguments: Any) -> SlotSensor:
    settings: dict[str, Any] = {"pipeline": "churn", "deadline": timedelta(hours=6), "run_id": "r1"} | arguments
    return SlotSensor(task_id="slot", **settings)


def context(run_after: datetime, run_type: str = "scheduled") -> Any:
    return {"dag_run": SimpleNamespace(run_after=run_after, run_type=run_type)}


def test_without_stagger_and_limit_there_is_nothing_to_wait_for(pipelines: Path) -> None:
    assert "slot" not in build_dags(pipelines)["small__training"].task_ids


@pytest.mark.parametrize("asked", [{"stagger": "2h"}, {"max_running": 4}, {"stagger": "2h", "max_running": 4}])
def test_a_run_waits_for_its_slot_before_everything_and_occupies_no_worker(
    pipelines: Path, asked: dict[str, Any]
) -> None:
    dag = build_dags(pipelines, **asked)["small__training"]
    slot = dag.get_task("slot")
    assert [task.task_id for task in dag.roots] == ["slot"]
    assert slot.downstream_task_ids == {"snapshot"}
    assert (slot.mode, slot.reschedule, slot.max_running) == ("reschedule", True, asked.get("max_running"))
    assert slot.offset == (stagger("small", timedelta(hours=2)) if "stagger" in asked else timedelta(0))
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("slot")
    assert again.reschedule


def test_the_time_to_wait_is_not_counted_as_late(pipelines: Path) -> None:
    [late] = build_dags(pipelines, stagger="2h")["small__training"].deadline
    deadline = load_spec(pipelines / "small.yaml").deadline
    assert late.interval == (deadline + stagger("small", timedelta(hours=2))).total_seconds()


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"stagger": "soon"}, r"^build_dags: stagger: got 'soon', expected a duration such as 365d, 12h"),
        ({"stagger": 2}, r"^build_dags: stagger: got '2', expected a duration"),
        ({"max_running": 0}, r"^build_dags: max_running: got 0, expected 1 or more"),
    ],
)
def test_what_is_no_limit_is_refused_by_its_name(pipelines: Path, asked: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        build_dags(pipelines, **asked)


def test_a_scheduled_run_waits_for_its_minute_once_without_a_poke_in_between() -> None:
    tick = datetime.now(UTC).replace(microsecond=0)
    with pytest.raises(AirflowRescheduleException) as caught:
        sensor(offset=timedelta(minutes=50)).poke(context(tick))
    assert caught.value.reschedule_date == tick + timedelta(minutes=50)
    assert sensor(offset=timedelta(minutes=50)).poke(context(tick - timedelta(minutes=51)))


def test_a_manual_run_does_not_wait_for_the_minute() -> None:
    assert sensor(offset=timedelta(minutes=50)).poke(context(datetime.now(UTC), "manual"))


def test_a_run_beyond_the_limit_waits_until_another_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"uri": str(tmp_path / "store"), "signing_key": str(tmp_path / "key")}
    connection = json.dumps({"conn_type": "contender_store", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_CONTENDER_STORE", connection)
    assert sensor(max_running=1).poke(context(TICK))
    assert sensor(max_running=1).poke(context(TICK)), "a retry keeps its slot"
    assert not sensor(max_running=1, run_id="../r2").poke(context(TICK))
    [link] = (tmp_path / "store" / "turns" / "0").iterdir()
    assert json.loads(link.read_text())["run_id"] == "r1"
