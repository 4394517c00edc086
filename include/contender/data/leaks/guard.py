"""All leak checks of a run, and the policy for each finding: stop, drop the columns, or warn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contender.canonical import content_key
from contender.data.checks.structure import check_different
from contender.data.leaks.duplicates import duplicate_rows, shared_entities
from contender.data.leaks.ids import id_like
from contender.data.leaks.rewritten import earlier_snapshot, rewritten
from contender.data.leaks.sample import KeptRows
from contender.data.leaks.target import Leak, find_leaks, first_per_column
from contender.documents.data import CheckResult, Finding, Quarantine, Snapshot
from contender.documents.run import Run
from contender.errors import DataRejected, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from contender.spec.data import LeakSpec
    from contender.store.base import ArtifactStore

_SHOWN = 5  # findings in a message


def guard(
    run: Run, snapshot: Snapshot, quarantine: Quarantine, frame: pd.DataFrame, store: ArtifactStore
) -> Quarantine:
    """The quarantine with the findings about its kept rows, and the columns to drop for them.

    Args:
        frame: all rows of the snapshot, in its order.

    Raises:
        DataRejected: the target cannot be used, or leaks.allow names a column that the snapshot does not have.
    """
    spec = run.spec.leaks
    for name in spec.allow:
        if name not in frame:  # a misspelt name would allow nothing
            msg = f"leaks.allow: no column {name!r} in the snapshot." + did_you_mean(name, [*frame])
            raise DataRejected(msg)
    suspected = _suspected(KeptRows.of(run, snapshot, quarantine, frame, store), spec, store)
    findings = tuple(
        Finding(kind=leak.kind, columns=leak.columns, evidence=leak.evidence, policy=spec.policy_of(leak.kind))
        for leak in suspected
    )
    dropped = tuple(sorted(_dropped(suspected, spec)))
    # Dropped columns change the features and so the trials, which are keyed by this id. Findings alone do not change it.
    key = content_key({"rows": quarantine.id, "dropped": dropped}) if dropped else quarantine.id
    return quarantine.model_copy(
        update={
            "id": key,
            "findings": findings,
            "dropped": dropped,
            "structure": _structure(run, snapshot, quarantine, frame, dropped),
        }
    )


def _structure(
    run: Run, snapshot: Snapshot, quarantine: Quarantine, frame: pd.DataFrame, dropped: tuple[str, ...]
) -> tuple[CheckResult, ...]:
    """The structural checks; that of different rows again when columns are dropped, without which rows may be equal."""
    if not dropped:
        return quarantine.structure
    left_out = run.spec.non_features.union(dropped)
    again = check_different(run.spec.data, frame, [one.name for one in snapshot.columns if one.name not in left_out])
    asked = {result.name: result for result in again}
    return tuple(asked.get(result.name, result) for result in quarantine.structure)


def judge_findings(quarantine: Quarantine) -> None:
    """Stop the run if the policy of a finding says so.

    Raises:
        DataRejected: with the columns, the evidence and what can be done.
    """
    stopping = [finding for finding in quarantine.findings if finding.policy == "stop"]
    if not stopping:
        return
    told = "; ".join(finding.words for finding in stopping[:_SHOWN])
    more = f"; and {len(stopping) - _SHOWN} more" if len(stopping) > _SHOWN else ""
    kinds = {finding.kind for finding in stopping}
    moves = []
    if kinds - {"duplicates", "entity"}:
        moves.append(
            "put the columns under data.exclude, or under leaks.allow if they are known when a prediction is made"
        )
    if "entity" in kinds:
        moves.append("name what a row is about in data.id")
    if "duplicates" in kinds:
        moves.append("remove the copies from the source, or name what they share in data.id")
    msg = f"leaks: {told}{more}. Nothing was trained; {'; '.join(moves)}; leaks.kinds sets another policy for a kind"
    raise DataRejected(msg)


def _suspected(kept: KeptRows, spec: LeakSpec, store: ArtifactStore) -> list[Leak]:
    run = kept.run
    frame, features, target = kept.trained
    time = None if run.spec.data.time is None else frame[run.spec.data.time]
    before = earlier_snapshot(run, store)
    found = first_per_column(
        [
            *shared_entities(kept),
            *find_leaks(features, target, classification=run.spec.data.classification, time=time),
            *(rewritten(kept, before, store) if before is not None else ()),
            *id_like(kept),
        ]
    )
    found = [leak for leak in found if not set(leak.columns) <= set(spec.allow)]
    dropped = _dropped(found, spec)
    alike_by = [
        name for name in features if name not in dropped.union(*(one.columns for one in found if one.kind == "id_like"))
    ]
    return [*found, *duplicate_rows(kept, alike_by, [name for name in features if name not in dropped])]


def _dropped(found: Iterable[Leak], spec: LeakSpec) -> set[str]:
    """The columns that are no features because of what was found."""
    return {name for one in found if spec.policy_of(one.kind) == "drop" for name in one.columns} - set(spec.allow)
