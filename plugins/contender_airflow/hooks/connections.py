"""Airflow's connections as plain values, which is what the core takes."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from contender.errors import ConfigError


def connection_fields(conn_id: str, place: str = "data.source.conn_id") -> dict[str, Any]:
    """A connection's fields.

    :param place: the setting that names the connection, for messages
    :raises ConfigError: there is no such connection.
    """
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise ConfigError(f"{place}: Airflow has no connection {conn_id!r}") from None
    names = ("conn_type", "host", "port", "login", "password", "schema")
    return {name: getattr(connection, name) for name in names} | {"extra": connection.extra_dejson}
