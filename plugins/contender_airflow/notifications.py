"""Notices that do not come from a step: a run failed, a run is late. They tell; they never decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from contender.notices import Notice, WebhookReceiver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class RunNotifier(BaseNotifier):
    """Tells a pipeline's receivers that a run failed.

    :param pipeline: whose run.
    :param receivers: the members of the spec's ``notify``, as JSON.
    """

    template_fields = ("pipeline",)

    def __init__(self, pipeline: str, receivers: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.receivers = list(receivers)

    def notify(self, context: Context) -> None:
        """Send one notice to each receiver."""
        run_id = str(getattr(context.get("dag_run"), "run_id", None) or context.get("run_id", "unknown"))
        self.log.error("%s: run %s failed", self.pipeline, run_id)
        send_all("failed", self.pipeline, run_id, f"run {run_id} failed; see the red task's log", self.receivers)


def run_is_late(pipeline: str, receivers: list[dict[str, Any]], deadline: str, context: Any = None) -> None:
    """What the deadline calls when a run is not done in time."""
    run = (context or {}).get("dag_run") or {}
    run_id = str(run.get("dag_run_id", "unknown") if isinstance(run, dict) else getattr(run, "run_id", "unknown"))
    send_all("late", pipeline, run_id, f"run {run_id} is not done {deadline} after it was queued", receivers)


def send_all(kind: Any, pipeline: str, run_id: str, sentence: str, receivers: Sequence[dict[str, Any]]) -> None:
    """One notice to every receiver.

    :raises BackendError: a receiver did not take it; those after it are still told first.
    """
    notice = Notice(kind=kind, pipeline=pipeline, run_id=run_id, sentence=sentence)
    errors = []
    for receiver in receivers:
        try:
            WebhookReceiver.model_validate(receiver).send(notice)
        except Exception as error:  # noqa: BLE001 - every receiver is told before the first failure is raised
            errors.append(error)
    if errors:
        raise errors[0]
