"""Runs and trials as MLflow shows them. Each has a deterministic key in a tag, looked up before anything is created.

Only the client with an explicit URI is used: MLflow's fluent API keeps its state in the process and its threads.
"""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from contender.errors import BackendError
from contender.judge.scorecard import metric_label

if TYPE_CHECKING:
    from contender.documents import Decision, Run, Snapshot, Trial, TrialResult

RUN = "contender.run"
TRIAL = "contender.trial"
COMPLETE = "contender.complete"
ERROR = "contender.error"
_PARAM_LENGTH = 6_000
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

    def recorded_trials(self, run: Run, keys: set[str]) -> dict[str, str]:
        """Trials of these keys that MLflow has completely, as key to run id: those an interrupted task left."""
        experiment = self.experiment(run.pipeline)
        query = f"tags.`contender.parent` = '{self.open_run(run)}' AND tags.`{COMPLETE}` = 'true'"
        found: dict[str, str] = {}
        token = None
        while True:
            page = self.client.search_runs([experiment], query, max_results=1_000, page_token=token)
            found |= {r.data.tags[TRIAL]: str(r.info.run_id) for r in page if r.data.tags.get(TRIAL) in keys}
            token = page.token
            if not token:
                return found

    def record_trial(self, run: Run, parent: str, result: TrialResult) -> str:
        """One child run per trial, all its numbers in one batch; its id."""
        trial = result.trial
        milliseconds = int(result.started.timestamp() * 1_000)
        tags = {
            "mlflow.runName": f"{trial.label} {trial.key[:8]}",
            "mlflow.parentRunId": parent,
            "contender.parent": parent,
            TRIAL: trial.key,
        }
        created = self.client.create_run(self.experiment(run.pipeline), start_time=milliseconds, tags=tags)
        numbers = {"seconds": result.seconds, "cpu_seconds": result.cpu_seconds}
        metric = metric_label(run.spec.sweep.metric)
        if result.mean is not None and result.std is not None:
            numbers |= {f"cv_{metric}": result.mean, f"cv_{metric}_std": result.std}
        metrics = [Metric(name, value, milliseconds, 0) for name, value in numbers.items() if math.isfinite(value)]
        metrics += [Metric(f"fold_{metric}", score, milliseconds, step) for step, score in enumerate(result.scores)]
        last = {COMPLETE: "true"} if result.error is None else {COMPLETE: "true", ERROR: result.error[:5_000]}
        self.client.log_batch(
            created.info.run_id,
            metrics=metrics,
            params=_params(trial),
            tags=[RunTag(name, value) for name, value in last.items()],
        )
        self.client.set_terminated(created.info.run_id, "FINISHED" if result.status == "complete" else "FAILED")
        return str(created.info.run_id)

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
            params=_params(decision.recipe.trial),
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        self.client.log_artifact(run_id, str(report))

    def close_run(self, run: Run, status: str) -> None:
        """End the run and whatever trial of it an interrupted task left open. What has ended stays as it is."""
        parent = self.open_run(run)
        experiment = self.experiment(run.pipeline)
        query = f"attributes.status = 'RUNNING' AND tags.`contender.parent` = '{parent}'"
        for left in self.client.search_runs([experiment], query, max_results=1_000):
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


def _params(trial: Trial) -> list[Param]:
    path = {"pipeline" if trial.pipeline else "estimator": trial.estimator}
    return [
        Param(name, str(value)[:_PARAM_LENGTH]) for name, value in {**path, "seed": trial.seed, **trial.params}.items()
    ]
