"""One task per receiver, after all steps, also of a run that failed."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from contender.errors import BackendError, ContenderError
from contender.run.freeze import safe_id
from contender_airflow.delivery import deliver, receiver_of
from contender_airflow.errors import translated
from contender_airflow.hooks.store import ArtifactStoreHook
from contender_airflow.operators.base import ContenderOperator, label
from contender_airflow.operators.ending import CloseOperator, failed_before

if TYPE_CHECKING:
    from airflow.sdk import Context

    from contender.spec.pipeline import PipelineSpec
    from contender.spec.receivers import Notice


class NotifyOperator(ContenderOperator):
    """Sends one receiver the notice of how the run ended. Skips itself when the receiver wants no such notice.

    A teardown, which runs also when a person marked the run as failed. A receiver that does not answer makes a good run
    red, by ``close``, while what was promoted stays promoted. Clear both tasks to send the notice again.

    :param receiver: a member of the spec's ``notify``, as JSON; not templated, nor is what it sends
    """

    def __init__(self, *, receiver: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.receiver = receiver

    def execute(self, context: Context) -> None:
        """Read the run's outcome and send the notice."""
        with translated():
            receiver = receiver_of(self.receiver)
            try:
                notices = self._notices(context)
            except Exception as error:
                unknown = receiver.choose([self._unknown(context, error)])
                if unknown is not None and _is_last(context, error):
                    deliver(receiver, unknown, context)
                raise
            notice = receiver.choose(notices)
            if notice is None:
                kind, wanted = notices[0].kind, ", ".join(receiver.on)
                raise AirflowSkipException(f"nothing to tell: this run is {kind}, and this receiver wants {wanted}")
            deliver(receiver, notice, context)
            self.log.info("told: %s", notice.text)

    def _notices(self, context: Context) -> list[Notice]:
        from contender.run.outcome import as_of_now, notices_of, settle
        from contender.store.runs import standing_end

        store, run_id = ArtifactStoreHook(self.store_conn_id).get_conn(), safe_id(self.run_id)
        seen = standing_end(store, self.pipeline, run_id)
        outcome = settle(store, self.pipeline, run_id, failed_before(self, context), seen=seen)
        return notices_of(as_of_now(store, outcome), _run_url(context))

    def _unknown(self, context: Context, error: Exception) -> Notice:
        """The notice when the store does not answer. The run may have failed of just that, so a notice must go out."""
        from contender.spec.receivers import Notice

        sentence = f"how the run ended cannot be read from the store ({type(error).__name__})"
        run_id = safe_id(self.run_id)
        return Notice(kind="failed", pipeline=self.pipeline, run_id=run_id, sentence=sentence, url=_run_url(context))


def notify_tasks(spec: PipelineSpec, **common: Any) -> list[NotifyOperator]:
    """A task for each of the pipeline's receivers: ``notify_email``, ``notify_webhook``, ``notify_webhook_2``, ..."""
    seen: Counter[str] = Counter()
    tasks = []
    for receiver in spec.notify:
        seen[receiver.kind] += 1
        number = "" if seen[receiver.kind] == 1 else f"_{seen[receiver.kind]}"
        task = NotifyOperator(
            task_id=f"notify_{receiver.kind}{number}",
            receiver=receiver.model_dump(mode="json"),
            retries=3,
            retry_delay=timedelta(seconds=5),
            retry_exponential_backoff=2.0,
            retry_policy=None,  # the DAG's policy would replace the growing delay by a fixed one
            execution_timeout=timedelta(minutes=5),
            **common,
        )
        tasks.append(task.as_teardown())
    return tasks


def close_timed_out_run(context: Context) -> None:
    """The DAG's failure callback, for a ``dagrun_timeout`` that users set: Airflow then skips also ``close`` and notices.

    It does their work in the DAG processor, where Airflow runs such callbacks, and nothing after any other failure.
    """
    if context.get("reason") != "timed_out":
        return
    from contender.pipeline import close
    from contender.run.outcome import as_of_now, notices_of, record_failure

    dag, ti, run_id = context["dag"], context["ti"], safe_id(context["run_id"])
    last = next(task for task in dag.tasks if isinstance(task, CloseOperator))
    backends, pipeline = last.backends(), last.pipeline
    error = BackendError(f"the whole run took more than its dagrun_timeout of {dag.dagrun_timeout}")
    record_failure(backends.store, pipeline, run_id, label(ti), error)
    outcome = close(backends, pipeline, run_id, failed=[label(ti)])
    notices = notices_of(as_of_now(backends.store, outcome), _run_url(context))
    for task in dag.tasks:
        if isinstance(task, NotifyOperator):
            receiver = receiver_of(task.receiver)
            notice = receiver.choose(notices)
            with suppress(ContenderError):  # one that does not answer keeps no other from being told
                if notice is not None:
                    deliver(receiver, notice, context)


def _is_last(context: Context, error: Exception) -> bool:
    """Whether Airflow will not try the task again after this error."""
    ti = context["ti"]
    return ti.try_number > ti.max_tries or (isinstance(error, ContenderError) and not error.retryable)


def _run_url(context: Context) -> str:
    return context["ti"].log_url.partition("/tasks/")[0]
