"""Rows set aside: kept and quarantined rows are all rows, and too many of them stop the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contender.data.checks.expectations import Checked, check
from contender.data.checks.quarantine import judge_quarantine, set_aside
from contender.documents.data import CheckResult, Quarantine, Snapshot, Uncoerced
from contender.errors import DataRejected
from contender.spec.data import Expectation

if TYPE_CHECKING:
    from collections.abc import Iterable


def snapshot(rows: int = 100, name: str = "s") -> Snapshot:
    return Snapshot(id=name, rows=rows, columns=(), unlabelled=0, sources=())


def result(name: str, column: str | None = None, *, success: bool = False, severity: str = "critical") -> CheckResult:
    return CheckResult(name=name, column=column, severity=severity, success=success, unexpected=0, checked=100)


def by_rows(positions: Iterable[int], check: CheckResult) -> Checked:
    found = np.array(sorted(positions), dtype=np.int64)
    return Checked((check.model_copy(update={"unexpected": len(found)}),), ((check.label, found),))


def test_the_id_says_which_rows_of_what_and_why() -> None:
    age, plan = result("expect_x", "age"), result("expect_x", "plan")
    made = [
        set_aside(snapshot(), by_rows([1, 2], age)),
        set_aside(snapshot(), by_rows([1, 3], age)),
        set_aside(snapshot(), by_rows([1, 2], plan)),
        set_aside(snapshot(name="t"), by_rows([1, 2], age)),
        set_aside(snapshot(), by_rows([], age)),
    ]
    assert len({quarantine.id for quarantine in made}) == 5
    assert set_aside(snapshot(), by_rows([1, 2], age)).id == made[0].id


def test_a_warning_does_not_change_the_id() -> None:
    warned = Checked((result("expect_y", severity="warning"),))
    assert set_aside(snapshot(), warned).id == set_aside(snapshot(), Checked()).id


def test_a_quarantine_survives_its_json() -> None:
    quarantine = set_aside(snapshot(), by_rows([0, 7], result("expect_x", "age")))
    assert Quarantine.model_validate_json(quarantine.model_dump_json()) == quarantine


def test_as_many_rows_as_allowed_may_be_set_aside() -> None:
    quarantine = set_aside(snapshot(), by_rows(range(2), result("expect_x", "age")))
    judge_quarantine(snapshot(), quarantine, 0.02)


def test_one_row_more_stops_the_run_and_says_which_check_took_how_many() -> None:
    quarantine = set_aside(snapshot(), by_rows(range(3), result("expect_x", "age")))
    message = (
        r"quarantine: 3 of 100 rows \(3\.0%\) failed, quarantine\.max_share allows 2\.0%\. expect_x\(age\): 3 rows\. "
        r"Mend the source, or change"
    )
    with pytest.raises(DataRejected, match=message):
        judge_quarantine(snapshot(), quarantine, 0.02)


def test_a_failed_check_of_the_whole_table_stops_the_run_whatever_share_is_allowed() -> None:
    checked = Checked((result("expect_table_row_count_to_be_between"),))
    with pytest.raises(DataRejected, match=r"expect_table_row_count_to_be_between failed on 100 rows; nothing was"):
        judge_quarantine(snapshot(), set_aside(snapshot(), checked), 0.99)


def test_a_failed_warning_does_not_stop_the_run() -> None:
    checked = Checked((result("expect_table_row_count_to_be_between", severity="warning"),))
    judge_quarantine(snapshot(), set_aside(snapshot(), checked), 0.0)


def test_a_message_about_many_checks_is_bounded() -> None:
    checked = Checked(tuple(result(f"expect_{n}") for n in range(1_000)))
    with pytest.raises(DataRejected) as caught:
        judge_quarantine(snapshot(), set_aside(snapshot(), checked), 0.0)
    assert len(str(caught.value)) < 500


def test_kept_and_quarantined_rows_of_a_real_check_are_all_rows() -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"age": random.integers(0, 120, 200) * 1.0, "n": random.normal(size=200)})
    frame.loc[frame["n"] > 1.5, "n"] = None
    asked = [
        Expectation(name="expect_column_values_to_be_between", arguments={"column": "age", "max_value": 100}),
        Expectation(name="expect_column_values_to_not_be_null", arguments={"column": "n"}),
    ]
    quarantine = set_aside(snapshot(200), check(frame, asked))
    kept = frame.drop(index=list(quarantine.rows))
    assert len(kept) + len(quarantine.rows) == 200
    assert not ((kept["age"] > 100) | kept["n"].isna()).any()
    assert ((frame["age"] > 100) | frame["n"].isna())[list(quarantine.rows)].all()


@given(bad=st.sets(st.integers(0, 99)), allowed=st.floats(0, 0.99))
def test_the_run_goes_on_just_when_the_share_is_within_what_is_allowed(bad: set[int], allowed: float) -> None:
    quarantine = set_aside(snapshot(), by_rows(sorted(bad), result("expect_x", "age", success=not bad)))
    if len(bad) / 100 <= allowed:
        judge_quarantine(snapshot(), quarantine, allowed)
    else:
        with pytest.raises(DataRejected):
            judge_quarantine(snapshot(), quarantine, allowed)


def test_a_check_that_alone_fails_too_many_rows_is_counted_and_not_asked_which() -> None:
    frame = pd.DataFrame({"age": np.arange(100.0), "n": 1.0})
    asked = [
        Expectation(name="expect_column_values_to_be_between", arguments={"column": "age", "max_value": 96}),
        Expectation(name="expect_column_values_to_be_between", arguments={"column": "n", "max_value": 0}),
    ]
    checked = check(frame, asked, max_share=0.05)
    assert checked.positions == ()
    quarantine = set_aside(snapshot(), checked)
    assert (quarantine.rows, quarantine.kept) == ({}, None)
    message = r"at least 100 of 100 rows .*between\(n\): 100 rows; expect_column_values_to_be_between\(age\): 3 rows\."
    with pytest.raises(DataRejected, match=message):
        judge_quarantine(snapshot(), quarantine, 0.05)


def test_reasons_from_before_stand_first_and_once() -> None:
    age = by_rows([1, 2], result("expect_x", "age"))
    quarantine = set_aside(snapshot(), age, [("age is no integer", np.array([2])), ("when is no date", np.array([7]))])
    assert quarantine.rows == {
        1: ("expect_x(age)",),
        2: ("age is no integer", "expect_x(age)"),
        7: ("when is no date",),
    }
    assert list(quarantine.rows) == [1, 2, 7]
    with pytest.raises(DataRejected, match=r"3 of 100 rows .*expect_x\(age\): 2 rows; age is no integer: 1 rows"):
        judge_quarantine(snapshot(), quarantine, 0.0)


def test_where_very_many_rows_are_that_stop_the_run_is_not_written_down() -> None:
    taken = snapshot(200_000).model_copy(
        update={"uncoerced": (Uncoerced(column="x", expected="integer", rows=150_000),)}
    )
    odd = [("x is not an integer", np.arange(150_000))]
    stopped = set_aside(taken, by_rows([1], result("expect_x", "age")), odd, max_share=0.1)
    assert ({}, None) == (stopped.rows, stopped.kept)
    message = r"at least 150000 of 200000 rows .* x is not an integer: 150000 rows; expect_x\(age\): 1 rows"
    with pytest.raises(DataRejected, match=message):
        judge_quarantine(taken, stopped, 0.1)
    assert 50_000 == set_aside(taken, Checked(), odd, max_share=0.9).kept


@given(
    failing=st.lists(st.tuples(st.sampled_from("abc"), st.sets(st.integers(0, 49))), max_size=6),
    before=st.dictionaries(st.sampled_from("xy"), st.sets(st.integers(0, 49), min_size=1)),
)
def test_kept_and_quarantined_rows_are_all_rows_and_each_has_its_reasons(
    failing: list[tuple[str, set[int]]], before: dict[str, set[int]]
) -> None:
    checks = [by_rows(rows, result("check", column, success=not rows)) for column, rows in failing]
    checked = Checked(
        tuple(one for check in checks for one in check.results),
        tuple(one for check in checks for one in check.positions),
    )
    quarantine = set_aside(snapshot(50), checked, [(reason, np.array(sorted(rows))) for reason, rows in before.items()])
    expected: dict[int, list[str]] = {}
    for reason, rows in before.items():
        for row in rows:
            expected.setdefault(row, []).append(reason)
    for column, rows in failing:
        for row in rows:
            expected.setdefault(row, []).append(f"check({column})")
    assert quarantine.rows == {row: tuple(dict.fromkeys(expected[row])) for row in sorted(expected)}
    assert list(quarantine.rows) == sorted(expected)
    assert quarantine.kept == 50 - len(expected)
