"""``contender run`` with a real scheduler: a champion, and kept on a second run. What kills do to it is in ``tests/faults``.

All runs here use one ``contender up``; ``test_embedded.py`` and the tutorial have runs that start their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflows import eventually
from contender.backends import Backends
from contender.documents.decision import Decision
from contender.documents.run import Run
from contender.documents.sweep import Plan
from contender.store.base import require_document
from contender.store.ledger import Ledger
from contender.store.runs import require_decision, standing_run
from contender.tracking.models import champion_alias
from homes import Migrated
from installed import venv_with
from sinks import HttpSink, MailSink, listening

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
CONTENDER = str(Path(sys.executable).parent / "contender")

SLOW = """
owner: tests
data:
  source: {kind: demo, rows: 50}
  target: churned
  positive: "yes"
  id: customer_id
  time: observed_on
  window: 150d
  label_delay: 30d
sweep:
  metric: roc_auc
  strategy: {kind: random, trials: 4}
  parallelism: 2
  candidates:
    - estimator: sklearn.ensemble.HistGradientBoostingClassifier
      params: {learning_rate: {log_uniform: [0.02, 0.3]}, max_iter: 40, early_stopping: false}
gates:
  - {kind: threshold, metric: roc_auc, min: 0.6}
  - {kind: beats, opponent: champion, policy: unless_worse, margin: 0.1}
overridable: [as_of, sweep.strategy.trials]
deadline: 2s
notify:
  - {kind: email, to: ml@example.com}
  - {kind: slack, conn_id: chat}
  - {kind: webhook, conn_id: flaky, on: [decided, failed, no_data]}
  - {kind: webhook, conn_id: deploy, on: [promoted]}
"""

# The shipped DAG file, impatient.
DAGS = """
from datetime import timedelta
from pathlib import Path

from contender_airflow.dags import build_dags

dags = build_dags(Path(__file__).parent / "pipelines")
for dag in dags.values():
    for task in dag.tasks:
        if task.task_id.startswith("notify_"):
            task.retry_delay = timedelta(seconds=1)
globals().update(dags)
"""


@dataclass
class Receivers:
    """Who is told of the runs here."""

    http: HttpSink
    chat: HttpSink
    mail: MailSink

    @property
    def connections(self) -> dict[str, str]:
        found = {"chat": self.chat.connection("/chat/T0K3N"), "smtp_default": self.mail.connection()}
        found |= {name: self.http.connection(f"/{name}") for name in ("flaky", "deploy")}
        return {f"AIRFLOW_CONN_{name.upper()}": to for name, to in found.items()}


class Home:
    """A CONTENDER_HOME with one pipeline, and the commands a user would type."""

    def __init__(self, root: Path, receivers: Receivers) -> None:
        self.root = root / "home"
        self.receivers = receivers
        self.dags = root / "dags"
        (self.dags / "pipelines").mkdir(parents=True)
        (self.dags / "contender_dags.py").write_text(DAGS)
        (self.dags / "pipelines" / "slow.yaml").write_text(SLOW)
        shipped = (ROOT / "dags" / "pipelines" / "bike_demand.yaml").read_text()
        shorter = shipped.replace("window: 365d", "window: 180d").replace("folds: 4", "folds: 2")
        (self.dags / "pipelines" / "bike_demand.yaml").write_text(shorter)

    @property
    def backends(self) -> Backends:
        return _backends(self.root)

    def contender(self, *arguments: str, code: int = 0) -> str:
        places = {"CONTENDER_HOME": str(self.root), "CONTENDER_DAGS": str(self.dags)}
        only_asked = {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False"}  # no run because it is time
        done = subprocess.run(
            [CONTENDER, *arguments],
            env=os.environ | places | only_asked | self.receivers.connections,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == code, done.stdout[-3000:]
        return done.stdout

    def runs(self) -> list[Run]:
        store = self.backends.store
        found = [standing_run(store, "slow", key) for key in store.children("slow/runs")]
        return sorted((run for run in found if run is not None), key=lambda run: run.started)

    def decision(self, run: Run) -> Decision:
        return require_decision(run, self.backends.store).decision


def _backends(root: Path) -> Backends:
    return Backends.connect(
        store=str(root / "store"),
        tracking_uri=f"sqlite:///{root}/mlflow/mlflow.db",
        signing_key=str(root / "keys" / "release_ed25519.pem"),
    )


@pytest.fixture(scope="module")
def receivers() -> Iterator[Receivers]:
    http, chat, mail = HttpSink(), HttpSink(), MailSink()
    http.answers["/flaky"] = [500, 500, 200]
    with listening(http), listening(chat), listening(mail):
        yield Receivers(http, chat, mail)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, receivers: Receivers, migrated: Migrated) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("contender"), receivers)
    migrated.into(home.root)
    home.contender("up", "--port", "0", "--mlflow-port", "0")
    try:
        output = home.contender("run", "slow", "--as-of", "2026-03-02")
        assert "as the first champion" in output
        eventually(lambda: len(receivers.mail.mails) == 2, what="two mails")
        yield home
    finally:
        home.contender("down")


def test_whoever_wants_to_know_of_a_promotion_is_told_also_who_fails_twice(home: Home, receivers: Receivers) -> None:
    [run] = home.runs()
    said = home.decision(run).sentence
    asked = receivers.http.asked
    assert [notice["sentence"] for notice in asked["/flaky"]] == [said] * 3
    [deployed] = asked["/deploy"]
    assert {name: deployed[name] for name in ("kind", "pipeline", "run_id", "version", "model_uri")} == {
        "kind": "promoted",
        "pipeline": "slow",
        "run_id": run.id,
        "version": "1",
        "model_uri": "models:/slow/1",
    }
    decided, late = sorted(message["Subject"] for _, message in receivers.mail.mails)
    assert decided.startswith("[slow] Promote ")
    assert late == f"[slow] run {run.id} is not done 2s after it was queued"
    assert sorted(notice["text"].split(" ")[1] for notice in receivers.chat.asked["/chat/T0K3N"]) == ["Promote", "run"]


def test_status_tells_the_champion_and_how_the_last_run_ended(home: Home) -> None:
    [told] = json.loads(home.contender("status", "slow", "--json"))["pipelines"]
    assert (told["name"], told["champion"]["version"], told["champion"]["metric"]) == ("slow", "1", "roc_auc")
    assert told["champion"]["value"] > 0.6
    assert (told["last_run"]["state"], told["last_run"]["decision"]) == ("success", "promote")
    assert [verdict["status"] for verdict in told["last_run"]["verdicts"]] == ["passed", "not_applicable"]
    assert datetime.fromisoformat(told["next_run"]) > datetime.now(UTC)


def test_the_same_run_again_reuses_the_trials_keeps_the_champion_and_makes_no_version(home: Home) -> None:
    output = home.contender("run", "slow", "--as-of", "2026-03-02")
    assert "Kept version 1 (same model)" in output
    again = home.runs()[-1]
    assert len(require_document(home.backends.store, again.round_key(1, "plan.json"), Plan).reused) == 4
    assert len(home.backends.tracking.client.search_model_versions("name = 'slow'")) == 1


def test_the_shipped_regression_runs_through_the_same_dag(home: Home) -> None:
    output = home.contender("run", "bike_demand", "--as-of", "2026-03-02", "--conf", '{"sweep.strategy.trials": 3}')
    assert "Promote HistGradientBoostingRegressor as the first champion: the candidate" in output
    assert "3 planned, 3 completed" in output


def test_the_champion_loads_where_only_its_own_requirements_are_installed(home: Home, tmp_path: Path) -> None:
    [requirements] = (home.root / "mlflow" / "artifacts" / "slow").rglob("requirements.txt")
    python = venv_with(requirements.read_text().splitlines(), tmp_path / "venv", "--without-pip")
    code = """
import importlib.util, mlflow
assert importlib.util.find_spec("contender") is None
model = mlflow.pyfunc.load_model("models:/slow@champion")
example = model.metadata.signature.inputs
import pandas as pd
row = {column.name: ("x" if "string" in str(column.type) else 1.0) for column in example}
print(model.predict(pd.DataFrame([row, row])).shape)
"""
    environment = os.environ | {"MLFLOW_TRACKING_URI": home.backends.tracking.uri}
    done = subprocess.run(
        [python, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("(2, 2)", 0), done.stderr[-2000:]


def test_a_conf_that_is_not_allowed_ends_with_its_reason_and_exit_code_1(home: Home, receivers: Receivers) -> None:
    output = home.contender("run", "slow", "--conf", '{"sweep.strategy.trails": 3}', code=1)
    assert (
        "conf.sweep.strategy.trails: this pipeline does not allow it. Did you mean 'sweep.strategy.trials'?" in output
    )
    reason = "failed in snapshot: ConfigError: conf.sweep.strategy.trails: this pipeline does not allow it."
    assert receivers.http.asked["/flaky"][-1]["sentence"].startswith(reason)
    assert receivers.http.asked["/flaky"][-1]["kind"] == "failed"
    assert len(receivers.http.asked["/deploy"]) == 1


def test_a_dead_receiver_makes_the_run_red_and_undoes_nothing(home: Home, receivers: Receivers) -> None:
    receivers.chat.shutdown()
    receivers.chat.server_close()
    output = home.contender("run", "slow", "--as-of", "2026-03-16", code=1)
    assert output.index("Promote ") < output.index(
        "slow__training failed in notify_slack (try 4): BackendError: notify"
    )
    run = home.runs()[-1]
    head = Ledger(home.backends.store, "slow").champion()
    assert head is not None
    assert (head.run_id, champion_alias(home.backends.tracking, "slow")) == (run.id, head.version)
    assert receivers.http.asked["/deploy"][-1]["version"] == head.version
    assert receivers.http.asked["/flaky"][-1]["run_id"] == run.id
    late = f"[slow] run {run.id} is not done 2s after it was queued"
    mails = receivers.mail.mails
    eventually(lambda: late in [message["Subject"] for _, message in mails], what=late)
    assert sum(message["Subject"].startswith("[slow] Promote ") for _, message in mails) == 2
    folders = (home.root / "logs", home.root / "airflow" / "logs")
    logs = {str(path): path.read_text() for folder in folders for path in folder.rglob("*") if path.is_file()}
    hidden = [path for path, log in logs.items() if "with url: ***" in log]
    assert sum("task_id=notify_slack" in path for path in hidden) == 4
    assert any("triggerer" in path for path in hidden)  # it is who tells that a run is late
    assert not any("T0K3N" in log for log in [*logs.values(), output])


def test_rollback_gives_the_title_back_and_is_in_the_ledger(home: Home) -> None:
    home.contender("rollback", "slow", "--to", "1", "--reason", "the new one is too slow")
    assert "the new one is too slow" in home.contender("ledger", "slow", "--verify")
    assert champion_alias(home.backends.tracking, "slow") == "1"
