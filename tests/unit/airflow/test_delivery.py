"""Notices sent with Airflow's own notifiers to real servers on loopback."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from contender.errors import BackendError, ConfigError
from contender.spec.receivers import Notice
from contender_airflow.delivery import deliver, receiver_of, run_is_late
from sinks import HttpSink, MailSink, listening, refusing

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMOTED = Notice(
    kind="promoted",
    pipeline="churn",
    run_id="r1",
    sentence="promote: x < y & {{ conn.chat.host }}",
    version="3",
    url="http://mlflow/#/1",
)
CHAT = {"kind": "slack", "conn_id": "chat"}
HOOK = {"kind": "webhook", "conn_id": "hook"}
HTTP_NOTIFIER = "airflow.providers.http.notifications.HttpNotifier"
MAIL = {"kind": "email", "to": ["a@example.com", "b@example.com"]}


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpSink]:
    server = HttpSink()
    for name in ("chat", "hook"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", server.connection(f"/{name}/T0K3N"))
    with listening(server):
        yield server


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailSink]:
    server = MailSink()
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", server.connection())
    with listening(server):
        yield server


def send(receiver: dict[str, Any], notice: Notice = PROMOTED) -> None:
    deliver(receiver_of(receiver), notice, {})


def test_a_slack_compatible_receiver_gets_one_escaped_text_and_no_template_is_rendered(http: HttpSink) -> None:
    send(CHAT)
    text = "[churn] promote: x &lt; y &amp; {{ conn.chat.host }}\nhttp://mlflow/#/1"
    assert http.asked == {"/chat/T0K3N": [{"text": text}]}


def test_a_webhook_gets_the_notice_with_version_and_model_uri(http: HttpSink) -> None:
    send(HOOK)
    expected = PROMOTED.model_dump() | {"model_uri": "models:/churn/3", "text": PROMOTED.text}
    assert http.asked == {"/hook/T0K3N": [expected]}


def test_a_connections_extras_are_headers(http: HttpSink, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = json.loads(http.connection("/deploy"))
    connection["extra"] = {"Authorization": "Bearer abc"}
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps(connection))
    send(HOOK)
    assert http.headers["/deploy"]["Authorization"] == "Bearer abc"


def test_a_mail_goes_to_every_address_with_one_line_of_subject(mail: MailSink) -> None:
    send(MAIL, PROMOTED.model_copy(update={"sentence": "promote: <b>\r\nBcc: x@example.com " + 200 * "y"}))
    [(recipients, message)] = mail.mails
    assert recipients == ["a@example.com", "b@example.com"]
    assert message["From"] == "contender@example.com"
    assert message["Bcc"] is None
    assert message["Subject"].startswith("[churn] promote: <b> Bcc: x@example.com yyy")
    assert len(message["Subject"]) == 150
    body = message.get_body(("html",)).get_content()
    assert "&lt;b&gt;" in body
    assert '<a href="http://mlflow/#/1">' in body


def test_any_notifier_is_filled_with_the_text(http: HttpSink) -> None:
    arguments = {"http_conn_id": "hook", "json": {"summary": "{text}", "tags": ["ml", "{text}"], "severity": 3}}
    send({"kind": "notifier", "notifier": HTTP_NOTIFIER, "arguments": arguments})
    assert http.asked["/hook/T0K3N"] == [{"summary": PROMOTED.text, "tags": ["ml", PROMOTED.text], "severity": 3}]


@pytest.mark.parametrize("host", ["http://127.0.0.1:{}", "http://127.0.0.1:{}/", "127.0.0.1:{}/services"])
@pytest.mark.parametrize("token", ["services/T0K3N/x?key=S3CR3T", "/services/T0K3N/x?key=S3CR3T"])
def test_the_secret_rest_of_the_url_is_the_password_and_told_nowhere(
    http: HttpSink, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], host: str, token: str
) -> None:
    connection = {"conn_type": "http", "host": host.format(http.server_port), "password": token}
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps(connection))
    send(CHAT)
    [path] = http.asked
    assert path.endswith("services/T0K3N/x?key=S3CR3T")
    http.answers[path] = [404]
    with pytest.raises(BackendError, match=r"slack \(connection chat\) did not take the notice: .*404") as caught:
        send(CHAT)
    assert not [word for word in ("T0K3N", "S3CR3T") if word in f"{caught.value}{capfd.readouterr()}"]


def test_a_token_in_the_host_works_and_is_told_to_belong_into_the_password(
    http: HttpSink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", http.connection("/services/T0K3N12345"))
    send(HOOK)
    assert list(http.asked) == ["/services/T0K3N12345"]
    assert "host of connection 'hook' seems to hold a token" in caplog.text
    assert "T0K3N" not in caplog.text


@pytest.mark.parametrize("status", [301, 400, 404, 500, None])
def test_a_receiver_that_does_not_take_a_notice_is_an_error_that_can_be_retried(
    http: HttpSink, status: int | None
) -> None:
    http.answers["/chat/T0K3N"] = [status]
    with pytest.raises(BackendError, match=r"^notify: slack \(connection chat\) did not take the notice: \w+: "):
        send(CHAT)


@pytest.mark.parametrize("url", ["http://{}/T0K3N", "http://{}/?key=T0K3N", "{}/a/T0K3N"])
def test_a_url_that_leads_nowhere_is_an_error_without_what_is_secret_in_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], url: str
) -> None:
    with refusing() as port:
        host = url.format(f"127.0.0.1:{port}")
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps({"conn_type": "http", "host": host}))
        with pytest.raises(BackendError, match=r"ConnectionError: .*\*\*\*") as caught:
            send(CHAT)
    logged = "".join(capfd.readouterr())
    assert "Max retries exceeded with url: " in logged
    assert "T0K3N" not in f"{caught.value}{logged}"


def test_a_mail_server_that_refuses_or_is_away_is_an_error_that_can_be_retried(
    mail: MailSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail.refuses = True
    with pytest.raises(BackendError, match=r"connection smtp_default\) .*SMTPRecipientsRefused"):
        send(MAIL)
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", mail.connection().replace("127.0.0.1", "127.0.0.1.invalid"))
    with pytest.raises(BackendError, match=r"connection smtp_default\) .*gaierror"):
        send(MAIL)
    assert mail.mails == []


@pytest.mark.parametrize("receiver", [CHAT, HOOK, MAIL])
def test_a_missing_connection_is_named_and_not_retried(receiver: dict[str, Any]) -> None:
    conn_id = receiver.get("conn_id", "smtp_default")
    with pytest.raises(ConfigError, match=f"^notify: Airflow has no connection '{conn_id}'"):
        send(receiver)


def test_a_connection_written_as_a_uri_is_explained_without_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", "https://hooks.example.com/services/T0K3N")
    with pytest.raises(ConfigError, match=r'"password": "the rest of the URL"') as caught:
        send(CHAT)
    assert "T0K3N" not in str(caught.value)


def test_a_notifier_that_cannot_be_made_is_not_retried() -> None:
    with pytest.raises(ConfigError, match=r"^notify: nowhere\.Notifier cannot be made: No module named 'nowhere'"):
        send({"kind": "notifier", "notifier": "nowhere.Notifier"})
    with pytest.raises(ConfigError, match="unexpected keyword argument 'flavour'"):
        send({"kind": "notifier", "notifier": HTTP_NOTIFIER, "arguments": {"flavour": 1}})


def late(state: str, *receivers: dict[str, Any]) -> None:
    context = {"dag_run": {"dag_id": "churn__training", "dag_run_id": "r1", "state": state}}
    asyncio.run(run_is_late("churn", list(receivers), "6h", context))


def test_a_late_run_is_told_to_every_receiver_that_wants_it_before_a_dead_one_is_an_error(
    http: HttpSink, mail: MailSink
) -> None:
    http.answers["/chat/T0K3N"] = [500]
    deploy = {"kind": "webhook", "conn_id": "hook", "on": ["promoted"]}
    with pytest.raises(BackendError, match="connection chat"):
        late("running", CHAT, deploy, MAIL)
    [(_, message)] = mail.mails
    assert message["Subject"] == "[churn] run r1 is not done 6h after it was queued"
    assert list(http.asked) == ["/chat/T0K3N"]


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_run_that_has_ended_is_not_late(http: HttpSink, state: str) -> None:
    """Airflow misses the deadline also of a run that failed long before it."""
    late(state, CHAT)
    assert http.asked == {}
