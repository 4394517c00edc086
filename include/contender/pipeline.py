"""The seven steps of a training run: snapshot, validate, plan, train, challenge, promote, announce.

Each takes a frozen Run and what earlier steps wrote for it, and writes its own document last, under the run's key. A
step whose document is there has happened: run again it returns what was written. Airflow's operators, the command line
and the tests call these same functions.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from contender import release as releases
from contender.canonical import sha256
from contender.data.checks.quarantine import examine, judge_quarantine
from contender.data.contract import freeze, frozen_columns
from contender.data.leaks.guard import guard, judge_findings
from contender.data.record.history import since_champion
from contender.data.rows import as_frame, load_rows
from contender.data.snapshot import read_snapshot, take_snapshot, unread_rows
from contender.documents import (
    Decision,
    Outcome,
    Plan,
    Quarantine,
    Run,
    ShardReport,
    Snapshot,
    TrialResult,
    run_key,
)
from contender.errors import BackendError, Conflict
from contender.judge.challenge import judge, recipe_of, same_model
from contender.judge.checks import checks_page
from contender.judge.report import render
from contender.libraries import check_libraries
from contender.outcome import failed_outcome, outcome_of, truncation
from contender.steps import costs_of, counted, once
from contender.store.base import read_document, require_document, write_document
from contender.store.ledger import Evidence, Ledger, LedgerEntry
from contender.sweep.planning import check_same_code, make_plan
from contender.sweep.queue import Queue
from contender.sweep.results import complete_results, result_key, sweep_so_far
from contender.sweep.training import run_trials
from contender.sweep.worker import evaluator_of, probe_seconds
from contender.title import project_alias, refuse_foreign_alias
from contender.tracking import models

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contender.backends import Backends
    from contender.cost import Costs
    from contender.documents import Trial


@once(Snapshot, "snapshot.json")
def snapshot(run: Run, backends: Backends) -> Snapshot:
    """Check the spec against the libraries, then read the run's window and keep it under its content id.

    Raises:
        ConfigError: the spec names something that does not exist.
        DataUnavailable: no labelled row in the window yet.
        DataRejected: a column is missing or unusable.
    """
    check_libraries(run.spec)
    taken = take_snapshot(run, backends.store, backends.connections)
    backends.tracking.describe_data(run, taken, taken.id)
    return taken


@once(Quarantine, "quarantine.json")
def validate(run: Run, backends: Backends) -> Quarantine:
    """Run the expectations, set bad rows aside, look for leaks, and stop the run when too much is wrong.

    Raises:
        DataRejected: with expectation or suspicion, column and count. Nothing after this step runs on such data.
    """
    taken = require_document(backends.store, run.key("snapshot.json"), Snapshot)
    frame = as_frame(read_snapshot(taken, run.pipeline, backends.store))
    had_values = [name for name, kind in frozen_columns(run.pipeline, backends.store).items() if kind is not None]
    quarantine = examine(run.spec, taken, frame, unread_rows(taken, run.pipeline, backends.store), had_values)
    _show_checks(run, backends, taken, quarantine)  # also of a run that stops here
    judge_quarantine(taken, quarantine, run.spec.quarantine.max_share)
    quarantine = guard(run, taken, quarantine, frame, backends.store)
    _show_checks(run, backends, taken, quarantine)
    judge_findings(quarantine)
    freeze(run, taken, backends.store, empty=[one.name for one in taken.statistics if one.nulls == taken.rows])
    return quarantine


def _show_checks(run: Run, backends: Backends, taken: Snapshot, quarantine: Quarantine) -> None:
    page = checks_page(run, taken, quarantine)
    write_document(backends.store, run.key("checks.json"), quarantine)
    backends.store.write(run.key("checks.html"), page.encode())
    backends.tracking.show(run, "checks.html", page)


@once(Plan, "rounds/{number}/plan.json")
def plan(run: Run, backends: Backends, *, cores: int, number: int = 1) -> Plan:
    """Freeze a round's trials, and over how many training tasks they are spread.

    Args:
        cores: how many training tasks run side by side unless the spec says.
        number: the round, from 1.

    Raises:
        BackendError: a trial of an earlier round has no record.
        DataRejected: there is too little data, or nothing of an earlier round to go on with.
    """
    rows = load_rows(run, backends.store)
    rows.check_roles()  # too little data stops the run here, not in every shard

    def probe(trials: Sequence[Trial]) -> dict[str, float]:
        return probe_seconds(evaluator_of(rows), trials)

    return make_plan(run, backends.store, number=number, tasks=run.spec.sweep.parallelism or cores, probe=probe)


def train(run: Run, backends: Backends, *, shard: int, number: int = 1) -> ShardReport:
    """Run trials of a round until none is left or the time is over; those that are recorded are not run again.

    A trial's record in the store is what counts. MLflow is shown it afterwards, while others are running, or after the
    last one when they are so short that it would hold them up; what a killed task did not get to show is made up for.

    Raises:
        Conflict: the code behind the trials changed since they were planned.
    """
    made = require_document(backends.store, run.round_key(number, "plan.json"), Plan)
    queue = Queue(run, made, backends.store, shard)
    untried: tuple[str, ...] = ()
    if queue.unrecorded():
        check_same_code(run, made.trials)
        with counted(run, backends.store, f"train-{number}-{shard}") as recorded:
            untried = run_trials(run, backends, queue, recorded)
    done = [
        require_document(backends.store, result_key(run, t.key), TrialResult)
        for t in queue.taken
        if t.key not in untried
    ]
    backends.tracking.show_trials(run, done)
    report = ShardReport(
        index=shard,
        label=_label(shard, made, done),
        done=len(done),
        failed=sum(result.status == "failed" for result in done),
        untried=untried,
    )
    write_document(backends.store, run.round_key(number, f"shards/{shard}.json"), report)
    return report


def _label(shard: int, made: Plan, done: Sequence[TrialResult]) -> str:
    kinds = Counter(result.trial.label for result in done)
    named = ", ".join(f"{kind} x{count}" for kind, count in sorted(kinds.items()))
    return f"{shard + 1}/{made.shards}: {named or 'nothing was left to train'}"


@once(Decision, "decision.json")
def challenge(run: Run, backends: Backends) -> Decision:
    """Account for every planned trial, score the best against its opponents, ask every gate, and decide.

    Raises:
        BackendError: a planned trial has no record.
        DataRejected: every trial failed.
    """
    sweep = complete_results(run, backends.store)
    results = sweep.results
    backends.tracking.show_trials(run, [*results, *sweep.rungs])
    costs = costs_of(run, backends.store, sweep.rounds)
    _show_cost(run, backends, costs, sweep.counts(run))
    rows = load_rows(run, backends.store)
    entry = Ledger(backends.store, run.pipeline).champion()
    recipe = recipe_of(run, backends.store, rows, results, sweep.rungs)
    taken = require_document(backends.store, run.key("snapshot.json"), Snapshot)
    before, changes = since_champion(run, backends.store, entry, taken)
    news = {"champion_snapshot": before, "changes": changes}
    decision = same_model(run, backends, recipe, entry)
    contest = None
    if decision is None:
        judged = judge(run, backends, rows, results, recipe, entry)
        contest, decision = judged.contest, judged.decision
        if decision.outcome == "promote":
            model = judged.candidate
            if run.spec.refit_rows == "all_rows":
                model = judged.refit(rows.features, rows.target)
            decision = decision.model_copy(update={"model": releases.build_release(backends, run, rows, model, recipe)})
    decision = decision.model_copy(update=news)
    page = render(
        run,
        decision,
        contest,
        sweep,
        require_document(backends.store, run.key("quarantine.json"), Quarantine),
        costs,
    )
    backends.store.write(run.key("report.html"), page.encode())
    with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
        copy = Path(scratch) / "report.html"
        copy.write_text(page, encoding="utf-8")
        backends.tracking.record_decision(run, decision, copy)
    return decision


def _show_cost(run: Run, backends: Backends, costs: Costs, trials: dict[str, int]) -> None:
    tags = {} if costs.run.currency is None else {"contender.currency": costs.run.currency}
    if trials.get("untried"):
        tags["contender.truncated"] = truncation(trials)
    counts = {f"trials_{name}": float(count) for name, count in trials.items()}
    backends.tracking.describe_sweep(run, costs.numbers | counts, tags)


def promote(run: Run, backends: Backends) -> LedgerEntry | None:
    """Register exactly this run's model, verify the release in a fresh process, enter it in the ledger, set the alias.

    Returns:
        The ledger entry, or None when the decision is not to promote.

    Raises:
        BackendError: the release does not verify; nobody's title changes.
        Conflict: the champion changed since the decision, or the alias was set by somebody else.
    """
    decision = require_document(backends.store, run.key("decision.json"), Decision)
    if decision.outcome != "promote" or decision.model is None:
        return None
    entry = _own_promotion(run, backends)
    if entry is None:
        try:
            with counted(run, backends.store, "promote"):
                entry = _enter(run, backends, decision, decision.model)
        except Conflict:  # a twin of this task that was believed dead may have been first
            entry = _own_promotion(run, backends)
            if entry is None:
                raise
    project_alias(backends, run.pipeline)
    return entry


def _own_promotion(run: Run, backends: Backends) -> LedgerEntry | None:
    entries = Ledger(backends.store, run.pipeline).entries()
    return next((entry for entry in entries if entry.kind == "promotion" and entry.run_id == run.id), None)


def _enter(run: Run, backends: Backends, decision: Decision, model: str) -> LedgerEntry:
    """Register, verify, and enter the promotion in the ledger."""
    ledger = Ledger(backends.store, run.pipeline)
    expected = next((entry for entry in ledger.entries() if entry.number == decision.champion), None)
    refuse_foreign_alias(backends, run.pipeline)
    release = releases.manifest_hash(backends, run.pipeline, run.id)
    version = models.register(backends.tracking, run, model, release=release, description=decision.sentence)
    releases.verify_version(backends, run.pipeline, run.id, version)
    card = decision.board.card("candidate")
    return ledger.append(
        kind="promotion",
        version=version,
        release=release,
        run_id=run.id,
        as_of=run.as_of,
        at=datetime.now(UTC),
        by=run.by,
        reason=run.reason or decision.sentence,
        evidence=Evidence(
            decision=sha256(backends.store.read(run.key("decision.json"))),
            metric=decision.board.metric,
            value=None if card is None else card.metrics.get(decision.board.metric),
        ),
        expected=expected,
    )


def announce(run: Run, backends: Backends) -> Outcome:
    """Record how the run ended.

    Raises:
        BackendError: the promotion that was decided is not there, whatever the promote task said of itself.
    """
    decision = require_document(backends.store, run.key("decision.json"), Decision)
    ledger = Ledger(backends.store, run.pipeline)
    recorded = {entry.kind for entry in ledger.entries() if entry.run_id == run.id}
    if decision.outcome == "promote" and "promotion" not in recorded:
        msg = f"run {run.id}: the decision was to promote, but no promotion is in the ledger; clear promote"
        raise BackendError(msg)
    if decision.outcome != "promote" and not decision.evaluation_only and "keep" not in recorded:
        ledger.append(
            kind="keep",
            version=None,
            release=None,
            run_id=run.id,
            as_of=run.as_of,
            at=datetime.now(UTC),
            by=run.by,
            reason=run.reason or decision.sentence,
            evidence=Evidence(decision=sha256(backends.store.read(run.key("decision.json")))),
        )
    project_alias(backends, run.pipeline)
    outcome = outcome_of(run, backends, decision)
    if outcome.cost is not None:
        _show_cost(run, backends, outcome.cost, outcome.trials)
    backends.tracking.close_run(run, "FINISHED")
    write_document(backends.store, run.key("outcome.json"), outcome)
    return outcome


def close(backends: Backends, pipeline: str, run_id: str, *, failed: Sequence[str] = ()) -> Outcome:
    """Teardown: end what an interrupted run left open, and record that it failed. A run that ended well is left alone.

    Args:
        failed: the steps that failed for good, also of a run that had ended well before it was cleared.
    """
    key = run_key(pipeline, run_id, "outcome.json")
    outcome = read_document(backends.store, key, Outcome)
    run = read_document(backends.store, run_key(pipeline, run_id, "run.json"), Run)
    if outcome is None or outcome.state == "failed" or failed:
        outcome = failed_outcome(backends.store, pipeline, run_id, run, failed)
        write_document(backends.store, key, outcome)
    if run is not None:  # last: MLflow may be what the run failed of
        if outcome.cost is not None:
            _show_cost(run, backends, outcome.cost, outcome.trials)
        rounds = sweep_so_far(run, backends.store).rounds
        backends.tracking.show_trials(run, [result for one in rounds for result in one.results])
        backends.tracking.close_run(run, "FAILED")
    return outcome
