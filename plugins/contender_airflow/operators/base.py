"""What all operators share: connections, the frozen run, links, and errors translated for Airflow."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from contender.patience import patience
from contender.run.freeze import safe_id
from contender_airflow.errors import translated
from contender_airflow.hooks.connections import connection_fields
from contender_airflow.hooks.mlflow import MLflowHook
from contender_airflow.hooks.store import ArtifactStoreHook
from contender_airflow.links import MLFLOW_RUN_URL, REPORT_URL, MLflowRunLink, ReportLink

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from airflow.sdk import BaseOperatorLink, Context

    from contender.backends import Backends
    from contender.documents.change import Change
    from contender.documents.run import Run

_LOGGED = 8


class ContenderOperator(BaseOperator):
    """A step of a pipeline's run. Safe to retry and to clear: a step that is done returns what it wrote the first time.

    :param pipeline: the pipeline's name (templated)
    :param run_id: the DAG run's id (templated)
    :param mlflow_conn_id: connection of type ``mlflow`` (templated)
    :param store_conn_id: connection of type ``contender_store`` (templated)
    """

    template_fields: Sequence[str] = ("pipeline", "run_id", "mlflow_conn_id", "store_conn_id")
    operator_extra_links: Collection[BaseOperatorLink] = (MLflowRunLink(), ReportLink())
    ui_color = "#eef2ff"
    #: Links to pages among the run's artifacts in MLflow: XCom key, and path below the run's URL.
    pages: Mapping[str, str] = {REPORT_URL: "/artifacts/report.html"}

    def __init__(
        self,
        *,
        pipeline: str,
        run_id: str = "{{ run_id }}",
        mlflow_conn_id: str = MLflowHook.default_conn_name,
        store_conn_id: str = ArtifactStoreHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.run_id = run_id
        self.mlflow_conn_id = mlflow_conn_id
        self.store_conn_id = store_conn_id

    def execute(self, context: Context) -> Any:
        """Run the step; its small JSON result is the task's XCom."""
        with translated(), self._failure_recorded(context):
            backends = self.backends()
            run = self.frozen_run(context, backends)
            self._push_links(context, run, backends)
            return self.step(run, backends, context)

    def step(self, run: Run, backends: Backends, context: Context) -> Any:
        """The step itself."""
        raise NotImplementedError

    def frozen_run(self, context: Context, backends: Backends) -> Run:
        """The run that the first task froze."""
        del context
        from contender.documents.run import Run, run_key
        from contender.store.base import require_document

        return require_document(backends.store, run_key(self.pipeline, safe_id(self.run_id), "run.json"), Run)

    def backends(self) -> Backends:
        """Store, MLflow and signing key behind the connections, and the data sources' own connections."""
        from contender.backends import Backends

        store = ArtifactStoreHook(self.store_conn_id)
        return Backends(
            store.get_conn(), MLflowHook(self.mlflow_conn_id).get_conn(), store.signing_key, connection_fields
        )

    @contextmanager
    def _failure_recorded(self, context: Context) -> Iterator[None]:
        """Write to the store why the step failed: teardown and notices read it. Without a store only the log says it."""
        try:
            yield
        except AirflowSkipException:
            raise
        except Exception as error:
            from contender.run.outcome import record_failure

            with suppress(Exception), patience(5):  # the store may be what failed, after all the patience there was
                store = ArtifactStoreHook(self.store_conn_id).get_conn()
                record_failure(store, self.pipeline, safe_id(self.run_id), _label(context["ti"]), error)
            raise

    def log_changes(self, changes: Sequence[Change]) -> None:
        """Log the most important differences in the data."""
        for change in changes[:_LOGGED]:
            self.log.warning("changed since the champion's data: %s", change.sentence)
        if len(changes) > _LOGGED:
            self.log.warning("changed since the champion's data: and %d more, in the report", len(changes) - _LOGGED)

    def _push_links(self, context: Context, run: Run, backends: Backends) -> None:
        tracked = backends.tracking.run_id(run)
        for key, place in ((MLFLOW_RUN_URL, ""), *self.pages.items()):
            url = backends.tracking.run_url(run.pipeline, tracked, place)
            if url is not None:
                context["ti"].xcom_push(key=key, value=url)


def _label(ti: Any) -> str:
    """The task's key in what ``get_task_states`` returns, which ``close`` reads."""
    return str(ti.task_id) if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
