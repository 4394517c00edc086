"""A real ``mlflow server``, as ``contender up`` starts one, on a free port of the loopback interface."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Server:
    """One that can be killed and started again at the same address.

    Attributes:
        admin: the password of the account ``admin``; then nobody is let in without an account (MLflow's basic-auth).
    """

    backend: str
    folder: Path
    admin: str = ""
    port: int = field(default_factory=_free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Start it, and do not wait for it."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", self.backend]
        command += ["--artifacts-destination", str(self.folder / "served")]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        if self.admin:
            # The page on which people sign up wants Flask-WTF, and nothing else does; no test opens it.
            (self.folder / "flask_wtf").mkdir(exist_ok=True)
            (self.folder / "flask_wtf" / "__init__.py").touch()
            (self.folder / "flask_wtf" / "csrf.py").write_text(_NO_FORMS)
            (self.folder / "auth.ini").write_text(_ACCOUNTS.format(self.folder))
            command += ["--app-name", "basic-auth"]
            environment |= {
                "PYTHONPATH": str(self.folder),
                "MLFLOW_AUTH_CONFIG_PATH": str(self.folder / "auth.ini"),
                "MLFLOW_AUTH_ADMIN_PASSWORD": self.admin,
                "MLFLOW_FLASK_SERVER_SECRET_KEY": "of no account",
            }
        with (self.folder / "server.log").open("ab") as said:
            self._process = subprocess.Popen(
                command, stdout=said, stderr=said, env=environment, cwd=self.folder, start_new_session=True
            )

    def wait(self) -> None:
        """Until it answers."""
        for _ in range(480):
            try:
                if httpx.get(f"{self.url}/health", trust_env=False).is_success:
                    return
            except httpx.HTTPError:
                time.sleep(0.25)
        raise TimeoutError((self.folder / "server.log").read_text())

    def kill(self) -> None:
        """With its workers: they are in a process group of their own."""
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()

    def account(self, name: str, password: str) -> None:
        """An ordinary account: it may make things of its own, and sees nothing of others."""
        made = httpx.post(
            f"{self.url}/api/2.0/mlflow/users/create",
            json={"username": name, "password": password},
            auth=("admin", self.admin),
            trust_env=False,
        )
        made.raise_for_status()


_NO_FORMS = """
class CSRFProtect:
    def init_app(self, app): ...
    def protect(self): ...
"""
_ACCOUNTS = """[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{}/accounts.db
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 600
"""


@contextmanager
def serving(backend: str, folder: Path, admin: str = "") -> Iterator[Server]:
    """A server of a database, until the block ends."""
    server = Server(backend, folder, admin)
    server.start()
    try:
        yield server
    finally:
        server.kill()
