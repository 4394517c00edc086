"""Makes ``tests/fixtures/home_*.tar.xz``: a small home with a history, its store once in a folder and once in S3.

Run it with the commit whose documents shall be kept, in a clone of that commit with its own ``.venv``::

    .venv/bin/python tests/support/makehome.py

It uses the core's functions as they are in that commit; later ones may have other names, so later it may not run any
more. What reads the archives is ``oldhome.py``. Data, seeds, moments and conf are fixed; only clock times,
MLflow's ids and the signing key are new each time.

The history, by the day a run looks from:

* 03-02: tpe; one row is set aside, a trial fails; version 1 is promoted
* 03-09: tpe, from where the run before left off; a trigger asks more of a gate: version 1 is kept
* 03-16: a broken drop; the run fails in validate. Afterwards the drop is mended
* 03-23: halving, for the YAML was edited; a cell cannot be read; version 2 is promoted
* then version 1 is rolled back to, and a model that somebody else made is adopted as version 3, which serves
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tarfile
import tempfile
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MPLBACKEND": "Agg"}

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from builders import write_parquet
from contender import pipeline
from contender.adopt import Request, adopt_model
from contender.errors import DataRejected
from contender.release.signing import create_key
from contender.release.title import rollback
from contender.run.freeze import freeze_run
from contender.run.outcome import record_failure
from contender.run.slots import SlotHolder, take_slot
from contender.spec.loading import load_spec
from contender.store.ledger import Ledger
from contender.tracking.sqlite import create
from life import live
from oldhome import PIPELINE, PLACE, PREFIX, OldHome, home_at, relocate
from s3servers import _MOTO, _serving, free_port

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.documents.run import Run
    from s3servers import S3Server

FIXTURES = Path(__file__).parents[1] / "fixtures"
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 6, tzinfo=UTC)
FIRST, KEPT, FAILED, SECOND = (datetime(2026, 3, day, tzinfo=UTC) for day in (2, 9, 16, 23))
TPE = "{kind: tpe, trials: 10, rounds: 2}"
HALVING = "{kind: halving, trials: 7, rounds: 2, factor: 2}"
YAML = """\
description: Which customers leave (a home of version 0.1.0, kept for tests)
owner: growth-ml
schedule: "0 3 * * 1"
data:
  source: {{kind: parquet, uri: "${{CONTENDER_HOME}}/data"}}
  target: churned
  positive: "yes"
  id: customer_id
  time: observed_on
  window: 60d
expectations:
  - expect_column_values_to_be_between: {{column: age, min_value: 18, max_value: 110}}
  - expect_column_values_to_not_be_null: {{column: region, mostly: 0.5, severity: warning}}
quarantine: {{max_share: 0.02}}
split: {{gate: 14d, folds: 4}}
sweep:
  metric: roc_auc
  strategy: {strategy}
  candidates:
    - {{estimator: sklearn.linear_model.LogisticRegression, params: {{C: {{log_uniform: [0.01, 10]}}}}, baseline: true}}
    - estimator: sklearn.tree.DecisionTreeClassifier
      params: {{max_depth: {{int_uniform: [2, 6]}}, min_samples_leaf: {{int_uniform: [5, 40]}}}}
    - {{estimator: sklearn.neighbors.KNeighborsClassifier, params: {{n_neighbors: 5000}}}}  # more than rows: it fails
gates:
  - {{kind: threshold, metric: roc_auc, min: 0.6}}
  - {{kind: beats, opponent: champion, policy: unless_worse, margin: 0.1, min_rows: 20}}
overridable: [as_of, sweep.strategy.trials, gates.0.min]
cost: {{per_cpu_hour: 0.04, currency: EUR}}
"""


def customers(rows: int = 950) -> pa.Table:
    """About ten a day; one is seven years old. They pay more, and some in the west, from the day of ``SECOND`` on."""
    random = np.random.default_rng(7)
    at = START + np.sort(random.uniform(0, 1, rows)) * (END - START)
    late = np.array([moment >= SECOND for moment in at])
    age = random.integers(18, 90, rows)
    age[200] = 7
    visits = random.integers(0, 12, rows)
    charges = np.round(random.uniform(20, 80, rows) + 25 * late, 1)
    region = np.where(late & (random.random(rows) < 0.4), "west", random.choice(["north", "south"], rows))
    churned = random.random(rows) < 1 / (1 + np.exp(0.6 * (visits - 5) - (region == "north")))
    return pa.table({
        "customer_id": np.arange(rows),
        "observed_on": pa.array([moment.replace(microsecond=0, tzinfo=None) for moment in at]),
        "age": age,
        "visits": visits,
        "charges": charges,
        "paperless": random.random(rows) < 0.5,
        "region": [None if n % 50 == 0 else name for n, name in enumerate(region.tolist())],
        "churned": np.where(churned, "yes", "no"),
    })  # fmt: skip


def drop(home: OldHome, start: datetime, end: datetime, *, broken: bool = False) -> None:
    """Deliver the rows of a span as a file. One in the middle of March has its charges as text, one of them unreadable."""
    table = customers()
    moments = table["observed_on"]
    after, before = (pa.scalar(moment.replace(tzinfo=None), moments.type) for moment in (start, end))
    table = table.filter(pc.and_(pc.greater_equal(moments, after), pc.less(moments, before)))
    if broken:
        table = table.set_column(table.column_names.index("age"), "age", pc.negate(table["age"]))
    if start == FAILED:
        cells = [str(value) for value in table["charges"].to_pylist()]
        table = table.set_column(table.column_names.index("charges"), "charges", pa.array(["n/a", *cells[1:]]))
    write_parquet(home.root / "data" / f"{start:%Y-%m-%d}.parquet", table)


def asked(home: OldHome, backends: Backends, day: datetime, strategy: str, **conf: Any) -> Run:
    """The run that Airflow's schedule, or with a conf somebody, starts on a day."""
    home.spec_file.parent.mkdir(parents=True, exist_ok=True)
    home.spec_file.write_text(YAML.format(strategy=strategy))
    at = day + timedelta(hours=3)
    run_id, by = (f"manual__{at.isoformat()}", "ada") if conf else (f"scheduled__{at.isoformat()}", "scheduled")
    run = freeze_run(backends.store, load_spec(home.spec_file), run_id=run_id, conf=conf, requested=at, by=by)
    assert take_slot(backends.store, SlotHolder(pipeline=PIPELINE, run_id=run.id, at=at, deadline="6h"), slots=1) == 0
    return run


def live_through_it(home: OldHome, backends: Backends) -> None:
    """The history."""
    drop(home, START, KEPT)
    live(asked(home, backends, FIRST, TPE), backends)
    live(
        asked(home, backends, KEPT, TPE, **{"gates.0.min": 0.99, "reason": "is it good enough for letters?"}), backends
    )
    drop(home, KEPT, FAILED, broken=True)
    fail(asked(home, backends, FAILED, TPE), backends)
    drop(home, KEPT, FAILED)
    drop(home, FAILED, SECOND)
    live(asked(home, backends, SECOND, HALVING), backends)
    rollback(backends, PIPELINE, version="1", reason="complaints about version 2", by="ada")
    request = Request(
        as_of=SECOND, by="ada", model=somebody_elses(home), through=KEPT, reason="it has served well elsewhere"
    )
    adopt_model(backends, load_spec(home.spec_file), request)
    drop(home, SECOND, END)  # what a run in the tests will find
    told = [(entry.kind, entry.version) for entry in Ledger(backends.store, PIPELINE).entries()]
    assert told == [("promotion", "1"), ("keep", "1"), ("promotion", "2"), ("rollback", "1"), ("adoption", "3")], told


def fail(run: Run, backends: Backends) -> None:
    """As Airflow's tasks and their teardown do when validation stops a run."""
    pipeline.snapshot(run, backends)
    try:
        pipeline.validate(run, backends)
    except DataRejected as error:
        record_failure(backends.store, PIPELINE, run.id, "validate", error)
    assert pipeline.close(backends, PIPELINE, run.id, failed=["validate"]).state == "failed"


def somebody_elses(home: OldHome) -> str:
    """A model as a user's own script makes and logs it: its address."""
    rows = pd.read_parquet(home.root / "data" / f"{START:%Y-%m-%d}.parquet").dropna()
    columns = ["visits", "charges", "paperless", "region"]
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["region"]),
            (StandardScaler(), ["visits", "charges"]),
            ("passthrough", ["paperless"]),
        ),
        LogisticRegression(),
    ).fit(rows[columns], rows["churned"])
    location = (home.root / "mlflow" / "artifacts" / "theirs").as_uri()
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("theirs", artifact_location=location))
    with mlflow.start_run():
        signature = infer_signature(rows[columns], model.predict(rows[columns]))
        mlflow.sklearn.log_model(
            model,
            name="model",
            registered_model_name="churn_prod",
            signature=signature,
            pip_requirements=["scikit-learn"],
        )
    return "models:/churn_prod/1"


def make(archive: Path, server: S3Server | None = None) -> None:
    """Live through the history in a temporary home, and pack it."""
    with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
        home = home_at(Path(scratch).resolve() / "home", server)
        os.environ["CONTENDER_HOME"] = str(home.root)
        create_key(home.signing_key)
        home.database.parent.mkdir()
        create(f"sqlite:///{home.database}", str(home.root / "mlflow" / "artifacts"))
        backends = home.connect()
        live_through_it(home, backends)
        if server is not None:
            download(server, home)
        relocate(home.database, str(home.root), PLACE)
        with closing(sqlite3.connect(home.database)) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pack(home.root, archive)
    sys.stdout.write(f"{archive}: {archive.stat().st_size:,} bytes\n")


def download(server: S3Server, home: OldHome) -> None:
    """Copy all objects of the store's bucket into the folder ``bucket``."""
    bucket = home.store["uri"].split("/")[2]
    for page in server.client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page["Contents"]:
            path = home.root / "bucket" / found["Key"].removeprefix(f"{PREFIX}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(server.client.get_object(Bucket=bucket, Key=found["Key"])["Body"].read())


def pack(root: Path, archive: Path) -> None:
    """A tar without anything of this machine's user and clock."""
    archive.parent.mkdir(exist_ok=True)
    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.name.endswith(("-wal", "-shm")):  # SQLite's; the database is complete
                entry = packed.gettarinfo(path, path.relative_to(root).as_posix())
                entry.uid = entry.gid = entry.mtime = 0
                entry.uname = entry.gname = ""
                with path.open("rb") as content:
                    packed.addfile(entry, content)


if __name__ == "__main__":
    make(FIXTURES / "home_0_1_0.tar.xz")
    port = free_port()
    with contextmanager(_serving)("moto_server", [sys.executable, "-c", _MOTO, str(port)], port) as moto_server:
        make(FIXTURES / "home_0_1_0_s3.tar.xz", moto_server)
