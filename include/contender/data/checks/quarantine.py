"""The quarantine: which rows of a snapshot fail the checks, and whether a run may train on the others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from contender.canonical import content_key
from contender.data.checks.expectations import Checked, check
from contender.data.checks.structure import check_structure
from contender.documents.data import Quarantine, Snapshot
from contender.errors import DataRejected

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    import pandas as pd

    from contender.spec.pipeline import PipelineSpec

_MOST_NAMED = 5  # reasons in a message
_MOST_LOCATED = 100_000  # rows with one reason; the positions of more are not stored when they stop the run

_NOTHING = Checked()


def examine(
    spec: PipelineSpec,
    snapshot: Snapshot,
    frame: pd.DataFrame,
    unread: Sequence[tuple[str, np.ndarray]] = (),
    had_values: Collection[str] = (),
) -> Quarantine:
    """Run all checks on a snapshot's rows. ``judge_quarantine`` decides whether the run goes on.

    Args:
        frame: the rows in canonical order.
        unread: per column with cells that do not fit the reason and its rows; these reasons come first.
        had_values: columns that had values when the contract was frozen.

    Raises:
        DataRejected: an expectation could not be computed.
    """
    structure = check_structure(spec.data, snapshot, frame, had_values)
    if any(result.stops and not result.sets_aside for result in structure.results):
        checked = Checked()  # too few or stale rows stop the run whatever they hold
    else:
        checked = check(frame, spec.expectations, spec.quarantine.max_share)
    return set_aside(snapshot, checked, unread, structure, max_share=spec.quarantine.max_share)


def set_aside(
    snapshot: Snapshot,
    checked: Checked,
    unread: Sequence[tuple[str, np.ndarray]] = (),
    structure: Checked = _NOTHING,
    *,
    max_share: float = 1.0,
) -> Quarantine:
    """The quarantine of a snapshot from the results of its checks; its id hashes snapshot, positions and reasons."""
    failed = [*unread, *structure.positions, *checked.positions]
    located = {label for label, _ in failed}
    most = max(_MOST_LOCATED, max_share * snapshot.rows)
    few = all(len(positions) <= most for _, positions in failed)
    unknown = any(one.sets_aside and one.label not in located for one in (*structure.results, *checked.results))
    rows = _by_row(snapshot.rows, failed) if few else {}
    return Quarantine(
        id=content_key({"snapshot": snapshot.id, "rows": {str(position): why for position, why in rows.items()}}),
        snapshot=snapshot.id,
        rows=rows,
        kept=None if unknown or not few else snapshot.rows - len(rows),
        structure=structure.results,
        checks=checked.results,
    )


def judge_quarantine(snapshot: Snapshot, quarantine: Quarantine, max_share: float) -> None:
    """Stop the run if too much failed.

    Raises:
        DataRejected: a critical check of the whole table failed, or more than ``max_share`` of the rows are quarantined.
    """
    why = refusal(snapshot, quarantine, max_share)
    if why is not None:
        raise DataRejected(why)


def refusal(snapshot: Snapshot, quarantine: Quarantine, max_share: float) -> str | None:
    """Why the run must stop, or None."""
    for result in quarantine.structure:
        if result.stops and not result.sets_aside:
            return f"data.{result.label}: {result.detail}; nothing was trained"
    whole = [f"{one.label} {one.detail}".strip() for one in quarantine.checks if one.stops and not one.sets_aside]
    if whole:
        return f"expectations: {'; '.join(whole[:8])} failed on {snapshot.rows} rows; nothing was trained"
    counts = failing_rows(snapshot, quarantine)
    count = max(len(quarantine.rows), *counts.values(), 0)
    share = count / snapshot.rows
    if share <= max_share:
        return None
    first = {odd.reason: odd.where for odd in snapshot.uncoerced}
    worst = "; ".join(
        f"{reason}: {number} rows{first.get(reason, '')}" for reason, number in counts.most_common(_MOST_NAMED)
    )
    least = "at least " if quarantine.kept is None and len(counts) > 1 else ""
    return (
        f"quarantine: {least}{count} of {snapshot.rows} rows ({share:.1%}) failed, quarantine.max_share allows "
        f"{max_share:.1%}. {worst}. Mend the source, or change the check or quarantine.max_share"
    )


def failing_rows(snapshot: Snapshot, quarantine: Quarantine) -> Counter[str]:
    """How many rows fail for each reason, also where their positions are not known."""
    found = Counter(why for reasons in quarantine.rows.values() for why in reasons)
    for result in (*quarantine.structure, *quarantine.checks):
        if result.sets_aside and result.label not in found:
            found[result.label] = result.unexpected
    for odd in snapshot.uncoerced:
        found[odd.reason] = odd.rows
    return found


def _by_row(count: int, failed: Iterable[tuple[str, np.ndarray]]) -> dict[int, tuple[str, ...]]:
    """Reasons by ascending position. Rows share few combinations of reasons, so each row holds a number of one."""
    combination = np.zeros(count, dtype=np.int64)
    known: list[tuple[str, ...]] = [()]
    for label, positions in failed:
        before, which = np.unique(combination[positions], return_inverse=True)
        combination[positions] = len(known) + which
        known += [tuple(dict.fromkeys((*known[number], label))) for number in before]
    rows = np.flatnonzero(combination)
    return dict(zip(rows.tolist(), map(known.__getitem__, combination[rows].tolist()), strict=True))
