"""The plan of a round: its trials with their keys, and the number of training tasks. Nothing is fitted here."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from contender.canonical import content_key
from contender.documents.data import Quarantine, Snapshot
from contender.documents.run import Run
from contender.documents.sweep import History, Plan, Point, Trial, TrialResult, Tried
from contender.errors import BackendError, Conflict
from contender.frozen import format_duration
from contender.metrics.scorers import is_own
from contender.store.base import require_document
from contender.store.ledger import Ledger
from contender.store.runs import counted_run, decided_before, standing_decision
from contender.sweep.results import Sweep, best, finished_round, nothing_completed, plans, record_of
from contender.sweep.space import Part, at_share, in_space
from contender.sweep.trial import make_trial
from contender.sweep.trial_queue import tasks_for
from contender.usercode import own_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from contender.spec.pipeline import PipelineSpec
    from contender.store.base import ArtifactStore

Forecast = tuple[dict[str, float], str]  # seconds of a whole trial by model label, and where that is known from
Recorded = list[tuple[Point, TrialResult]]  # the points of a round whose trials have a record


def make_plan(
    run: Run,
    store: ArtifactStore,
    *,
    number: int = 1,
    tasks: int,
    probe: Callable[[Sequence[Trial]], Mapping[str, float]],
) -> Plan:
    """Propose the trials of a round, find those that are recorded already, and size the training tasks for the others.

    Args:
        number: the round, from 1.
        tasks: the most training tasks that may run side by side.
        probe: measures the seconds of trials, by model label, of the models that no earlier round or run has timed.

    Raises:
        BackendError: a trial of an earlier round has no record.
        DataRejected: no trial is left to plan, because every earlier one failed.
    """
    spec = run.spec
    earlier = [require_document(store, run.round_key(n, "plan.json"), Plan) for n in range(1, number)]
    recorded = _recorded(run, earlier[-1], store) if earlier else []
    history, (seconds, origin) = _from_round(earlier[-1], recorded) if earlier else _from_last_run(run, store)
    points = spec.sweep.strategy.propose(spec.sweep.candidates, spec.seed, history)
    trials: dict[str, tuple[Trial, Point]] = {}
    for point, trial in zip(points, _trials(run, store, points, recorded), strict=True):
        trials.setdefault(trial.key, (trial, point))  # two points may be one trial: it is tried once
    if not trials:
        before = Sweep([finished_round(run, plan, store) for plan in earlier])
        if not any(result.status == "complete" for result in before.results):
            raise nothing_completed(before)
    reused = tuple(key for key in trials if record_of(run, store, key) is not None)
    fresh = [trial for key, (trial, _) in trials.items() if key not in reused]
    unknown = {trial.label: trial for trial in reversed(fresh) if trial.label not in seconds}
    if unknown:
        took = probe(list(unknown.values()))
        seconds = {**seconds, **{label: took[label] / trial.work for label, trial in sorted(unknown.items())}}
        origin = f"{origin}, and a probe" if origin else "a probe"
    expected = sum(seconds.get(trial.label, 0.0) * trial.work for trial in fresh)
    return Plan(
        round=number,
        trials=tuple(trial for trial, _ in trials.values()),
        points=tuple(point for _, point in trials.values()),
        tasks=tasks_for(len(fresh), expected, tasks),
        reused=reused,
        may_win=spec.sweep.strategy.may_win(number),
        history=history,
        seconds=seconds,
        seconds_from=origin,
    )


def _trials(run: Run, store: ArtifactStore, points: Sequence[Point], recorded: Recorded) -> list[Trial]:
    """The trial of each point. Its key is a hash of everything that can change its numbers.

    Scores that it keeps from the round before are not in the key: fitting those folds again would give the same ones.
    """
    spec = run.spec
    snapshot = require_document(store, run.key("snapshot.json"), Snapshot)
    quarantine = require_document(store, run.key("quarantine.json"), Quarantine)
    data = {
        "snapshot": snapshot.id,
        "quarantine": quarantine.id,
        "target": [spec.data.target, spec.data.positive],
        "roles": [spec.data.id, spec.data.time, sorted(spec.data.exclude)],
        # These decide which rows are in which fold: as_of and spans with a time column, the salt without one.
        "split": spec.split.model_dump(mode="json") | {"salt": spec.salt, "embargo": format_duration(spec.embargo)},
        "until": None if spec.data.time is None else (run.as_of - spec.data.label_delay).isoformat(),
        "metric": spec.sweep.metric,
    }
    own = {c.path: own_fingerprint(spec, c.path, pipeline=c.pipeline is not None) for c in spec.sweep.candidates}
    before = {point.key: result for point, result in recorded}
    made = []
    for point in points:
        candidate = spec.sweep.candidates[point.candidate]
        part = at_share(candidate, point.params, point.share, spec.split.folds)
        trial = make_trial(
            candidate.path,
            part.params,
            seed=spec.seed,
            baseline=candidate.baseline,
            data=data,
            code=run.code,
            pipeline=candidate.pipeline is not None,
            own=own[candidate.path],
            folds=part.folds,
            share=part.share,
        )
        scored = _kept_scores(part, before.get(point.key))
        made.append(trial.model_copy(update={"scored": scored, "work": part.work - len(scored) / spec.split.folds}))
    return made


def _kept_scores(part: Part, before: TrialResult | None) -> tuple[float, ...]:
    """The fold scores of the round before, if it fitted the same parameters on the same share of rows; else none."""
    if before is None or (before.trial.params, before.trial.share) != (part.params, part.share):
        return ()
    return before.scores


def _recorded(run: Run, plan: Plan, store: ArtifactStore) -> Recorded:
    """The points of a finished round with their results, without those that the budget cut."""
    results = {result.trial.key: result for result in finished_round(run, plan, store).results}
    pairs = zip(plan.trials, plan.points, strict=True)
    return [(point, results[trial.key]) for trial, point in pairs if trial.key in results]


def _from_round(last: Plan, recorded: Recorded) -> tuple[History, Forecast]:
    """History and forecast from this run's last round: the mean score of each point, and the seconds of a trial."""
    means = {point.key: result.mean for point, result in recorded}
    tried = tuple(Tried(point=point, value=means.get(point.key)) for point in last.points)
    seconds = {**last.seconds, **_mean_seconds(recorded)}
    history = History(warm=last.history.warm, rounds=(*last.history.rounds, tried))
    return history, (seconds, f"round {last.round}")


def _from_last_run(run: Run, store: ArtifactStore) -> tuple[History, Forecast]:
    """History and forecast from the last run: points to start from, and the seconds of a trial. Empty without one."""
    before = _last_run(run, store)
    if before is None:
        return History(), ({}, "")
    rounds: list[tuple[Plan, Recorded]] = []
    with suppress(BackendError, KeyError):  # its records were deleted or are of another version of Contender
        rounds = [(plan, _recorded(before, plan, store)) for plan in plans(before, store)]
    seconds: dict[str, float] = {}
    for _, recorded in rounds:
        seconds |= _mean_seconds(recorded)
    return History(warm=_warm_points(run, store, before, rounds)), (seconds, f"run {before.id}" if seconds else "")


def _last_run(run: Run, store: ArtifactStore) -> Run | None:
    """The last run that decided with an earlier ``as_of``."""
    for entry in decided_before(run, Ledger(store, run.pipeline)):
        with suppress(BackendError):
            return counted_run(store, run.pipeline, str(entry.run_id))
    return None


def _warm_points(
    run: Run, store: ArtifactStore, before: Run, rounds: Sequence[tuple[Plan, Recorded]]
) -> tuple[Point, ...]:
    """For each candidate the best point of the last run and the one that was judged, which may be the challenger, if they
    are in the candidate's space as it is now.
    """
    decided = None
    with suppress(BackendError):  # it is damaged
        decided = standing_decision(before, store)
    judged = None if decided is None else decided.decision.recipe.trial.key
    found: dict[bytes, Point] = {}
    for number, candidate in enumerate(run.spec.sweep.candidates):
        theirs = {
            result.trial.key: (result, point)
            for plan, recorded in rounds
            if plan.may_win
            for point, result in recorded
            if before.spec.sweep.candidates[point.candidate].path == candidate.path
        }
        winner = best([result for result, _ in theirs.values()])
        for key in (judged, None if winner is None else winner.trial.key):
            if key in theirs and in_space(candidate, theirs[key][1].params):
                point = Point(candidate=number, params=theirs[key][1].params)
                found.setdefault(point.key, point)
    return tuple(found.values())


def _mean_seconds(recorded: Recorded) -> dict[str, float]:
    """Mean seconds of a whole trial, by model label; those of a trial in part are divided by its work."""
    whole: dict[str, list[float]] = {}
    for _, result in recorded:
        whole.setdefault(result.trial.label, []).append(result.seconds / result.trial.work)
    return {label: sum(took) / len(took) for label, took in sorted(whole.items())}


def own_fingerprint(spec: PipelineSpec, path: str, *, pipeline: bool) -> str:
    """A hash of the user's own code behind a candidate and the sweep's metric; it is part of a trial's key."""
    parts = [own_code(path, pipeline=pipeline)]
    if is_own(spec.sweep.metric):
        parts.append(own_code(spec.sweep.metric))
    return content_key([part.fingerprint for part in parts])


def check_same_code(run: Run, trials: Iterable[Trial]) -> None:
    """See that the user's code behind trials is that of their plan, as their keys say.

    Raises:
        Conflict: it changed while the run was under way.
    """
    for path, pipeline, planned in sorted({(trial.estimator, trial.pipeline, trial.own) for trial in trials}):
        if planned and own_fingerprint(run.spec, path, pipeline=pipeline) != planned:
            msg = f"the code behind {path} or what it imports was changed since this run planned its trials; start a new run"
            raise Conflict(msg)
