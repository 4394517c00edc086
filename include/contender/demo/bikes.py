"""The simulated bike-rental world: weather and rentals in each hour of a day, as a pure function of seed and date.

It has the weather, the true rentals and the drift scenarios; `contender.demo.drops` writes files. As in
`contender.demo.world`, the same arguments give the same frame on every machine with the same numpy.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from contender.demo.world import Scenario, as_frame, stream
from contender.dtypes import TEXT

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A day's rentals are known at its end.
RENTALS_DELAY: Final = timedelta(0)
HOURS: Final = 24

_SEASONS: Final = ("winter", "spring", "summer", "autumn")
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_OPENING: Final = date(2023, 1, 1).toordinal()

# Mean rentals by hour of the day in good weather: commuters on working days, leisure on weekends.
_COMMUTE: Final = np.array(
    [4, 2, 1, 1, 3, 15, 55, 170, 260, 130, 60, 50, 60, 60, 65, 90, 180, 290, 230, 130, 75, 45, 25, 10], dtype=float
)
_LEISURE: Final = np.array(
    [14, 9, 6, 3, 2, 2, 5, 12, 30, 60, 95, 125, 145, 150, 150, 145, 130, 110, 85, 60, 45, 35, 28, 20], dtype=float
)
# How much the weather deters, in the exponent.
_WET: Final = {"clear": 0.0, "cloudy": 0.1, "rain": 0.8, "snow": 1.1}
# The columns that the expected rentals depend on.
_INPUTS: Final = ("weekday", "hour", "weather", "temperature", "humidity", "wind", "days_open")


def drop(
    day: date,
    *,
    seed: int,
    scenario: Scenario = "none",
    onset: date | None = None,
    labels_as_of: date | None = None,
    rows: int = HOURS,
) -> pd.DataFrame:
    """The rentals and the weather of one day, hour by hour.

    The scenarios, from `onset` on (always, without an onset):

    - ``none``: weather and rentals have their seasons, and the service grows by about a tenth a year.
    - ``covariate``: a hot and dry spell; how many ride in which weather stays.
    - ``concept``: people work from home: commuting falls to a third, leisure doubles; the inputs are those of ``none``.
    - ``schema``: ``temperature`` is renamed ``temp``, and ``humidity`` becomes text such as ``"63 %"``.
    - ``broken``: ``wind`` is all null, every third ``temperature`` is -999, the first half of the rows comes twice.

    Args:
        day: The day of observation.
        seed: Which world; 0 or more.
        scenario: The drift.
        onset: The first day of the drift; None means always.
        labels_as_of: The day at whose start (midnight UTC) labels are looked at: ``rentals`` is null for a day that is
            not over by then. None means that every label has arrived.
        rows: How many hours, from midnight on; 0 to 24.

    Returns:
        `rows` rows (half as many again when ``broken``) and the columns ``observed_at`` (the hour's start, UTC, naive
        datetime64[us]), ``day`` (str), ``season``, ``weekday``, ``weather`` (str), ``hour`` (int64), ``temperature`` (Celsius),
        ``humidity`` (per cent), ``wind`` (km/h), ``days_open`` (days since the service opened, int64) and ``rentals``
        (bikes rented in the hour, float64).

    Raises:
        ValueError: If `seed` is negative or `rows` is not 0 to 24.
    """
    if not 0 <= rows <= HOURS:
        msg = f"drop: a day has 0 to {HOURS} hours, got rows={rows}"
        raise ValueError(msg)
    drifting = scenario if onset is None or day >= onset else "none"
    seen = _observe(day, seed=seed, hot=drifting == "covariate")
    luck = stream(seed, "rentals", day.toordinal())
    # Poisson with a gamma rate: days and hours differ by more than counting noise.
    expected = _expected(seen, drifted=drifting == "concept") * luck.gamma(60, 1 / 60, HOURS)
    arrived = labels_as_of is None or day < labels_as_of
    rentals = luck.poisson(expected).astype(float)
    seen["rentals"] = rentals if arrived else np.full(HOURS, np.nan)
    frame = as_frame(seen).iloc[:rows]
    if drifting == "schema":
        humidity = frame["humidity"].map("{:.0f} %".format).astype(TEXT)
        return frame.assign(humidity=humidity).rename(columns={"temperature": "temp"})
    if drifting == "broken":
        wrecked = frame.assign(temperature=frame["temperature"].mask(frame["hour"] % 3 == 0, -999.0), wind=np.nan)
        return pd.concat([wrecked, wrecked.iloc[: rows // 2]], ignore_index=True)
    return frame


def expected_rentals(frame: pd.DataFrame, *, scenario: Scenario = "none") -> NDArray[np.float64]:
    """The true mean of the rentals for rows of a `drop`, shape (len(frame),); no model can predict better.

    Raises:
        KeyError: If a column is missing.
    """
    return _expected({name: frame[name].to_numpy() for name in _INPUTS}, drifted=scenario == "concept")


def _expected(seen: dict[str, NDArray[Any]], *, drifted: bool) -> NDArray[np.float64]:
    """The mean number of rentals. Weather is a factor, and deters leisure more than commuting."""
    works = ~np.isin(seen["weekday"], ("sat", "sun"))
    commute = _COMMUTE[seen["hour"]] * np.where(works, 1.0, 0.12) * (1 / 3 if drifted else 1)
    leisure = _LEISURE[seen["hour"]] * np.where(works, 0.4, 1.3) * (2 if drifted else 1)
    cold = np.clip((21 - seen["temperature"]) / 15, 0, None) ** 1.5
    hot = np.clip((seen["temperature"] - 27) / 6, 0, None) ** 2
    wet = np.array([_WET[weather] for weather in seen["weather"]])
    rough = wet + np.clip(seen["wind"] - 18, 0, None) / 40 + np.clip(seen["humidity"] - 80, 0, None) / 100
    growth = np.exp(0.1 * np.clip(seen["days_open"] / 365.25, -5, 10))
    commuting = commute * np.exp(-0.35 * cold - 0.2 * hot - 0.7 * rough)
    enjoying = leisure * np.exp(-0.8 * cold - 0.6 * hot - rough)
    return np.asarray(growth * (commuting + enjoying), dtype="float64")


def _observe(day: date, *, seed: int, hot: bool) -> dict[str, NDArray[Any]]:
    """All columns but the target, each of shape (24,)."""
    today = day.toordinal()
    hours = np.arange(HOURS)
    moment = today + hours / HOURS
    rng = stream(seed, "weather", today)

    # Fronts are sums of sine waves with periods of 3 to 17 days and phases from the seed; so no day depends on another.
    phases = stream(seed, "climate", 0).random((2, 4))
    periods = np.array([[3.1, 5.3, 9.7, 16.9], [3.7, 6.1, 8.3, 13.7]])
    warm, damp = np.sin(2 * np.pi * (moment[:, None, None] / periods + phases)).sum(axis=2).T
    year = np.cos(2 * np.pi * (moment - 20) / 365.25)  # 1 in mid January
    noon = np.cos(2 * np.pi * (hours - 15) / HOURS)
    temperature = 12 - 10.5 * year + (3.5 - 1.5 * year) * noon + 1.8 * warm + rng.normal(0, 0.7, HOURS) + 8 * hot
    dampness = damp + 0.4 * year - 1.5 * hot + rng.normal(0, 0.35, HOURS)
    weather = np.select(
        [dampness > 1.2, dampness > 0.1], [np.where(temperature < 0.5, "snow", "rain"), "cloudy"], "clear"
    )
    humidity = np.clip(62 + 9 * damp - 11 * noon + 12 * (dampness > 1.2) + rng.normal(0, 4, HOURS), 15, 100)
    wind = 5 + 2.5 * (damp - damp.min() + 1) + rng.gamma(2.0, 2.5, HOURS)
    return {
        "observed_at": np.datetime64(day, "us") + hours.astype("timedelta64[h]"),
        "day": np.full(HOURS, day.isoformat(), dtype=object),
        "season": np.full(HOURS, _SEASONS[day.month % 12 // 3], dtype=object),
        "weekday": np.full(HOURS, _WEEKDAYS[day.weekday()], dtype=object),
        "hour": hours,
        "weather": weather.astype(object),
        "temperature": np.round(temperature, 1),
        "humidity": np.round(humidity),
        "wind": np.round(wind, 1),
        "days_open": np.full(HOURS, today - _OPENING),
    }
