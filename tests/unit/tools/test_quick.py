"""Which tests ``make quick`` runs for a changed file."""

from __future__ import annotations

from pathlib import PurePath

import pytest

import quick


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("include/contender/judge/contest.py", {"tests/unit/judge/test_contest.py"}),
        ("include/contender/report/report.html.j2", {"tests/unit/report/test_report.py"}),
        ("include/contender/errors.py", {"tests/contracts/test_stores.py", "tests/unit/test_errors.py"}),
        ("tools/quick.py", {"tests/unit/tools/test_quick.py"}),
        ("bench/rows.py", {"tests/unit/test_bench.py"}),
        ("tests/unit/test_errors.py", {"tests/unit/test_errors.py"}),
        ("tests/unit/test_gone.py", set()),
        ("tests/support/life.py", set()),
        ("include/contender/pipeline.py", set()),
        ("README.md", set()),
    ],
)
def test_a_files_tests_are_those_that_mirror_it(changed: str, expected: set[str]) -> None:
    assert expected == quick.tests_of(PurePath(changed))


def test_a_member_of_a_family_has_the_contract_tests_too() -> None:
    found = quick.tests_of(PurePath("include/contender/judge/gates/beats.py"))
    assert "tests/contracts/test_families.py" in found
    assert all(name.startswith("tests/unit/judge/gates/") for name in found - {"tests/contracts/test_families.py"})


def test_a_module_without_a_test_of_its_name_has_those_of_its_folder() -> None:
    found = quick.tests_of(PurePath("include/contender/sweep/training.py"))
    assert {"tests/unit/sweep/test_trial.py", "tests/unit/sweep/test_worker.py"} <= found
