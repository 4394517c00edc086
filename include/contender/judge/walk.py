"""The walk over the gate: a recipe is judged as it would have served, by models of the age that it would have had.

One model for the whole gate is a stand-in: fitted before the gate and its embargo, it is weeks older than a champion that
was refitted on all rows. So the gate is cut into steps. At a step that begins at s a recipe is fitted on the rows whose
labels had arrived (before s minus the embargo), and on rows that are new to the champion on everything that the champion
was trained on, too: before max(c, s - embargo), where c is the champion's training end. A fresh champion meets a model of
its own age; one that was kept for weeks meets a model that had those weeks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contender.data.split import Positions, gate_start, naive

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from contender.data.rows import Rows
    from contender.documents.release import TrainedOn
    from contender.documents.run import Run

STEPS = 4  # of a gate, at most: each costs a fit of every recipe


@dataclass(frozen=True)
class Step:
    """A part of the gate and the rows that a recipe is fitted on to be judged by it; no row is in both.

    Attributes:
        train: positions into the run's rows.
        judge: positions into the gate rows.
        through: the moment before which all rows of ``train`` lie; None without a time column.
    """

    train: Positions
    judge: Positions
    through: datetime | None


def steps(rows: Rows, champion: TrainedOn | None) -> tuple[Step, ...]:
    """The steps of a run's walk, oldest first; together they judge every gate row once.

    Without a time column, and where the model that serves is fitted on the sweep rows (``refit: train_rows``), it is one
    step: the very model that would serve is judged.

    Args:
        champion: what the champion was trained on; None without one.
    """
    run, split = rows.run, rows.split
    time = run.spec.data.time
    if time is None or run.spec.refit_rows == "train_rows":
        through = None if time is None else gate_start(run) - run.spec.embargo
        return (Step(split.sweep, np.arange(len(split.gate)), through),)
    moments, judging = rows.frame[time], rows.frame[time].iloc[split.gate]
    known = champion.through if champion is not None and list(champion.columns) == [time] else None
    parts: dict[datetime, np.ndarray] = {}
    for start, end in _spans(run):
        here = ((judging >= naive(start)) & (judging < naive(end))).to_numpy()
        served = start - run.spec.embargo
        new = np.zeros_like(here) if known is None else (judging >= naive(known)).to_numpy()
        for through, mask in ((served, here & ~new), (served if known is None else max(known, served), here & new)):
            parts[through] = parts.get(through, np.zeros_like(here)) | mask
    return tuple(
        Step(np.flatnonzero(moments < naive(through)), np.flatnonzero(mask), through)
        for through, mask in sorted(parts.items())
        if mask.any()
    )


def _spans(run: Run) -> list[tuple[datetime, datetime]]:
    """The gate in equal parts, each at least as long as it is from one scheduled run to the next."""
    start, span = gate_start(run), run.spec.gate_span
    between = between_runs(run)
    count = STEPS if between is None else max(1, min(STEPS, span // between))
    return [(start + span * k / count, start + span * (k + 1) / count) for k in range(count)]


def between_runs(run: Run) -> timedelta | None:
    """The time between two scheduled runs; None when only people start them."""
    from datetime import datetime

    from croniter import croniter

    if run.spec.schedule is None:
        return None
    ticks = croniter(run.spec.schedule, run.as_of)
    first: datetime = ticks.get_next(datetime)
    second: datetime = ticks.get_next(datetime)
    return second - first
