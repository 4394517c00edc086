"""Sending notices with Airflow's notifiers, and the notice that no task can send: a run is late."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret
from pydantic import TypeAdapter

from contender.errors import BackendError, ConfigError
from contender.notices import AnyReceiver, Notice
from contender.run import safe_id

if TYPE_CHECKING:
    from collections.abc import Mapping


def receiver_of(document: dict[str, Any]) -> AnyReceiver:
    """A receiver from its JSON."""
    receiver: AnyReceiver = TypeAdapter(AnyReceiver).validate_python(document)
    return receiver


def deliver(receiver: AnyReceiver, notice: Notice, context: Mapping[str, Any]) -> None:
    """Send one notice to one receiver.

    The notifier is not called but asked to ``notify``: calling it would render the notice as a template, and a notice
    quotes what users typed.

    :raises ConfigError: the connection or the notifier is not there, or does not fit.
    :raises BackendError: the receiver did not take the notice.
    """
    path, arguments = receiver.notifier_for(notice)
    conn_id = getattr(receiver, "conn_id", None)
    if conn_id is not None:
        _check_connection(conn_id)
    module, _, name = path.rpartition(".")
    try:
        notifier = getattr(importlib.import_module(module), name)(**arguments)
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(f"notify: {path} cannot be made: {error}") from None
    try:
        notifier.notify(context)
    except Exception as error:  # noqa: BLE001 - notifiers raise whatever their client raises
        where = path.rpartition(".")[2] if conn_id is None else f"connection {conn_id}"
        msg = f"notify: {receiver.kind} ({where}) did not take the notice: {type(error).__name__}: {str(error)[:300]}"
        raise BackendError(msg) from None


def run_is_late(pipeline: str, receivers: list[dict[str, Any]], deadline: str, context: Any = None) -> None:
    """What the deadline calls when it has passed; Airflow calls it also for a run that failed long before.

    :raises ContenderError: a receiver did not take the notice; those after it are still told first.
    """
    run = (context or {}).get("dag_run") or {}
    if run.get("state") in ("success", "failed"):
        return
    run_id = str(run.get("dag_run_id", "unknown"))
    sentence = f"run {run_id} is not done {deadline} after it was queued"
    late = Notice(kind="late", pipeline=pipeline, run_id=safe_id(run_id), sentence=sentence)
    errors = []
    for receiver in map(receiver_of, receivers):
        try:
            if receiver.choose([late]) is not None:
                deliver(receiver, late, context or {})
        except Exception as error:  # noqa: BLE001 - every receiver is told before the first failure is raised
            errors.append(error)
    if errors:
        raise errors[0]


def _check_connection(conn_id: str) -> None:
    """See that the connection is there, and keep what is secret about its URL out of the log."""
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise ConfigError(f"notify: Airflow has no connection {conn_id!r}; add it (Admin, Connections)") from None
    url = urlsplit(connection.host or "")
    for secret in (connection.schema or "", url.path, url.query):
        if "/" in secret or secret == url.query:
            mask_secret(secret)
    if connection.schema not in (None, "", "http", "https"):
        msg = (
            f"notify: connection {conn_id!r} is written as a URI, of which Airflow takes the path for a schema; write it "
            'as JSON with the whole URL as host: {"conn_type": "http", "host": "https://..."}'
        )
        raise ConfigError(msg)
