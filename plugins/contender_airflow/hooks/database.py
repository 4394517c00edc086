"""Airflow's connections to databases, as the core takes them."""

from __future__ import annotations

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from contender.data.connections import database_url
from contender.errors import ConfigError


def database_url_of(conn_id: str) -> str:
    """The SQLAlchemy URL behind a connection.

    :raises ConfigError: there is no such connection, or none with a known driver.
    """
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise ConfigError(f"data.source.conn_id: Airflow has no connection {conn_id!r}") from None
    names = ("conn_type", "host", "port", "login", "password", "schema")
    return database_url(
        conn_id, {name: getattr(connection, name) for name in names} | {"extra": connection.extra_dejson}
    )
