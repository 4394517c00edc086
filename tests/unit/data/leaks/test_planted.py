"""Every kind of leak is found in every table it is planted in, with its columns; the tables as they come raise none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from planted import CLEAN, ONLY_CLASSES, PLANTED, PLANTS, TABLES, guarded

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = {
    "a sum": {"part", "rest"},
    "a sum and a limit": {"revenue", "cost"},
    "every row twice": set(),
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("clean", CLEAN)
def test_an_honest_table_raises_nothing(table: str, clean: str, tmp_path: Path) -> None:
    quarantine = guarded(CLEAN[clean](TABLES[table]()), tmp_path)
    assert quarantine.findings == ()
    assert quarantine.dropped == ()


#: A number is not there or not, and has no other side: some kinds are of classes only.
PAIRS = [
    (plant, table) for plant in PLANTS for table in TABLES if plant not in ONLY_CLASSES or TABLES[table]().positive
]


@pytest.mark.parametrize(("plant", "table"), PAIRS)
def test_a_planted_leak_is_found_and_nothing_else(table: str, plant: str, tmp_path: Path) -> None:
    honest = TABLES[table]()
    kind, make = PLANTS[plant]
    [finding] = guarded(make(honest), tmp_path).findings
    assert finding.kind == kind
    assert set(finding.columns) == COLUMNS.get(plant, {PLANTED})
    assert any(letter.isdigit() for letter in finding.evidence) or "the target, exactly" in finding.evidence
