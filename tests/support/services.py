"""What tests take for themselves of the servers of this machine. Where there is none: in CI a failure, else a skip."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import pytest
import sqlalchemy as sa
from redis import Redis
from redis.exceptions import ConnectionError as RedisIsAway

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def own_database() -> Iterator[str]:
    """The URL of a new PostgreSQL database, which is dropped in the end."""
    server = os.environ.get("CONTENDER_TEST_POSTGRES", "postgresql+psycopg://root@127.0.0.1:5432/postgres")
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 5})
    name = f"contender_{uuid.uuid4().hex[:12]}"
    try:
        with admin.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
    except sa.exc.OperationalError as error:
        missing("PostgreSQL at CONTENDER_TEST_POSTGRES or 127.0.0.1:5432", error)
    try:
        yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


@contextmanager
def own_keys() -> Iterator[tuple[str, str]]:
    """The URL of a Redis, and a prefix for keys of the test's own, which are deleted in the end."""
    url = os.environ.get("CONTENDER_TEST_REDIS", "redis://127.0.0.1:6379/9")
    prefix = f"contender_{uuid.uuid4().hex[:12]}:"
    with Redis.from_url(url, socket_connect_timeout=5) as server:
        try:
            server.ping()
        except RedisIsAway as error:
            missing("Redis at CONTENDER_TEST_REDIS or 127.0.0.1:6379", error)
        try:
            yield url, prefix
        finally:
            for key in server.scan_iter(f"{prefix}*"):
                server.delete(key)


def missing(service: str, error: Exception) -> NoReturn:
    """Raise the error in CI, else skip the test."""
    if os.environ.get("CI"):
        raise error
    pytest.skip(f"no {service}: {str(error)[:120]}")
