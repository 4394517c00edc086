"""Airflow connections as plain fields. The caller passes a lookup; the default reads Airflow's environment variables."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from contender.errors import ConfigError

#: Maps a connection's id to its fields: conn_type, host, port, login, password, schema, extra (JSON text or a mapping).
Connect = Callable[[str], dict[str, Any]]

_DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mssql": "mssql+pyodbc",
    "sqlite": "sqlite",
}


def from_environment(conn_id: str) -> dict[str, Any]:
    """The fields of the connection in ``AIRFLOW_CONN_<ID>``, which is JSON or a URI.

    Raises:
        ConfigError: the variable is not set, or is neither.
    """
    name = f"AIRFLOW_CONN_{conn_id.upper()}"
    value = os.environ.get(name, "")
    if not value:
        raise ConfigError(f"data.source.conn_id: there is no connection {conn_id!r} here; set {name}")
    try:
        fields: dict[str, Any] = json.loads(value) if value.lstrip().startswith("{") else _parts(value)
    except ValueError:
        raise ConfigError(f"data.source.conn_id: {name} is neither a connection's JSON nor its URI") from None
    return fields


def database_url(conn_id: str, fields: dict[str, Any]) -> str:
    """A SQLAlchemy URL from a connection's fields (conn_type, host, port, login, password, schema, extra).

    Raises:
        ConfigError: no driver is known for its type.
    """
    from sqlalchemy import URL

    kind = str(fields.get("conn_type") or "").partition("+")[0]
    extra = fields.get("extra") or {}
    extra = json.loads(extra) if isinstance(extra, str) else dict(extra)
    driver = extra.pop("sqlalchemy_driver", None) or _DRIVERS.get(kind)
    if driver is None:
        known = ", ".join(sorted(_DRIVERS))
        raise ConfigError(
            f"data.source.conn_id: connection {conn_id!r} is of type {kind!r}, expected one of {known}; for another "
            'database give the extra {"sqlalchemy_driver": "dialect+driver"}'
        )
    if driver == "sqlite":
        return str(URL.create(driver, database=str(fields.get("host") or fields.get("schema") or "")))
    url = URL.create(
        driver,
        username=fields.get("login") or None,
        password=fields.get("password") or None,
        host=fields.get("host") or None,
        port=int(fields["port"]) if fields.get("port") else None,
        database=fields.get("schema") or None,
        query={name: str(value) for name, value in extra.items()},
    )
    return url.render_as_string(hide_password=False)


def fields_of(url: str) -> dict[str, Any]:
    """A SQLAlchemy URL as a connection's fields."""
    from sqlalchemy import make_url

    parts = make_url(url)
    return {
        "conn_type": parts.get_backend_name(),
        "host": parts.database if parts.get_backend_name() == "sqlite" else parts.host,
        "port": parts.port,
        "login": parts.username,
        "password": parts.password,
        "schema": parts.database,
        "extra": {**parts.query, "sqlalchemy_driver": parts.drivername},
    }


def _parts(uri: str) -> dict[str, Any]:
    parts = urlsplit(uri)
    kind, path = parts.scheme.partition("+")[0], unquote(parts.path)
    return {
        "conn_type": kind,
        "host": path[1:] if kind == "sqlite" else unquote(parts.hostname or ""),
        "port": parts.port,
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "schema": "" if kind == "sqlite" else path.lstrip("/"),
        "extra": dict(parse_qsl(parts.query)),
    }
