"""Sends notices to receivers with Airflow's notifiers; also the one notice that no task can send: a run is late."""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret
from pydantic import TypeAdapter

from contender.errors import BackendError, ConfigError
from contender.run.freeze import safe_id
from contender.spec.receivers import AnyReceiver, Notice
from contender.telling import first_line, raised, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_TOKEN = 8  # characters; a step of a path as long and with a digit may be a token
_logger = logging.getLogger(__name__)


def receiver_of(document: dict[str, Any]) -> AnyReceiver:
    """A receiver from its JSON."""
    receiver: AnyReceiver = TypeAdapter(AnyReceiver).validate_python(document)
    return receiver


def deliver(receiver: AnyReceiver, notice: Notice, context: Mapping[str, Any]) -> None:
    """Send one notice to one receiver.

    ``notifier.notify`` sends it as it is. Calling the notifier would first render the notice as a Jinja template, and a
    notice quotes what users typed.

    :raises ConfigError: the connection or the notifier is missing, or does not fit.
    :raises BackendError: the receiver did not take the notice.
    """
    path, arguments = receiver.notifier_for(notice)
    conn_id = getattr(receiver, "conn_id", None)
    secrets: list[str] = []
    if conn_id is not None:
        connection = _connection(conn_id)
        secrets = _secrets(connection)
        if "http_conn_id" in arguments and connection.password and not connection.login:
            arguments = {**arguments, "endpoint": connection.password}
    module, _, name = path.rpartition(".")
    try:
        notifier = getattr(importlib.import_module(module), name)(**arguments)
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(f"notify: {path} cannot be made: {raised(error)}") from None
    if secrets:  # a hook logs its URL to the worker's own output too, where Airflow masks nothing
        notifier.hook._log = _MaskedLog(notifier.hook.log, secrets)  # noqa: SLF001 - Airflow's LoggingMixin reads it
    try:
        notifier.notify(context)
    except Exception as error:  # noqa: BLE001 - a notifier raises what its client raises
        where, said = path.rpartition(".")[2], raised(error)  # with what secrets it was made is not known
        if conn_id is not None:
            where = f"connection {conn_id}"
            said = f"{type(error).__name__}: {without_secrets(_without(secrets, first_line(error)))}"
        raise BackendError(f"notify: {receiver.kind} ({where}) did not take the notice: {said}") from None


async def run_is_late(pipeline: str, receivers: list[dict[str, Any]], deadline: str, context: Any = None) -> None:
    """The callback of the DAG's deadline. Airflow calls it also for a run that failed long before, which is not late.

    :raises ContenderError: a receiver did not take the notice; it is sent to all others first.
    """
    run = (context or {}).get("dag_run") or {}
    if await asyncio.to_thread(_state, run) in ("success", "failed"):
        return
    run_id = str(run.get("dag_run_id", "unknown"))
    sentence = f"run {run_id} is not done {deadline} after it was queued"
    late = Notice(kind="late", pipeline=pipeline, run_id=safe_id(run_id), sentence=sentence)
    wanting = [receiver for receiver in map(receiver_of, receivers) if receiver.choose([late]) is not None]
    sent = (asyncio.to_thread(deliver, receiver, late, context or {}) for receiver in wanting)
    errors = [error for error in await asyncio.gather(*sent, return_exceptions=True) if error is not None]
    if errors:
        raise errors[0]


def _state(run: Mapping[str, Any]) -> Any:
    """The run's state now. The context's is of when the deadline passed; the triggerer may have been down since."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    try:
        return RuntimeTaskInstance.get_dagrun_state(dag_id=run["dag_id"], run_id=run["dag_run_id"])
    except Exception:  # noqa: BLE001 - a notice too many is better than none
        return run.get("state")


class _MaskedLog:
    """Stands in for a hook's logger and masks the secrets in every message."""

    def __init__(self, log: Any, secrets: list[str]) -> None:
        self._log = log
        self._secrets = secrets

    def __getattr__(self, level: str) -> Callable[..., Any]:
        log = getattr(self._log, level)
        return lambda event, *args: log("%s", _without(self._secrets, str(event) % args if args else str(event)))


def _without(secrets: list[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _connection(conn_id: str) -> Any:
    """The connection of a receiver.

    :raises ConfigError: there is none, or its URL is not in the fields that notifiers read.
    """
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise ConfigError(f"notify: Airflow has no connection {conn_id!r}; add it (Admin, Connections)") from None
    if connection.schema not in (None, "", "http", "https"):
        msg = (
            f"notify: connection {conn_id!r} is written as a URI, of which Airflow takes the path for a schema; write it "
            'as JSON: {"conn_type": "http", "host": "https://hooks.example.com", "password": "the rest of the URL"}'
        )
        raise ConfigError(msg)
    return connection


def _secrets(connection: Any) -> list[str]:
    """What of a connection may be a token: the password, and path and query of the host. Airflow masks them, too.

    A token in the host is told: whoever may list connections reads it in clear, and Airflow does not know it before.
    """
    host = connection.host or ""
    url = urlsplit(host if "://" in host else f"//{host}")
    parts = [part for part in (url.path, url.query) if part.strip("/")]
    if url.query or any(len(step) >= _TOKEN and re.search(r"\d", step) for step in url.path.split("/")):
        _logger.warning(
            "notify: the host of connection %r seems to hold a token, which everybody who may see connections reads; let "
            "the host be https://%s and the password the rest of the URL",
            connection.conn_id,
            url.hostname,
        )
    for part in filter(None, (connection.password, unquote(url.password or ""))):
        parts += [part, part.strip("/")]
    secrets = {form for part in parts for form in (part, unquote(part), quote(part), quote(part, safe=""))}
    for secret in secrets:
        mask_secret(secret)
    return sorted(secrets, key=len, reverse=True)  # a longer one may begin with a shorter one
