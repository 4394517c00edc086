"""One task per receiver: after everything else, whatever became of the run."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from contender.errors import BackendError, ContenderError
from contender.run import safe_id
from contender_airflow.hooks.store import ArtifactStoreHook
from contender_airflow.notifications import deliver, receiver_of
from contender_airflow.operators.base import ContenderOperator
from contender_airflow.outcomes import translated

if TYPE_CHECKING:
    from airflow.sdk import Context

    from contender.notices import Notice
    from contender.spec import PipelineSpec


class NotifyOperator(ContenderOperator):
    """Tells one receiver what became of the run. Skips itself when that is nothing this receiver wants.

    A teardown that fails the DAG run: it never makes a failed run green, and a dead receiver makes a good run red while
    what was promoted stays promoted. Clear it to send the notice again.

    :param receiver: a member of the spec's ``notify``, as JSON; not templated, nor is what it sends
    """

    def __init__(self, *, receiver: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.receiver = receiver

    def execute(self, context: Context) -> None:
        """Look up what became of the run, and tell."""
        with translated():
            wanted = receiver_of(self.receiver)
            try:
                told = self._notices(context)
            except Exception as error:
                unknown = wanted.choose([self._unknown(context, error)])
                if unknown is not None and _is_last(context, error):
                    deliver(wanted, unknown, context)
                raise
            notice = wanted.choose(told)
            if notice is None:
                msg = f"nothing to tell: this run is {told[0].kind}, and this receiver wants {', '.join(wanted.on)}"
                raise AirflowSkipException(msg)
            deliver(wanted, notice, context)
            self.log.info("told: %s", notice.text)

    def _notices(self, context: Context) -> list[Notice]:
        from contender.documents import Outcome, run_key
        from contender.outcome import notices_of
        from contender.store.base import read_document

        store = ArtifactStoreHook(self.store_conn_id).get_conn()
        outcome = read_document(store, run_key(self.pipeline, safe_id(self.run_id), "outcome.json"), Outcome)
        if outcome is None:
            raise BackendError(f"{self.pipeline}: close left no outcome of run {self.run_id}; see its log")
        return notices_of(outcome, _run_url(context))

    def _unknown(self, context: Context, error: Exception) -> Notice:
        """For a store that does not answer: it may be what the run failed of, and somebody waits for news."""
        from contender.notices import Notice

        sentence = f"how the run ended cannot be read from the store ({type(error).__name__})"
        run_id = safe_id(self.run_id)
        return Notice(kind="failed", pipeline=self.pipeline, run_id=run_id, sentence=sentence, url=_run_url(context))


def notify_tasks(spec: PipelineSpec, **common: Any) -> list[NotifyOperator]:
    """The tasks of a pipeline's receivers: ``notify_email``, ``notify_webhook``, ``notify_webhook_2``, ..."""
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
            retry_policy=None,  # the DAG's would retry at a fixed pace
            execution_timeout=timedelta(minutes=5),
            **common,
        )
        tasks.append(task.as_teardown(on_failure_fail_dagrun=True))
    return tasks


def _is_last(context: Context, error: Exception) -> bool:
    """Whether no try follows."""
    ti = context["ti"]
    return ti.try_number > ti.max_tries or (isinstance(error, ContenderError) and not error.retryable)


def _run_url(context: Context) -> str:
    return context["ti"].log_url.partition("/tasks/")[0]
