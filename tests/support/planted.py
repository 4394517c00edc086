"""Three tables as they come, and leaks to plant in them: real public data in CONTENDER_DATA, else tables that look like it.

``python tests/support/planted.py`` prints what the guards say of each plant in each table.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from builders import make_run, write_parquet
from contender.data.checks.quarantine import examine
from contender.data.leaks.guard import guard
from contender.data.rows import as_frame
from contender.data.snapshot import read_snapshot, take_snapshot
from contender.store.base import write_document
from contender.store.ledger import Ledger
from contender.store.local import LocalStore
from contender.store.runs import let_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from contender.documents.data import Quarantine
    from contender.documents.run import Run

DATA = Path(os.environ.get("CONTENDER_DATA") or "nowhere")
ID, TIME, PLANTED = "row_id", "seen_at", "planted"


@dataclass(frozen=True)
class Table:
    """A table with its roles.

    Attributes:
        before: the same rows as an earlier run saw them.
    """

    frame: pd.DataFrame
    target: str
    positive: str | None
    roles: dict[str, Any] = field(default_factory=dict)
    before: pd.DataFrame | None = None

    @property
    def y(self) -> np.ndarray:
        """The target as numbers."""
        column = self.frame[self.target]
        return (
            column.to_numpy(dtype=float) if self.positive is None else (column == self.positive).to_numpy(dtype=float)
        )

    def plus(self, column: Any) -> Table:
        return replace(self, frame=self.frame.assign(**{PLANTED: column}))


def telco(rows: int = 4_000) -> Table:
    """Customers of whom some leave; no time; one row each."""
    path = DATA / "telco_churn" / "Telco-Customer-Churn.csv"
    if path.exists():
        frame = pd.read_csv(path)
        frame["TotalCharges"] = pd.to_numeric(frame["TotalCharges"], errors="coerce")
        return Table(frame, "Churn", "Yes", {"id": "customerID"})
    random = np.random.default_rng(0)
    tenure, contract = random.integers(0, 73, rows), random.choice(["Month-to-month", "One year", "Two year"], rows)
    monthly = random.uniform(18, 118, rows).round(2)
    odds = 0.4 - 0.04 * tenure + 0.01 * monthly - 1.5 * (contract != "Month-to-month")
    frame = pd.DataFrame(
        {
            "customerID": [f"{n:04d}-{code}" for n, code in enumerate(random.integers(10_000, 99_999, rows))],
            "tenure": tenure,
            "Contract": contract,
            "MonthlyCharges": monthly,
            "TotalCharges": np.where(
                tenure > 0, (tenure * monthly * random.uniform(0.95, 1.05, rows)).round(2), np.nan
            ),
            "gender": random.choice(["Female", "Male"], rows),
            "Churn": np.where(random.random(rows) < 1 / (1 + np.exp(-odds)), "Yes", "No"),
        }
    )
    return Table(frame, "Churn", "Yes", {"id": "customerID"})


def bikes(rows: int = 6_000) -> Table:
    """Rentals by the hour, as a number; 24 rows have one day as their time."""
    path = DATA / "bike_sharing" / "hour.csv"
    if path.exists():
        frame = pd.read_csv(path, parse_dates=["dteday"]).drop(columns=["casual", "registered"])
        return Table(frame, "cnt", None, {"id": "instant", "time": "dteday"})
    random = np.random.default_rng(1)
    hours, temp = np.arange(rows), random.uniform(0, 1, rows).round(2)
    hour = hours % 24
    cnt = random.poisson(20 + 150 * temp * np.exp(-(((hour - 17) / 5) ** 2)) + 80 * np.exp(-(((hour - 8) / 1.5) ** 2)))
    frame = pd.DataFrame(
        {
            "instant": hours + 1,
            "dteday": pd.Timestamp("2011-01-01") + pd.to_timedelta(hours // 24, "D"),
            "hr": hour,
            "weekday": hours // 24 % 7,
            "temp": temp,
            "windspeed": random.gamma(2, 0.1, rows).round(4),
            "cnt": cnt,
        }
    )
    return Table(frame, "cnt", None, {"id": "instant", "time": "dteday"})


def taxi(rows: int = 20_000) -> Table:
    """Trips and how long they took, in minutes, as a number with a long tail; no id."""
    paths = sorted((DATA / "nyc_green_taxi").glob("*.parquet"))
    if paths:
        frame = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True).drop(columns="ehail_fee")
        start, end = frame["lpep_pickup_datetime"], frame["lpep_dropoff_datetime"]
        frame = frame.assign(minutes=(end - start).dt.total_seconds() / 60).drop(columns="lpep_dropoff_datetime")
        frame = frame[(start >= "2023-01-01") & (start < "2023-04-01")].reset_index(drop=True)
        return Table(frame, "minutes", None, {"time": "lpep_pickup_datetime"})
    random = np.random.default_rng(2)
    distance = random.lognormal(0.7, 0.8, rows).round(2)
    minutes = (4 + 3.5 * distance * random.lognormal(0, 0.35, rows)).round(4)
    minutes[random.random(rows) < 0.003] = 1_400.0
    zones = random.integers(1, 264, (2, rows))
    frame = pd.DataFrame(
        {
            "lpep_pickup_datetime": pd.Timestamp("2023-01-01")
            + pd.to_timedelta(random.integers(0, 90 * 86_400, rows), "s"),
            "PULocationID": zones[0],
            "DOLocationID": zones[1],
            "trip_distance": distance,
            "fare_amount": (3 + 0.5 * np.minimum(minutes, 90) + 1.8 * distance).round(1),
            "passenger_count": np.where(random.random(rows) < 0.07, np.nan, random.integers(1, 5, rows)),
            "minutes": minutes,
        }
    )
    return Table(frame, "minutes", None, {"time": "lpep_pickup_datetime"})


TABLES: dict[str, Callable[[], Table]] = {
    "telco_churn": cache(telco),
    "bike_sharing": cache(bikes),
    "nyc_green_taxi": cache(taxi),
}


def timed(table: Table) -> Table:
    """The table with an id and a time, made up where it has none."""
    frame, roles = table.frame, dict(table.roles)
    if "id" not in roles:
        frame, roles["id"] = frame.assign(**{ID: np.arange(len(frame))}), ID
    if "time" not in roles:
        days = np.random.default_rng(3).integers(0, 90, len(frame))
        frame, roles["time"] = frame.assign(**{TIME: pd.Timestamp("2023-01-01") + pd.to_timedelta(days, "D")}), TIME
    return replace(table, frame=frame, roles=roles)


def untimed(table: Table) -> Table:
    """The table as one that says neither when a row was seen nor what it is about: its split is random."""
    return replace(table, frame=table.frame.drop(columns=[*table.roles.values()]), roles={})


def a_sum(table: Table) -> Table:
    part = np.random.default_rng(4).normal(size=len(table.y)).round(3) * table.y.std()
    return replace(table, frame=table.frame.assign(part=part, rest=3 * (table.y - part)))


def a_limit(table: Table) -> Table:
    """Two columns whose difference is above 0 in one class and below in the other."""
    random = np.random.default_rng(4)
    cost = random.gamma(2, 50, len(table.y))
    margin = (2 * table.y - 1) * random.gamma(2, 10, len(table.y))
    return replace(table, frame=table.frame.assign(revenue=cost + margin, cost=cost))


def another_name(table: Table) -> Table:
    """The target as other words, or on another scale."""
    if table.positive is not None:
        return table.plus(np.where(table.y == 1, "closed", "open"))
    return table.plus(np.log1p(table.y - table.y.min()) * 7 + 3)


def nearly(table: Table) -> Table:
    random = np.random.default_rng(5)
    if table.positive is not None:
        return table.plus(np.where(random.random(len(table.y)) < 0.01, 1 - table.y, table.y))
    return table.plus((table.y * random.normal(1, 0.03, len(table.y))).round(2))


def only_when_positive(table: Table) -> Table:
    reasons = np.random.default_rng(6).choice(["price", "moved", "service"], len(table.y)).astype(object)
    return table.plus(np.where(table.y == 1, reasons, None))


def later(table: Table) -> Table:
    table = timed(table)
    return table.plus(table.frame[table.roles["time"]] + pd.to_timedelta(1 + table.y, "D"))


def rewritten(table: Table) -> Table:
    """A balance that was asked for again once the outcome was known, if it was a high one."""
    table = timed(table)
    balance, again = np.random.default_rng(7).gamma(2, 50, (2, len(table.y))).round(2)
    high = table.y > np.quantile(table.y, 0.7)
    return replace(table.plus(np.where(high, again, balance)), before=table.frame.assign(**{PLANTED: balance}))


def copies(table: Table) -> Table:
    """Every row twice, numbered anew, at any time."""
    doubled = pd.concat([table.frame, table.frame], ignore_index=True)
    random = np.random.default_rng(8)
    if "id" in table.roles:
        doubled[table.roles["id"]] = [f"n{n}" for n in range(len(doubled))]
    if "time" in table.roles:
        doubled[table.roles["time"]] = random.permutation(doubled[table.roles["time"]].to_numpy())
    return replace(table, frame=doubled)


def entities(table: Table) -> Table:
    """Four rows of each subject, alike but not equal, and nobody said that they are one's."""
    table = untimed(table)
    few = table.frame.iloc[:3_000]
    frame = pd.concat([few] * 4, ignore_index=True)
    random = np.random.default_rng(9)
    for name in frame.columns.drop(table.target):
        if frame[name].dtype == "float64":
            frame[name] = frame[name] * random.normal(1, 0.02, len(frame))
    return replace(table, frame=frame.assign(**{PLANTED: np.tile(random.permutation(10_000 + np.arange(len(few))), 4)}))


def numbered(table: Table) -> Table:
    return table.plus(np.arange(len(table.y)))


def named(table: Table) -> Table:
    return table.plus([f"{n:x}-{n % 97}" for n in np.random.default_rng(10).permutation(len(table.y)) + 1_000_000])


ONLY_CLASSES = ("a sum and a limit", "there only when positive")
PLANTS: dict[str, tuple[str, Callable[[Table], Table]]] = {
    "a sum": ("determines", a_sum),
    "a sum and a limit": ("determines", a_limit),
    "the target under another name": ("determines", another_name),
    "a near-perfect column": ("near_perfect", nearly),
    "there only when positive": ("missingness", only_when_positive),
    "a later moment": ("afterwards", later),
    "written again afterwards": ("rewritten", rewritten),
    "every row twice": ("duplicates", copies),
    "four rows of each subject": ("entity", entities),
    "a row number": ("id_like", numbered),
    "a name for each row": ("id_like", named),
}
CLEAN: dict[str, Callable[[Table], Table]] = {
    "as it comes": lambda table: table,
    "random split": untimed,
    "with id, time and an earlier snapshot": lambda table: replace(timed(table), before=timed(table).frame),
}


def guarded(table: Table, folder: Path, **parts: Any) -> Quarantine:
    """What the guards say of a table that went the way of every run: file, snapshot, checks."""
    store = LocalStore(folder / "store")
    last = datetime(2026, 3, 2, tzinfo=UTC)
    if "time" in table.roles:
        last = table.frame[table.roles["time"]].max().to_pydatetime().replace(tzinfo=UTC) + timedelta(days=1)

    def run_of(frame: pd.DataFrame, name: str, as_of: datetime) -> Run:
        source = write_parquet(folder / f"{name}.parquet", pa.Table.from_pandas(frame, preserve_index=False))
        data = {"target": table.target, "positive": table.positive, "id": None} | table.roles
        timing = {"window": "4000d"} if "time" in table.roles else {}
        return make_run(source, run_id=name, as_of=as_of, data=data | timing, **parts)

    if table.before is not None:
        earlier = run_of(table.before, "before", last - timedelta(days=1))
        write_document(store, earlier.key("snapshot.json"), take_snapshot(earlier, store))
        let_count(earlier, store)
        Ledger(store, "churn").append(
            kind="promotion", version="1", release=None, run_id="before", as_of=earlier.as_of, at=last, by="", reason=""
        )
    run = run_of(table.frame, "now", last)
    snapshot = take_snapshot(run, store)
    rows = as_frame(read_snapshot(snapshot, run.pipeline, store), run.spec.data.id)
    return guard(run, snapshot, examine(run.spec, snapshot, rows), rows, store)


def main() -> None:
    """Print the table."""
    for name, load in TABLES.items():
        for plant, make in CLEAN.items():
            show(name, plant, "nothing", make(load()))
        for plant, (kind, make) in PLANTS.items():
            if plant not in ONLY_CLASSES or load().positive is not None:
                show(name, plant, kind, make(load()))


def show(name: str, plant: str, kind: str, table: Table) -> None:
    """One line."""
    with tempfile.TemporaryDirectory() as folder:
        findings = guarded(table, Path(folder)).findings
    said = "; ".join(f"{one.kind} {', '.join(one.columns)}: {one.evidence}" for one in findings) or "nothing"
    sys.stdout.write(f"| {name} | {plant} | {kind} | {said} |\n")


if __name__ == "__main__":
    main()
