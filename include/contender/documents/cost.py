"""The cost of work: CPU time, wall time, memory and money. Costs are measured and added up in ``run.costs``."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from contender.frozen import Frozen
from contender.words import duration, memory


class Measured(Protocol):
    """A piece of measured work: one try of a step, or a trial."""

    @property
    def started(self) -> datetime: ...  # noqa: D102 - described in Usage
    @property
    def seconds(self) -> float: ...  # noqa: D102
    @property
    def cpu_seconds(self) -> float: ...  # noqa: D102
    @property
    def peak_memory(self) -> int | None: ...  # noqa: D102


class Usage(Frozen):
    """The cost of one try of a step, also of a failed one. A killed process leaves no record.

    Attributes:
        seconds: wall time.
        cpu_seconds: user and system time, child processes included, without the CPU time in the trials' own records.
        peak_memory: peak resident memory of the process in bytes; None where the system does not report it.
    """

    step: str
    started: datetime
    seconds: float
    cpu_seconds: float
    peak_memory: int | None = None


class Cost(Frozen):
    """The cost of several pieces of work together.

    Attributes:
        seconds: wall time while at least one of them was running; waiting for a worker or an approval is left
            out.
        peak_memory: the greatest peak resident memory of one process, in bytes.
        money: CPU hours times ``CostSpec.per_cpu_hour``.
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
    """The cost of a run.

    Attributes:
        run: all tries of its steps and its own trials; of a killed try only its recorded trials.
        sweep: its own trials alone.
        saved: the cost of the reused trials, paid by the runs that trained them.
    """

    run: Cost
    sweep: Cost
    saved: Cost

    @property
    def numbers(self) -> dict[str, float]:
        """The costs as MLflow's metrics, by name."""
        named = {"run": self.run, "sweep": self.sweep}
        shown = {f"{name}_{what}": value for name, cost in named.items() for what, value in _numbers(cost).items()}
        shown["saved_cpu_seconds"] = self.saved.cpu_seconds
        return {name: round(value, 6) for name, value in shown.items()}


def money(cost: Cost) -> str:
    """``0.12 EUR``; an amount above zero is shown as at least ``<0.01``."""
    amount = cost.money or 0.0
    return f"{'<0.01' if 0 < amount < 0.005 else f'{amount:,.2f}'} {cost.currency}"


def _numbers(cost: Cost) -> dict[str, float]:
    known = {
        "cpu_seconds": cost.cpu_seconds,
        "seconds": cost.seconds,
        "peak_memory_mb": None if cost.peak_memory is None else cost.peak_memory / 1e6,
        "cost": cost.money,
    }
    return {name: value for name, value in known.items() if value is not None}
