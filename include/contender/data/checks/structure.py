"""Structural checks, before any expectation: enough, fresh, labelled and finite rows; empty and constant columns; repeats.

Results hold positions and counts, never values.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from contender.data.checks.expectations import Checked
from contender.documents.data import CheckResult
from contender.frozen import format_duration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from contender.documents.columns import ColumnStatistics
    from contender.documents.data import Quarantine, Snapshot
    from contender.spec.data import DataSpec

#: Different rows below which the rows that judge say little of rows that were seen before. Between 216 and 625 of them
#: the score of one split by content differs from that of another by twice, then by no more than sampling noise.
FEW_DIFFERENT = 500
#: The share of the rows from which one group of equal rows makes the size of the gate a lottery: a fifth becomes 18 to 22 %.
LARGE_GROUP = 0.05
_DIFFER = "rows_differ"

_Found = tuple[CheckResult, np.ndarray | None]


def check_structure(
    data: DataSpec, snapshot: Snapshot, frame: pd.DataFrame, had_values: Collection[str] = ()
) -> Checked:
    """The results of ``min_rows``, ``freshness`` and ``label_coverage`` where they are set, then those of columns and rows.

    Critical: rows with an infinite number, which few models take; and a feature that had values and has none now, because
    a champion trained on it would lose unfairly. Warnings: features that never had a value or have only one, rows that
    repeat or contradict each other, and too few different rows where features decide which of them judge.

    Args:
        frame: the snapshot's rows in canonical order, so that rows of equal time and id are neighbours.
        had_values: columns that had values when the contract was frozen.
    """
    features = [name for name in frame.columns if name not in (data.target, data.id, data.time)]
    found = [
        *_table(data, snapshot, frame),
        *_columns([*features, data.target], features, snapshot, frame, had_values),
        *_repeats(data, frame),
        *((result, None) for result in check_different(data, frame, features)),
    ]
    return Checked(
        tuple(result for result, _ in found),
        tuple((result.label, positions) for result, positions in found if positions is not None),
    )


def _table(data: DataSpec, snapshot: Snapshot, frame: pd.DataFrame) -> Iterator[_Found]:
    rows, all_rows = snapshot.rows, snapshot.rows + snapshot.unlabelled
    yield _whole(
        "min_rows", rows, rows < data.min_rows, f"got {rows} rows with a label, expected at least {data.min_rows}"
    )
    if data.freshness is not None and data.time is not None and snapshot.window is not None:
        end = snapshot.window[1]
        age = end.replace(tzinfo=None) - frame[data.time].max().to_pydatetime()
        yield _whole(
            "freshness",
            rows,
            age > data.freshness,
            f"the newest row is {format_duration(age)} older than the end of the window ({end:%Y-%m-%d %H:%M} UTC), "
            f"expected at most {format_duration(data.freshness)}",
        )
    if data.label_coverage is not None:
        share = rows / all_rows
        yield _whole(
            "label_coverage",
            all_rows,
            share < data.label_coverage,
            f"{rows} of {all_rows} rows of the window have a label ({share:.1%}), expected at least {data.label_coverage:.1%}",
        )


def _columns(
    names: list[str], features: list[str], snapshot: Snapshot, frame: pd.DataFrame, had_values: Collection[str]
) -> Iterator[_Found]:
    rows = len(frame)
    infinite: list[_Found] = []
    for name in names:
        if frame[name].dtype.kind == "f":
            positions = np.flatnonzero(np.isinf(frame[name].to_numpy()))
            if len(positions):
                infinite.append((_result("finite", rows, column=name, unexpected=len(positions)), positions))
    yield from infinite or [(_result("finite", rows), None)]
    described = [column for column in snapshot.statistics if column.name in features]
    empty = {column.name: _no_value(column.name in had_values) for column in described if column.nulls == rows}
    constant = {column.name: _one_value(column.nulls) for column in described if _is_constant(column)}
    for name, found in (("has_values", empty), ("varies", constant)):
        for column, detail in found.items():
            severity = "critical" if name == "has_values" and column in had_values else "warning"
            yield _result(name, rows, column=column, failed=True, detail=detail, severity=severity), None
        if not found:
            yield _result(name, rows, severity="warning"), None


def _is_constant(column: ColumnStatistics) -> bool:
    one = column.distinct == 1 or (len(column.knots) > 1 and column.knots[0] == column.knots[-1])
    return one and not column.infinite


def _no_value(lost: bool) -> str:  # noqa: FBT001 - one call, above
    if not lost:
        return "has no value at all"
    return "has no value at all, and had some before; mend the source, or go on without it: put it under data.exclude"


def _one_value(missing: int) -> str:
    return "has one value only" + (f" and {missing} rows without any" if missing else "")


def _repeats(data: DataSpec, frame: pd.DataFrame) -> Iterator[_Found]:
    """Rows equal in all columns, and rows equal in all columns but the target.

    Such rows are neighbours in the columns that the canonical order sorts by before the target, so only neighbours that
    are equal in those are hashed.
    """
    first = [name for name in (data.time, data.id) if name is not None]
    order = [*first, *(name for name in frame.columns if name not in first)]
    near = np.ones(len(frame), dtype=bool)
    near[0] = False
    for name in takewhile(lambda name: name != data.target, order):
        series = frame[name]
        before = series.shift()
        near &= (series.eq(before) | (series.isna() & before.isna())).to_numpy(dtype=bool, na_value=False)
        if not near.any():
            break
    near[:-1] |= near[1:]
    key = np.zeros(int(near.sum()), dtype=np.uint64)
    for name in order:
        if name != data.target:
            key = key * np.uint64(31) + pd.util.hash_pandas_object(frame[name][near], index=False).to_numpy()
    label = pd.factorize(frame[data.target][near], use_na_sentinel=False)[0]
    pairs = pd.DataFrame({"key": key, "label": label})
    labels = pairs.groupby("key", sort=False)["label"]
    for name, failed, detail in (
        ("no_repeats", pairs.duplicated(), "repeat another one in every column"),
        (
            "labels_agree",
            labels.transform("min") != labels.transform("max"),
            "contradict another one: same but for the target",
        ),
    ):
        count = int(failed.sum())
        yield _result(name, len(frame), unexpected=count, detail=detail if count else "", severity="warning"), None


def check_different(data: DataSpec, frame: pd.DataFrame, features: list[str]) -> Iterator[CheckResult]:
    """Whether the rows are different enough for their features to decide which of them judge; nothing with id or time."""
    if data.id is not None or data.time is not None or not features:
        return
    rows = len(frame)
    sizes = np.unique(pd.util.hash_pandas_object(frame[features], index=False), return_counts=True)[1]
    share = sizes.max() / rows
    told = []
    if len(sizes) < min(FEW_DIFFERENT, rows / 2):
        told.append(
            f"{rows:,} rows have only {len(sizes):,} different combinations of features (fewer than {FEW_DIFFERENT}), and "
            "each is on one side of the split: the numbers hold for combinations that were never seen, and do not hold for "
            "rows already seen"
        )
    if rows >= FEW_DIFFERENT and share > LARGE_GROUP:
        told.append(
            f"one combination of features is in {share:.0%} of the rows, all on one side of the split: how many rows judge, "
            "and how well, is a matter of luck"
        )
    told += ["name what a row is about in data.id, or when it was observed in data.time"] if told else []
    yield _result(_DIFFER, rows, failed=bool(told), detail="; ".join(told), severity="warning")


def unsure_split(quarantine: Quarantine) -> list[str]:
    """Why which rows judge is a matter of luck, or holds for other rows than the user may think; empty where it is neither."""
    return [one.detail for one in quarantine.structure if one.name == _DIFFER and not one.success]


def _whole(name: str, checked: int, failed: bool, detail: str) -> _Found:  # noqa: FBT001 - one call each, above
    return _result(name, checked, failed=failed, detail=detail if failed else ""), None


def _result(
    name: str,
    checked: int,
    *,
    column: str | None = None,
    failed: bool = False,
    unexpected: int = 0,
    detail: str = "",
    severity: str = "critical",
) -> CheckResult:
    return CheckResult(
        name=name,
        column=column,
        severity=severity,
        success=not (failed or unexpected),
        unexpected=unexpected,
        checked=checked,
        detail=detail,
    )
