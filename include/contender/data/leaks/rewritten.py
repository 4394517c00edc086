"""Features that are rewritten once the label is known: the same row had another value in an earlier snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from contender.data.leaks.sample import sample_positions
from contender.data.leaks.target import Leak, column_scores, level_codes
from contender.data.rows import as_features, as_frame
from contender.data.snapshot import read_snapshot
from contender.documents.data import Snapshot
from contender.documents.run import Run
from contender.store.ledger import Ledger
from contender.store.runs import counted_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contender.data.leaks.sample import KeptRows, Sample
    from contender.store.base import ArtifactStore

_FEW = 30  # rows that changed, and rows that did not
_APART = 0.5  # standard deviations between the mean target ranks of rows that changed and rows that did not
_SURE = 5.0  # standard errors of that difference
_PREDICTS = {True: 0.75, False: 0.25}  # the least ROC AUC, or R2 of ranks, of the new values
_MORE = 0.1  # and by how much it must exceed that of the old values


def earlier_snapshot(run: Run, store: ArtifactStore) -> Snapshot | None:
    """The champion's snapshot, if it looked from an earlier as_of and rows have an id and a time to be matched by."""
    data = run.spec.data
    champion = Ledger(store, run.pipeline).champion()
    if data.id is None or data.time is None or champion is None or champion.run_id is None:
        return None
    if champion.as_of is None or champion.as_of >= run.as_of:
        return None
    return counted_document(store, run.pipeline, champion.run_id, "snapshot.json", Snapshot)


def rewritten(kept: KeptRows, before: Snapshot, store: ArtifactStore) -> Iterator[Leak]:
    """Features whose values changed since the earlier snapshot, where the changes predict the target."""
    run, there = kept.run, {column.name: column.type for column in before.columns}
    classification = run.spec.data.classification
    shared = [column for column in kept.features if there.get(column.name) == column.type]
    sample, positions = _matching_rows(kept, before, store)
    if sample is None or len(np.unique(sample.target)) < 2:
        return
    since = "" if before.as_of is None else f" since the snapshot of {before.as_of:%Y-%m-%d}"
    for column in shared:
        old = as_frame(read_snapshot(before, run.pipeline, store, [column.name]).take(pa.array(positions)), None)
        pair = pd.DataFrame({"old": old[column.name], "new": as_features(sample.frame, (column,))[column.name]})
        changed = _changed(pair)
        evidence = _evidence(pair, changed, sample.target, classification=classification)
        if evidence:
            words = f"changed in {changed.mean():.1%} of {len(pair):,} rows{since}; {evidence}"
            yield Leak("rewritten", (column.name,), words)


def _matching_rows(kept: KeptRows, before: Snapshot, store: ArtifactStore) -> tuple[Sample | None, np.ndarray]:
    """A sample of the rows that the earlier snapshot has, too, and their positions in it.

    Rows are matched by id and time where both name one row; those without an id are not. None when the earlier snapshot was removed or changed types.
    """
    names = [str(kept.run.spec.data.id), str(kept.run.spec.data.time)]
    nowhere = np.zeros(0, dtype=int)
    try:
        old = as_frame(read_snapshot(before, kept.run.pipeline, store, names), names[0])
    except KeyError:  # the snapshot was removed
        return None, nowhere
    keys = ["id", "time"]  # a column of the user's may have the name of one of ours
    now, old = (one.set_axis(keys, axis="columns") for one in (kept.frame[names], old))
    if old.dtypes.tolist() != now.dtypes.tolist():
        return None, nowhere
    places = np.flatnonzero((now["time"] <= old["time"].max()).to_numpy()[kept.positions])
    places = places[sample_positions(len(places))]
    mine = now.take(kept.positions[places]).assign(here=places)
    theirs = old[old["id"].isin(mine["id"].dropna())].assign(there=lambda rows: rows.index)
    both = mine.drop_duplicates(keys, keep=False).merge(theirs.drop_duplicates(keys, keep=False), on=keys)
    both = both.sort_values("here")
    return kept.take(both["here"].to_numpy()), both["there"].to_numpy()


def _changed(pair: pd.DataFrame) -> np.ndarray:
    """Whether old and new differ; shape (n,). Numbers within 1e-9 of each other are equal."""
    old, new = pair["old"], pair["new"]
    same = np.isclose(old, new, rtol=1e-9, atol=0) if old.dtype == "float64" else (old == new).to_numpy()
    return np.asarray(~(same | (old.isna() & new.isna())))


def _evidence(pair: pd.DataFrame, changed: np.ndarray, target: np.ndarray, *, classification: bool) -> str:
    """How the changes predict the target, by which rows changed, else by their new values; empty if they do not."""
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
    codes = pd.DataFrame({name: level_codes(column) for name, column in pair[changed].items()})
    if str(pair["old"].dtype) != "str":
        codes["moved"] = level_codes((pair["new"] - pair["old"])[changed])
    old, *new = column_scores(codes, rows, classification=classification)
    if max(new) < max(old + _MORE, _PREDICTS[classification]):  # a change of unit adds nothing
        return ""
    words = "ROC AUC {:.3f} alone, {:.3f}" if classification else "R2 (of ranks) {:.3f} alone, {:.3f}"
    return f"what they became reaches {words.format(max(new), old)} before"
