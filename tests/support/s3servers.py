"""S3 servers on loopback: moto honours conditional writes and believes every signature, rclone does it the other way round."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from contender.aws import s3_client

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"

_ENVIRONMENT = {"MOTO_S3_DEFAULT_MAX_KEYS": "50"}  # so that a listing has pages


@dataclass(frozen=True)
class S3Server:
    """One that runs for this test session."""

    endpoint: str

    def fields(self, **changes: Any) -> dict[str, Any]:
        """The fields of an Airflow connection to it."""
        extra = {"endpoint_url": self.endpoint, "region_name": "us-east-1"}
        return {"conn_type": "aws", "login": KEY, "password": SECRET, "extra": extra} | changes

    @cached_property
    def client(self) -> Any:
        """A client of its own, to look behind the code."""
        return s3_client(self.fields())

    def bucket(self) -> str:
        """A bucket of the caller's own."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        return name


# One request after the other: moto looks whether a key is there and puts it in two steps, and threads could come between.
_MOTO = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=False)
"""


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """Honours If-None-Match; checks no signature; keeps everything in memory."""
    port = free_port()
    yield from _serving("moto_server", [sys.executable, "-c", _MOTO, str(port)], port)


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    """One for all tests of the session."""
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Checks signatures; overwrites whatever the condition was."""
    port, folder = free_port(), tmp_path_factory.mktemp("rclone")
    options = ["--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}", "--config", str(folder / "rclone.conf")]
    (folder / "data").mkdir()
    program = Path(sys.executable).with_name("rclone")
    yield from _serving("rclone", [str(program), "serve", "s3", *options, str(folder / "data")], port)


def free_port() -> int:
    with closing(socket.socket()) as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def _serving(name: str, command: list[str], port: int) -> Iterator[S3Server]:
    if not Path(sys.executable).with_name(name).exists():
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed beside {sys.executable}; it is in requirements.lock")
        pytest.skip(f"{name} is not installed here")
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | _ENVIRONMENT
    )
    try:
        for _ in range(600):
            assert process.poll() is None, f"{name} ended with {process.returncode}"
            if port in _listened(process.pid):  # whoever else answers there is not it
                break
            time.sleep(0.05)
        else:
            pytest.fail(f"{name} does not listen on 127.0.0.1:{port} after 30 seconds")
        yield S3Server(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def _listened(pid: int) -> set[int]:
    """The ports that a process listens on."""
    try:
        return {
            one.laddr.port for one in psutil.Process(pid).net_connections("tcp") if one.status == psutil.CONN_LISTEN
        }
    except psutil.NoSuchProcess:
        return set()
