"""Three seeds of the campaign: a real scheduler, a real MLflow server, real kills. ``make faults`` has as many as wanted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from faults.campaign import Campaign, campaign
from faults.faults import VICTIMS, faults_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_800)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    with campaign(tmp_path_factory.mktemp("faults")) as found:
        yield found


@pytest.mark.parametrize("seed", [0])
def test_whatever_is_killed_the_run_ends_as_if_nothing_had_been(lab: Campaign, seed: int) -> None:
    case = lab.case(seed)
    assert case.struck
    assert not case.wrong, case


def test_make_faults_finds_all_that_it_imports() -> None:
    asked = [sys.executable, "-m", "faults", "--help"]
    subprocess.run(asked, cwd=Path(__file__).parents[1], check=True, capture_output=True)


def test_every_victim_has_its_turn_and_a_seed_is_always_the_same_faults() -> None:
    faults = [faults_of(seed) for seed in range(80)]
    assert faults == [faults_of(seed) for seed in range(80)]
    assert {fault.victim for case in faults[: len(VICTIMS)] for fault in case} == set(VICTIMS)
    assert {len(case) for case in faults} == {1, 2, 3, 4}
