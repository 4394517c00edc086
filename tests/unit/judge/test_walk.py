"""The walk: who is fitted on what to be judged by which gate rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import AS_OF, make_run
from contender.data.rows import Rows
from contender.documents.release import TrainedOn
from contender.judge.walk import Step, steps

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)  # of the window of 60 days before AS_OF


def rows_of(*, delay: str = "0d", gate: str = "28d", days: int = 60, **parts: Any) -> Rows:
    """One row every six hours, the newest a quarter of a day before the window ends."""
    data = {"time": "at", "window": "60d", "label_delay": delay, "id": None}
    run = make_run(data=data, split={"gate": gate}, **parts)
    end = run.as_of - run.spec.data.label_delay
    at = pd.to_datetime([end - DAY * k / 4 for k in range(4 * days, 0, -1)]).tz_localize(None)
    frame = pd.DataFrame({"at": at, "x": 0.0})
    return Rows(run=run, frame=frame, columns=(), target=np.arange(len(frame)) % 2, labels=("no", "yes"))


def trained(through: datetime) -> TrainedOn:
    return TrainedOn(columns={"at": "datetime64[us]"}, through=through)


def in_days(rows: Rows, walk: tuple[Step, ...]) -> list[tuple[float, int]]:
    """How many days before the window's end each step's fit ends, and how many rows it judges."""
    end = rows.run.as_of - rows.run.spec.data.label_delay
    return [((end - one.through) / DAY, len(one.judge)) for one in walk if one.through is not None]


def test_without_a_champion_each_step_is_fitted_on_the_labels_that_had_arrived_when_it_began() -> None:
    rows = rows_of(delay="5d", days=50)
    assert in_days(rows, steps(rows, None)) == [(33.0, 28), (26.0, 28), (19.0, 28), (12.0, 28)]


def test_the_first_step_is_fitted_on_the_sweep_rows() -> None:
    rows = rows_of(delay="5d", days=50)
    assert steps(rows, None)[0].train.tolist() == rows.split.sweep.tolist()


def test_a_champion_of_last_week_meets_a_model_of_its_own_age() -> None:
    rows = rows_of(delay="10d", days=49)
    champion = trained(AS_OF - 10 * DAY - 7 * DAY)
    assert in_days(rows, steps(rows, champion))[-1] == (7.0, 28)
    assert [count for _, count in in_days(rows, steps(rows, champion))] == [28, 28, 28, 28]


def test_a_champion_that_was_kept_for_weeks_meets_models_that_had_those_weeks() -> None:
    rows = rows_of(delay="3d", days=55)
    champion = trained(AS_OF - 3 * DAY - 40 * DAY)
    assert in_days(rows, steps(rows, champion)) == in_days(rows, steps(rows, None))
    champion = trained(AS_OF - 3 * DAY - 18 * DAY)  # inside the second step
    assert in_days(rows, steps(rows, champion)) == [(31.0, 28), (24.0, 12), (18.0, 16), (17.0, 28), (10.0, 28)]


@pytest.mark.parametrize(
    ("schedule", "count"),
    [(None, 4), ("@hourly", 4), ("0 3 * * 1", 4), ("0 3 */14 * *", 2), ("@monthly", 1), ("0 0 1 1 *", 1)],
)
def test_a_step_is_never_shorter_than_the_time_between_two_runs(schedule: str | None, count: int) -> None:
    rows = rows_of(schedule=schedule)
    assert len(steps(rows, None)) == count


def test_the_very_model_that_would_serve_is_judged_where_it_never_trains_on_gate_rows() -> None:
    rows = rows_of(refit="train_rows", delay="5d", days=50)
    [step] = steps(rows, trained(AS_OF - 12 * DAY))
    assert step.train.tolist() == rows.split.sweep.tolist()
    assert len(step.judge) == len(rows.split.gate)
    frame = pd.DataFrame({"id": [str(number) for number in range(240)]})
    untimed = Rows(make_run(), frame, (), np.arange(240) % 2, ("no", "yes"))
    [step] = steps(untimed, None)
    assert (step.through, step.train.tolist()) == (None, untimed.split.sweep.tolist())


def test_a_champion_that_was_made_under_another_split_has_no_training_end_to_meet() -> None:
    rows = rows_of()
    other = TrainedOn(columns={"id": "str"}, salt="s", gate=0.2)
    elsewhere = TrainedOn(columns={"paid_on": "datetime64[us]"}, through=AS_OF - DAY)
    assert in_days(rows, steps(rows, other)) == in_days(rows, steps(rows, None))
    assert in_days(rows, steps(rows, elsewhere)) == in_days(rows, steps(rows, None))


@given(
    end=st.integers(-40, 300).map(lambda hours: AS_OF - timedelta(hours=5 * hours)),
    delay=st.integers(0, 9),
    gate=st.integers(1, 40),
    schedule=st.sampled_from([None, "@hourly", "@daily", "0 3 * * 1", "@monthly"]),
)
def test_every_gate_row_is_judged_once_by_a_model_that_saw_only_what_came_before(
    end: datetime, delay: int, gate: int, schedule: str | None
) -> None:
    rows = rows_of(delay=f"{delay}d", gate=f"{gate}d", days=60 - delay, schedule=schedule)
    walk = steps(rows, trained(end))
    assert sorted(np.concatenate([one.judge for one in walk]).tolist()) == list(range(len(rows.split.gate)))
    moments = rows.frame["at"].dt.tz_localize(UTC)
    for one in walk:
        assert one.through is not None
        judged = moments.iloc[rows.split.gate[one.judge]]
        assert moments.iloc[one.train].max() < one.through <= judged.min()
        assert set(rows.split.sweep) <= set(one.train)
        new = judged >= end
        # On rows new to the champion, never fitted on less than the champion was; on others, labels had arrived.
        assert (one.through >= min(end, judged[new].min())) if new.any() else True
        assert (one.through <= judged[~new].min() - timedelta(days=delay)) if (~new).any() else True
