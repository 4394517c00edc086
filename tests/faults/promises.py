"""Promises 3 and 4 of a run that was disturbed: exactly one record per trial and one version per promoted run, and the same
plan, scores, winner and decision as without a fault. Each check returns what is wrong, in words.
"""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import TYPE_CHECKING, Any

from mlflow.entities import ViewType

from contender.canonical import sha256
from contender.documents.sweep import Claim, TrialResult
from contender.errors import ContenderError
from contender.release.bundle import manifest_hash
from contender.store.base import read_document, require_document
from contender.store.ledger import Ledger, shown_version
from contender.store.runs import inputs_of, require_decision, standing_end
from contender.sweep.results import plans
from contender.tracking import trials
from contender.tracking.models import champion_version
from contender.tracking.runs import RUN
from faults.reference import records

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from contender.backends import Backends
    from contender.documents.run import Run
    from faults.reference import Reference


def broken(
    run: Run,
    backends: Backends,
    reference: Reference,
    fits: list[list[str]],
    most_repeated: int,
    *,
    deleted: Collection[str] = (),
) -> list[str]:
    """Everything that is wrong with a run that has ended.

    Args:
        fits: of trials, as the lab's estimators noted them.
        most_repeated: how many trials may have been begun again.
        deleted: the runs whose versions somebody deleted in MLflow.
    """
    checks = (
        _records(run, backends),
        _shown(run, backends),
        _versions(run, backends, deleted),
        _evidence(run, backends),
        _same(run, backends, reference),
        _lost(run, backends, fits, most_repeated),
    )
    found: list[str] = []
    for check in checks:
        try:
            found += check
        except (ContenderError, KeyError) as error:
            found.append(f"{type(error).__name__}: {error}")
    return found


def _records(run: Run, backends: Backends) -> Iterator[str]:
    """One record per planned trial, all of them this run's, and none beside."""
    store = backends.store
    planned = plans(run, store)
    if len(planned) != run.spec.sweep.strategy.rounds:
        yield f"{len(planned)} rounds were planned, expected {run.spec.sweep.strategy.rounds}"
    results = records(run, backends)
    for key, result in results.items():
        if (result.run_id, result.status) != (run.id, "complete"):
            yield f"the record of trial {key[:8]} is {result.status}, of run {result.run_id}"
    for plan in planned:
        claims = {name.removesuffix(".json") for name in store.children(run.round_key(plan.round, "claims"))}
        if claims != {trial.key for trial in plan.trials} - set(plan.reused):
            yield f"round {plan.round}: {len(claims)} trials were claimed, {len(plan.trials)} planned"
        for name in claims:
            require_document(store, run.round_key(plan.round, f"claims/{name}.json"), Claim)
    for name in store.children(f"{run.pipeline}/trials"):
        other = read_document(store, f"{run.pipeline}/trials/{name}", TrialResult)
        if other is not None and other.run_id == run.id and other.trial.key not in results:
            yield f"trial {other.trial.key[:8]} was recorded, but not planned"


def _shown(run: Run, backends: Backends) -> Iterator[str]:
    """MLflow shows each of these trials once, with its record's numbers, and nothing is left open."""
    client = backends.tracking.client
    experiment = backends.tracking.experiment(run.pipeline)
    active = _all_runs(client, experiment)
    parents = [one for one in active if one.data.tags.get(RUN) == run.id]
    if [one.info.status for one in parents] != ["FINISHED"]:
        yield f"MLflow has {len(parents)} runs of this run: {[one.info.status for one in parents]}, expected one, FINISHED"
    for one in active:
        if one.info.status == "RUNNING":
            yield f"MLflow run {one.info.run_id} ({one.info.run_name}) is still RUNNING"
    of_us = {one.info.run_id for one in parents}
    children = [one for one in active if one.data.tags.get(trials.PARENT) in of_us]
    complete = [one for one in children if trials.is_complete(one)]
    counts = Counter(one.data.tags.get(trials.TRIAL, "") for one in complete)
    results = records(run, backends)
    for key in sorted({*counts, *results}):
        if counts[key] != (key in results):
            yield f"MLflow shows trial {key[:8]} {counts[key]} times complete, expected {int(key in results)}"
    for one in complete:
        result = results.get(one.data.tags[trials.TRIAL])
        if result is not None and not _is_shown(run, result, one):
            yield f"MLflow run {one.info.run_id} does not show what is on record of trial {result.trial.key[:8]}"
    for one in children:
        if not trials.is_complete(one) and one.info.status != "KILLED":
            yield f"MLflow run {one.info.run_id} is neither complete nor KILLED but {one.info.status}"


def _is_shown(run: Run, result: TrialResult, shown: Any) -> bool:
    """Whether an MLflow run has a record's numbers; of a curve, whose points come one by one, it has the last."""
    metrics = {one.key: one.value for one in trials.metrics(run, result)}
    params = {one.key: one.value for one in trials.params(result.trial)}
    times = (shown.info.start_time, shown.info.end_time)
    return (times, shown.info.status, shown.data.metrics, shown.data.params) == (
        trials.interval(result),
        trials.status(result),
        metrics,
        params,
    )


def _all_runs(client: Any, experiment: str) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = client.search_runs([experiment], run_view_type=ViewType.ACTIVE_ONLY, max_results=1_000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _versions(run: Run, backends: Backends, deleted: Collection[str]) -> Iterator[str]:
    """A promoted run has one version, any other none; the ledger is whole and tells of the run once; the alias follows.

    Somebody may have deleted versions: that of the ledger's champion is there again, with its number of now, no other need be.
    """
    ledger = Ledger(backends.store, run.pipeline)
    entries = ledger.entries()
    own = [entry for entry in entries if entry.run_id == run.id]
    promoted = require_decision(run, backends.store).decision.outcome == "promote"
    if [entry.kind for entry in own] != ["promotion" if promoted else "keep"]:
        yield f"the ledger tells of this run {[entry.kind for entry in own]}, promoted: {promoted}"
    versions = backends.tracking.client.search_model_versions(f"name = '{run.pipeline}'")
    of_us = [str(one.version) for one in versions if one.tags.get(RUN) == run.id]
    shown = [shown_version(backends.store, entry) for entry in own if promoted]
    if of_us != shown:
        yield f"MLflow has the versions {of_us} of this run, the store shows {shown}"
    promotions = Counter(entry.run_id for entry in entries if entry.kind == "promotion")
    found = Counter(one.tags.get(RUN) for one in versions)
    for run_id in sorted({*promotions, *found}, key=str):
        told, count = promotions[run_id], found[run_id]
        if count != told and not (run_id in deleted and count < told):
            yield f"MLflow has {count} versions of run {run_id} and the ledger {told} promotions of it"
    champion = ledger.champion()
    alias = champion_version(backends.tracking, run.pipeline)
    serving = champion and (shown_version(backends.store, champion), champion.release)
    if alias != serving:
        yield f"the alias is at {alias}, the ledger's champion is {serving}"
    outcome = standing_end(backends.store, run.pipeline, run.id).outcome
    assert outcome is not None
    if (outcome.state, outcome.promoted) != ("success", next(iter(shown), None)):
        yield f"the outcome is {outcome.state}, promoted {outcome.promoted}"


def _evidence(run: Run, backends: Backends) -> Iterator[str]:
    """What was decided is of the rows that were validated, and what the ledger names is what was decided and released."""
    decided = require_decision(run, backends.store)
    recipe = decided.decision.recipe
    inputs_of(run, backends.store).check(run, "decision", recipe.snapshot, recipe.quarantine)
    for entry in Ledger(backends.store, run.pipeline).entries():
        if entry.run_id != run.id:
            continue
        if entry.evidence.decision != sha256(backends.store.read(decided.key)):
            yield f"ledger entry {entry.number} rests on another decision than the one that stands"
        if entry.kind == "promotion" and entry.release != manifest_hash(backends, run.pipeline, run.id):
            yield f"ledger entry {entry.number} names another release than the one that stands"


def _same(run: Run, backends: Backends, reference: Reference) -> Iterator[str]:
    """Bit for bit what comes of the run when nobody is killed."""
    for mine, plain in zip(plans(run, backends.store), reference.plans, strict=True):
        if _bits(mine, "trials", "points") != _bits(plain, "trials", "points"):
            yield f"round {mine.round} is planned differently"
    results = records(run, backends)
    if results.keys() != reference.results.keys():
        yield "other trials were tried"
    for key in results.keys() & reference.results.keys():
        fields = ("trial", "status", "scores", "mean", "std", "curves")
        if _bits(results[key], *fields) != _bits(reference.results[key], *fields):
            yield f"trial {key[:8]} has other scores"
    decision = require_decision(run, backends.store).decision
    if decision.recipe.key != reference.decision.recipe.key:
        yield f"the winner is {decision.recipe.label}, expected {reference.decision.recipe.label}"
    if _bits(decision, "outcome", "verdicts") != _bits(reference.decision, "outcome", "verdicts"):
        yield f"the decision is {decision.outcome}, expected {reference.decision.outcome}: {decision.sentence}"
    if decision.board.card("candidate") != reference.decision.board.card("candidate"):
        yield "the candidate has other scores on the gate rows"


def _bits(document: Any, *fields: str) -> str:
    return str(document.model_dump_json(include=set(fields)))


def _lost(run: Run, backends: Backends, fits: list[list[str]], most: int) -> Iterator[str]:
    """Only what was in flight was begun again."""
    noted = Counter((task, trial) for run_id, task, trial in fits if run_id == run.id)
    planned = {
        (f"round_{plan.round}.train", f"{trial.label}({trial.params['max_features']!r})"): trial
        for plan in plans(run, backends.store)
        for trial in plan.trials
    }
    repeated = 0
    for (task, name), trial in planned.items():
        whole = (trial.folds or run.spec.split.folds) - len(trial.scored)
        repeated += max(0, ceil(noted[task, name] / whole) - 1)
        if noted[task, name] < whole:
            yield f"{noted[task, name]} fits of {name} in {task} were noted, expected at least {whole}: the count is no use"
    if repeated > most:
        yield f"{repeated} trials were begun again, expected at most {most}"


def tried_again(tasks: list[dict[str, Any]]) -> list[str]:
    """Who needed another try, of a run that met with nothing but what tasks wait for: nobody should.

    Args:
        tasks: task instances as Airflow's API has them.
    """
    return [
        f"{one['task_id']} was tried {one['try_number']} times; it should have waited"
        for one in tasks
        if one["try_number"] > 1
    ]
