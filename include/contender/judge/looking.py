"""A look: one model beside another on the rows that no look before has seen."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from contender.data.split import gate_start, naive
from contender.documents.challenger import Look, Seen
from contender.judge.comparing import compared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contender.data.rows import Rows
    from contender.documents.scoreboard import Opponent
    from contender.judge.contest import Contest
    from contender.metrics.predictions import Predictions


def look_at(
    contest: Contest,
    rows: Rows,
    one: Predictions,
    other: Predictions,
    *,
    opponent: Opponent,
    new: np.ndarray,
    metrics: Sequence[str],
    looks: Sequence[Look] = (),
    apart: timedelta = timedelta(days=1),
) -> Look | str:
    """What is seen of one model minus the other on new rows, or why nothing is.

    An id that an earlier look has counted counts no more: its rows would say the same again.

    Args:
        one, other: their predictions on the n gate rows.
        new: which of these rows neither was trained on, shape (n,), bool.
        looks: those before, oldest first; the first one begins where the champion's training rows end.
        apart: how much later than the last one a look is, so that an hourly schedule leaves no thousands of them.
    """
    run, gate = rows.run, rows.split.gate
    begin = max(filter(None, (gate_start(run), looks[-1].through if looks else contest.champion_trained)))
    end = run.as_of - run.spec.data.label_delay
    if looks and looks[-1].through < end < looks[-1].through + apart:
        return f"the rows since {begin:%Y-%m-%d} wait for the next look"
    moments = rows.frame[str(run.spec.data.time)]
    new = new & (moments.iloc[gate] >= naive(begin)).to_numpy()
    known = np.zeros_like(new)
    if looks and run.spec.data.id is not None:
        ids = rows.frame[run.spec.data.id]
        spans = [(moments >= naive(one.begin)) & (moments < naive(one.through)) for one in looks]
        counted = np.logical_or.reduce(spans)
        known = new & ids.iloc[gate].isin(ids[counted].dropna()).to_numpy()
    judged = new & ~known
    if not judged.any():
        why = f"none of the rows since {begin:%Y-%m-%d} is new to it"
        return f"{why}; {known.sum()} are about ids that an earlier look has counted" if known.any() else why
    met, why_not = compared(rows, opponent, one, other, judged, metrics)
    if why_not:
        return f"of the {judged.sum()} rows since {begin:%Y-%m-%d}, {next(iter(why_not.values()))}"
    seen = {
        found.metric: Seen(
            difference=found.difference,
            error=float(found.error or 0.0),
            degrees=float(found.degrees or 1.0),
            rows=found.rows,
            entities=int(found.entities or 0),
        )
        for found in met
    }
    return Look(run_id=run.id, begin=begin, through=end, seen=seen)
