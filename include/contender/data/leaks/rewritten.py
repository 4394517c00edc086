"""Features that are written again once the label is known: the same row held something else in an earlier snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from contender.data.leaks.telling import Leak, levels, scores, some
from contender.data.rows import as_frame
from contender.data.snapshot import read_snapshot
from contender.documents import Run, Snapshot, run_key
from contender.store.base import read_document
from contender.store.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contender.data.leaks.kept import Few, KeptRows
    from contender.store.base import ArtifactStore

_FEW = 30
_APART = 0.5  # standard deviations of the target between rows that changed and rows that did not
_SURE = 5.0  # standard errors of that
_TELLS = {True: 0.75, False: 0.25}  # ROC AUC, or R2 of ranks, of what values became
_MORE = 0.1  # than they told before


def earlier_snapshot(run: Run, store: ArtifactStore) -> Snapshot | None:
    """What the champion was trained on, if that was before this run's as_of and rows can be known again in it."""
    data = run.spec.data
    champion = Ledger(store, run.pipeline).champion()
    if data.id is None or data.time is None or champion is None or champion.run_id is None:
        return None
    if champion.as_of is None or champion.as_of >= run.as_of:
        return None
    return read_document(store, run_key(run.pipeline, champion.run_id, "snapshot.json"), Snapshot)


def rewritten(kept: KeptRows, before: Snapshot, store: ArtifactStore) -> Iterator[Leak]:
    """Features that hold something else than in the earlier snapshot, in rows or in a way that goes with the target."""
    run, there = kept.run, {column.name: column.type for column in before.columns}
    classification = run.spec.data.classification
    shared = [column for column in kept.features if there.get(column.name) == column.type]
    few, positions = _again(kept, before, store)
    if few is None or len(np.unique(few.target)) < 2:
        return
    since = "" if before.as_of is None else f" since the snapshot of {before.as_of:%Y-%m-%d}"
    for column in shared:
        old = as_frame(read_snapshot(before, run.pipeline, store, [column.name]).take(pa.array(positions)))
        pair = pd.DataFrame({"old": old[column.name], "new": few.frame[column.name]})
        changed = _differs(pair)
        told = _told(pair, changed, few.target, classification=classification)
        if told:
            yield Leak(
                "rewritten", (column.name,), f"changed in {changed.mean():.1%} of {len(pair):,} rows{since}; {told}"
            )


def _again(kept: KeptRows, before: Snapshot, store: ArtifactStore) -> tuple[Few | None, np.ndarray]:
    """Some rows that the earlier snapshot has, too (by id and time, where those name one row), and where it has them."""
    names = [str(kept.run.spec.data.id), str(kept.run.spec.data.time)]
    nowhere = np.zeros(0, dtype=int)
    try:
        old = as_frame(read_snapshot(before, kept.run.pipeline, store, names))
    except KeyError:  # it was removed since
        return None, nowhere
    now = kept.frame[names]
    if old.dtypes.tolist() != now.dtypes.tolist():
        return None, nowhere
    places = np.flatnonzero((now[names[1]] <= old[names[1]].max()).to_numpy()[kept.positions])
    places = places[some(len(places))]
    mine = now.take(kept.positions[places]).assign(here=places)
    theirs = old[old[names[0]].isin(mine[names[0]])].assign(there=lambda rows: rows.index)
    both = mine.drop_duplicates(names, keep=False).merge(theirs.drop_duplicates(names, keep=False), on=names)
    both = both.sort_values("here")
    return kept.take(both["here"].to_numpy()), both["there"].to_numpy()


def _differs(pair: pd.DataFrame) -> np.ndarray:
    """Whether old and new differ; shape (n,). A number that was only rounded otherwise is the same."""
    old, new = pair["old"], pair["new"]
    same = np.isclose(old, new, rtol=1e-9, atol=0) if old.dtype == "float64" else (old == new).to_numpy()
    return np.asarray(~(same | (old.isna() & new.isna())))


def _told(pair: pd.DataFrame, changed: np.ndarray, target: np.ndarray, *, classification: bool) -> str:
    """What a change says of the target: by taking place at all, else by what became of the value."""
    groups = [target[changed], target[~changed]]
    if min(map(len, groups)) >= _FEW:
        ranks = pd.Series(target).rank().to_numpy()
        apart = abs(ranks[changed].mean() - ranks[~changed].mean()) / ranks.std()
        if apart >= _APART and apart >= _SURE * np.sqrt(sum(1 / len(group) for group in groups)):
            if classification:
                return "the target is {:.1%} positive in those, {:.1%} in the others".format(
                    *(g.mean() for g in groups)
                )
            return f"their targets lie {apart:.1f} standard deviations (of ranks) from those of the others"
    rows = target[changed]
    if len(rows) < 100 or (classification and min(rows.sum(), len(rows) - rows.sum()) < 10):
        return ""
    codes = pd.DataFrame({name: levels(column) for name, column in pair[changed].items()})
    if str(pair["old"].dtype) != "str":
        codes["moved"] = levels((pair["new"] - pair["old"])[changed])
    old, *new = scores(codes, rows, classification=classification)
    if max(new) < max(old + _MORE, _TELLS[classification]):  # a good feature in another unit is as good as it was
        return ""
    words = "ROC AUC {:.3f} alone, {:.3f}" if classification else "R2 (of ranks) {:.3f} alone, {:.3f}"
    return f"what they became reaches {words.format(max(new), old)} before"
