"""What rows must be as such: each check says how many, sees what it is there for, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import make_spec
from contender.data.checks.quarantine import examine, judge_quarantine
from contender.data.checks.structure import check_structure, unsure_split
from contender.data.rows import as_frame
from contender.data.snapshot import canonical
from contender.documents.data import Snapshot
from contender.errors import DataRejected
from contender.profile.statistics import statistics

if TYPE_CHECKING:
    import pandas as pd

    from contender.documents.data import CheckResult, Quarantine
    from contender.spec.pipeline import PipelineSpec

END = datetime(2026, 3, 1, tzinfo=UTC)
CLEAN = {"min_rows", "finite", "has_values", "varies", "no_repeats", "labels_agree"}


def spec_of(**data: Any) -> PipelineSpec:
    return make_spec(data={"time": "at", "window": "60d", "min_rows": 2, **data})


def table_of(rows: int = 6, **columns: Any) -> pa.Table:
    """Rows an hour apart, the last one an hour before the end of the window."""
    at = [END.replace(tzinfo=None) - timedelta(hours=rows - row) for row in range(rows)]
    made = {
        "id": [str(row) for row in range(rows)],
        "at": pa.array(at, pa.timestamp("us")),
        "x": np.arange(rows) * 1.0,
        "plan": ["a", "b"] * (rows // 2) + ["c"] * (rows % 2),
        "y": ["yes", "no"] * (rows // 2) + ["no"] * (rows % 2),
        **columns,
    }
    return pa.table({name: values for name, values in made.items() if values is not None})


def taken(spec: PipelineSpec, table: pa.Table, unlabelled: int = 0) -> tuple[Snapshot, pd.DataFrame]:
    rows = canonical(table, spec.data)
    said = statistics(rows, id_=spec.data.id)
    window = (END - timedelta(days=60), END)
    snapshot = Snapshot(id="s", rows=len(rows), columns=(), unlabelled=unlabelled, window=window, statistics=said)
    return snapshot, as_frame(rows, spec.data.id)


def answers(spec: PipelineSpec, table: pa.Table, unlabelled: int = 0) -> dict[str, CheckResult]:
    snapshot, frame = taken(spec, table, unlabelled)
    return {result.label: result for result in check_structure(spec.data, snapshot, frame).results}


def failed(spec: PipelineSpec, table: pa.Table, unlabelled: int = 0) -> dict[str, CheckResult]:
    return {label: result for label, result in answers(spec, table, unlabelled).items() if not result.success}


def examined(spec: PipelineSpec, table: pa.Table) -> tuple[Snapshot, Quarantine]:
    snapshot, frame = taken(spec, table)
    return snapshot, examine(spec, snapshot, frame)


def test_of_clean_rows_each_check_says_once_that_it_passed() -> None:
    found = answers(spec_of(), table_of())
    assert set(found) == CLEAN
    assert all(result.success for result in found.values())


def test_too_few_rows_are_refused_with_count_and_limit_and_nothing_more_is_asked() -> None:
    spec = make_spec(
        data={"min_rows": 10}, expectations=[{"expect_column_values_to_be_between": {"column": "x", "max_value": 0}}]
    )
    snapshot, quarantine = examined(spec, table_of(at=None))
    assert quarantine.checks == ()
    with pytest.raises(
        DataRejected, match=r"data\.min_rows: got 6 rows with a label, expected at least 10; nothing was"
    ):
        judge_quarantine(snapshot, quarantine, 0.99)


def test_as_many_rows_as_asked_for_are_enough() -> None:
    assert failed(spec_of(min_rows=6), table_of()) == {}


@pytest.mark.parametrize(("allowed", "fails"), [("30m", True), ("1h", False), ("2h", False)])
def test_the_newest_row_may_be_as_old_as_declared(allowed: str, fails: bool) -> None:
    assert ("freshness" in failed(spec_of(freshness=allowed), table_of())) == fails


def test_stale_rows_are_refused_with_age_and_limit() -> None:
    snapshot, quarantine = examined(spec_of(freshness="30m"), table_of())
    message = r"data\.freshness: the newest row is 1h older than the end of the window \(2026-03-01 00:00 UTC\), expected at most 30m;"
    with pytest.raises(DataRejected, match=message):
        judge_quarantine(snapshot, quarantine, 0.99)


def test_freshness_needs_a_time() -> None:
    with pytest.raises(ValueError, match="freshness needs a time column"):
        make_spec(data={"freshness": "1d"})


@pytest.mark.parametrize(("coverage", "fails"), [(0.61, True), (0.6, False)])
def test_labels_may_miss_as_often_as_declared(coverage: float, fails: bool) -> None:
    found = failed(spec_of(label_coverage=coverage), table_of(), unlabelled=4)
    assert set(found) == ({"label_coverage"} if fails else set())
    if fails:
        assert (
            found["label_coverage"].detail == "6 of 10 rows of the window have a label (60.0%), expected at least 61.0%"
        )


def test_rows_with_an_infinite_feature_are_set_aside_with_their_reason() -> None:
    table = table_of(x=[1.0, np.inf, 2.0, -np.inf, np.nan, 3.0], z=[np.inf, *range(5)])
    snapshot, quarantine = examined(spec_of(), table)
    assert quarantine.rows == {0: ("finite(z)",), 1: ("finite(x)",), 3: ("finite(x)",)}
    judge_quarantine(snapshot, quarantine, 0.5)
    with pytest.raises(DataRejected, match=r"3 of 6 rows \(50\.0%\) failed.*finite\(x\): 2 rows; finite\(z\): 1 rows"):
        judge_quarantine(snapshot, quarantine, 0.4)


def test_rows_with_an_infinite_target_are_set_aside() -> None:
    spec = make_spec(data={"positive": None, "target": "x", "min_rows": 2}, sweep={"metric": "r2"})
    _, quarantine = examined(spec, table_of(at=None, x=[1.0, np.inf, 2.0, 3.0, 4.0, 5.0]))
    assert quarantine.rows == {1: ("finite(x)",)}


def test_a_reason_to_be_set_aside_is_one_of_several() -> None:
    expectation = {"expect_column_values_to_be_between": {"column": "x", "max_value": 4}}
    spec = make_spec(data={"min_rows": 2}, expectations=[expectation], quarantine={"max_share": 0.9})
    snapshot, frame = taken(spec, table_of(at=None, x=[1.0, np.inf, 2.0, 3.0, 9.0, 5.0]))
    quarantine = examine(spec, snapshot, frame, [("x is no number", np.array([0, 4]))])
    between = "expect_column_values_to_be_between(x)"
    assert quarantine.rows == {
        0: ("x is no number",),
        1: ("finite(x)", between),
        4: ("x is no number", between),
        5: (between,),
    }


@pytest.mark.parametrize(
    ("columns", "label", "detail"),
    [
        ({"x": pa.array([None] * 6, pa.float64())}, "has_values(x)", "has no value at all"),
        ({"plan": pa.array([None] * 6, pa.string())}, "has_values(plan)", "has no value at all"),
        ({"x": [4.0] * 6}, "varies(x)", "has one value only"),
        ({"plan": ["a"] * 6}, "varies(plan)", "has one value only"),
        ({"plan": ["a", None] * 3}, "varies(plan)", "has one value only and 3 rows without any"),
        ({"x": [True] * 6}, "varies(x)", "has one value only"),
        ({"x": pa.array([0] * 6, pa.timestamp("us"))}, "varies(x)", "has one value only"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_feature_that_says_nothing_is_told_and_no_row_is_lost(
    columns: dict[str, Any], label: str, detail: str
) -> None:
    found = failed(spec_of(), table_of(**columns))
    assert {name: (one.severity, one.detail) for name, one in found.items()} == {label: ("warning", detail)}
    snapshot, quarantine = examined(spec_of(), table_of(**columns))
    judge_quarantine(snapshot, quarantine, 0.0)


def test_a_feature_that_had_values_and_has_none_now_stops_the_run() -> None:
    table = table_of(x=pa.array([None] * 6, pa.float64()), plan=pa.array([None] * 6, pa.string()))
    snapshot, frame = taken(spec_of(), table)
    quarantine = examine(spec_of(), snapshot, frame, had_values=["x"])
    with pytest.raises(
        DataRejected, match=r"has_values\(x\): has no value at all, and had some before; .*data\.exclude"
    ):
        judge_quarantine(snapshot, quarantine, 0.0)
    assert [one.column for one in quarantine.structure if one.name == "has_values" and one.severity == "warning"] == [
        "plan"
    ]


def test_a_constant_id_or_target_is_no_feature() -> None:
    assert failed(spec_of(), table_of(id=["1"] * 6, y=["yes"] * 6)) == {}


def twins(labels: list[str], *, timed: bool = True, **columns: Any) -> tuple[PipelineSpec, pa.Table]:
    """Rows equal in everything but perhaps the target, twice the same customer at the same time."""
    table = table_of(6, x=[1.0, 1.0, 2.0, 3.0, 4.0, 5.0], plan=["a", "a", "b", "b", None, None], y=labels, **columns)
    table = table.set_column(0, "id", pa.array(["0", "0", "2", "3", "4", "5"]))
    at = [table["at"][0].as_py(), *table["at"].to_pylist()[:1], *table["at"].to_pylist()[2:]]
    table = table.set_column(1, "at", pa.array(at, pa.timestamp("us")))
    if timed:
        return spec_of(), table
    return make_spec(data={"id": None, "min_rows": 2}), table.drop_columns(["id", "at"])


@pytest.mark.parametrize("timed", [True, False], ids=["with id and time", "without"])
def test_rows_that_repeat_are_counted(timed: bool) -> None:
    found = failed(*twins(["yes", "yes", "no", "no", "no", "no"], timed=timed))
    assert {name: (one.unexpected, one.severity) for name, one in found.items()} == {"no_repeats": (1, "warning")}


@pytest.mark.parametrize("timed", [True, False], ids=["with id and time", "without"])
def test_rows_that_contradict_one_another_are_counted(timed: bool) -> None:
    found = failed(*twins(["yes", "no", "no", "no", "no", "no"], timed=timed))
    assert {name: (one.unexpected, one.severity) for name, one in found.items()} == {"labels_agree": (2, "warning")}


def test_missing_values_are_equal_to_one_another() -> None:
    spec = make_spec(data={"id": None, "min_rows": 2})
    table = pa.table({"a": [None, None, 1.0], "b": ["q", "q", "q"], "y": ["yes", "no", "no"], "z": [None, None, 2.0]})
    assert failed(spec, table)["labels_agree"].unexpected == 2


@given(data=st.data())
def test_repeats_are_those_that_a_plain_count_finds(data: st.DataObject) -> None:
    """Whatever stands before and after the target in the canonical order."""
    cells = st.sampled_from([0.0, 1.0, None])
    rows = data.draw(st.lists(st.tuples(cells, st.sampled_from(["yes", "no"]), cells), min_size=2, max_size=12))
    a, y, z = zip(*rows, strict=True)
    spec = make_spec(data={"id": None, "min_rows": 2})
    snapshot, frame = taken(spec, pa.table({"a": pa.array(a, pa.float64()), "y": y, "z": pa.array(z, pa.float64())}))
    found = {one.name: one.unexpected for one in check_structure(spec.data, snapshot, frame).results}
    labels: dict[Any, list[str]] = {}
    for first, label, last in rows:
        labels.setdefault((first, last), []).append(label)
    assert found["no_repeats"] == len(rows) - len(set(rows))
    assert found["labels_agree"] == sum(len(group) for group in labels.values() if len(set(group)) > 1)


def few(rows: int, levels: int, *, seed: int = 0, common: float = 0.0) -> pa.Table:
    """Rows of two features with so many levels each; of them a share is one and the same row."""
    random = np.random.default_rng(seed)
    a, b = random.integers(0, levels, (2, rows))
    a[: round(common * rows)] = b[: round(common * rows)] = 0
    return pa.table({"a": a, "b": [f"l{one}" for one in b], "y": random.choice(["yes", "no"], rows)})


NO_ID = {"id": None, "min_rows": 2}


def different(table: pa.Table, **data: Any) -> CheckResult | None:
    return answers(make_spec(data=NO_ID | data), table).get("rows_differ")


def test_too_few_different_rows_are_told_with_what_follows_and_what_to_do() -> None:
    found = different(few(1_000, 5))
    assert found is not None
    assert (found.success, found.severity, found.unexpected) == (False, "warning", 0)
    assert found.detail == (
        "1,000 rows have only 25 different combinations of features (fewer than 500), and each is on one side of the split: "
        "the numbers hold for combinations that were never seen, and do not hold for rows already seen; one combination of "
        "features is in 6% of the rows, all on one side of the split: how many rows judge, and how well, is a matter of "
        "luck; name what a row is about in data.id, or when it was observed in data.time"
    )


def test_one_large_group_of_equal_rows_is_told_among_many_different_ones() -> None:
    found = different(few(2_000, 1_000, common=0.3))
    assert found is not None
    assert found.detail.startswith("one combination of features is in 30% of the rows, all on one side of the split")
    assert different(few(2_000, 1_000, common=0.04)).success  # type: ignore[union-attr]


def test_what_makes_the_split_a_matter_of_luck_is_said_apart_from_other_warnings() -> None:
    spec = make_spec(data=NO_ID)
    [said] = unsure_split(examined(spec, few(2_000, 1_000, common=0.3))[1])
    assert said.startswith("one combination of features is in 30% of the rows")
    assert unsure_split(examined(spec, few(4_000, 60))[1]) == []


@pytest.mark.parametrize("table", [few(1_000, 1_000), few(40, 40), few(4_000, 60)], ids=["many", "small", "repeating"])
def test_rows_that_differ_are_enough(table: pa.Table) -> None:
    found = different(table)
    assert found is not None
    assert found.success


def test_the_target_makes_no_row_different() -> None:
    table = few(1_000, 5)
    numbered = table.set_column(2, "y", pa.array(np.arange(1_000.0)))
    assert different(table).detail == different(numbered, positive=None).detail  # type: ignore[union-attr]


def test_where_id_or_time_decide_which_rows_judge_it_is_not_asked() -> None:
    assert "rows_differ" not in answers(spec_of(), table_of())
    assert "rows_differ" not in answers(spec_of(id=None), table_of(id=None))
