"""One seed of the campaign: a real scheduler, a real MLflow server, real kills. ``make faults`` has as many as wanted."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from contender.errors import BackendError
from contender.patience import patience
from contender.store.cache import Cache
from contender.store.s3 import S3Store
from contender_airflow.embedded.home import Ports
from faultproxy import proxy_to
from faults.campaign import Campaign, campaign
from faults.faults import VICTIMS, faults_of, pipeline_of, waited_for
from faults.lab import IN_BUCKET, Lab, LabHome
from s3servers import S3Server, moto_server

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


def test_the_store_is_away_for_its_seconds_and_then_answers_again(tmp_path: Path) -> None:
    with moto_server() as s3, proxy_to(s3.endpoint) as proxy:
        lab = Lab(LabHome(tmp_path, tmp_path, "", S3Server(proxy.endpoint)), Ports(), proxy, proxy, s3)
        store = S3Store(s3.bucket(), "", Cache(tmp_path, 1.0), lab.home.s3.fields())
        store.write("before", b"")  # its connection stays open
        away = threading.Thread(target=lab.take_store_away, args=(3,))
        away.start()
        with patience(0), pytest.raises(BackendError, match="closed"):
            store.read("before")
        began = time.monotonic()
        store.write("meanwhile", b"")
        assert time.monotonic() - began > 0.5
        away.join()
        assert store.exists("meanwhile")


def test_only_a_bucket_can_be_away() -> None:
    cases = [faults_of(seed) for seed in range(80)]
    away = [any(fault.victim == "store" for fault in case) for case in cases]
    assert [pipeline_of(case) == IN_BUCKET for case in cases] == away
    assert {5 <= fault.pause <= 60 for case in cases for fault in case if fault.victim == "store"} == {True}


def test_some_cases_are_of_absences_alone_which_tasks_wait_for() -> None:
    assert sum(waited_for(faults_of(seed)) for seed in range(80)) >= 5
    blow, away = (
        next(f for case in map(faults_of, range(80)) for f in case if f.victim == name) for name in ("task", "store")
    )
    assert waited_for([away])
    assert not waited_for([away, blow])
    assert not waited_for([away, away])


def test_every_victim_has_its_turn_and_a_seed_is_always_the_same_faults() -> None:
    faults = [faults_of(seed) for seed in range(80)]
    assert faults == [faults_of(seed) for seed in range(80)]
    assert {fault.victim for case in faults[: len(VICTIMS)] for fault in case} == set(VICTIMS)
    assert {len(case) for case in faults} == {1, 2, 3, 4}
