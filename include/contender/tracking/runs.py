"""Runs and trials as MLflow shows them. Each has a deterministic key in a tag, looked up before anything is created.

Only the client with an explicit URI is used: MLflow's fluent API keeps its state in the process and its threads.
"""

from __future__ import annotations

import math
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, RunTag
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from contender.errors import BackendError
from contender.judge.scorecard import metric_label
from contender.tracking import trials
from contender.tracking.trials import COMPLETE, ERROR, PARENT, TRIAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from contender.documents import Decision, Run, Snapshot, TrialResult

RUN = "contender.run"
_MOST_PARAMS, _MOST_AT_ONCE = 100, 1_000  # what MLflow takes in one batch
_SQLITE = "sqlite:///"


class Tracking:
    """One MLflow server or database.

    Args:
        uri: where the client connects, such as ``sqlite:////abs/mlflow.db`` or ``http://host:5000``.
        ui_url: where people open it, for links; None when nothing serves it.
    """

    def __init__(self, uri: str, ui_url: str | None = None) -> None:
        self.uri = uri
        self.ui_url = ui_url
        self._experiments: dict[str, str] = {}

    @cached_property
    def client(self) -> MlflowClient:
        """The client, tracking and registry alike.

        Registering and fetching ``models:/`` makes MLflow build clients of its own, which only know the global URI.
        """
        mlflow.set_tracking_uri(self.uri)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def experiment(self, pipeline: str) -> str:
        """The id of the pipeline's experiment, created when it is missing.

        Raises:
            BackendError: somebody deleted it in MLflow.
        """
        found = self.client.get_experiment_by_name(pipeline)
        if found is None:
            try:
                created = self.client.create_experiment(
                    pipeline,
                    artifact_location=self._artifacts(pipeline),
                    tags={"mlflow.experimentKind": "custom_model_development"},  # else its pages are those of GenAI
                )
                return str(created)
            except MlflowException:  # another pipeline run was first
                found = self.client.get_experiment_by_name(pipeline)
                if found is None:
                    raise
        if found.lifecycle_stage != "active":
            msg = (
                f"MLflow: the experiment {pipeline} was deleted; restore it "
                f"(mlflow experiments restore --experiment-id {found.experiment_id})"
            )
            raise BackendError(msg)
        return str(found.experiment_id)

    def _known_experiment(self, pipeline: str) -> str:
        """Looked up once: a trial must not cost another question."""
        if pipeline not in self._experiments:
            self._experiments[pipeline] = self.experiment(pipeline)
        return self._experiments[pipeline]

    def open_run(self, run: Run) -> str:
        """The MLflow run of a Contender run, created when it is missing; its id."""
        found = self._find(self.experiment(run.pipeline), RUN, run.id)
        if found is not None:
            return str(found.info.run_id)
        tags = {
            "mlflow.runName": f"{run.as_of:%Y-%m-%d} {run.id}",
            "mlflow.note.content": run.reason,
            RUN: run.id,
            "contender.as_of": run.as_of.isoformat(),
            "contender.by": run.by,
            "mlflow.user": run.by,
            "mlflow.source.name": "contender",
            "contender.code": run.code.fingerprint[:16],
        }
        created = self.client.create_run(self.experiment(run.pipeline), tags=tags)
        return str(created.info.run_id)

    def describe_data(self, run: Run, snapshot: Snapshot, digest: str) -> None:
        """Show the snapshot as the run's dataset."""
        dataset = Dataset(
            name=f"{run.pipeline} snapshot",
            digest=digest[:36],
            source_type="local",
            source=f'{{"uri": "{snapshot.key(run.pipeline, "data.parquet")}"}}',
            profile=f'{{"num_rows": {snapshot.rows}, "num_unlabelled": {snapshot.unlabelled}}}',
        )
        self.client.log_inputs(self.open_run(run), datasets=[DatasetInput(dataset=dataset)])

    def show(self, run: Run, name: str, page: str) -> None:
        """Let MLflow show a page among the run's artifacts."""
        self.client.log_text(self.open_run(run), page, name)

    def describe_sweep(self, run: Run, numbers: Mapping[str, float]) -> None:
        """Show what the sweep cost and saved on the run's page. Called again, the last numbers are shown."""
        now = int(time.time() * 1_000)
        metrics = [Metric(name, value, now, 0) for name, value in numbers.items() if math.isfinite(value)]
        self.client.log_batch(self.open_run(run), metrics=metrics)

    def record_trial(self, run: Run, parent: str, result: TrialResult) -> str:
        """Show a trial that the store has: one child run of ``parent``, all its numbers in one batch; its id.

        Called once by whoever put the record into the store. What is cut off between two of its calls, ``show_trials``
        finishes.
        """
        started, _ = trials.interval(result)
        tags = trials.tags(run, parent, result)
        created = self.client.create_run(self._known_experiment(run.pipeline), start_time=started, tags=tags)
        run_id = str(created.info.run_id)
        self._fill(run, run_id, result)
        return run_id

    def _fill(self, run: Run, run_id: str, result: TrialResult) -> None:
        """Numbers, the tag that says it is complete, the end: the same however often, for all is from the record."""
        params, metrics, last = trials.params(result.trial), trials.metrics(run, result), [RunTag(COMPLETE, "true")]
        if len(params) > _MOST_PARAMS or len(params) + len(metrics) >= _MOST_AT_ONCE:
            self.client.log_batch(run_id, metrics=metrics, params=params)  # the client cuts it into several
            metrics, params = [], []
        self.client.log_batch(run_id, metrics=metrics, params=params, tags=last)  # MLflow writes tags last
        self.client.set_terminated(run_id, trials.status(result), trials.interval(result)[1])

    def show_trials(self, run: Run, results: Iterable[TrialResult]) -> int:
        """Make MLflow show each of these trials exactly once, if it is this run's own.

        What it lacks is recorded, what an interrupted task left half-done is finished. Of a trial that two tasks showed
        (one was believed dead and woke up) the first stays, and the others are deleted.

        Returns:
            How many it did not show completely.
        """
        own = {result.trial.key: result for result in results if result.run_id == run.id}
        if not own:
            return 0
        parent = self.open_run(run)
        shown: dict[str, list[MlflowRun]] = {}
        for child in self._children(run, parent):
            shown.setdefault(child.data.tags.get(TRIAL, ""), []).append(child)
        mended = 0
        for key, result in own.items():
            # Complete ones first; of equals everybody takes the same, for two tasks may be mending at once.
            found = sorted(
                shown.get(key, []),
                key=lambda one: (COMPLETE not in one.data.tags, one.info.start_time, one.info.run_id),
            )
            if not found:
                self.record_trial(run, parent, result)
                mended += 1
                continue
            kept, *twins = found
            if COMPLETE not in kept.data.tags or kept.info.status == "RUNNING":
                self._fill(run, kept.info.run_id, result)
                mended += 1
            for twin in twins:
                if twin.info.status == "RUNNING":
                    self.client.set_terminated(twin.info.run_id, "KILLED")
                self.client.delete_run(twin.info.run_id)  # and whoever is still writing to it fails
        return mended

    def _children(self, run: Run, parent: str, query: str = "") -> Iterator[MlflowRun]:
        """Child runs of a run."""
        token = None
        while True:
            page = self.client.search_runs(
                [self._known_experiment(run.pipeline)],
                f"tags.`{PARENT}` = '{parent}'{query}",
                max_results=1_000,
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def record_decision(self, run: Run, decision: Decision, report: Path) -> None:
        """The decision on the run's page: verdicts as tags, contestants' metrics, the report as an artifact."""
        run_id = self.open_run(run)
        milliseconds = int(run.started.timestamp() * 1_000)
        metrics = [
            Metric(f"{card.contestant}_{metric_label(name)}", value, milliseconds, 0)
            for card in decision.board.cards
            for name, value in card.metrics.items()
            if math.isfinite(value)
        ]
        tags = {"contender.decision": decision.outcome, "mlflow.note.content": decision.sentence}
        if decision.changes:
            tags["contender.changes"] = "\n".join(change.sentence for change in decision.changes[:10])[:5_000]
        tags |= {f"contender.gate.{n}": f"{v.status}: {v.reason}"[:5_000] for n, v in enumerate(decision.verdicts)}
        self.client.log_batch(
            run_id,
            metrics=metrics,
            params=trials.params(decision.recipe.trial),
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        self.client.log_artifact(run_id, str(report))

    def close_run(self, run: Run, status: str) -> None:
        """End the run and whatever trial of it an interrupted task left open. What has ended stays as it is."""
        parent = self.open_run(run)
        for left in list(self._children(run, parent, " AND attributes.status = 'RUNNING'")):
            ended = "FAILED" if ERROR in left.data.tags else "FINISHED"  # complete, but its task died before saying so
            self.client.set_terminated(left.info.run_id, ended if COMPLETE in left.data.tags else "KILLED")
        if self.client.get_run(parent).info.status == "RUNNING":
            self.client.set_terminated(parent, status)

    def run_url(self, pipeline: str, run_id: str) -> str | None:
        """The run's page, when something serves it."""
        if self.ui_url is None:
            return None
        return f"{self.ui_url.rstrip('/')}/#/experiments/{self.experiment(pipeline)}/runs/{run_id}"

    def _artifacts(self, pipeline: str) -> str | None:
        """Beside a database file, for MLflow would else put them into the working directory; a server decides itself."""
        if not self.uri.startswith(_SQLITE):
            return None
        return (Path(self.uri.removeprefix(_SQLITE)).parent / "artifacts" / pipeline).as_uri()

    def _find(self, experiment: str, tag: str, value: str) -> MlflowRun | None:
        """The oldest run with a tag: of two made in a race, everyone picks the same."""
        found: Any = self.client.search_runs(
            [experiment], f"tags.`{tag}` = '{value}'", max_results=1, order_by=["attributes.start_time ASC"]
        )
        return found[0] if found else None
