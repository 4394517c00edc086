"""What a piece of work cost its process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from contender.sweep import usage
from contender.sweep.usage import Meter, Share

MEGABYTE = 2**20
measured = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux says what the peak was")


def occupy(megabytes: int) -> None:
    bytearray(megabytes * MEGABYTE)[:] = b"1" * (megabytes * MEGABYTE)


def spin(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_waiting_costs_wall_time_and_no_cpu_time() -> None:
    with Meter() as meter:
        time.sleep(0.2)
    assert meter.seconds >= 0.2
    assert meter.cpu_seconds < 0.1


def test_the_time_of_threads_and_of_child_processes_is_counted() -> None:
    with Meter() as meter:
        thread = threading.Thread(target=spin, args=(0.1,))
        thread.start()
        thread.join()
        subprocess.run([sys.executable, "-S", "-c", "import time\nwhile time.process_time() < 0.2: pass"], check=True)
    assert meter.cpu_seconds >= 0.28


@measured
def test_the_peak_is_that_of_the_block_and_not_of_what_went_before() -> None:
    occupy(300)
    with Meter() as small:
        occupy(1)
    with Meter() as large:
        occupy(300)
    assert small.peak_memory
    assert large.peak_memory
    assert 250 * MEGABYTE < large.peak_memory - small.peak_memory


@measured
def test_an_outer_meter_knows_the_peak_before_within_and_after_an_inner_one() -> None:
    for place in range(3):
        with Meter() as outer:
            occupy(200 if place == 0 else 1)
            with Meter() as inner:
                occupy(200 if place == 1 else 1)
            occupy(200 if place == 2 else 1)
        assert inner.peak_memory
        assert outer.peak_memory
        assert (outer.peak_memory - inner.peak_memory > 150 * MEGABYTE) == (place != 1)
        assert outer.peak_memory >= inner.peak_memory


def test_what_raises_is_measured_too() -> None:
    def fail() -> None:
        spin(0.05)
        raise ZeroDivisionError

    meter = Meter()
    with pytest.raises(ZeroDivisionError), meter:
        fail()
    assert meter.cpu_seconds >= 0.05
    assert not usage._RUNNING


@pytest.mark.parametrize("unknown", ["_reset_peak", "_peak"])
def test_a_system_that_does_not_say_gives_no_peak(unknown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, unknown, lambda: None)
    with Meter() as meter:
        occupy(1)
    assert meter.peak_memory is None
    assert meter.seconds > 0


def test_a_share_is_used_up_by_what_took_more_and_comes_back_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(usage.time, "monotonic", lambda: now)
    share = Share(0.1)
    assert share.left  # the first piece is done at once, however short the time was
    with share:
        now += 2
    assert not share.left  # 2 seconds of 2
    now += 17
    assert not share.left
    now += 1
    assert share.left  # 2 seconds of 20
