"""What all operators share: connections, the frozen run, links, and errors translated for Airflow."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException, AirflowTaskTimeout

from contender.errors import BackendError, ContenderError
from contender.patience import patience
from contender.run.freeze import safe_id
from contender_airflow.errors import translated
from contender_airflow.hooks.connections import connection_fields
from contender_airflow.hooks.mlflow import MLflowHook
from contender_airflow.hooks.store import ArtifactStoreHook
from contender_airflow.links import MLflowRunLink, PageLink

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

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
    operator_extra_links: Collection[BaseOperatorLink] = (MLflowRunLink(),)
    ui_color = "#eef2ff"

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
        self.links: dict[str, str] = {}  # the URLs of ``operator_extra_links``, by page

    def execute(self, context: Context) -> Any:
        """Run the step; its small JSON result is the task's XCom."""
        with translated(), self._failure_recorded(context):
            from contender.store.runs import has_page

            backends = self.backends()
            run = self.frozen_run(context, backends)
            tracked = backends.tracking.run_id(run)
            self._link(run, backends, tracked)
            try:
                return self.step(run, backends, context)
            finally:  # a page that says why a step failed is linked, too
                for page in (link.page for link in self.operator_extra_links if isinstance(link, PageLink)):
                    with suppress(ContenderError):  # what the step came to matters more
                        if page and has_page(run, backends.store, page):
                            self._link(run, backends, tracked, page)

    def step(self, run: Run, backends: Backends, context: Context) -> Any:
        """The step itself."""
        raise NotImplementedError

    def frozen_run(self, context: Context, backends: Backends) -> Run:
        """The run as its first task froze it, in the attempt that passed validation."""
        del context
        from contender.store.runs import validated_run

        return validated_run(backends.store, self.pipeline, safe_id(self.run_id))

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
        from contender.run.outcome import forget_failure, record_failure

        place = self.pipeline, safe_id(self.run_id), label(context["ti"])
        try:
            if context["ti"].try_number > 1:
                with suppress(Exception), patience(5):
                    forget_failure(ArtifactStoreHook(self.store_conn_id).get_conn(), *place)
            yield
        except AirflowSkipException:
            raise
        except (Exception, AirflowTaskTimeout) as error:
            if isinstance(error, AirflowTaskTimeout):
                error = BackendError(f"the step took more than its time limit of {self.execution_timeout}")
            if isinstance(error, ContenderError):  # in front of the traceback that Airflow logs
                self.log.error("%s: %s", type(error).__name__, error)  # noqa: TRY400
            with suppress(Exception), patience(5):  # the store may be what failed, after all the patience there was
                record_failure(ArtifactStoreHook(self.store_conn_id).get_conn(), *place, error)
            raise

    def log_changes(self, changes: Sequence[Change]) -> None:
        """Log the most important differences in the data."""
        for change in changes[:_LOGGED]:
            self.log.warning("changed since the champion's data: %s", change.sentence)
        if len(changes) > _LOGGED:
            self.log.warning("changed since the champion's data: and %d more, in the report", len(changes) - _LOGGED)

    def _link(self, run: Run, backends: Backends, tracked: str, page: str = "") -> None:
        from contender.store.runs import shown_as

        place = f"/artifacts/{shown_as(run, page)}" if page else ""
        url = backends.tracking.run_url(run.pipeline, tracked, place)
        if url is not None:
            self.links[page] = url


def label(ti: Any) -> str:
    """The task's key in what ``get_task_states`` returns, which ``close`` reads."""
    return str(ti.task_id) if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
