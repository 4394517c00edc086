"""The simulated telecom world: the customers observed on a day, as a pure function of seed and date.

It has the customers, the true probabilities of leaving and the drift scenarios; `contender.demo.drops` writes files.

The same arguments give the same frame, value for value, on every machine with the same numpy: each random stream is
seeded by (seed, purpose, date), and floats are rounded, which hides differences in the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contender.dtypes import TEXT

Scenario = Literal["none", "covariate", "concept", "schema", "broken"]
Columns = dict[str, NDArray[Any]]

LABEL_DELAY: Final = timedelta(days=30)
# The random streams of customers and bikes; a changed number makes another world.
_SALTS: Final = {"cohort": 1, "observations": 2, "luck": 3, "climate": 11, "weather": 12, "rentals": 13}

_REGIONS: Final = {"north": 0.15, "south": 0.2, "east": 0.18, "west": 0.2, "central": 0.22, "islands": 0.05}
_PLANS: Final = {"basic": 0.45, "plus": 0.35, "unlimited": 0.2}
_PAYMENTS: Final = {"card": 0.4, "direct_debit": 0.3, "invoice": 0.2, "voucher": 0.1}
_AUTOPAY: Final = {"card": 0.6, "direct_debit": 0.8, "invoice": 0.3, "voucher": 0.2}
_ALLOWANCE_GB: Final = {"basic": 5.0, "plus": 20.0, "unlimited": 60.0}
_PRICE: Final = {"basic": 20.0, "plus": 35.0, "unlimited": 55.0}

# Each medium has three channels ("search-1", ...). The number is what it adds to the log-odds of leaving.
_MEDIA: Final = {
    "search": 0.0, "shop": -0.3, "referral": -0.6, "social": 0.3, "tv": 0.0,
    "partner": -0.2, "email": 0.1, "event": -0.1, "reseller": 0.6, "doorstep": 0.9,
}  # fmt: skip
_CHANNELS: Final = {f"{medium}-{number}": effect for number in range(1, 4) for medium, effect in _MEDIA.items()}
_CHANNEL_SHARES: Final = {channel: 1 / (rank + 3) for rank, channel in enumerate(_CHANNELS)}

# The weights of `_terms` in the log-odds of leaving. The concept drift: a rival's tariff attracts customers whose plan
# fits, and support calls and short tenure no longer make customers leave.
_WEIGHTS: Final = {
    "usual": {
        "constant": -3.3, "misfit": 1.3, "age": 0.7, "fed_up": 1.6, "lapsed": 1.6,
        "contract_end": 1.6, "loyalty": -0.7, "price": 0.4, "payment": 0.8, "channel": 0.9,
    },
    "concept": {
        "constant": -1.8, "misfit": -1.3, "age": 0.7, "fed_up": -0.8, "lapsed": 1.6,
        "contract_end": 0.0, "loyalty": 0.4, "price": 0.4, "payment": 0.8, "channel": 0.9,
    },
}  # fmt: skip
# The columns that the probability depends on.
_INPUTS: Final = (
    "observed_on", "age", "plan", "payment_method", "tenure_months", "monthly_charge", "data_used_gb",
    "support_calls", "days_since_login", "autopay", "acquisition_channel",
)  # fmt: skip
_SEASON: Final = 0.17  # amplitude in log-odds; most leave in mid January

_JOINING_PER_YEAR: Final = 2_000
_LONGEST_STAY_YEARS: Final = 5


def drop(
    day: date,
    *,
    seed: int,
    scenario: Scenario = "none",
    onset: date | None = None,
    labels_as_of: date | None = None,
    rows: int = 100,
) -> pd.DataFrame:
    """The observations made on one day.

    Customers return: one observed today is observed again on later days, with the same region, plan, payment method and
    channel, growing tenure and age, and slowly changing habits. About 5,000 customers are active on a day, and none is
    observed twice on it. A customer who leaves is won back, so that a day needs no history.

    The scenarios, from `onset` on (always, without an onset):

    - ``none``: inputs are stationary; only the churn rate has a season (20 to 25 %, highest in January).
    - ``covariate``: new and young customers are drawn far more often and data use doubles; P(churned | inputs) stays.
    - ``concept``: P(churned | inputs) changes; the inputs are those of ``none``, value for value.
    - ``schema``: ``data_used_gb`` is renamed ``data_gb``, and ``monthly_charge`` becomes text such as ``"$39.90"``.
    - ``broken``: ``data_used_gb`` is all null, every third ``age`` is 999, the first half of the rows comes twice.

    Args:
        day: The day of observation.
        seed: Which world; 0 or more.
        scenario: The drift.
        onset: The first day of the drift; None means always.
        labels_as_of: The day at whose start (midnight UTC) labels are looked at: ``churned`` is null unless
            ``day + 30d <= labels_as_of``. None means that every label has arrived.
        rows: How many observations; 0 or more. Above 2,000 the world has more customers, and different ones.

    Returns:
        `rows` rows (half as many again when ``broken``) and the columns ``customer_id`` (str), ``observed_on``
        (the day's midnight UTC, naive datetime64[us]), ``age`` (years, float64, some missing), ``region``, ``plan``,
        ``payment_method`` (str, some missing), ``tenure_months`` (int64), ``monthly_charge`` (currency, float64),
        ``data_used_gb`` (GB per month, float64, some missing), ``support_calls`` (last 90 days, int64),
        ``days_since_login`` (int64), ``autopay`` (bool), ``acquisition_channel`` (str, 30 levels) and ``churned``
        (``"yes"``, ``"no"`` or null).

    Raises:
        ValueError: If `seed` or `rows` is negative.
    """
    if rows < 0:
        msg = f"drop: rows must be 0 or more, got {rows}"
        raise ValueError(msg)
    drifting = scenario if onset is None or day >= onset else "none"
    seen = _observe(day, seed=seed, rows=rows, shifted=drifting == "covariate")
    luck = stream(seed, "luck", day.toordinal()).random(rows)
    leaves = np.where(luck < _probability(seen, drifted=np.full(rows, drifting == "concept")), "yes", "no")
    arrived = labels_as_of is None or day + LABEL_DELAY <= labels_as_of
    seen["churned"] = leaves.astype(object) if arrived else np.full(rows, None)
    frame = as_frame(seen)
    if drifting == "schema":
        return _reshape(frame)
    if drifting == "broken":
        return _break(frame)
    return frame


def true_probability(
    frame: pd.DataFrame, *, scenario: Scenario = "none", onset: date | None = None
) -> NDArray[np.float64]:
    """The true probability that each customer leaves, given the frame.

    Labels are independent draws from it, so no model can have a better ROC AUC, log loss or Brier score.

    Args:
        frame: Rows of a `drop` that is neither ``schema`` nor ``broken``; for those pass the same day without a scenario,
            which has the same rows. ``churned`` is not used.
        scenario: Only ``concept`` changes the probabilities.
        onset: The first day on which it does; None means always.

    Returns:
        P(churned = "yes"), shape (len(frame),), between 0 and 1, in the order of the rows.

    Raises:
        KeyError: If a column is missing.
    """
    seen = {name: frame[name].to_numpy() for name in _INPUTS}
    drifted = np.full(len(frame), scenario == "concept")
    if onset is not None:
        drifted &= seen["observed_on"] >= np.datetime64(onset)
    return _probability(seen, drifted=drifted)


def _probability(seen: Columns, *, drifted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The true probabilities; `drifted` marks the rows for which the concept has changed. All of shape (rows,)."""
    terms = _terms(seen)
    log_odds = np.where(drifted, _log_odds(terms, _WEIGHTS["concept"]), _log_odds(terms, _WEIGHTS["usual"]))
    new_year = seen["observed_on"].astype("datetime64[Y]")
    days_past_peak = (seen["observed_on"] - new_year) / np.timedelta64(1, "D") - 15
    log_odds = log_odds + _SEASON * np.cos(2 * np.pi * days_past_peak / 365.25)
    return np.asarray(1 / (1 + np.exp(-log_odds)), dtype="float64")


def _log_odds(terms: Columns, weights: dict[str, float]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.sum([weights[name] * term for name, term in terms.items()], axis=0)
    return total


def _terms(seen: Columns) -> Columns:
    """The terms of the log-odds, each of shape (rows,).

    A linear model fits them badly: `misfit` and `age` are U-shaped, `contract_end` is a narrow bump, and `fed_up` and
    `lapsed` change sign with another column.
    """
    tenure = seen["tenure_months"]
    doublings = np.log2(seen["data_used_gb"] / _look_up(_ALLOWANCE_GB, seen["plan"]))
    from_middle_age = (seen["age"] - 46) / 18
    return {
        "constant": np.ones(len(tenure)),
        # A plan too small annoys as much as one too large.
        "misfit": np.nan_to_num(np.minimum(np.abs(doublings), 3), nan=1.0),
        "age": np.nan_to_num(np.minimum(from_middle_age**2, 3), nan=0.8),
        # Many support calls: a new customer is fed up, an old one is well looked after.
        "fed_up": (seen["support_calls"] >= 3) * np.where(tenure < 20, 1.0, -0.5),
        # No login for weeks: a customer who pays automatically has forgotten the contract, another is about to leave.
        "lapsed": (seen["days_since_login"] > 21) * np.where(seen["autopay"], -0.5, 1.0),
        "contract_end": (tenure >= 22) & (tenure <= 26),
        "loyalty": np.minimum(tenure, 36) / 12,
        "price": seen["monthly_charge"] / 10 - 3,
        "payment": (seen["payment_method"] == "voucher") | (seen["payment_method"] == "invoice"),
        "channel": _look_up(_CHANNELS, seen["acquisition_channel"]),
    }


def _observe(day: date, *, seed: int, rows: int, shifted: bool) -> Columns:
    """All columns but the label, in order, each of shape (rows,); text as objects, None where missing."""
    today = day.toordinal()
    customers = _population(seed, day.year, max(rows, _JOINING_PER_YEAR))
    active = np.flatnonzero((customers["joined"] <= today) & (today < customers["left"]))
    rng = stream(seed, "observations", today)

    # Weighted sampling without replacement: the shortest of exponential waiting times.
    waiting = rng.exponential(size=len(active))
    if shifted:
        new = today - customers["joined"][active] < 365
        young = customers["age_at_joining"][active] < 35
        waiting = waiting / (1 + 2 * new + 2 * young)
    drawn = active[np.argsort(waiting)[:rows]]
    who = {name: column[drawn] for name, column in customers.items()}

    days = today - who["joined"]
    wave = np.sin(2 * np.pi * (today / who["period"] + who["phase"]))
    data_used = who["allowance"] * 2 ** (who["fit"] + 0.4 * wave + rng.normal(0, 0.3, rows) + shifted)
    return {
        "customer_id": who["customer_id"],
        "observed_on": np.full(rows, np.datetime64(day, "us")),
        "age": who["age_at_joining"] + days // 365,
        "region": who["region"],
        "plan": who["plan"],
        "payment_method": who["payment_method"],
        "tenure_months": days * 12 // 365,
        "monthly_charge": np.round(who["price"] * (1 + 0.04 * wave), 2),
        "data_used_gb": np.where(rng.random(rows) < 0.05, np.nan, np.round(np.clip(data_used, 0.1, 500), 1)),
        "support_calls": rng.poisson(who["call_rate"] * (1 + 0.3 * wave)),
        "days_since_login": np.minimum(rng.exponential(who["login_gap"]), 120).astype("int64"),
        "autopay": who["autopay"],
        "acquisition_channel": who["acquisition_channel"],
    }


@lru_cache(maxsize=8)
def _population(seed: int, year: int, joining: int) -> Columns:
    """All customers who can be active in a year. The arrays are cached and shared: never write to them."""
    cohorts = [_cohort(seed, joined, joining) for joined in range(year - _LONGEST_STAY_YEARS, year + 1)]
    return {name: np.concatenate([cohort[name] for cohort in cohorts]) for name in cohorts[0]}


@lru_cache(maxsize=16)
def _cohort(seed: int, year: int, size: int) -> Columns:
    """The customers who join in a year and their fixed attributes, each of shape (size,). Cached: never write to them."""
    rng = stream(seed, "cohort", year)
    joined = date(year, 1, 1).toordinal() + rng.integers(365, size=size)
    plan = _choose(rng, _PLANS, size)
    payment = _choose(rng, _PAYMENTS, size)
    age = np.round(np.clip(18 + rng.gamma(2.6, 10.5, size), 18, 88))
    return {
        "customer_id": np.array([f"C{year % 1000:03d}{number:04d}" for number in range(size)], dtype=object),
        "joined": joined,  # as a day's ordinal, and so is `left`
        "left": joined + rng.integers(60, 365 * _LONGEST_STAY_YEARS, size=size),
        "age_at_joining": np.where(rng.random(size) < 0.04, np.nan, age),
        "region": _choose(rng, _REGIONS, size),
        "plan": plan,
        "payment_method": np.where(rng.random(size) < 0.06, np.array(None), payment),
        "autopay": rng.random(size) < _look_up(_AUTOPAY, payment),
        "acquisition_channel": _choose(rng, _CHANNEL_SHARES, size),
        "allowance": _look_up(_ALLOWANCE_GB, plan),
        "price": _look_up(_PRICE, plan) * rng.uniform(0.8, 1.2, size),
        "fit": rng.normal(0, 1.2, size),  # doublings of the allowance that are used
        "call_rate": rng.gamma(2.0, 0.8, size),
        "login_gap": rng.gamma(3.0, 6.0, size),
        "period": rng.uniform(200, 600, size),  # days, of the slow wave of habits
        "phase": rng.random(size),
    }


def _choose(rng: np.random.Generator, shares: dict[str, float], size: int) -> NDArray[Any]:
    weights = np.array(list(shares.values()))
    return rng.choice(np.array(list(shares), dtype=object), size=size, p=weights / weights.sum())


def _look_up(values: dict[str, float], keys: Iterable[str]) -> NDArray[np.float64]:
    return np.array([values[key] for key in keys], dtype="float64")


def stream(seed: int, purpose: str, number: int) -> np.random.Generator:
    """The random stream of a purpose, on the day or in the year of this number."""
    # PCG64 by name, because numpy may change the generator of `default_rng`.
    return np.random.Generator(np.random.PCG64([seed, _SALTS[purpose], number]))


def as_frame(columns: Columns) -> pd.DataFrame:
    """The columns as a frame, objects as text. An empty or all-null column of objects would have no type by itself."""
    return pd.DataFrame(
        {name: pd.array(values, dtype=TEXT) if values.dtype == object else values for name, values in columns.items()}
    )


def _reshape(frame: pd.DataFrame) -> pd.DataFrame:
    as_text = frame["monthly_charge"].map("${:.2f}".format).astype(TEXT)
    return frame.assign(monthly_charge=as_text).rename(columns={"data_used_gb": "data_gb"})


def _break(frame: pd.DataFrame) -> pd.DataFrame:
    age = frame["age"].mask(frame.index % 3 == 0, 999.0)
    wrecked = frame.assign(age=age, data_used_gb=np.nan)
    return pd.concat([wrecked, wrecked.iloc[: len(wrecked) // 2]], ignore_index=True)
