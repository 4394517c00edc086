"""The operators of a training run, in the order they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from contender.run.freeze import safe_id
from contender_airflow.links import ChecksLink, ReportLink
from contender_airflow.operators.base import ContenderOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from contender.backends import Backends
    from contender.documents.run import Run


class SnapshotOperator(ContenderOperator):
    """Freezes the Run from YAML and trigger conf, then reads the window into a content-addressed snapshot.

    Until ``validate`` has passed, each execution is a new attempt that reads YAML and source anew.

    :param spec_file: the pipeline's YAML; read here and nowhere else (templated)
    """

    template_fields: Sequence[str] = (*ContenderOperator.template_fields, "spec_file")

    def __init__(self, *, spec_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec_file = spec_file

    def frozen_run(self, context: Context, backends: Backends) -> Run:
        """Freeze what this run is asked to do, unless an attempt of it counts."""
        from contender.run.freeze import freeze_run
        from contender.spec.loading import load_spec

        dag_run = context["dag_run"]
        asked, date = dict(dag_run.conf or {}), dag_run.logical_date
        if asked.get("as_of") is None and date is not None and date.date() != dag_run.run_after.date():
            self.log.warning(
                "the logical date %s changes nothing; `as_of` says which day the run looks from", date.date()
            )
        return freeze_run(
            backends.store,
            load_spec(self.spec_file),
            run_id=self.run_id,
            conf=asked,
            requested=dag_run.run_after,
            by=dag_run.triggering_user_name or str(getattr(dag_run.run_type, "value", dag_run.run_type)),
        )

    def step(self, run: Run, backends: Backends, context: Context) -> dict[str, Any]:
        """Take the snapshot. Log what changed in it here already: it explains a run that validation stops."""
        from contender.pipeline import snapshot
        from contender.profile.history import since_champion
        from contender.store.ledger import Ledger

        del context
        taken = snapshot(run, backends)
        self.log.info("snapshot %s: %d rows", taken.id[:12], taken.rows)
        if taken.accounts is not None:
            self.log.info("%s", taken.accounts.words)
        _, changes = since_champion(run, backends.store, Ledger(backends.store, run.pipeline).champion(), taken)
        self.log_changes(changes)
        for odd in taken.uncoerced:
            self.log.warning("%s in %d rows%s", odd.reason, odd.rows, odd.where)
        return {"snapshot": taken.id, "rows": taken.rows, "as_of": run.as_of.isoformat()}


class ValidateOperator(ContenderOperator):
    """Runs the expectations, quarantines bad rows, looks for leaks, and stops the run when too much is wrong."""

    operator_extra_links = (*ContenderOperator.operator_extra_links, ChecksLink())

    def frozen_run(self, context: Context, backends: Backends) -> Run:
        """The newest attempt with a snapshot, unless one counts."""
        del context
        from contender.store.runs import run_to_validate

        return run_to_validate(backends.store, self.pipeline, safe_id(self.run_id))

    def step(self, run: Run, backends: Backends, context: Context) -> dict[str, Any]:
        """Validate the snapshot."""
        from contender.pipeline import validate

        del context
        try:
            quarantine = validate(run, backends)
        finally:
            if backends.store.exists(run.key("checks.html")):
                self.log.info("all checks: %s", backends.store.url(run.key("checks.html")))
        checks = (*quarantine.structure, *quarantine.checks)
        for check in checks:
            if not check.success:
                rows = f" {check.unexpected} rows" if check.unexpected else ""
                self.log.warning("%s: %s:%s %s", check.severity, check.label, rows, check.detail)
        if quarantine.rows:
            self.log.warning(
                "the run goes on with %d rows, without %d that are set aside", quarantine.kept, len(quarantine.rows)
            )
        for finding in quarantine.findings:
            self.log.warning("leak suspected, policy %s: %s", finding.policy, finding.words)
        if quarantine.dropped:
            self.log.warning("the run goes on without the columns %s", ", ".join(quarantine.dropped))
        return {
            "checks": len(checks),
            "kept": quarantine.kept,
            "quarantined": len(quarantine.rows),
            "leaks": len(quarantine.findings),
        }


class PlanOperator(ContenderOperator):
    """Freezes a round's trials; its result is the list that the training tasks are mapped over.

    :param number: the round, from 1
    """

    def __init__(self, *, number: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.number = number

    def step(self, run: Run, backends: Backends, context: Context) -> list[int]:
        """Plan the sweep."""
        from joblib import cpu_count

        from contender.pipeline import plan

        del context
        made = plan(run, backends, cores=cpu_count(), number=self.number)
        self.log.info("%d trials, %d of them done by another run", len(made.trials), len(made.reused))
        for point in made.history.warm if self.number == 1 else ():
            label = run.spec.sweep.candidates[point.candidate].label
            self.log.info("%s starts from the last run's best: %s", label, point.params)
        expected = ", ".join(f"{label} {seconds:.2g} s" for label, seconds in made.seconds.items())
        self.log.info("a trial of %s, by %s: %d training tasks", expected, made.seconds_from, made.tasks)
        return list(range(made.tasks))


class TrainOperator(ContenderOperator):
    """Runs trials of a round until none is left. A retry continues where the last try stopped.

    :param training_task: which of the round's training tasks (mapped)
    :param number: the round, from 1
    """

    template_fields: Sequence[str] = (*ContenderOperator.template_fields, "training_task")

    def __init__(self, *, training_task: int, number: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.training_task = training_task
        self.number = number

    def step(self, run: Run, backends: Backends, context: Context) -> dict[str, int]:
        """Train."""
        from contender.pipeline import train

        report = train(run, backends, task=int(self.training_task), number=self.number)
        context["task_label"] = report.label  # type: ignore[typeddict-unknown-key]
        if report.untried:
            self.log.warning("the budget is over: %d trials of this round stay untried", len(report.untried))
        return {"done": report.done, "failed": report.failed, "untried": len(report.untried)}


class ChallengeOperator(ContenderOperator):
    """Accounts for every trial, scores the best against its opponents, asks every gate, and decides."""

    operator_extra_links = (*ContenderOperator.operator_extra_links, ReportLink())

    def step(self, run: Run, backends: Backends, context: Context) -> dict[str, str]:
        """Decide."""
        from contender.pipeline import challenge

        del context
        decision = challenge(run, backends)
        self.log.info("%s", decision.sentence)
        for verdict in decision.verdicts:
            self.log.info("%s: %s (%s)", verdict.gate, verdict.status, verdict.reason)
        self.log_changes(decision.changes)
        self.log.info("report: %s", backends.store.url(run.key(decision.report)))
        return {"decision": decision.outcome, "sentence": decision.sentence}


class PromoteOperator(ContenderOperator):
    """Registers this run's model, verifies it in a fresh process, enters it in the ledger, sets the alias last.

    Skips itself unless the decision is to promote, so that a kept champion shows in the grid as a skipped task; also
    when it is cleared after the promoted version has lost the title. Its outlet, the champion asset, gets an event only
    while the version holds the title.
    """

    operator_extra_links = ChallengeOperator.operator_extra_links

    def step(self, run: Run, backends: Backends, context: Context) -> dict[str, Any]:
        """Promote."""
        from contender.pipeline import promote
        from contender.store.ledger import Ledger, shown_version

        entry = promote(run, backends)
        if entry is None:
            self.log.info("skipped: the decision is not to promote; the champion stays")
            raise AirflowSkipException("the decision is not to promote; the champion stays")
        champion, version = Ledger(backends.store, run.pipeline).champion(), shown_version(backends.store, entry)
        if champion is None or champion.release != entry.release:
            msg = f"version {version} lost the title since it was promoted; nobody is told of it"
            self.log.info("skipped: %s", msg)
            raise AirflowSkipException(msg)
        self.log.info("version %s is the champion (ledger entry %d)", version, entry.number)
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {"version": version, "run_id": run.id}
        return {"version": version, "ledger_entry": entry.number}


class AnnounceOperator(ContenderOperator):
    """Records how the run ended; its XCom is the run's Outcome."""

    operator_extra_links = ChallengeOperator.operator_extra_links

    def step(self, run: Run, backends: Backends, context: Context) -> dict[str, Any]:
        """Announce."""
        from contender.pipeline import announce

        del context
        outcome = announce(run, backends)
        self.log.info("%s", outcome.sentence)
        if outcome.cost is not None:
            self.log.info("it cost %s", outcome.cost.run.words)
        return outcome.model_dump(mode="json")
