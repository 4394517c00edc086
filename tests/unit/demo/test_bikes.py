"""What the simulated bike-rental world promises to the pipeline that is built on it."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from skrub import tabular_pipeline
from threadpoolctl import threadpool_limits

from builders import read_frame
from contender.demo import Scenario, bikes, write_drops

DAY = date(2026, 3, 1)
SCENARIOS = get_args(Scenario)


def period(start: date, length: int, **options: Any) -> pd.DataFrame:
    frames = [bikes.drop(start + timedelta(days=ahead), seed=7, **options) for ahead in range(length)]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def year() -> pd.DataFrame:
    return period(date(2025, 3, 2), 365)


@settings(max_examples=10, deadline=None)
@given(
    day=st.dates(date(2024, 1, 1), date(2026, 12, 31)),
    seed=st.sampled_from([0, 7, 2**40]),
    scenario=st.sampled_from(SCENARIOS),
    rows=st.integers(0, 24),
)
def test_the_same_arguments_give_the_same_frame(day: date, seed: int, scenario: Scenario, rows: int) -> None:
    once = bikes.drop(day, seed=seed, scenario=scenario, rows=rows)
    pd.testing.assert_frame_equal(once, bikes.drop(day, seed=seed, scenario=scenario, rows=rows), check_exact=True)
    assert len(once) == rows + (rows // 2 if scenario == "broken" else 0)


def test_the_world_is_the_same_on_every_machine() -> None:
    """A new digest means a new world: every number that was ever measured on the old one is void."""
    text = bikes.drop(DAY, seed=7).to_csv(index=False, lineterminator="\n")
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "568aa8001c2fdc44"


def test_a_day_is_its_hours_with_plausible_weather(year: pd.DataFrame) -> None:
    assert len(year) == 365 * 24
    assert year["observed_at"].is_unique
    assert year["temperature"].between(-25, 45).all()
    assert year["humidity"].between(0, 100).all()
    assert (year["wind"] >= 0).all()
    assert set(year["weather"]) == {"clear", "cloudy", "rain", "snow"}
    assert (year.loc[year["weather"] == "snow", "temperature"] < 1).all()
    assert (year["rentals"] >= 0).all()
    assert not year.isna().any(axis=None)


def test_more_ride_in_summer_by_day_and_when_it_is_dry(year: pd.DataFrame) -> None:
    rentals = year["rentals"]
    assert rentals[year["season"] == "summer"].mean() > 1.3 * rentals[year["season"] == "winter"].mean()
    assert rentals[year["hour"] == 17].mean() > 20 * rentals[year["hour"] == 3].mean()
    assert rentals[year["weather"] == "clear"].mean() > 1.3 * rentals[year["weather"] == "rain"].mean()


def test_the_service_grows(year: pd.DataFrame) -> None:
    later = period(date(2027, 3, 2), 365)
    assert 1.1 < later["rentals"].sum() / year["rentals"].sum() < 1.4


def test_a_line_sees_little_of_it_trees_see_most_and_nobody_sees_all(year: pd.DataFrame) -> None:
    features = year.drop(columns=["observed_at", "day", "rentals"])
    train, gate = features.iloc[:-672], features.iloc[-672:]
    truth = year["rentals"].iloc[-672:]
    with threadpool_limits(1):
        scores = [
            r2_score(truth, tabular_pipeline(model).fit(train, year["rentals"].iloc[:-672]).predict(gate))
            for model in (Ridge(), HistGradientBoostingRegressor(random_state=0))
        ]
    ceiling = r2_score(truth, bikes.expected_rentals(gate))
    assert scores[0] < 0.6
    assert 0.85 < scores[1] < ceiling < 0.99


def test_a_heat_wave_changes_the_weather_but_not_how_people_answer_to_it() -> None:
    usual, hot = period(DAY, 200), period(DAY, 200, scenario="covariate")
    assert hot["temperature"].mean() > usual["temperature"].mean() + 6
    assert abs(hot["rentals"].mean() / bikes.expected_rentals(hot).mean() - 1) < 0.02


def test_working_from_home_changes_the_rentals_but_not_the_inputs() -> None:
    usual, drifted = period(DAY, 60), period(DAY, 60, scenario="concept")
    inputs = usual.columns.drop("rentals")
    pd.testing.assert_frame_equal(usual[inputs], drifted[inputs], check_exact=True)
    assert abs(drifted["rentals"].mean() / bikes.expected_rentals(drifted, scenario="concept").mean() - 1) < 0.02
    assert abs(drifted["rentals"].mean() / bikes.expected_rentals(drifted).mean() - 1) > 0.05


def test_the_schema_can_change_and_the_values_can_break() -> None:
    reshaped = bikes.drop(DAY, seed=7, scenario="schema")
    assert "temperature" not in reshaped
    assert reshaped["humidity"].str.endswith(" %").all()
    broken = bikes.drop(DAY, seed=7, scenario="broken")
    assert (len(broken), int((broken["temperature"] == -999).sum())) == (36, 12)
    assert broken["wind"].isna().all()


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "none"])
def test_nothing_goes_wrong_before_its_day(scenario: Scenario) -> None:
    before = bikes.drop(DAY, seed=7, scenario=scenario, onset=DAY + timedelta(days=1))
    pd.testing.assert_frame_equal(before, bikes.drop(DAY, seed=7), check_exact=True)


def test_the_rentals_of_a_day_are_known_at_its_end() -> None:
    assert bikes.drop(DAY, seed=7, labels_as_of=DAY)["rentals"].isna().all()
    assert bikes.drop(DAY, seed=7, labels_as_of=DAY + timedelta(days=1))["rentals"].notna().all()


def test_a_day_has_no_25th_hour() -> None:
    with pytest.raises(ValueError, match="a day has 0 to 24 hours, got rows=25"):
        bikes.drop(DAY, seed=7, rows=25)


def test_its_drops_are_published_once_with_their_labels(tmp_path: Path) -> None:
    written = write_drops(tmp_path, until=DAY, days=3, world="bikes")
    assert [path.stem for path in written] == ["2026-02-26", "2026-02-27", "2026-02-28"]
    pd.testing.assert_frame_equal(read_frame(written[2]), bikes.drop(DAY - timedelta(days=1), seed=7))
    assert write_drops(tmp_path, until=DAY + timedelta(days=60), days=60, world="bikes")[0].stem == "2026-03-01"
