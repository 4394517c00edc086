"""A pipeline through Airflow's own ``dag.test``, with its metadata database, a store and an MLflow database."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from contender.release.signing import create_key
from contender.run.status import status
from contender.store.ledger import Ledger
from contender.store.local import LocalStore
from homes import Migrated
from sinks import HttpSink, MailSink, listening

NOTIFY = """
notify:
  - {kind: email, to: a@example.com}
  - {kind: webhook, conn_id: chat}
  - {kind: webhook, conn_id: deploy, on: [promoted]}
"""
SCRIPT = """
import json, sys
from datetime import UTC, datetime
from contender_airflow.dags import build_dags
dags = build_dags(sys.argv[1], stagger="2h", max_running=1)
for dag in dags.values():
    # Airflow 3.3.2's dag.test() cannot look up a deadline (it reads the alert where the scheduler has its id).
    dag.deadline = None
    for task in dag.tasks:
        task.retries = 0
for number, (pipeline, conf) in enumerate(json.loads(sys.argv[2])):
    run = dags[f"{pipeline}__training"].test(run_conf=conf, logical_date=datetime(2026, 1, 5 + number, tzinfo=UTC))
    print("STATES", json.dumps({f"{ti.task_id}[{ti.map_index}]": ti.state for ti in run.get_task_instances()} | {"run": run.state}))
"""

TYPED = "{{ 7*7 }} {{ conn.contender_store.extra }} {% import os %} $(touch pwned) `touch pwned`; touch pwned\n&& touch pwned"


def _environment(home: Path) -> dict[str, str]:
    mlflow = {"tracking_uri": f"sqlite:///{home}/mlflow/mlflow.db", "ui_url": "http://127.0.0.1:5000"}
    store = {"uri": str(home / "store"), "signing_key": str(home / "keys" / "release.pem")}
    return os.environ | {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW_CONN_CONTENDER_MLFLOW": json.dumps({"conn_type": "mlflow", "extra": mlflow}),
        "AIRFLOW_CONN_CONTENDER_STORE": json.dumps({"conn_type": "contender_store", "extra": store}),
        "CONTENDER_HOME": str(home),
        "OMP_NUM_THREADS": "1",
    }


@dataclass(frozen=True)
class Ran:
    """Two runs of ``small``, then two of ``nowhere``, all in one process.

    Attributes:
        states: of the tasks of each run.
        said: all that the runs logged.
    """

    home: Path
    states: list[dict[str, str]]
    said: str
    http: HttpSink
    mail: MailSink


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, small: str, migrated: Migrated) -> Ran:
    home = tmp_path_factory.mktemp("ran")
    create_key(home / "keys" / "release.pem")
    migrated.into(home)
    pipelines, dags = home / "pipelines", home / "dags"
    for folder in (pipelines, dags):
        folder.mkdir()
    (pipelines / "small.yaml").write_text(small)
    nowhere = small.replace("{kind: demo, rows: 40}", f"{{kind: parquet, uri: {home}/lake}}")
    (pipelines / "nowhere.yaml").write_text(nowhere + NOTIFY)
    (dags / "mine.py").write_text(
        f"from contender_airflow.dags import build_dags\n\nglobals().update(build_dags({str(pipelines)!r}, stagger='2h', max_running=1))  # an airflow dag\n"
    )
    http, mail = HttpSink(), MailSink()
    connections = {name: http.connection(f"/{name.lower()}") for name in ("CHAT", "DEPLOY")}
    connections["SMTP_DEFAULT"] = mail.connection()
    asked = [
        ("small", {"as_of": "2026-03-02", "reason": TYPED}),
        ("small", {"as_of": "2026-03-02"}),
        ("nowhere", {"as_of": "2999-01-01"}),
        ("nowhere", {}),
    ]
    with listening(http), listening(mail):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(pipelines), json.dumps(asked)],
            env=_environment(home) | {f"AIRFLOW_CONN_{name}": to for name, to in connections.items()},
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("STATES ")]
    states = [json.loads(line.removeprefix("STATES ")) for line in lines]
    return Ran(home, states, done.stdout + done.stderr, http, mail)


@pytest.mark.integration
def test_a_pipeline_runs_through_dag_test_and_a_kept_champion_shows_as_a_skipped_promote(ran: Ran) -> None:
    first, again, *_ = ran.states
    every = [
        "slot[-1]",
        "snapshot[-1]",
        "validate[-1]",
        "plan[-1]",
        "challenge[-1]",
        "promote[-1]",
        "announce[-1]",
        "close[-1]",
    ]
    shards = [task for task in first if task.startswith("train[")]  # one or two, by how long the trials will take
    assert first == dict.fromkeys([*every, *shards, "run"], "success")
    assert shards
    assert again == dict.fromkeys([*every, "train[0]", "run"], "success") | {"promote[-1]": "skipped"}
    store = LocalStore(ran.home / "store")
    promotion, keep = Ledger(store, "small").entries()
    assert (promotion.kind, promotion.reason, keep.kind) == ("promotion", TYPED, "keep")
    assert not list(ran.home.glob("**/pwned"))
    told = f"version 1 is the champion (ledger entry {promotion.number})"
    kept = "skipped: the decision is not to promote; the champion stays"
    assert (ran.said.count(told), ran.said.count(kept)) == (1, 1)
    [pipeline] = status(store, "small")["pipelines"]
    assert (pipeline["champion"]["version"], pipeline["last_run"]["decision"]) == ("1", "keep")


@pytest.mark.integration
def test_a_wrong_conf_and_data_that_did_not_arrive_are_told_apart_and_change_nothing(ran: Ran) -> None:
    http, mail = ran.http, ran.mail
    asked = re.findall(r"the logical date (\S+) changes nothing; `as_of` says which day the run looks from", ran.said)
    assert asked == ["2026-01-08"]  # a run that says its as_of has nothing to learn of it
    for states in ran.states[2:]:
        assert (states["snapshot[-1]"], states["announce[-1]"], states["run"]) == (
            "failed",
            "upstream_failed",
            "failed",
        )
        told = [states[f"{task}[-1]"] for task in ("close", "notify_email", "notify_webhook", "notify_webhook_2")]
        assert told == ["failed", "success", "success", "skipped"]
    reasons = ["ConfigError: conf.as_of: 2999-01-01", "DataUnavailable: "]
    for (_, message), notice, reason in zip(mail.mails, http.asked["/chat"], reasons, strict=True):
        assert message["Subject"].startswith(f"[nowhere] failed in snapshot: {reason}")
        assert notice["sentence"].startswith(f"failed in snapshot: {reason}")
        assert notice["version"] is None
        assert "/dags/nowhere__training/runs/manual__" in notice["url"]
    assert [notice["kind"] for notice in http.asked["/chat"]] == ["failed", "no_data"]
    assert "/deploy" not in http.asked
    store = LocalStore(ran.home / "store")
    assert not Ledger(store, "nowhere").entries()
    assert store.children("nowhere") == ["runs"]
    first = min(store.children("nowhere/runs"), key=lambda run: len(store.keys(f"nowhere/runs/{run}")))
    left = [f"nowhere/runs/{first}/{name}" for name in ("failures/snapshot.json", "outcome.json")]
    assert store.keys(f"nowhere/runs/{first}") == left
