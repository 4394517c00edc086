"""What work costs: CPU time, wall time and memory, and money where the pipeline says what CPU time is worth."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from pydantic import Field

from contender.frozen import Frozen


class CostSpec(Frozen):
    """What CPU time is worth, so that the cost of sweeps and runs is also told in money."""

    per_cpu_hour: float = Field(ge=0, description="The price of one hour of one core")
    currency: str = Field(pattern=r"^[A-Z]{3}$", description="Its code by ISO 4217, such as EUR")


class Measured(Protocol):
    """A piece of work that was measured: a try of a step, or a trial."""

    @property
    def started(self) -> datetime: ...  # noqa: D102 - as Usage has them
    @property
    def seconds(self) -> float: ...  # noqa: D102
    @property
    def cpu_seconds(self) -> float: ...  # noqa: D102
    @property
    def peak_memory(self) -> int | None: ...  # noqa: D102


class Usage(Frozen):
    """What one try of a step cost its process, also one that failed. A killed one leaves none.

    Attributes:
        seconds: wall time.
        cpu_seconds: user and system time, also of child processes, without what the trials' own records have.
        peak_memory: bytes, the most that the process had resident; None where the system does not say.
    """

    step: str
    started: datetime
    seconds: float
    cpu_seconds: float
    peak_memory: int | None = None


class Cost(Frozen):
    """What pieces of work cost together.

    Attributes:
        seconds: wall time while at least one of them was under way; waiting for a machine or for people is none.
        peak_memory: bytes, the most that one process had resident.
        money: CPU hours at ``CostSpec.per_cpu_hour``.
    """

    cpu_seconds: float
    seconds: float
    peak_memory: int | None = None
    money: float | None = None
    currency: str | None = None

    @property
    def words(self) -> str:
        """``2 min 3 s CPU, 1 min 5 s wall, 410 MB peak, 0.01 EUR``."""
        parts = [f"{duration(self.cpu_seconds)} CPU", f"{duration(self.seconds)} wall"]
        parts += [] if self.peak_memory is None else [f"{memory(self.peak_memory)} peak"]
        parts += [] if self.money is None else [money(self)]
        return ", ".join(parts)


class Costs(Frozen):
    """What a run cost.

    Attributes:
        run: the tries of its steps and its own trials; what was killed only as far as its trials are recorded.
        sweep: its own trials alone.
        saved: what the trials that it found done had cost the runs that did them.
    """

    run: Cost
    sweep: Cost
    saved: Cost

    @property
    def numbers(self) -> dict[str, float]:
        """As MLflow shows them."""
        named = {"run": self.run, "sweep": self.sweep}
        shown = {f"{name}_{what}": value for name, cost in named.items() for what, value in _numbers(cost).items()}
        shown["saved_cpu_seconds"] = self.saved.cpu_seconds
        return {name: round(value, 6) for name, value in shown.items()}


def cost_of(work: Iterable[Measured], rate: CostSpec | None) -> Cost:
    """What pieces of work cost together, in whatever order they are given."""
    work = list(work)
    cpu = math.fsum(one.cpu_seconds for one in work)
    return Cost(
        cpu_seconds=cpu,
        seconds=_under_way(work),
        peak_memory=max((one.peak_memory for one in work if one.peak_memory is not None), default=None),
        money=None if rate is None else cpu / 3_600 * rate.per_cpu_hour,
        currency=None if rate is None else rate.currency,
    )


def duration(seconds: float) -> str:
    """``0.4 s``, ``34 s``, ``2 min 3 s``, ``1 h 5 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def memory(size: int | None) -> str:
    """``410 MB``, ``2.1 GB``: powers of ten, as MLflow's system metrics."""
    if size is None:
        return "\N{EN DASH}"
    return f"{size / 1e6:.0f} MB" if size < 999.5e6 else f"{size / 1e9:.1f} GB"


def money(cost: Cost) -> str:
    """``0.12 EUR``; what is not free is never shown as nothing."""
    amount = cost.money or 0.0
    return f"{'<0.01' if 0 < amount < 0.005 else f'{amount:,.2f}'} {cost.currency}"


def _under_way(work: list[Measured]) -> float:
    """Seconds during which at least one piece was: the length of the union of their intervals."""
    total, until = 0.0, -math.inf
    for start, end in sorted((one.started.timestamp(), one.started.timestamp() + one.seconds) for one in work):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _numbers(cost: Cost) -> dict[str, float]:
    known = {
        "cpu_seconds": cost.cpu_seconds,
        "seconds": cost.seconds,
        "peak_memory_mb": None if cost.peak_memory is None else cost.peak_memory / 1e6,
        "cost": cost.money,
    }
    return {name: value for name, value in known.items() if value is not None}
