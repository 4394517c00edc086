"""A database's address comes from a connection, in every form that Airflow takes, and is in no message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contender.data.reading.connections import database_url, fields_of, from_environment
from contender.errors import ConfigError

JSON = json.dumps(
    {"conn_type": "postgres", "host": "db", "port": 5433, "login": "ann", "password": "p@ss/word", "schema": "shop"}
)


@pytest.mark.parametrize(
    "value",
    [
        JSON,
        "postgres://ann:p%40ss%2Fword@db:5433/shop",
        "postgresql://ann:p%40ss%2Fword@db:5433/shop",
        "postgresql+psycopg://ann:p%40ss%2Fword@db:5433/shop",
    ],
)
def test_every_way_to_write_a_connection_is_one_url(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DB", value)
    assert database_url("shop_db", from_environment("shop_db")) == "postgresql+psycopg://ann:p%40ss%2Fword@db:5433/shop"


@pytest.mark.parametrize("value", ["sqlite:////data/shop.db", '{"conn_type": "sqlite", "host": "/data/shop.db"}'])
def test_a_sqlite_file_is_a_database(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DB", value)
    assert database_url("shop_db", from_environment("shop_db")) == "sqlite:////data/shop.db"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://ann:p%40ss@db:5433/shop?sslmode=require",
        "sqlite:////data/shop.db",
        "mssql+pyodbc://db/shop?driver=ODBC+18",
    ],
)
def test_a_database_url_is_a_connection_and_back(url: str) -> None:
    assert database_url("shop_db", fields_of(url)) == url


def test_another_database_names_its_driver() -> None:
    fields = {"conn_type": "trino", "host": "t", "extra": '{"sqlalchemy_driver": "trino", "http_scheme": "https"}'}
    assert database_url("lake", fields) == "trino://t?http_scheme=https"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "there is no connection 'shop_db' here; set AIRFLOW_CONN_SHOP_DB"),
        ("{not json", "AIRFLOW_CONN_SHOP_DB is neither"),
        ('{"conn_type": "ftp", "password": "s3cret"}', "is of type 'ftp', expected one of mssql, mysql"),
    ],
)
def test_a_connection_that_cannot_be_used_is_named_without_its_secret(
    monkeypatch: pytest.MonkeyPatch, value: Any, message: str
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SHOP_DB", raising=False)
    if value is not None:
        monkeypatch.setenv("AIRFLOW_CONN_SHOP_DB", value)
    with pytest.raises(ConfigError) as caught:
        database_url("shop_db", from_environment("shop_db"))
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)
