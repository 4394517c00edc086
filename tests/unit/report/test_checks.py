"""The page about the data checks: what failed and what follows, from counts alone, whatever things are called."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from builders import make_run
from contender.data.checks.expectations import sections
from contender.documents.data import AsideLabels, CheckResult, Finding, Quarantine, Snapshot
from contender.report.checks import checks_page
from contender.spec.data import Expectation
from everyexpectation import EVERY
from pages import Outline, words

if TYPE_CHECKING:
    from contender.documents.run import Run
    from contender.spec.data import LeakPolicy

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>$column{{ 7*7 }}"
SNAPSHOT = Snapshot(
    id="ab" * 32,
    rows=1_000,
    columns=(),
    unlabelled=20,
    window=(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
)
BETWEEN: dict[str, Any] = {
    "expect_column_values_to_be_between": {"column": "age", "min_value": 18, "max_value": 100, "severity": "critical"}
}
FILLED: dict[str, Any] = {"expect_column_values_to_not_be_null": {"column": "plan", "severity": "warning"}}


def result(name: str, column: str | None = None, **said: Any) -> CheckResult:
    given = {"severity": "critical", "success": True, "unexpected": 0, "checked": 1_000, **said}
    return CheckResult(name=name, column=column, **given)


STRUCTURE = (
    result("min_rows"),
    result("varies", "tariff", success=False, severity="warning", detail="has one value only"),
)
AGE = result("expect_column_values_to_be_between", "age", success=False, unexpected=3, missing=100)
PLAN = result("expect_column_values_to_not_be_null", "plan", severity="warning")


def run_of(*expectations: dict[str, Any], max_share: float = 0.1, **parts: Any) -> Run:
    return make_run(expectations=list(expectations or (BETWEEN, FILLED)), quarantine={"max_share": max_share}, **parts)


def quarantine_of(*checks: CheckResult, **said: Any) -> Quarantine:
    rows = dict.fromkeys((1, 2, 3), ("expect_column_values_to_be_between(age)",))
    given = {"rows": rows, "kept": 997, "structure": STRUCTURE, "checks": checks or (AGE, PLAN), **said}
    return Quarantine(id="q", snapshot=SNAPSHOT.id, **given)


def page_of(run: Run | None = None, quarantine: Quarantine | None = None) -> str:
    return checks_page(run or run_of(), SNAPSHOT, quarantine or quarantine_of())


def test_a_run_that_goes_on_says_with_how_many_rows_and_why_without_the_others() -> None:
    text = words(page_of())
    assert text.startswith("goes on 1 warning The run goes on with 997 of 1,000 rows; 3 are set aside")
    assert "varies(tariff) warning all has one value only" in text
    assert "expect_column_values_to_be_between(age) critical 3" in text
    assert "2026-01-01 up to 2026-03-02" in text
    assert "1,000 with a label, 20 without" in text


def test_great_expectations_shows_its_own_results() -> None:
    text = words(page_of())
    assert "age Status Expectation Observed Value values must be greater than or equal to 18.0 and less than" in text
    assert "3 unexpected values found. ≈0.3333% of 1000 total rows." in text
    assert "≈0.33333% unexpected" in text
    assert "values must never be null. 100% not null" in text


def test_a_run_without_a_fault_keeps_all_rows() -> None:
    clean = quarantine_of(AGE.model_copy(update={"success": True, "unexpected": 0}), PLAN, rows={}, kept=1_000)
    text = words(page_of(quarantine=clean.model_copy(update={"structure": STRUCTURE[:1]})))
    assert text.startswith("goes on All 1,000 rows are kept")
    assert "What failed" not in text


def test_a_stopped_run_says_what_the_log_says() -> None:
    text = words(page_of(run_of(max_share=0.001)))
    assert text.startswith(
        "stopped 1 warning quarantine: 3 of 1000 rows (0.3%) failed, quarantine.max_share allows 0.1%."
    )
    assert "Nothing was trained." in text


def test_a_run_stopped_by_its_rows_as_such_shows_that_nothing_more_was_asked() -> None:
    few = result("min_rows", success=False, detail="got 1000 rows with a label, expected at least 5000")
    text = words(page_of(quarantine=quarantine_of(rows={}).model_copy(update={"structure": (few,), "checks": ()})))
    assert "data.min_rows: got 1000 rows with a label, expected at least 5000; nothing was trained" in text
    assert "Not asked of rows that are not fit to be asked." in text


def test_labels_of_rows_that_are_set_aside_stand_beside_those_of_the_kept_ones() -> None:
    labels = (AsideLabels(reason=AGE.label, rows=65, aside=0.277, kept=0.023, apart=True),)
    text = words(page_of(quarantine=quarantine_of(labels=labels)))
    assert text.startswith("goes on 2 warnings")
    assert "expect_column_values_to_be_between(age) 65 27.7% positive against 2.3% ! they differ" in text
    assert "rows are set aside that the model will be asked about" in text
    alike = labels[0].model_copy(update={"apart": False, "aside": 0.024})
    assert "asked about" not in words(page_of(quarantine=quarantine_of(labels=(alike,))))


def test_a_pipeline_without_expectations_says_so() -> None:
    run = make_run(quarantine={"max_share": 0.1})
    text = words(page_of(run, quarantine_of(rows={}, kept=1_000).model_copy(update={"checks": ()})))
    assert "The pipeline declares none: no value was checked." in text


def test_cells_that_could_not_be_read_are_a_reason_of_their_own() -> None:
    rows = {1: ("age is no integer",), 2: ("age is no integer", AGE.label), 3: (AGE.label,), 4: (AGE.label,)}
    text = words(page_of(quarantine=quarantine_of(rows=rows, kept=996)))
    assert "age is no integer critical 2" in text


@pytest.mark.parametrize("policy", ["stop", "drop", "warn"])
def test_what_is_suspected_of_a_leak_stands_there_with_its_evidence(policy: LeakPolicy) -> None:
    finding = Finding(
        kind="near_perfect", columns=("status", "x"), evidence="reaches ROC AUC 0.993 alone", policy=policy
    )
    text = words(page_of(quarantine=quarantine_of(findings=(finding,))))
    assert f"status, x near_perfect reaches ROC AUC 0.993 alone {policy}" in text
    assert ("Nothing was trained: what gives the target away stops the run" in text) == (policy == "stop")
    assert text.startswith("stopped" if policy == "stop" else "goes on")


def test_the_page_runs_and_fetches_nothing() -> None:
    page = page_of()
    outline = Outline(page)
    assert not {tag for tag, _ in outline.found} & {"script", "link", "iframe", "object", "img", "base", "a"}
    assert not re.findall(r"https?://|@import|url\(", page)
    [policy] = [attrs["content"] for tag, attrs in outline.found if "http-equiv" in attrs]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert page_of() == page_of()


SAID: dict[str, dict[str, Any]] = {"rows": {"unexpected": 3}, "a number": {"observed": 4.5}, "nothing": {}}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param(name, said, id=f"{name} {words}")
        for name in EVERY
        for words, said in SAID.items()
        if words != "a number" or "_mean_" in name or "_count_" in name or "_proportion_" in name
    ],
)
def test_every_expectation_can_be_shown(name: str, said: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    expectation = Expectation(name=name, arguments=EVERY[name])
    column = EVERY[name].get("column")
    shown = "".join(sections([expectation], [result(name, column, success=False, **said)]))
    assert words(f"<body>{shown}</body>")
    assert [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")] == []


@pytest.mark.parametrize(
    "expectation",
    [
        {"expect_column_values_to_be_in_set": {"column": EVIL, "value_set": [EVIL]}},
        {"expect_column_values_to_match_regex": {"column": EVIL, "regex": EVIL}},
        {"expect_column_pair_values_to_be_equal": {"column_A": EVIL, "column_B": EVIL}},
        {"expect_compound_columns_to_be_unique": {"column_list": [EVIL, "b"]}},
        {"expect_table_columns_to_match_set": {"column_set": [EVIL]}},
        {"expect_table_columns_to_match_ordered_list": {"column_list": [EVIL]}},
        {"expect_column_distinct_values_to_equal_set": {"column": EVIL, "value_set": [EVIL]}},
        {"expect_column_values_to_be_in_type_list": {"column": EVIL, "type_list": [EVIL]}},
        {"expect_column_values_to_match_json_schema": {"column": EVIL, "json_schema": {"title": EVIL}}},
    ],
    ids=lambda expectation: next(iter(expectation)),
)
def test_what_columns_and_settings_are_called_is_text(expectation: dict[str, Any]) -> None:
    [(name, arguments)] = expectation.items()
    failed = result(name, arguments.get("column"), success=False, unexpected=3)
    page = page_of(run_of(expectation), quarantine_of(failed, rows={1: (EVIL,)}))
    assert not {tag for tag, _ in Outline(page).found} & {"script", "img"}
    assert EVIL not in page
    assert "<script>alert(1)</script>" in Outline(page).texts["body"][0]


def test_when_the_library_cannot_show_its_results_ours_are_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> list[str]:
        raise KeyError("observed_value")

    monkeypatch.setattr("contender.report.checks.sections", fails)
    text = words(page_of())
    assert "expect_column_values_to_be_between(age) critical 3" in text
    assert "Great Expectations could not show them" in text
