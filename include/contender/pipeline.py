"""The seven steps of a training run: snapshot, validate, plan, train, challenge, promote, announce.

Each step takes a frozen Run and the documents of earlier steps, checks that these belong together, and puts its own
document last, under the run's key, if absent. A step whose document exists is not run again; it returns the document, and
shows it. Airflow's operators, the command line and the tests call these same functions. How a step does its work is in
the packages (``data``, ``sweep``, ``judge``, ``release``).
"""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from contender.canonical import content_key, sha256
from contender.check import check_libraries
from contender.data.checks.labels import with_labels
from contender.data.checks.quarantine import examine, judge_quarantine
from contender.data.contract import freeze, frozen_columns
from contender.data.leaks.guard import guard, judge_findings
from contender.data.rows import as_frame, load_rows
from contender.data.snapshot import keep_snapshot, read_snapshot, take_snapshot, unread_rows
from contender.documents.data import Quarantine, Snapshot
from contender.documents.outcome import Outcome
from contender.documents.sweep import Plan, TaskReport, TrialResult
from contender.errors import BackendError, Conflict, DataRejected, next_move
from contender.judge.challenge import decide, recipe_of, same_model
from contender.judge.challenger import previous
from contender.judge.title import title_of
from contender.profile.history import since_champion
from contender.release import title
from contender.release.bundle import build_release
from contender.release.witness import open_ledger
from contender.report.checks import show_checks
from contender.report.report import render
from contender.run.costs import costs_of, record_usage
from contender.run.once import once
from contender.run.outcome import outcome_of, settle, truncation
from contender.store.base import require_document, write_document
from contender.store.ledger import Evidence, LedgerEntry
from contender.store.runs import (
    counted_run,
    inputs_of,
    let_count,
    put_decision,
    put_end,
    require_decision,
    standing_decision,
    standing_end,
    standing_run,
)
from contender.sweep.planning import check_same_code, make_plan
from contender.sweep.results import complete_results, report_key, result_of, sweep_so_far
from contender.sweep.training import run_trials
from contender.sweep.trial_queue import Queue
from contender.sweep.worker import evaluator_of, probe_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contender.backends import Backends
    from contender.documents.cost import Costs
    from contender.documents.decision import Decision
    from contender.documents.run import Run
    from contender.documents.sweep import Trial
    from contender.store.ledger import Ledger
    from contender.store.runs import Decided, Ended
    from contender.sweep.results import Sweep

_NEW = "This run keeps the rows and the YAML that were validated: mend the cause and trigger a new run"


def _keep(run: Run, backends: Backends, taken: Snapshot) -> None:
    keep_snapshot(run, taken, backends.store, backends.connections)


@once(Snapshot, "snapshot.json", _keep)
def snapshot(run: Run, backends: Backends) -> Snapshot:
    """Check the spec against the libraries, then read the run's window and store it under its content id.

    Raises:
        ConfigError: the spec names something that does not exist.
        DataUnavailable: no labelled row in the window yet.
        DataRejected: a column is missing or unusable.
    """
    check_libraries(run.spec)
    return take_snapshot(run, backends.store, backends.connections)


def validate(run: Run, backends: Backends) -> Quarantine:
    """Run the expectations, quarantine bad rows, look for leaks, and stop the run when too much is wrong.

    The attempt that passes first is the one that counts, for this and all later steps.

    Raises:
        DataRejected: the message names the expectation or the suspicion, the column and the count.
    """
    counted = counted_run(backends.store, run.pipeline, run.id)
    with next_move(
        "Mend the source or the YAML and clear snapshot, which reads both anew" if counted is None else _NEW
    ):
        _examine(counted or run, backends)
    run = let_count(counted or run, backends.store)
    taken, quarantine = inputs_of(run, backends.store)
    # What is shown is that of the attempt that counts, and only its data may define the contract.
    show_checks(run, backends, taken, quarantine)
    freeze(run, taken, backends.store, empty=[one.name for one in taken.statistics if one.nulls == taken.rows])
    backends.tracking.describe_data(run, taken, taken.id)
    return quarantine


@once(Quarantine, "quarantine.json", step="validate")
def _examine(run: Run, backends: Backends) -> Quarantine:
    taken = require_document(backends.store, run.key("snapshot.json"), Snapshot)
    frame = as_frame(read_snapshot(taken, run.pipeline, backends.store), run.spec.data.id)
    had_values = [name for name, kind in frozen_columns(run.pipeline, backends.store).items() if kind is not None]
    quarantine = examine(run.spec, taken, frame, unread_rows(taken, run.pipeline, backends.store), had_values)
    quarantine = with_labels(run, taken, quarantine, backends.store)
    try:
        judge_quarantine(taken, quarantine, run.spec.quarantine.max_share)
        quarantine = guard(run, taken, quarantine, frame, backends.store)
        judge_findings(quarantine)
    except DataRejected:
        show_checks(run, backends, taken, quarantine)
        raise
    return quarantine


@once(Plan, "rounds/{number}/plan.json")
def plan(run: Run, backends: Backends, *, cores: int, number: int = 1) -> Plan:
    """Freeze a round's trials and the number of its training tasks.

    Args:
        cores: the number of training tasks side by side, unless the spec sets ``sweep.parallelism``.
        number: the round, from 1.

    Raises:
        BackendError: a trial of an earlier round has no record.
        DataRejected: there is too little data, or every trial of an earlier round failed.
    """
    with next_move(_NEW):
        rows = load_rows(run, backends.store)
        rows.check_roles()  # too little data stops the run here, not in every training task

    def probe(trials: Sequence[Trial]) -> dict[str, float]:
        return probe_seconds(evaluator_of(rows), trials)

    made = make_plan(run, backends.store, number=number, tasks=run.spec.sweep.parallelism or cores, probe=probe)
    taken, quarantine = inputs_of(run, backends.store)
    return made.model_copy(update={"snapshot": taken.id, "quarantine": quarantine.id})


def train(run: Run, backends: Backends, *, task: int, number: int = 1) -> TaskReport:
    """Run trials of a round until none is left or the round's time is over; recorded trials are not run again.

    A trial is complete when its record is in the store. MLflow shows it afterwards, while the next trial runs, or at
    the end when trials are too short for that. Trials that a killed task did not show are shown here.

    Raises:
        Conflict: the code behind the trials changed since they were planned, or they are of other rows.
    """
    made = require_document(backends.store, run.round_key(number, "plan.json"), Plan)
    _check_plan(run, backends, made)
    queue = Queue(run, made, backends.store, task)
    untried: tuple[str, ...] = ()
    if queue.unrecorded():
        check_same_code(run, made.trials)
        with record_usage(run, backends.store, f"train-{number}-{task}") as recorded:
            untried = run_trials(run, backends, queue, recorded)
    found = [result_of(run, backends.store, number, t.key) for t in queue.taken if t.key not in untried]
    done = [result for result in found if result is not None]
    backends.tracking.show_trials(run, done)
    report = TaskReport(
        index=task,
        label=_task_label(task, made, done),
        done=len(done),
        failed=sum(result.status == "failed" for result in done),
        untried=untried,
    )
    write_document(backends.store, report_key(run, number, task), report)
    return report


def _task_label(task: int, made: Plan, done: Sequence[TrialResult]) -> str:
    """``1/2: Ridge x3, MLPRegressor x2``, as Airflow shows the mapped task."""
    kinds = Counter(result.trial.label for result in done)
    named = ", ".join(f"{kind} x{count}" for kind, count in sorted(kinds.items()))
    return f"{task + 1}/{made.tasks}: {named or 'nothing was left to train'}"


def _check_plan(run: Run, backends: Backends, made: Plan) -> None:
    """Check that a plan is of the rows that were validated; one of version 0.1.0 does not say."""
    if made.snapshot:
        inputs_of(run, backends.store).check(run, f"plan of round {made.round}", made.snapshot, made.quarantine)


def challenge(run: Run, backends: Backends) -> Decision:
    """Account for every planned trial, score the candidate against its opponents, ask every gate, and decide.

    A decision stands, unless it is not to promote and there are results now that it did not judge: then the run is judged
    anew, and both decisions are kept. A decision to promote is final, so what ``promote`` acts on is never replaced.

    Raises:
        BackendError: a planned trial has no record.
        DataRejected: every trial failed.
        Conflict: a plan is of other rows than those that were validated.
    """
    found = standing_decision(run, backends.store)
    if found is None or found.decision.outcome != "promote":
        # Raises when a planned trial has no record: in Airflow, a mapped task over an empty list succeeds.
        with next_move(_NEW):
            sweep = complete_results(run, backends.store)
        judged = content_key(
            [(one.trial.key, one.status, one.scores) for one in sorted(sweep.recorded, key=lambda one: one.trial.key)]
        )
        if found is None or found.decision.judged not in ("", judged):
            number = 1 if found is None else found.number + 1
            with record_usage(run, backends.store, "challenge"):
                decision = _decision(run, backends, sweep).model_copy(update={"judged": judged})
                found = put_decision(run, backends.store, number, decision)
    return _show_decision(run, backends, found).decision


def _decision(run: Run, backends: Backends, sweep: Sweep) -> Decision:
    """Judge these results. Page and release are in places that their content names: the decision says which are its own."""
    for one in sweep.rounds:
        _check_plan(run, backends, one.plan)
    results = sweep.results
    backends.tracking.show_trials(run, [*results, *sweep.rungs])
    costs = costs_of(run, backends.store, sweep.rounds)
    _show_cost(run, backends, costs, sweep.counts(run))
    rows = load_rows(run, backends.store)
    ledger = open_ledger(backends, run.pipeline)
    champion = ledger.champion()
    with next_move(_NEW):
        before = previous(run, backends.store, ledger)
        recipe = recipe_of(run, backends.store, rows, results, sweep.rungs, before)
    taken, quarantine = inputs_of(run, backends.store)
    snapshot, changes = since_champion(run, backends.store, champion, taken)
    data_changes = {"champion_snapshot": snapshot, "changes": changes}
    decision = same_model(run, backends, ledger, recipe)
    contest = None
    if decision is None:
        held, known = title_of(run, backends, ledger), partial(same_model, run, backends, ledger)
        judged = decide(run, backends.store, rows, results, recipe, held, before, known=known)
        contest, decision = judged.contest, judged.decision  # no contest: the baseline won, and is known from before
        # The release is built before the decision is written: a decision to promote always has a complete release.
        if decision.outcome == "promote":
            release = build_release(backends, run, rows, judged.served(rows), decision.recipe)
            decision = decision.model_copy(update={"model": release.model, "release": release.place})
    decision = decision.model_copy(update=data_changes)
    page = render(run, decision, contest, sweep, quarantine, costs).encode()
    name = f"reports/{sha256(page)[:16]}.html"
    backends.store.write(run.key(name), page)
    return decision.model_copy(update={"report": name})


def _show_decision(run: Run, backends: Backends, found: Decided) -> Decided:
    """Let MLflow show the decision that stands, and its page; that of version 0.1.0 was shown before it was written.

    Afterwards it is looked up again: this task may have slept while another decision came to stand, and have shown an
    older one over it.
    """
    shown = 0
    while shown != found.number:
        with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
            copy = Path(scratch) / "report.html"
            copy.write_bytes(backends.store.read(run.key(found.decision.report)))
            backends.tracking.record_decision(run, found.decision, copy, number=found.number)
        shown, found = found.number, require_decision(run, backends.store)
    return found


def _show_cost(run: Run, backends: Backends, costs: Costs, trials: dict[str, int]) -> None:
    tags = {} if costs.run.currency is None else {"contender.currency": costs.run.currency}
    if trials.get("untried"):
        tags["contender.truncated"] = truncation(trials)
    counts = {f"trials_{name}": float(count) for name, count in trials.items()}
    backends.tracking.describe_sweep(run, costs.numbers | counts, tags)


def promote(run: Run, backends: Backends) -> LedgerEntry | None:
    """Register this run's model, verify its release in a fresh process, append to the ledger, set the alias.

    Returns:
        The ledger entry, or None when the decision is not to promote.

    Raises:
        BackendError: the release does not verify; the champion does not change.
        Conflict: the champion changed since the decision, or the alias was set outside Contender.
    """
    decided = _decided(run, backends)
    decision = decided.decision
    if decision.outcome != "promote" or decision.model is None:
        return None
    ledger = open_ledger(backends, run.pipeline)
    entry = _promotion_of(run, ledger)
    if entry is not None:  # an earlier try may have been killed between ledger and alias
        title.project_alias(backends, ledger)
        return entry
    try:
        with record_usage(run, backends.store, "promote"):
            return _make_champion(run, backends, ledger, decided)
    except Conflict:  # this task may have been believed dead, and another one has promoted the same run
        ledger.reread()
        entry = _promotion_of(run, ledger)
        if entry is None:
            raise
        title.project_alias(backends, ledger)
        return entry


def _promotion_of(run: Run, ledger: Ledger) -> LedgerEntry | None:
    return next((one for one in ledger.entries() if one.kind == "promotion" and one.run_id == run.id), None)


def _decided(run: Run, backends: Backends) -> Decided:
    """The decision that stands, which must be of the rows that were validated."""
    found = require_decision(run, backends.store)
    recipe = found.decision.recipe
    inputs_of(run, backends.store).check(run, "decision", recipe.snapshot, recipe.quarantine)
    return found


def _make_champion(run: Run, backends: Backends, ledger: Ledger, decided: Decided) -> LedgerEntry:
    decision = decided.decision
    card = decision.board.card("candidate")
    return title.take(
        backends,
        ledger,
        kind="promotion",
        run_id=run.id,
        description=decision.sentence,
        as_of=run.as_of,
        by=run.by,
        reason=run.reason or decision.sentence,
        evidence=Evidence(
            decision=sha256(backends.store.read(decided.key)),
            metric=decision.board.metric,
            value=None if card is None else card.metrics.get(decision.board.metric),
            proved=decision.proved,
        ),
        expected=next((entry for entry in ledger.entries() if entry.number == decision.champion), None),
    )


def announce(run: Run, backends: Backends) -> Outcome:
    """Record how the run ended.

    Raises:
        BackendError: the decision was to promote, but the ledger has no promotion of this run.
    """
    decided = _decided(run, backends)
    decision, evidence = decided.decision, sha256(backends.store.read(decided.key))
    ledger = open_ledger(backends, run.pipeline)
    promoted = {one.evidence.decision for one in ledger.entries() if (one.kind, one.run_id) == ("promotion", run.id)}
    if decision.outcome == "promote" and evidence not in promoted:
        msg = f"run {run.id}: the decision was to promote, but no promotion is in the ledger; clear promote"
        raise BackendError(msg)
    if decision.outcome != "promote" and not decision.evaluation_only:
        ledger.append(
            kind="keep",
            version=None,
            release=None,
            run_id=run.id,
            as_of=run.as_of,
            at=datetime.now(UTC),
            by=run.by,
            reason=run.reason or decision.sentence,
            evidence=Evidence(decision=evidence),
        )
    title.project_alias(backends, ledger)
    outcome = outcome_of(run, backends, decision, ledger)
    if outcome.cost is not None:
        _show_cost(run, backends, outcome.cost, outcome.trials)
    backends.tracking.close_run(run, "FINISHED")
    # Last: the outcome says that the run has ended, and frees its slot. It stands also when a close that was believed dead
    # has entered an older end meanwhile.
    while (ended := standing_end(backends.store, run.pipeline, run.id)).outcome != outcome:
        if put_end(backends.store, outcome, after=ended.number):
            break
    return outcome


def close(
    backends: Backends, pipeline: str, run_id: str, *, failed: Sequence[str] = (), seen: Ended | None = None
) -> Outcome:
    """Teardown: record that an interrupted run failed, and end what it left open. A successful outcome is not changed.

    Args:
        failed, seen: see ``run.outcome.settle``.
    """
    outcome = settle(backends.store, pipeline, run_id, failed, seen=seen)
    run = standing_run(backends.store, pipeline, run_id)
    if run is not None and outcome.state == "failed":  # MLflow comes last: it may be the reason that the run failed
        if outcome.cost is not None:
            _show_cost(run, backends, outcome.cost, outcome.trials)
        rounds = sweep_so_far(run, backends.store).rounds
        backends.tracking.show_trials(run, [result for one in rounds for result in one.results])
        backends.tracking.close_run(run, "FAILED")
        ended = standing_end(backends.store, pipeline, run_id).outcome
        if ended is not None and ended.state == "success":  # it was mended while this task slept
            backends.tracking.close_run(run, "FINISHED")
    return outcome
