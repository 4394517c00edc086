"""Receivers take a notice over real HTTP, or say that they did not, without showing where it went."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from contender.errors import BackendError, ConfigError
from contender.notices import Notice, WebhookReceiver

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTICE = Notice(kind="decided", pipeline="churn", run_id="r1", sentence="promote: it is better")
RECEIVER = WebhookReceiver(kind="webhook", url_env="CHAT_URL", timeout=1)


@contextmanager
def chat(status: int | None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers with a status (None: with no HTTP at all), and what it was sent."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if status is None:
                self.wfile.write(b"nonsense\r\n\r\n")
                return
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/T0K3N", taken
        finally:
            server.shutdown()
            thread.join()


def test_a_notice_arrives_whole_and_with_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    with chat(200) as (url, taken):
        monkeypatch.setenv("CHAT_URL", url)
        RECEIVER.send(NOTICE)
    assert taken == [{**NOTICE.model_dump(), "text": "[churn] promote: it is better"}]


@pytest.mark.parametrize("status", [400, 404, 500, None])
def test_a_receiver_that_does_not_take_a_notice_is_an_error_without_its_url(
    monkeypatch: pytest.MonkeyPatch, status: int | None
) -> None:
    with chat(status) as (url, _):
        monkeypatch.setenv("CHAT_URL", url)
        with pytest.raises(BackendError, match="the receiver behind CHAT_URL did not take the notice") as caught:
            RECEIVER.send(NOTICE)
    assert "T0K3N" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/T0K3N", "http://[T0K3N", "http://127.0.0.1:x/T0K3N", "http://h/T0 K3N\n"]
)
def test_a_url_that_leads_nowhere_is_an_error_without_it(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CHAT_URL", url)
    with pytest.raises(BackendError, match="the receiver behind CHAT_URL did not take the notice") as caught:
        RECEIVER.send(NOTICE)
    assert "T0" not in str(caught.value)


@pytest.mark.parametrize("url", [None, "", "hooks.example/T0K3N", "file:///etc/passwd"])
def test_a_variable_without_a_url_is_named(monkeypatch: pytest.MonkeyPatch, url: str | None) -> None:
    monkeypatch.delenv("CHAT_URL", raising=False)
    if url is not None:
        monkeypatch.setenv("CHAT_URL", url)
    with pytest.raises(ConfigError, match=r"^notify: the environment variable CHAT_URL must hold an http\(s\) URL$"):
        RECEIVER.send(NOTICE)
