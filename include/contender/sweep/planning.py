"""The plan of a round: which trials, under which keys, and over how many training tasks they are spread."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from contender.canonical import content_key
from contender.documents import Plan, Quarantine, Run, Snapshot, Trial, TrialResult, run_key
from contender.errors import BackendError, Conflict
from contender.frozen import format_duration
from contender.owncode import own_code
from contender.store.base import read_document, require_document
from contender.store.ledger import Ledger
from contender.sweep.queue import tasks_for
from contender.sweep.results import Sweep, best, finished_round, nothing_completed, plans, result_key
from contender.sweep.scoring import is_own
from contender.sweep.space import Part, at_share, fits
from contender.sweep.strategies.base import History, Point, Tried
from contender.sweep.trial import make_trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from contender.spec import PipelineSpec
    from contender.store.base import ArtifactStore

Forecast = tuple[dict[str, float], str]  # seconds of a whole trial by model label, and where that is known from
Ended = list[tuple[Point, TrialResult]]  # the points of a round whose trials have a record


def make_plan(
    run: Run,
    store: ArtifactStore,
    *,
    number: int = 1,
    tasks: int,
    probe: Callable[[Sequence[Trial]], Mapping[str, float]],
) -> Plan:
    """Propose the trials of a round, and say which ones need a fit and how many tasks that is worth.

    Args:
        number: the round, from 1.
        tasks: training tasks that may run side by side.
        probe: measures the seconds of trials of different kinds, by model label, when no run before this one can tell.

    Raises:
        BackendError: a trial of an earlier round has no record.
        DataRejected: there is nothing left to go on with; every trial so far failed.
    """
    spec = run.spec
    earlier = [require_document(store, run.round_key(n, "plan.json"), Plan) for n in range(1, number)]
    ended = _ended(run, earlier[-1], store) if earlier else []
    history, (seconds, origin) = _learnt(earlier[-1], ended) if earlier else _known(run, store)
    points = spec.sweep.strategy.propose(spec.sweep.candidates, spec.seed, history)
    trials: dict[str, tuple[Trial, Point]] = {}
    for point, trial in zip(points, _trials(run, store, points, ended), strict=True):
        trials.setdefault(trial.key, (trial, point))
    if not trials:
        before = Sweep([finished_round(run, plan, store) for plan in earlier])
        if not any(result.status == "complete" for result in before.results):
            raise nothing_completed(before)
    reused = tuple(key for key in trials if store.exists(result_key(run, key)))
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
        shards=tasks_for(len(fresh), expected, tasks),
        reused=reused,
        may_win=spec.sweep.strategy.may_win(number),
        history=history,
        seconds=seconds,
        seconds_from=origin,
    )


def _trials(run: Run, store: ArtifactStore, points: Sequence[Point], ended: Ended) -> list[Trial]:
    """The trial of each point. Its key is a hash of everything that can change its numbers; that the round before has
    scored some of its folds changes none.
    """
    spec = run.spec
    snapshot = require_document(store, run.key("snapshot.json"), Snapshot)
    quarantine = require_document(store, run.key("quarantine.json"), Quarantine)
    data = {
        "snapshot": snapshot.id,
        "quarantine": quarantine.id,
        "target": [spec.data.target, spec.data.positive],
        "roles": [spec.data.id, spec.data.time, sorted(spec.data.exclude)],
        # What decides which rows are folded: as_of and the spans with a time column, the salt without one.
        "split": spec.split.model_dump(mode="json") | {"salt": spec.salt, "embargo": format_duration(spec.embargo)},
        "until": None if spec.data.time is None else (run.as_of - spec.data.label_delay).isoformat(),
        "metric": spec.sweep.metric,
    }
    own = {c.path: own_fingerprint(spec, c.path, pipeline=c.pipeline is not None) for c in spec.sweep.candidates}
    before = {point.key: result for point, result in ended}
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
        scored = _scored(part, before.get(point.key))
        made.append(trial.model_copy(update={"scored": scored, "work": part.work - len(scored) / spec.split.folds}))
    return made


def _scored(part: Part, before: TrialResult | None) -> tuple[float, ...]:
    """What the round before found on its folds, when a fit on one of them was what it would be now."""
    if before is None or (before.trial.params, before.trial.share) != (part.params, part.share):
        return ()
    return before.scores


def _ended(run: Run, plan: Plan, store: ArtifactStore) -> Ended:
    results = {result.trial.key: result for result in finished_round(run, plan, store).results}
    pairs = zip(plan.trials, plan.points, strict=True)
    return [(point, results[trial.key]) for trial, point in pairs if trial.key in results]


def _learnt(last: Plan, ended: Ended) -> tuple[History, Forecast]:
    """What the rounds before have shown: who did how well, and how long it took."""
    means = {point.key: result.mean for point, result in ended}
    tried = tuple(Tried(point=point, value=means.get(point.key)) for point in last.points)
    seconds = {**last.seconds, **_seconds(ended)}
    history = History(warm=last.history.warm, rounds=(*last.history.rounds, tried))
    return history, (seconds, f"round {last.round}")


def _known(run: Run, store: ArtifactStore) -> tuple[History, Forecast]:
    """What the run before has shown: where to start, and how long trials take. Without it there is none of that."""
    before = _last_run(run, store)
    if before is None:
        return History(), ({}, "")
    rounds: list[tuple[Plan, Ended]] = []
    with suppress(BackendError, KeyError):  # somebody cleaned up, or it is of another version of Contender
        rounds = [(plan, _ended(before, plan, store)) for plan in plans(before, store)]
    seconds: dict[str, float] = {}
    for _, ended in rounds:
        seconds |= _seconds(ended)
    return History(warm=_warm(run, before, rounds)), (seconds, f"run {before.id}" if seconds else "")


def _last_run(run: Run, store: ArtifactStore) -> Run | None:
    """The last run that decided something from an earlier moment. One of the same as_of is no teacher: whoever runs
    this again must get the same plan.
    """
    for entry in reversed(Ledger(store, run.pipeline).entries()):
        own = entry.kind in ("promotion", "keep") and entry.run_id is not None
        if own and entry.as_of is not None and entry.as_of < run.as_of:
            with suppress(BackendError):
                return read_document(store, run_key(run.pipeline, str(entry.run_id), "run.json"), Run)
    return None


def _warm(run: Run, before: Run, rounds: Sequence[tuple[Plan, Ended]]) -> tuple[Point, ...]:
    """The best point, in the run before, of each candidate that is still there and searches the same parameters."""
    found = []
    for number, candidate in enumerate(run.spec.sweep.candidates):
        theirs = {
            result.trial.key: (result, point)
            for plan, ended in rounds
            if plan.may_win
            for point, result in ended
            if before.spec.sweep.candidates[point.candidate].path == candidate.path
        }
        winner = best([result for result, _ in theirs.values()])
        if winner is not None and fits(candidate, theirs[winner.trial.key][1].params):
            found.append(Point(candidate=number, params=theirs[winner.trial.key][1].params))
    return tuple(found)


def _seconds(ended: Ended) -> dict[str, float]:
    """Mean seconds of a whole trial, by model label; a trial in part is taken for its share of one."""
    whole: dict[str, list[float]] = {}
    for _, result in ended:
        whole.setdefault(result.trial.label, []).append(result.seconds / result.trial.work)
    return {label: sum(took) / len(took) for label, took in sorted(whole.items())}


def own_fingerprint(spec: PipelineSpec, path: str, *, pipeline: bool) -> str:
    """A hash of the code behind a candidate and behind the sweep's metric: other code makes other trials."""
    parts = [own_code(path, pipeline=pipeline)]
    if is_own(spec.sweep.metric):
        parts.append(own_code(spec.sweep.metric))
    return content_key([part.fingerprint for part in parts])


def check_same_code(run: Run, trials: Iterable[Trial]) -> None:
    """See that the code behind trials is what it was when they were planned, for their keys say so.

    Raises:
        Conflict: somebody changed it while the run was under way.
    """
    for path, pipeline, planned in sorted({(trial.estimator, trial.pipeline, trial.own) for trial in trials}):
        if planned and own_fingerprint(run.spec, path, pipeline=pipeline) != planned:
            msg = f"the code behind {path} or what it imports was changed since this run planned its trials; start a new run"
            raise Conflict(msg)
