"""The plan of a run: which trials, under which keys, packed into which shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contender.documents import Plan, Quarantine, Run, Snapshot, Trial
from contender.store.base import require_document
from contender.sweep.results import result_key
from contender.sweep.shards import pack
from contender.sweep.trial import make_trial

if TYPE_CHECKING:
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
        "split": spec.split.model_dump(mode="json") | {"salt": spec.salt},
        "until": None if spec.data.time is None else (run.as_of - spec.data.label_delay).isoformat(),
        "metric": spec.sweep.metric,
    }
    trials: dict[str, Trial] = {}
    for candidate, params in spec.sweep.strategy.propose(spec.sweep.candidates, spec.seed):
        trial = make_trial(
            candidate.estimator, params, seed=spec.seed, baseline=candidate.baseline, data=data, code=run.code
        )
        trials.setdefault(trial.key, trial)
    fresh = [trial for trial in trials.values() if not store.exists(result_key(run, trial.key))]
    return Plan(trials=tuple(trials.values()), shards=pack(fresh, tasks), reused=len(trials) - len(fresh))
