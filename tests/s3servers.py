"""S3 servers on loopback: moto honours conditional writes and believes every signature, rclone does it the other way round."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from contender.s3 import s3_client

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"


@dataclass(frozen=True)
class S3Server:
    """One that runs for this test session."""

    endpoint: str

    def fields(self, **changes: Any) -> dict[str, Any]:
        """The fields of an Airflow connection to it."""
        extra = {"endpoint_url": self.endpoint, "region_name": "us-east-1"}
        return {"conn_type": "aws", "login": KEY, "password": SECRET, "extra": extra} | changes

    def bucket(self) -> str:
        """A bucket of the caller's own."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        s3_client(self.fields()).create_bucket(Bucket=name)
        return name


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    """Honours If-None-Match; checks no signature."""
    port = free_port()
    yield from _serving("moto_server", ["-H", "127.0.0.1", "-p", str(port)], port)


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Checks signatures; overwrites whatever the condition was."""
    port, folder = free_port(), tmp_path_factory.mktemp("rclone")
    options = ["--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}", "--config", str(folder / "rclone.conf")]
    (folder / "data").mkdir()
    yield from _serving("rclone", ["serve", "s3", *options, str(folder / "data")], port)


def free_port() -> int:
    with closing(socket.socket()) as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def _serving(command: str, arguments: list[str], port: int) -> Iterator[S3Server]:
    program = Path(sys.executable).with_name(command)
    if not program.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{command} is not installed beside {sys.executable}; it is in requirements.lock")
        pytest.skip(f"{command} is not installed here")
    process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with closing(socket.socket()) as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, f"{command} ended with {process.returncode}"
            time.sleep(0.05)
        yield S3Server(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()
