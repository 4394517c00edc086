"""Slots: never more runs under way than slots, whichever run ends or is killed, and a free slot is given at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contender.documents.outcome import Outcome
from contender.documents.run import run_key
from contender.errors import BackendError
from contender.run.slots import SlotHolder, stagger, take_slot
from contender.run.status import pipelines
from contender.store.base import write_document
from contender.store.local import LocalStore

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 2, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)

RACE = """
import json, os, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from contender.documents.outcome import Outcome
from contender.documents.run import run_key
from contender.store.base import write_document
from contender.store.local import LocalStore
from contender.run.slots import SlotHolder, take_slot
root, me, runs, slots = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store = LocalStore(root / "store")
(root / f"ready-{me}").touch()
while not (root / "go").exists():
    time.sleep(0.001)
overlaps, used = 0, set()
for number in range(runs):
    def holder():
        return SlotHolder(pipeline=f"p{me}", run_id=f"r{number}", at=datetime.now(UTC), deadline=timedelta(hours=1))
    while (slot := take_slot(store, holder(), slots)) is None:
        time.sleep(0.002)
    used.add(slot)
    try:
        os.close(os.open(root / f"inside-{slot}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        overlaps += 1
    time.sleep(0.005)
    (root / f"inside-{slot}").unlink(missing_ok=True)
    ended = Outcome(run_id=f"r{number}", pipeline=f"p{me}", state="success")
    write_document(store, run_key(f"p{me}", f"r{number}", "outcome.json"), ended)
print(json.dumps([overlaps, sorted(used)]))
"""


def holder(run: str, at: datetime = NOW) -> SlotHolder:
    return SlotHolder(pipeline="churn", run_id=run, at=at, deadline=HOUR)


def end(store: LocalStore, run: str) -> None:
    outcome = Outcome(run_id=run, pipeline="churn", state="failed")
    write_document(store, run_key("churn", run, "outcome.json"), outcome)


def test_as_many_runs_get_a_slot_as_there_are_and_keep_it(store: LocalStore) -> None:
    assert [take_slot(store, holder(run), 2) for run in ("a", "b", "c", "a", "b")] == [0, 1, None, 0, 1]
    assert store.keys("turns") == ["turns/0/00000001.json", "turns/1/00000001.json"]


def test_the_slot_of_a_run_that_has_ended_is_free(store: LocalStore) -> None:
    take_slot(store, holder("a"), 1)
    end(store, "a")
    assert take_slot(store, holder("b", NOW + HOUR), 1) == 0
    assert take_slot(store, holder("c", NOW + HOUR), 1) is None


def test_a_run_that_never_ends_loses_its_slot_after_twice_its_deadline(store: LocalStore) -> None:
    take_slot(store, holder("a"), 1)
    assert take_slot(store, holder("b", NOW + 2 * HOUR), 1) is None
    assert take_slot(store, holder("b", NOW + 2 * HOUR + timedelta(seconds=1)), 1) == 0


def test_a_cleared_run_waits_for_a_free_slot_but_the_others_do_not_wait_for_it(store: LocalStore) -> None:
    take_slot(store, holder("a"), 1)
    end(store, "a")
    assert take_slot(store, holder("b"), 1) == 0
    assert take_slot(store, holder("a"), 1) is None
    end(store, "b")
    assert take_slot(store, holder("a"), 1) == 0
    assert take_slot(store, holder("c"), 1) == 0


def test_the_folder_of_slots_is_no_pipeline(store: LocalStore) -> None:
    take_slot(store, holder("a"), 3)
    end(store, "a")
    assert pipelines(store) == ["churn"]


def test_a_link_that_is_no_slot_holder_is_named(store: LocalStore) -> None:
    store.write("turns/0/00000001.json", b"{}")
    with pytest.raises(BackendError, match=r"turns/0/00000001\.json: was changed or cut"):
        take_slot(store, holder("a"), 1)


Event = st.tuples(st.sampled_from(["take", "take", "end", "wait"]), st.integers(0, 5))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(slots=st.integers(1, 3), events=st.lists(Event, max_size=25))
def test_whatever_happens_no_more_run_than_slots_and_a_free_slot_is_given(
    tmp_path_factory: pytest.TempPathFactory, slots: int, events: list[tuple[str, int]]
) -> None:
    store, now = LocalStore(tmp_path_factory.mktemp("turns")), NOW
    since: dict[str, datetime] = {}
    ended: set[str] = set()
    for what, number in events:
        run, now = f"r{number}", now + timedelta(seconds=1)
        if what == "wait":
            now += HOUR * (1 + number / 4)
        under_way = {name: at for name, at in since.items() if now - at <= 2 * HOUR}
        if what == "end":
            end(store, run)
            ended.add(run)
            since.pop(run, None)
        elif what == "take" and run not in ended:
            got = take_slot(store, holder(run, now), slots) is not None
            assert got == (run in under_way or len(under_way) < slots)
            since = under_way | ({run: under_way.get(run, now)} if got else {})
        assert len({name for name, at in since.items() if now - at <= 2 * HOUR}) <= slots


def test_processes_that_ask_at_once_never_run_side_by_side_in_a_slot(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, tmp_path, str(number), "12", "2"], stdout=subprocess.PIPE, text=True
        )
        for number in range(4)
    ]
    while len(list(tmp_path.glob("ready-*"))) < len(racers):
        time.sleep(0.01)
    (tmp_path / "go").touch()
    told = [json.loads(racer.communicate(timeout=60)[0]) for racer in racers]
    assert [overlaps for overlaps, _ in told] == [0, 0, 0, 0]
    assert {slot for _, used in told for slot in used} == {0, 1}
    links = LocalStore(tmp_path / "store").keys("turns")
    assert len(links) == 48


def test_a_pipeline_starts_at_its_own_whole_minute_within_the_window() -> None:
    names = [f"model_{number}" for number in range(20)]
    offsets = [stagger(name, 2 * HOUR) for name in names]
    assert offsets == [stagger(name, 2 * HOUR) for name in names]
    assert all(timedelta(0) <= offset < 2 * HOUR and not offset % timedelta(minutes=1) for offset in offsets)
    assert len(set(offsets)) > 12
    assert stagger("model_0", 2 * HOUR) == timedelta(minutes=51)


def test_a_window_below_a_minute_delays_nothing() -> None:
    assert stagger("churn", timedelta(seconds=30)) == timedelta(0)
