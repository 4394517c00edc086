"""The cost of a piece of work to its process: wall time, CPU time and peak memory."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Self

_RUNNING: list[Meter] = []  # nested meters, the outermost first


class Meter:
    """Measures what runs inside its ``with`` block. Meters may be nested; they measure the process, not a thread of it.

    Attributes:
        seconds: wall time.
        cpu_seconds: user and system time of all threads, and of child processes that ended meanwhile.
        peak_memory: most bytes that the process had resident; None where the system does not say (only Linux does).
    """

    seconds = 0.0
    cpu_seconds = 0.0
    peak_memory: int | None = None

    def __enter__(self) -> Self:
        _note_peak()  # for the outer meters, before the peak is reset
        self._measured = _reset_peak()
        _RUNNING.append(self)
        self._clock, self._cpu = time.perf_counter(), _cpu_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds, self.cpu_seconds = time.perf_counter() - self._clock, _cpu_seconds() - self._cpu
        _note_peak()
        _RUNNING.remove(self)

    def _note(self, peak: int | None) -> None:
        if self._measured and peak is not None:
            self.peak_memory = max(peak, self.peak_memory or 0)


class Share:
    """A budget for work in ``with`` blocks: at most a share of the time since this object was created."""

    def __init__(self, most: float) -> None:
        self._most, self._made, self._took = most, time.monotonic(), 0.0

    @property
    def left(self) -> bool:
        """Whether the work so far took no more than its share."""
        return self._took <= self._most * (time.monotonic() - self._made)

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._took += time.monotonic() - self._began


def _cpu_seconds() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _note_peak() -> None:
    peak = _peak()
    for meter in _RUNNING:
        meter._note(peak)  # noqa: SLF001 - its own class


def _peak() -> int | None:
    """Most bytes that this process had resident since the last reset (``VmHWM`` of proc_pid_status(5))."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def _reset_peak() -> bool:
    """Reset the peak to what is resident now (proc_pid_clear_refs(5)). Returns whether the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True
