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
from contender.loading import load
from contender.turns import stagger
from contender_airflow.dags import build_dags
from contender_airflow.operators.turn import TurnSensor

if TYPE_CHECKING:
    from pathlib import Path

TICK = datetime(2026, 3, 2, 3, tzinfo=UTC)


def sensor(**arguments: Any) -> TurnSensor:
    settings: dict[str, Any] = {"pipeline": "churn", "deadline": timedelta(hours=6), "run_id": "r1"} | arguments
    return TurnSensor(task_id="turn", **settings)


def context(run_after: datetime, run_type: str = "scheduled") -> Any:
    return {"dag_run": SimpleNamespace(run_after=run_after, run_type=run_type)}


def test_without_stagger_and_limit_there_is_no_turn(pipelines: Path) -> None:
    assert "turn" not in build_dags(pipelines)["small__training"].task_ids


@pytest.mark.parametrize("asked", [{"stagger": "2h"}, {"max_running": 4}, {"stagger": "2h", "max_running": 4}])
def test_a_turn_comes_before_everything_and_holds_no_worker(pipelines: Path, asked: dict[str, Any]) -> None:
    dag = build_dags(pipelines, **asked)["small__training"]
    turn = dag.get_task("turn")
    assert [task.task_id for task in dag.roots] == ["turn"]
    assert turn.downstream_task_ids == {"snapshot"}
    assert (turn.mode, turn.reschedule, turn.max_running) == ("reschedule", True, asked.get("max_running"))
    assert turn.offset == (stagger("small", timedelta(hours=2)) if "stagger" in asked else timedelta(0))
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("turn")
    assert again.reschedule


def test_the_time_to_wait_is_not_counted_as_late(pipelines: Path) -> None:
    [late] = build_dags(pipelines, stagger="2h")["small__training"].deadline
    deadline = load(pipelines / "small.yaml").deadline
    assert late.interval == deadline + stagger("small", timedelta(hours=2))


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


def test_who_triggers_by_hand_does_not_wait_for_the_minute() -> None:
    assert sensor(offset=timedelta(minutes=50)).poke(context(datetime.now(UTC), "manual"))


def test_a_run_beyond_the_limit_waits_until_another_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"uri": str(tmp_path / "store"), "signing_key": str(tmp_path / "key")}
    connection = json.dumps({"conn_type": "contender_store", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_CONTENDER_STORE", connection)
    assert sensor(max_running=1).poke(context(TICK))
    assert sensor(max_running=1).poke(context(TICK)), "a retry keeps its turn"
    assert not sensor(max_running=1, run_id="../r2").poke(context(TICK))
    [link] = (tmp_path / "store" / "turns" / "0").iterdir()
    assert json.loads(link.read_text())["run_id"] == "r1"
