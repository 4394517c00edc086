"""The end of a run: what became of its steps, and the last task, which is as red or as green as the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from contender.run.freeze import safe_id
from contender_airflow.errors import translated
from contender_airflow.operators.base import ContenderOperator

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context


def failed_before(operator: BaseOperator, context: Context, *, teardowns: bool = False) -> list[str]:
    """The steps before a task that failed, or the teardowns, by Airflow's account.

    Airflow knows also of a step that was killed, or marked by hand, and recorded nothing.
    """
    before = [task.task_id for task in operator.get_flat_relatives(upstream=True) if task.is_teardown is teardowns]
    if not before:
        return []
    ti = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=sorted(before), run_ids=[ti.run_id])
    return sorted(task for task, state in states.get(ti.run_id, {}).items() if state == "failed")


class CloseOperator(ContenderOperator):
    """Ends what an interrupted run left open in MLflow, records a failed run as failed, and then fails itself.

    It is a teardown, so that Airflow runs it whatever happened to the steps, also when a person marked the run as failed
    or as successful, which skips them. And it is the one task that decides the run's state in Airflow: failed when the
    run is, or when a receiver was not told.
    """

    def execute(self, context: Context) -> None:
        """Close the run, also one that failed before it was frozen."""
        from contender.pipeline import close
        from contender.store.runs import standing_end

        with translated():
            backends, run_id = self.backends(), safe_id(self.run_id)
            seen = standing_end(backends.store, self.pipeline, run_id)
            outcome = close(backends, self.pipeline, run_id, failed=failed_before(self, context), seen=seen)
            self.log.info("%s", outcome.sentence)
            if outcome.state == "failed":
                raise AirflowFailException(outcome.sentence)
            if untold := failed_before(self, context, teardowns=True):
                raise AirflowFailException(f"{', '.join(untold)} failed; what the run did stays: {outcome.sentence}")
