"""The plan of a run: which trials, under which keys, packed into which shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contender.canonical import content_key
from contender.documents import Plan, Quarantine, Run, Snapshot, Trial
from contender.errors import Conflict
from contender.frozen import format_duration
from contender.owncode import own_code
from contender.store.base import require_document
from contender.sweep.results import result_key
from contender.sweep.scoring import is_own
from contender.sweep.shards import pack
from contender.sweep.trial import make_trial

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contender.spec import PipelineSpec
    from contender.store.base import ArtifactStore


def make_plan(run: Run, store: ArtifactStore, *, tasks: int) -> Plan:
    """Propose the trials of a run's snapshot and pack those that nobody has recorded yet."""
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
    trials: dict[str, Trial] = {}
    own = {c.path: own_fingerprint(spec, c.path, pipeline=c.pipeline is not None) for c in spec.sweep.candidates}
    for candidate, params in spec.sweep.strategy.propose(spec.sweep.candidates, spec.seed):
        trial = make_trial(
            candidate.path,
            params,
            seed=spec.seed,
            baseline=candidate.baseline,
            data=data,
            code=run.code,
            pipeline=candidate.pipeline is not None,
            own=own[candidate.path],
        )
        trials.setdefault(trial.key, trial)
    fresh = [trial for trial in trials.values() if not store.exists(result_key(run, trial.key))]
    return Plan(trials=tuple(trials.values()), shards=pack(fresh, tasks), reused=len(trials) - len(fresh))


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
