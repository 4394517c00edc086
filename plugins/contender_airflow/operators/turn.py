"""The sensor that makes a run wait for its moment and its turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowRescheduleException

from contender.run import safe_id
from contender.turns import Turn, take_turn
from contender_airflow.hooks.store import ArtifactStoreHook
from contender_airflow.outcomes import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class TurnSensor(BaseSensorOperator):
    """Lets a scheduled run go on some time after its tick, and any run only while few others are under way.

    It holds no worker slot while it waits. What the run looks at is settled by its tick, not by when its turn comes.

    :param pipeline: the pipeline's name (templated)
    :param deadline: how long the run should take; after twice that its turn is given to others
    :param offset: how long after the tick a scheduled run starts; who triggers by hand does not wait for it
    :param max_running: how many runs may be under way at a time; None: any number
    :param run_id: the DAG run's id (templated)
    :param store_conn_id: connection of type ``contender_store`` (templated)
    """

    template_fields: Sequence[str] = ("pipeline", "run_id", "store_conn_id")
    ui_color = "#eef2ff"

    def __init__(
        self,
        *,
        pipeline: str,
        deadline: timedelta,
        offset: timedelta = timedelta(0),
        max_running: int | None = None,
        run_id: str = "{{ run_id }}",
        store_conn_id: str = ArtifactStoreHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(mode="reschedule", **kwargs)
        self.pipeline = pipeline
        self.deadline = deadline
        self.offset = offset
        self.max_running = max_running
        self.run_id = run_id
        self.store_conn_id = store_conn_id

    def poke(self, context: Context) -> bool:
        """Whether the run may go on."""
        dag_run, now = context["dag_run"], datetime.now(UTC)
        start = dag_run.run_after + self.offset
        if str(getattr(dag_run.run_type, "value", dag_run.run_type)) == "scheduled" and now < start:
            self.log.info("starts at %s UTC, %s after its tick", f"{start:%Y-%m-%d %H:%M}", self.offset)
            # Airflow 3.3.2 may fail a task that comes back before its executor has reported that it left.
            soonest = now + timedelta(seconds=self.poke_interval)
            raise AirflowRescheduleException(max(start, soonest))  # type: ignore[no-untyped-call]
        if self.max_running is None:
            return True
        turn = Turn(pipeline=self.pipeline, run_id=safe_id(self.run_id), at=now, deadline=self.deadline)
        with translated():
            slot = take_turn(ArtifactStoreHook(self.store_conn_id).get_conn(), turn, self.max_running)
        if slot is None:
            self.log.info("waits: %d runs are under way, which is the limit", self.max_running)
            return False
        self.log.info("has turn %d of %d", slot + 1, self.max_running)
        return True
