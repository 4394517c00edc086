"""What a run's code record covers: exactly the files that can change a trial's numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import contender
from contender.run.code import _RESULT_RELEVANT_SOURCE, _fingerprint

SOURCE = Path(contender.__file__).parent


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SOURCE, tmp_path / "contender", ignore=shutil.ignore_patterns("__pycache__")))


def test_every_file_that_is_covered_is_there() -> None:
    assert [name for name in _RESULT_RELEVANT_SOURCE if not (SOURCE / name).exists()] == []


@pytest.mark.parametrize(
    "name", ["sweep/trial.py", "sweep/model.py", "metrics/predictions.py", "metrics/scorers.py", "data/split.py"]
)
def test_another_way_to_compute_a_number_is_other_code(copied: Path, name: str) -> None:
    before = _fingerprint(copied)
    with (copied / name).open("a") as file:
        file.write("\n# changed\n")
    assert _fingerprint(copied) != before


@pytest.mark.parametrize(
    "name", ["data/leaks/guard.py", "data/checks/structure.py", "profile/statistics.py", "sweep/strategies/grid.py"]
)
def test_what_a_trials_key_holds_by_value_or_id_is_not_covered_again(copied: Path, name: str) -> None:
    before = _fingerprint(copied)
    with (copied / name).open("a") as file:
        file.write("\n# changed\n")
    assert _fingerprint(copied) == before
