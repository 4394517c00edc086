"""Validation's outcome: which rows are set aside, and whether the run may go on."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING

from contender.canonical import content_key
from contender.documents import Quarantine, Snapshot
from contender.errors import DataRejected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contender.data.expectations import Checked


def set_aside(
    snapshot: Snapshot, checked: Checked, unread: Mapping[int, tuple[str, ...]] = MappingProxyType({})
) -> Quarantine:
    """The quarantine of a snapshot; its id is a hash of snapshot, positions and reasons.

    Args:
        unread: per row position why its cells are not what their columns hold; these reasons come first.
    """
    rows = {
        position: [*unread.get(position, ()), *checked.rows.get(position, ())]
        for position in sorted({*unread, *checked.rows})
    }
    return Quarantine(
        id=content_key({"snapshot": snapshot.id, "rows": {str(position): rows[position] for position in rows}}),
        snapshot=snapshot.id,
        rows={position: tuple(reasons) for position, reasons in rows.items()},
        checks=checked.results,
    )


def judge_quarantine(snapshot: Snapshot, quarantine: Quarantine, max_share: float) -> None:
    """Let the run go on or stop it.

    Raises:
        DataRejected: a critical check of the whole table failed, or more than ``max_share`` of the rows is set aside.
    """
    by_rows = {reason for reasons in quarantine.rows.values() for reason in reasons}
    whole = [
        f"{check.label} {check.detail}".strip()
        for check in quarantine.checks
        if check.severity == "critical" and not check.success and check.label not in by_rows
    ]
    if whole:
        msg = f"expectations: {'; '.join(whole[:8])} failed on {snapshot.rows} rows; nothing was trained"
        raise DataRejected(msg)
    share = len(quarantine.rows) / snapshot.rows
    if share > max_share:
        counts = Counter(reason for reasons in quarantine.rows.values() for reason in reasons)
        worst = "; ".join(f"{reason}: {count} rows" for reason, count in counts.most_common(5))
        msg = (
            f"expectations: {len(quarantine.rows)} of {snapshot.rows} rows ({share:.1%}) failed, quarantine.max_share "
            f"allows {max_share:.1%}. {worst}. Mend the source, or change the expectation or quarantine.max_share"
        )
        raise DataRejected(msg)
