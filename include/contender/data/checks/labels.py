"""Whether rows that are set aside have other labels than the kept ones: then a model is never trained on what it is asked about."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from contender.data.snapshot import read_snapshot
from contender.documents.data import AsideLabels
from contender.words import counted, mean_words

if TYPE_CHECKING:
    from contender.documents.data import Quarantine, Snapshot
    from contender.documents.run import Run
    from contender.spec.data import DataSpec
    from contender.store.base import ArtifactStore

_FEW = 5  # rows, of which a mean would show the values
_SURE = 3.0  # standard errors between the mean ranks


def differ(some: np.ndarray, labels: np.ndarray) -> bool:
    """Whether the labels of some rows (bool, shape (n,)) are not like those of the others, by the means of their ranks.

    Never of fewer than five rows, on either side.
    """
    count = int(some.sum())
    if not _FEW <= count <= len(labels) - _FEW or labels.min() == labels.max():
        return False
    ranks = pd.Series(labels).rank().to_numpy()
    apart = abs(ranks[some].mean() - ranks[~some].mean()) / ranks.std()
    return bool(apart >= _SURE * np.sqrt(1 / count + 1 / (len(labels) - count)))


def with_labels(run: Run, snapshot: Snapshot, quarantine: Quarantine, store: ArtifactStore) -> Quarantine:
    """The quarantine with the labels of the rows that each check set aside; not of checks of the target itself."""
    data = run.spec.data
    of_target = {one.label for one in (*quarantine.structure, *quarantine.checks) if one.column == data.target}
    aside: dict[str, list[int]] = defaultdict(list)
    for position, reasons in quarantine.rows.items():
        for reason in set(reasons) - of_target:
            aside[reason].append(position)
    if not aside:
        return quarantine
    labels = _labels(data, read_snapshot(snapshot, run.pipeline, store, [data.target])[data.target])
    known = np.isfinite(labels)
    kept = known.copy()
    kept[list(quarantine.rows)] = False
    found = []
    for reason, positions in sorted(aside.items()):
        some = np.zeros(len(labels), dtype=bool)
        some[positions] = True
        some &= known
        if min(some.sum(), kept.sum()) < _FEW:
            continue
        both = some | kept
        found.append(
            AsideLabels(
                reason=reason,
                rows=int(some.sum()),
                aside=float(labels[some].mean()),
                kept=float(labels[kept].mean()),
                apart=differ(some[both], labels[both]),
            )
        )
    return quarantine.model_copy(update={"labels": tuple(found)})


def warnings_of(run: Run, quarantine: Quarantine) -> list[str]:
    """A sentence for each check that set aside rows with other labels than the kept ones."""
    return [
        f"{one.reason} sets aside {counted(one.rows, 'row')} whose labels are not like those of the others "
        f"({mean_words(one.aside, one.kept, classification=run.spec.data.classification)}): no model is trained or judged on "
        "them, but such rows come in service; widen the expectation, or mend the source"
        for one in quarantine.labels
        if one.apart
    ]


def _labels(data: DataSpec, cells: pa.ChunkedArray) -> np.ndarray:
    """The target as 0/1 or float, NaN where it is no number; shape (n,)."""
    if data.classification:
        cells = pc.equal(cells.cast("large_string"), data.positive).cast("int8")
    elif not (pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type)):
        return np.full(len(cells), np.nan)
    return np.asarray(cells.cast("double", safe=False).to_numpy(zero_copy_only=False), dtype=float)
