"""Runs and trials as MLflow shows them. Each has a deterministic key in a tag, looked up before anything is created.

Only the client with an explicit URI is used: MLflow's fluent API keeps its state in the process and its threads.
"""

from __future__ import annotations

import math
import os
import time
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, RunTag
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from contender.errors import BackendError
from contender.judge.scorecard import metric_label
from contender.tracking import sqlite, trials
from contender.tracking.retrying import asked_again, asked_once, attempts
from contender.tracking.trials import PARENT, TRIAL, is_complete

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from contender.documents import Decision, Run, Snapshot, TrialResult

RUN = "contender.run"
PAGE = 1_000  # runs that are looked up at once


class Tracking:
    """One MLflow server or database.

    Args:
        uri: where the client connects, such as ``sqlite:////abs/mlflow.db`` or ``http://host:5000``.
        ui_url: where people open it, for links; None when nothing serves it.

    Attributes:
        retries: how often MLflow was asked again because of a lock or a broken connection.
    """

    def __init__(self, uri: str, ui_url: str | None = None) -> None:
        self.uri = uri
        self.ui_url = ui_url
        self.retries = 0
        self._experiments: dict[str, str] = {}

    @cached_property
    def client(self) -> MlflowClient:
        """The client, tracking and registry alike.

        Registering and fetching ``models:/`` makes MLflow build clients of its own, which only know the global URI.
        """
        mlflow.set_tracking_uri(self.uri)
        if (file := sqlite.path_of(self.uri)) is not None:
            sqlite.tune(file)
        # Else it asks a server for each run that ends, to print a link to it.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
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

    @asked_again
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
        } | ({"mlflow.source.git.commit": run.code.commit} if run.code.commit else {})
        with asked_once():
            created = self.client.create_run(self.experiment(run.pipeline), tags=tags)
        return str(created.info.run_id)

    @asked_again
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

    @asked_again
    def show(self, run: Run, name: str, page: str) -> None:
        """Let MLflow show a page among the run's artifacts."""
        self.client.log_text(self.open_run(run), page, name)

    @asked_again
    def describe_sweep(self, run: Run, numbers: Mapping[str, float], tags: Mapping[str, str] | None = None) -> None:
        """Show what the sweep cost and saved on the run's page. Called again, the last numbers are shown."""
        now = int(time.time() * 1_000)
        metrics = [Metric(name, value, now, 0) for name, value in numbers.items() if math.isfinite(value)]
        shown = [RunTag(name, value) for name, value in (tags or {}).items()]
        self.client.log_batch(self.open_run(run), metrics=metrics, tags=shown)

    def record_trial(self, run: Run, parent: str, result: TrialResult) -> str:
        """Show a trial that the store has: one child run of ``parent``, all its numbers in one batch; its id.

        For whoever put the record into the store, once. What is cut off between two of its calls, ``show_trials``
        finishes.
        """
        run_id = self._create(run, parent, result)
        try:
            self._fill(run, run_id, result)
        except MlflowException:
            # This task was believed dead, another has shown the trial, and ours was put away as the second one.
            other = self._trial(run, parent, result)
            if other is None or other == run_id:
                raise
            return other
        return run_id

    def _create(self, run: Run, parent: str, result: TrialResult) -> str:
        """The trial's run, still without numbers."""
        experiment = self._known_experiment(run.pipeline)
        started, _ = trials.interval(result)
        tags = trials.tags(run, parent, result)
        tries = count()

        def create() -> str:
            # An attempt that failed may have created it all the same.
            found = self._trial(run, parent, result) if next(tries) else None
            if found is not None:
                return found
            with asked_once():
                return str(self.client.create_run(experiment, start_time=started, tags=tags).info.run_id)

        return attempts(self)(create)

    @asked_again
    def _fill(self, run: Run, run_id: str, result: TrialResult) -> None:
        """Parameters and numbers, then the end: the same however often, for all is from the record."""
        params, metrics = trials.params(result.trial), trials.metrics(run, result)
        self.client.log_batch(run_id, metrics=metrics, params=params)  # what is too much for one, the client cuts
        self.client.set_terminated(run_id, trials.status(result), trials.interval(result)[1])

    @asked_again
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
            found = sorted(shown.get(key, []), key=_rank)
            if not found:
                self.record_trial(run, parent, result)
                mended += 1
                continue
            kept, *twins = found
            if not is_complete(kept):
                self._fill(run, kept.info.run_id, result)
                mended += 1
            for twin in twins:
                if twin.info.status == "RUNNING":
                    self.client.set_terminated(twin.info.run_id, "KILLED")
                self.client.delete_run(twin.info.run_id)  # and whoever is still writing to it fails
        return mended

    def _trial(self, run: Run, parent: str, result: TrialResult) -> str | None:
        found = sorted(self._children(run, parent, f" AND tags.`{TRIAL}` = '{result.trial.key}'"), key=_rank)
        return str(found[0].info.run_id) if found else None

    def _children(self, run: Run, parent: str, query: str = "") -> Iterator[MlflowRun]:
        """Child runs of a run."""
        token = None
        while True:
            page = self.client.search_runs(
                [self._known_experiment(run.pipeline)],
                f"tags.`{PARENT}` = '{parent}'{query}",
                max_results=PAGE,
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    @asked_again
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

    @asked_again
    def close_run(self, run: Run, status: str) -> None:
        """End the run and whatever trial of it an interrupted task left open. What has ended stays as it is."""
        parent = self.open_run(run)
        for left in list(self._children(run, parent, " AND attributes.status = 'RUNNING'")):
            self.client.set_terminated(left.info.run_id, "KILLED")
        if self.client.get_run(parent).info.status == "RUNNING":
            self.client.set_terminated(parent, status)

    def run_url(self, pipeline: str, run_id: str, place: str = "") -> str | None:
        """The run's page, or a place on it, when something serves it; without what MLflow has beside for GenAI."""
        if self.ui_url is None:
            return None
        path = f"experiments/{self._known_experiment(pipeline)}/runs/{run_id}{place}"
        return f"{self.ui_url.rstrip('/')}/#/{path}?workflowType=machine_learning"

    def _artifacts(self, pipeline: str) -> str | None:
        """Beside a database file, for MLflow would else put them into the working directory; a server decides itself."""
        file = sqlite.path_of(self.uri)
        return None if file is None else (file.parent / "artifacts" / pipeline).as_uri()

    def _find(self, experiment: str, tag: str, value: str) -> MlflowRun | None:
        """The oldest run with a tag: of two made in a race, everyone picks the same."""
        found: Any = self.client.search_runs(
            [experiment], f"tags.`{tag}` = '{value}'", max_results=1, order_by=["attributes.start_time ASC"]
        )
        return found[0] if found else None


def _rank(run: MlflowRun) -> tuple[bool, int, str]:
    """Complete ones first, then the oldest; of equals everybody takes the same, for two may be mending at once."""
    return not is_complete(run), run.info.start_time, run.info.run_id
