"""What the operators share: connections, the frozen run, links, and errors in Airflow's terms."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from contender.run import safe_id
from contender_airflow.hooks.connections import connection_fields
from contender_airflow.hooks.mlflow import MLflowHook
from contender_airflow.hooks.store import ArtifactStoreHook
from contender_airflow.links import MLFLOW_RUN_URL, REPORT_URL, MLflowRunLink, ReportLink
from contender_airflow.outcomes import translated

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from airflow.sdk import BaseOperatorLink, Context

    from contender.backends import Backends
    from contender.data.record.change import Change
    from contender.documents import Run

_TOLD = 8


class ContenderOperator(BaseOperator):
    """A step of a pipeline's run. Safe to retry and to clear: a step that has happened returns what it wrote.

    :param pipeline: the pipeline's name (templated)
    :param run_id: the DAG run's id (templated)
    :param mlflow_conn_id: connection of type ``mlflow`` (templated)
    :param store_conn_id: connection of type ``contender_store`` (templated)
    """

    template_fields: Sequence[str] = ("pipeline", "run_id", "mlflow_conn_id", "store_conn_id")
    operator_extra_links: Collection[BaseOperatorLink] = (MLflowRunLink(), ReportLink())
    ui_color = "#eef2ff"
    #: Where the links to pages among the run's artifacts in MLflow are pushed, and below the run's URL.
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
        with translated(), self._reason_kept(context):
            backends = self.backends()
            run = self.open_run(context, backends)
            self._push_links(context, run, backends)
            return self.step(run, backends, context)

    def step(self, run: Run, backends: Backends, context: Context) -> Any:
        """The step itself."""
        raise NotImplementedError

    def open_run(self, context: Context, backends: Backends) -> Run:
        """The run that the first task froze."""
        del context
        from contender.documents import Run, run_key
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
    def _reason_kept(self, context: Context) -> Iterator[None]:
        """Leave in the store why the step failed, for the teardown and the notices; without a store there is the log."""
        try:
            yield
        except AirflowSkipException:
            raise
        except Exception as error:
            from contender.outcome import record_failure

            with suppress(Exception):
                store = ArtifactStoreHook(self.store_conn_id).get_conn()
                record_failure(store, self.pipeline, safe_id(self.run_id), _label(context["ti"]), error)
            raise

    def tell_changes(self, changes: Sequence[Change]) -> None:
        """Log what is different in the data, the most important of it."""
        for change in changes[:_TOLD]:
            self.log.warning("changed since the champion's data: %s", change.sentence)
        if len(changes) > _TOLD:
            self.log.warning("changed since the champion's data: and %d more, in the report", len(changes) - _TOLD)

    def _push_links(self, context: Context, run: Run, backends: Backends) -> None:
        tracked = backends.tracking.open_run(run)
        for key, place in ((MLFLOW_RUN_URL, ""), *self.pages.items()):
            url = backends.tracking.run_url(run.pipeline, tracked, place)
            if url is not None:
                context["ti"].xcom_push(key=key, value=url)


def _label(ti: Any) -> str:
    """The task as Airflow calls it among its run's task states."""
    return str(ti.task_id) if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
