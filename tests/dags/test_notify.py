"""The tasks that send a run's notices: where they stand in the DAG, and what they do when its end is unknown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.serialization.encoders import encode_deadline_alert

from contender.documents.outcome import Outcome
from contender.documents.run import run_key
from contender.errors import BackendError
from contender.store.base import write_document
from contender.store.ledger import Ledger
from contender.store.local import LocalStore
from contender_airflow.dags import build_dags
from contender_airflow.operators.notify import NotifyOperator
from sinks import HttpSink, listening

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow.sdk import DAG

HOOK = {"kind": "webhook", "conn_id": "hook"}
NOTIFY = """
notify:
  - {kind: email, to: a@example.com}
  - {kind: webhook, conn_id: chat}
  - {kind: webhook, conn_id: deploy, on: [promoted]}
"""
BEFORE = {"snapshot", "validate", "plan", "train", "challenge", "promote", "announce", "close"}
TASKS = ["notify_email", "notify_webhook", "notify_webhook_2"]


@pytest.fixture
def notifying(pipelines: Path) -> DAG:
    file = pipelines / "small.yaml"
    file.write_text(file.read_text() + NOTIFY)
    return build_dags(pipelines)["small__training"]


def test_every_receiver_has_a_task_after_all_steps(notifying: DAG) -> None:
    assert notifying.get_task("announce").downstream_task_ids == {*TASKS, "close"}
    assert notifying.get_task("close").upstream_task_ids == {*TASKS, "announce"}
    assert set(TASKS) == notifying.task_dict.keys() - BEFORE
    assert notifying.get_task("notify_webhook_2").receiver == {
        "kind": "webhook",
        "conn_id": "deploy",
        "on": ["promoted"],
    }


def test_close_alone_decides_the_runs_state(notifying: DAG) -> None:
    """What it does is tested in test_run_ends.py: it fails when the run failed, or when a receiver was not told."""
    failing = {task.task_id: task.on_failure_fail_dagrun for task in notifying.tasks if task.is_teardown}
    assert failing == {"close": True} | dict.fromkeys(TASKS, False)


def test_a_receiver_is_tried_four_times_ever_more_patiently(notifying: DAG) -> None:
    for task in map(notifying.get_task, TASKS):
        assert (task.retries, task.retry_delay, task.retry_exponential_backoff) == (3, timedelta(seconds=5), 2.0)
        assert task.retry_policy is None
        assert "receiver" not in task.template_fields


def test_the_deadline_tells_the_receivers(notifying: DAG) -> None:
    [deadline] = notifying.deadline
    assert deadline.callback.path == "contender_airflow.delivery.run_is_late"
    kinds = [receiver["kind"] for receiver in deadline.callback.kwargs["receivers"]]
    assert (kinds, deadline.callback.kwargs["deadline"]) == (["email", "webhook", "webhook"], "6h")


def test_what_airflow_stores_of_the_deadline_is_what_it_reads_when_a_run_is_cleared(notifying: DAG) -> None:
    """Airflow 3.3.2 stores a timedelta as an object, and fails to make a timedelta of that: no failed run can be cleared."""
    [deadline] = notifying.deadline
    assert timedelta(seconds=encode_deadline_alert(deadline)["interval"]) == timedelta(hours=6)


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpSink]:
    server = HttpSink()
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", server.connection("/hook"))
    with listening(server):
        yield server


def notify(receiver: dict[str, Any], *, tries: int = 1) -> None:
    """The task of one receiver, on a store that its connection does not lead to, or whose outcome cannot be read."""
    ti = SimpleNamespace(try_number=tries, max_tries=3, log_url="http://airflow/dags/d/runs/r1/tasks/t?try_number=1")
    NotifyOperator(task_id="t", receiver=receiver, pipeline="churn", run_id="r1").execute({"ti": ti})


@pytest.fixture
def broken_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"uri": str(tmp_path), "signing_key": "/key.pem"}
    connection = {"conn_type": "contender_store", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_CONTENDER_STORE", json.dumps(connection))
    outcome = tmp_path / run_key("churn", "r1", "outcome.json")
    outcome.parent.mkdir(parents=True)
    outcome.write_text("{")


@pytest.mark.usefixtures("broken_store")
def test_an_end_that_cannot_be_read_is_read_again_and_then_told_as_failed(http: HttpSink) -> None:
    with pytest.raises(BackendError, match="outcome"):
        notify(HOOK, tries=3)
    assert http.asked == {}
    with pytest.raises(BackendError, match="outcome"):
        notify(HOOK, tries=4)
    [notice] = http.asked["/hook"]
    assert (notice["kind"], notice["sentence"], notice["url"]) == (
        "failed",
        "how the run ended cannot be read from the store (BackendError)",
        "http://airflow/dags/d/runs/r1",
    )


def test_a_store_that_can_never_answer_is_told_at_once(http: HttpSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CONTENDER_STORE", '{"conn_type": "contender_store", "extra": {"uri": "here"}}')
    with pytest.raises(AirflowFailException, match="uri must be an absolute folder or s3"):
        notify(HOOK)
    assert http.asked["/hook"][0]["sentence"].endswith("(ConfigError)")


@pytest.mark.usefixtures("broken_store")
def test_a_deployment_is_not_told_of_an_end_that_cannot_be_read_and_its_task_fails(http: HttpSink) -> None:
    with pytest.raises(BackendError, match="outcome"):
        notify(HOOK | {"on": ["promoted"]}, tries=4)
    assert http.asked == {}


@pytest.mark.usefixtures("broken_store")
def test_a_notice_that_is_sent_again_after_a_rollback_says_so_and_a_deployment_is_not_told(
    http: HttpSink, tmp_path: Path
) -> None:
    """The outcome was written while the version held the title."""
    store, at = LocalStore(tmp_path), datetime(2026, 3, 2, tzinfo=UTC)
    told: dict[str, Any] = {"run_id": "r1", "pipeline": "churn", "state": "success", "decision": "promote"}
    write_document(store, run_key("churn", "r1", "outcome.json"), Outcome(**told, sentence="it wins", promoted="2"))
    ledger = Ledger(store, "churn")
    known: dict[str, Any] = {"as_of": at, "at": at, "by": "ada", "reason": "complaints"}
    before = ledger.append(kind="promotion", version="1", release="a" * 64, run_id="r0", **known)
    own = ledger.append(kind="promotion", version="2", release="b" * 64, run_id="r1", expected=before, **known)
    notify(HOOK | {"on": ["promoted"]})
    ledger.append(kind="rollback", version="1", release="a" * 64, run_id="r0", expected=own, **known)
    with pytest.raises(AirflowSkipException, match="this run is decided, and this receiver wants promoted"):
        notify(HOOK | {"on": ["promoted"]})
    notify(HOOK | {"on": ["decided"]})
    assert [(notice["kind"], notice["version"], notice["sentence"]) for notice in http.asked["/hook"]] == [
        ("promoted", "2", "it wins"),
        ("decided", None, "it wins (version 2 lost the title since, on 2026-03-02: rollback: complaints)"),
    ]
