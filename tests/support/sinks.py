"""Receivers of notices on loopback: an HTTP server and an SMTP server that keep what they are sent."""

from __future__ import annotations

import email
import json
import socket
import socketserver
import threading
from collections import defaultdict
from contextlib import contextmanager
from email import policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage


class HttpSink(ThreadingHTTPServer):
    """Answers each path with the statuses it is given, the last one for ever; 200 where none are given."""

    def __init__(self) -> None:
        self.answers: dict[str, list[int | None]] = {}
        self.asked: dict[str, list[Any]] = defaultdict(list)
        self.headers: dict[str, dict[str, str]] = {}
        super().__init__(("127.0.0.1", 0), _HttpHandler)

    def connection(self, path: str) -> str:
        """The Airflow connection to a path."""
        return json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{self.server_port}{path}"})


class _HttpHandler(BaseHTTPRequestHandler):
    server: HttpSink

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        statuses = self.server.answers.get(self.path, [200])
        self.server.headers[self.path] = dict(self.headers)
        self.server.asked[self.path].append(body)
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        if status is None:  # no HTTP at all
            self.wfile.write(b"nonsense\r\n\r\n")
            return
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class MailSink(socketserver.ThreadingTCPServer):
    """Takes every mail, or refuses each recipient."""

    daemon_threads = True

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.refuses = False
        super().__init__(("127.0.0.1", 0), _MailHandler)

    def connection(self, sender: str | None = "contender@example.com") -> str:
        """The Airflow connection to it."""
        extra = {"disable_ssl": True, "disable_tls": True, "from_email": sender, "retry_limit": 0}
        port = self.server_address[1]
        return json.dumps({"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra})


class _MailHandler(socketserver.StreamRequestHandler):
    server: MailSink

    def handle(self) -> None:
        recipients: list[str] = []
        self.wfile.write(b"220 sink\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"RCPT":
                recipients.append(line.decode().partition("<")[2].partition(">")[0])
            if word == b"RCPT" and self.server.refuses:
                self.wfile.write(b"550 nobody here\r\n")
            elif word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                text = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.mails.append((recipients, email.message_from_bytes(text, policy=policy.default)))
                self.wfile.write(b"250 taken\r\n")
            else:
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")


@contextmanager
def refusing() -> Iterator[int]:
    """A port that is taken and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@contextmanager
def listening(server: socketserver.BaseServer) -> Iterator[None]:
    """While in here, the server answers."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
