"""Runs and trials as MLflow shows them. Each has its key in a tag, which is looked up before anything is created.

MLflow's fluent API is not used, because it keeps state in the process and its threads. What a trial's tags and numbers
are is in ``trials``; models are in ``models``.
"""

from __future__ import annotations

import math
import os
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from contender.errors import BackendError
from contender.tracking import sqlite, trials
from contender.tracking.access import PatientClient, bare, let_in
from contender.tracking.retrying import asked_once, retried
from contender.tracking.trials import PARENT, TRIAL, is_complete
from contender.words import counted, metric_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from contender.documents.data import Snapshot
    from contender.documents.decision import Decision
    from contender.documents.run import Run
    from contender.documents.sweep import TrialResult

RUN = "contender.run"
STORE = "contender.store"  # the installation: two of them on one MLflow may have pipelines and runs of the same names
PAGE = 1_000  # runs in one page of a search


class Tracking:
    """One MLflow server or database.

    Args:
        uri: where the client connects, such as ``sqlite:////abs/mlflow.db`` or ``http://host:5000``.
        ui_url: the address of MLflow's pages, for links; None when no server shows them.
        login, password: of an account there; absent: those in the uri, or MLflow's own search.

    Attributes:
        retries: how many calls were repeated because of a lock or a broken connection.
    """

    def __init__(
        self, uri: str, ui_url: str | None = None, *, login: str | None = None, password: str | None = None
    ) -> None:
        self.uri, *account = bare(uri)
        self._account = (login, password) if login else tuple(account)
        self.ui_url = ui_url
        self.retries = 0
        self._experiments: dict[str, str] = {}

    @cached_property
    def client(self) -> MlflowClient:
        """The client of both tracking and registry.

        It also sets the global URIs: for ``models:/`` addresses MLflow builds its own clients, which know only those.
        The registry is that of the connection, whatever ``MLFLOW_REGISTRY_URI`` says in the shell.
        """
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri("")  # the tracking URI's; None would ask the environment
        let_in(*self._account)
        if (file := sqlite.path_of(self.uri)) is not None:
            sqlite.tune(file)
        # Otherwise the client makes one more request for each run that ends, to print a link to it.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        client: Any = PatientClient(MlflowClient(tracking_uri=self.uri, registry_uri=self.uri), self.uri, self)
        named: MlflowClient = client
        return named

    def experiment(self, pipeline: str) -> str:
        """The id of the pipeline's experiment, created when it is missing.

        Raises:
            BackendError: the experiment was deleted in MLflow.
        """
        found = self.client.get_experiment_by_name(pipeline)
        if found is None:
            try:
                created = self.client.create_experiment(
                    pipeline,
                    artifact_location=self._artifact_location(pipeline),
                    tags={"mlflow.experimentKind": "custom_model_development"},  # without it MLflow shows GenAI pages
                )
                return str(created)
            except MlflowException:  # another process created it first
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
        """The id of the pipeline's experiment, looked up once: recording a trial must not cost another request."""
        if pipeline not in self._experiments:
            self._experiments[pipeline] = self.experiment(pipeline)
        return self._experiments[pipeline]

    def run_id(self, run: Run) -> str:
        """The MLflow run of a Contender run, created when it is missing; its id."""
        tags = {
            "mlflow.runName": f"{run.as_of:%Y-%m-%d} {run.id}",
            "mlflow.note.content": run.reason,
            **run_tags(run),
            "contender.as_of": run.as_of.isoformat(),
            "contender.by": run.by,
            "mlflow.user": run.by,
            "mlflow.source.name": "contender",
            "contender.code": run.code.fingerprint[:16],
        } | ({"mlflow.source.git.commit": run.code.commit} if run.code.commit else {})
        found = asked_once(
            self,
            lambda: next(iter(self._all_of(run)), None),
            lambda: self._make(run, tags),
        )
        return str(found.info.run_id)

    def _make(self, run: Run, tags: dict[str, str]) -> MlflowRun:
        """Create the MLflow run, unless another task has created an older one since this one looked: it may have slept."""
        made = self.client.create_run(self.experiment(run.pipeline), tags=tags)
        first = next(iter(self._all_of(run)), made)
        if first.info.run_id != made.info.run_id:
            self.client.delete_run(made.info.run_id)
        return first

    def describe_data(self, run: Run, snapshot: Snapshot, digest: str) -> None:
        """Show the snapshot as the run's dataset."""
        dataset = Dataset(
            name=f"{run.pipeline} snapshot",
            digest=digest[:36],
            source_type="local",
            source=f'{{"uri": "{snapshot.key(run.pipeline, "data.parquet")}"}}',
            profile=f'{{"num_rows": {snapshot.rows}, "num_unlabelled": {snapshot.unlabelled}}}',
        )
        self.client.log_inputs(self.run_id(run), datasets=[DatasetInput(dataset=dataset)])

    def show(self, run: Run, name: str, page: str) -> None:
        """Let MLflow show a page among the run's artifacts."""
        self.client.log_text(self.run_id(run), page, name)

    def describe_sweep(self, run: Run, numbers: Mapping[str, float], tags: Mapping[str, str] | None = None) -> None:
        """Show what the sweep cost and saved on the run's page; MLflow shows the numbers of the last call."""
        now = int(time.time() * 1_000)
        metrics = [Metric(name, value, now, 0) for name, value in numbers.items() if math.isfinite(value)]
        shown = [RunTag(name, value) for name, value in (tags or {}).items()]
        self.client.log_batch(self.run_id(run), metrics=metrics, tags=shown)

    def record_trial(self, run: Run, parent: str, result: TrialResult) -> str:
        """Show a trial that the store has: one child run of ``parent``, all its numbers in one batch; the child's id.

        The task that put the record into the store calls this once. If it is interrupted in between, ``show_trials``
        completes the trial.
        """
        run_id = self._create(run, parent, result)
        try:
            self._fill(run, run_id, result)
        except MlflowException:
            # This task was believed dead; another task showed the trial again and deleted this task's child run.
            other = self._find_trial(run, parent, result)
            if other is None or other == run_id:
                raise
            return other
        return run_id

    def _create(self, run: Run, parent: str, result: TrialResult) -> str:
        """Create the trial's child run, without parameters and numbers; its id."""
        experiment = self._known_experiment(run.pipeline)
        started, _ = trials.interval(result)
        tags = trials.tags(run, parent, result)
        return asked_once(
            self,
            lambda: self._find_trial(run, parent, result),
            lambda: str(self.client.create_run(experiment, start_time=started, tags=tags).info.run_id),
            new=True,
        )

    def _fill(self, run: Run, run_id: str, result: TrialResult) -> None:
        """Log parameters and numbers, then end the run. Idempotent: all values come from the record."""
        params, metrics = trials.params(result.trial), trials.metrics(run, result)
        self.client.log_batch(run_id, metrics=metrics, params=params)  # the client splits a batch that is too large
        # The end comes last: ``is_complete`` takes it as proof that the numbers are there.
        self.client.set_terminated(run_id, trials.status(result), trials.interval(result)[1])

    @retried
    def show_trials(self, run: Run, results: Iterable[TrialResult]) -> int:
        """Make MLflow show each of these trials exactly once; trials that another run recorded are left out.

        Missing trials are recorded and incomplete ones completed. A trial that two tasks showed (one was believed dead)
        keeps its first complete child run; the others are deleted.

        Returns:
            How many trials were missing or incomplete.
        """
        own = {result.trial.key: result for result in results if result.run_id == run.id}
        if not own:
            return 0
        parent = self.run_id(run)
        shown: dict[str, list[MlflowRun]] = {}
        for child in self._children(run, parent):
            shown.setdefault(child.data.tags.get(TRIAL, ""), []).append(child)
        mended = 0
        for key, result in own.items():
            found = sorted(shown.get(key, []), key=_rank)
            # What an earlier try told of it: its machine had ended it, and now it has a result.
            told = [child for child in found if is_complete(child) and child.info.status != trials.status(result)]
            right = [child for child in found if child not in told]
            if not right:
                self.record_trial(run, parent, result)
                mended += 1
            elif not is_complete(right[0]):
                self._fill(run, right[0].info.run_id, result)
                mended += 1
            for duplicate in [*told, *right[1:]]:
                if duplicate.info.status == "RUNNING":
                    self.client.set_terminated(duplicate.info.run_id, "KILLED")
                self.client.delete_run(duplicate.info.run_id)  # a task that still writes to it gets an error
        return mended

    def _find_trial(self, run: Run, parent: str, result: TrialResult) -> str | None:
        """The id of the trial's child run, if there is one."""
        found = sorted(self._children(run, parent, f" AND tags.`{TRIAL}` = '{result.trial.key}'"), key=_rank)
        return str(found[0].info.run_id) if found else None

    def _children(self, run: Run, parent: str, query: str = "") -> Iterator[MlflowRun]:
        """The child runs of an MLflow run that match the query, page by page."""
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

    def record_decision(self, run: Run, decision: Decision, report: Path, *, number: int = 1) -> None:
        """Show the decision on the run's page: verdicts as tags, contestants' metrics, the report as an artifact.

        Args:
            number: which of the run's decisions it is. Metrics are logged at this step, so that the newest stands, and
                parameters, which MLflow never changes, have it in their names from the second on.
        """
        run_id = self.run_id(run)
        milliseconds = int(run.started.timestamp() * 1_000)
        metrics = [
            Metric(f"{card.contestant}_{metric_label(name)}", value, milliseconds, number - 1)
            for card in decision.board.cards
            for name, value in card.metrics.items()
            if math.isfinite(value)
        ]
        for met in decision.board.comparisons:  # the fair pair: both on the rows that are new to both
            pair = {"candidate": met.candidate, met.opponent: met.other, "difference": met.difference}
            metrics += [
                Metric(f"against_{met.opponent}/{who}_{metric_label(met.metric)}", value, milliseconds, number - 1)
                for who, value in pair.items()
            ]
        tags = {"contender.decision": decision.outcome, "mlflow.note.content": decision.sentence}
        if decision.changes:
            tags["contender.changes"] = "\n".join(change.sentence for change in decision.changes[:10])[:5_000]
        if (asking := decision.board.challenger) is not None:
            tags["contender.challenger"] = (
                f"{asking.trial.label}, {counted(len(asking.looks), 'look')}, against entry {asking.champion}"
            )
        tags |= {f"contender.gate.{n}": f"{v.status}: {v.reason}"[:5_000] for n, v in enumerate(decision.verdicts)}
        params = trials.params(decision.recipe.trial)
        self.client.log_batch(
            run_id,
            metrics=metrics,
            params=[one if number == 1 else Param(f"decision {number}/{one.key}", one.value) for one in params],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        self.client.log_artifact(run_id, str(report))

    @retried
    def close_run(self, run: Run, status: str) -> None:
        """End the run as it ended now, also one that had failed and was mended, and mark as KILLED the trials that an
        interrupted task left open. Of two MLflow runs that a race made, the one that nobody picks is deleted.
        """
        parent = self.run_id(run)
        for left in list(self._children(run, parent, " AND attributes.status = 'RUNNING'")):
            self.client.set_terminated(left.info.run_id, "KILLED")
        if self.client.get_run(parent).info.status != status:
            self.client.set_terminated(parent, status)
        for duplicate in self._all_of(run)[1:]:
            self.client.delete_run(duplicate.info.run_id)

    def run_url(self, pipeline: str, run_id: str, place: str = "") -> str | None:
        """The address of the run's page, or of a place on it; None without a server. It hides MLflow's GenAI views."""
        if self.ui_url is None:
            return None
        path = f"experiments/{self._known_experiment(pipeline)}/runs/{run_id}{place}"
        return f"{self.ui_url.rstrip('/')}/#/{path}?workflowType=machine_learning"

    def _artifact_location(self, pipeline: str) -> str | None:
        """A folder beside the database file, else MLflow would use the working directory; None: the server decides."""
        file = sqlite.path_of(self.uri)
        return None if file is None else (file.parent / "artifacts" / pipeline).as_uri()

    def _all_of(self, run: Run) -> list[MlflowRun]:
        """The MLflow runs of a Contender run, the oldest first: when a race made two, all processes pick that one.

        A run that version 0.1.0 froze names no installation, and neither does its MLflow run.
        """
        query = " AND ".join(f"tags.`{name}` = '{value}'" for name, value in run_tags(run).items())
        experiment = self.experiment(run.pipeline)
        found: Any = self.client.search_runs([experiment], query, order_by=["attributes.start_time ASC"])
        return [one for one in found if run.store or STORE not in one.data.tags]


def run_tags(run: Run) -> dict[str, str]:
    """The tags by which all that a run makes in MLflow is found again: its id, and the installation that froze it."""
    return {RUN: run.id} | ({STORE: run.store} if run.store else {})


def _rank(run: MlflowRun) -> tuple[bool, int, str]:
    """Sort key: complete runs first, then the oldest, then by id, so that concurrent tasks keep the same one."""
    return not is_complete(run), run.info.start_time, run.info.run_id
