"""A pipeline's whole life on a store in S3: steps, promotion, rollback, the command line; and its secret stays where it is."""

from __future__ import annotations

import io
import json
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from builders import AS_OF, TIMED, make_run, make_table, write_parquet
from contender.errors import ConfigError
from contender.run.freeze import freeze_run
from contender.store.ledger import Ledger
from contender.store.opening import open_store
from contender.tracking import models
from contender_airflow.cli import show as inspect
from life import decided, live
from s3servers import SECRET, S3Server

if TYPE_CHECKING:
    from contender.backends import Backends

pytestmark = pytest.mark.integration

WEEK = timedelta(days=7)
GATES: list[dict[str, Any]] = [
    {"kind": "threshold", "metric": "roc_auc", "min": 0.5},
    {"kind": "beats", "opponent": "champion", "policy": "unless_worse", "margin": 0.5, "min_rows": 20},
]


@pytest.fixture
def remote(backends: Backends, moto: S3Server, tmp_path: Path) -> Backends:
    settings = {"uri": f"s3://{moto.bucket()}/prod", "connection": moto.fields(), "cache": str(tmp_path / "cache")}
    return replace(backends, store=open_store(settings))


@pytest.mark.usefixtures("no_report")
def test_two_champions_and_a_rollback(
    remote: Backends, moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path / "lake" / "a.parquet", make_table(900, until=AS_OF + WEEK, days=90))
    commands: list[Any] = []
    really = subprocess.run

    def watched(command: list[str], **options: Any) -> Any:
        commands.append(command)
        return really(command, **options)

    monkeypatch.setattr(subprocess, "run", watched)
    timed = {"data": TIMED, "split": {"gate": "14d", "folds": 2}, "gates": GATES}
    for number, as_of in enumerate((AS_OF, AS_OF + WEEK), start=1):
        run = make_run(tmp_path / "lake", run_id=f"r{number}", as_of=as_of, **timed)
        outcome = live(run, remote)
        assert (outcome.state, outcome.promoted) == ("success", str(number))
        assert outcome.report == remote.store.url(run.key(decided(run, remote).report))
    assert [command[1:] for command in commands if "contender.release.verify" in command] == [
        ["-m", "contender.release.verify"]
    ] * 2

    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(moto.fields()))
    settings = remote.store.settings
    extra = {name: settings[name] for name in ("uri", "cache")} | {
        "signing_key": str(remote.signing_key),
        "conn_id": "lake",
    }
    monkeypatch.setenv("AIRFLOW_CONN_CONTENDER_STORE", json.dumps({"conn_type": "contender_store", "extra": extra}))
    mlflow = {"tracking_uri": remote.tracking.uri}
    monkeypatch.setenv("AIRFLOW_CONN_CONTENDER_MLFLOW", json.dumps({"conn_type": "mlflow", "extra": mlflow}))
    page = io.StringIO()
    console = Console(file=page, width=200)
    inspect.rollback("churn", console, to="1", reason="the second is worse")
    inspect.ledger("churn", console, verify=True)
    inspect.status("churn", console, as_json=False)
    assert [(entry.kind, entry.version) for entry in Ledger(remote.store, "churn").entries()] == [
        ("promotion", "1"), ("promotion", "2"), ("rollback", "1"),
    ]  # fmt: skip
    assert models.champion_alias(remote.tracking, "churn") == "1"
    assert "every entry is as it was written" in page.getvalue()
    assert "version 1" in page.getvalue()

    everywhere = [remote.store.read(key) for key in remote.store.keys("churn")]
    everywhere += [page.getvalue().encode(), repr(commands).encode(), repr(remote).encode()]
    everywhere += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(everywhere) > 20
    assert not [content for content in everywhere if SECRET.encode() in content]


def test_a_run_on_a_store_that_cannot_promote_stops_before_it_reads_a_row(
    backends: Backends, rclone: S3Server, tmp_path: Path
) -> None:
    settings = {"uri": f"s3://{rclone.bucket()}/prod", "connection": rclone.fields(), "cache": str(tmp_path / "cache")}
    run = make_run(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"this store cannot decide who was first.*Nothing was started"):
        freeze_run(open_store(settings), run.spec, run_id="r1", conf={}, requested=AS_OF, by="ann")
