"""The wait before a run: for its minute, where runs are staggered, and for a slot, where their number is limited."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowRescheduleException

from contender.errors import ConfigError
from contender.frozen import parse_duration
from contender.run.freeze import safe_id
from contender.run.slots import SlotHolder, stagger, take_slot
from contender_airflow.errors import translated
from contender_airflow.hooks.store import ArtifactStoreHook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from contender.spec.pipeline import PipelineSpec


class SlotSensor(BaseSensorOperator):
    """Holds a scheduled run back until some time after its tick, and any run while too many others are under way.

    It occupies no worker while it waits. The tick decides which data the run looks at, not the end of the wait.

    :param pipeline: the pipeline's name (templated)
    :param deadline: how long the run should take; after twice that its slot is free for others
    :param offset: how long after the tick a scheduled run starts; a manual run does not wait for it
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
        holder = SlotHolder(pipeline=self.pipeline, run_id=safe_id(self.run_id), at=now, deadline=self.deadline)
        with translated():
            slot = take_slot(ArtifactStoreHook(self.store_conn_id).get_conn(), holder, self.max_running)
        if slot is None:
            self.log.info("waits: %d runs are under way, which is the limit", self.max_running)
            return False
        self.log.info("has slot %d of %d", slot + 1, self.max_running)
        return True


class Slots(NamedTuple):
    """When and how many runs of a folder's pipelines start, as ``build_dags`` was asked."""

    window: timedelta | None = None
    max_running: int | None = None

    @classmethod
    def of(cls, window: str | timedelta | None, max_running: int | None) -> Slots:
        """From the arguments of ``build_dags``.

        :raises ConfigError: ``stagger`` is no duration, or ``max_running`` is below 1.
        """
        if max_running is not None and max_running < 1:
            raise ConfigError(f"build_dags: max_running: got {max_running}, expected 1 or more")
        try:
            return cls(None if window is None else parse_duration(window), max_running)
        except ValueError as error:
            raise ConfigError(f"build_dags: stagger: {error}") from None

    def offset(self, spec: PipelineSpec) -> timedelta:
        """How long after its tick a pipeline's scheduled run starts."""
        return timedelta(0) if self.window is None else stagger(spec.name, self.window)

    def tasks(self, spec: PipelineSpec) -> list[SlotSensor]:
        """The task that waits, or none where there is nothing to wait for."""
        if self == Slots():
            return []
        sensor = SlotSensor(
            task_id="slot",
            pipeline=spec.name,
            deadline=spec.deadline,
            offset=self.offset(spec),
            max_running=self.max_running,
        )
        return [sensor]
