"""A proxy that breaks what passes: replies that are lost, cut, changed or made up, as networks and servers do."""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Request:
    """What a client asks."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        answer: a status and error code instead of asking the server.
        store: what to make of the request's body before the server gets it.
        lose: the server does its work, but its reply never comes.
        cut: how many bytes of the reply's body come before the connection breaks.
        wait: seconds before anything happens.
        without: headers that the server does not get to see.
    """

    answer: tuple[int, str] | None = None
    store: Callable[[bytes], bytes] | None = None
    lose: bool = False
    cut: int | None = None
    wait: float = 0.0
    without: tuple[str, ...] = ()


@dataclass
class Proxy:
    """Where it listens, whom it asks, which fault it makes of a request, and what it was asked."""

    endpoint: str
    upstream: str
    fault: Callable[[Request], Fault | None] = lambda _: None
    seen: list[Request] = field(default_factory=list)


@contextmanager
def proxy_to(upstream: str, port: int = 0) -> Iterator[Proxy]:
    """A proxy on a port of the loopback interface; 0: a free one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            request = Request(self.command, self.path, dict(self.headers))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            proxy.seen.append(request)
            fault = proxy.fault(request) or Fault()
            time.sleep(fault.wait)
            for name in fault.without:
                del self.headers[name]
            if fault.answer is not None:
                status, code = fault.answer
                said = f"<Error><Code>{code}</Code><Message>made up</Message></Error>".encode()
                self._reply(status, {"Content-Type": "application/xml"}, said, len(said))
                return
            if fault.store is not None:
                body = fault.store(body)
                self.headers.replace_header("Content-Length", str(len(body)))
            try:
                with closing(http.client.HTTPConnection(urlsplit(proxy.upstream).netloc, timeout=60)) as server:
                    server.request(self.command, self.path, body, dict(self.headers))
                    reply = server.getresponse()
                    content = reply.read()
            except (OSError, http.client.HTTPException):  # the server is away, or was killed while it answered
                self.close_connection = True
                return
            if fault.lose:
                self.close_connection = True
                return
            headers = {name: value for name, value in reply.getheaders() if name.lower() not in _OURS}
            length = int(reply.headers["Content-Length"] or 0) if self.command == "HEAD" else len(content)
            self._reply(reply.status, headers, content if fault.cut is None else content[: fault.cut], length)
            self.close_connection = self.close_connection or fault.cut is not None

        do_GET = do_PUT = do_POST = do_PATCH = do_HEAD = do_DELETE = _any  # noqa: N815 - http.server's names

        def _reply(self, status: int, headers: dict[str, str], content: bytes, length: int) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128  # an upload opens ten connections at once, and a busy machine accepts them slowly

    server = Server(("127.0.0.1", port), Handler)
    proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}", upstream)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_OURS = {"content-length", "connection", "transfer-encoding", "server", "date"}
