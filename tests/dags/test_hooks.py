"""What a connection may say of MLflow and the store, and what a refusal repeats of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contender.errors import ConfigError
from contender_airflow.hooks.mlflow import MLflowHook
from contender_airflow.hooks.store import ArtifactStoreHook


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch):
    def set_extra(**extra: str) -> None:
        for kind in ("mlflow", "contender_store"):
            name = "CONTENDER_MLFLOW" if kind == "mlflow" else "CONTENDER_STORE"
            monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": kind, "extra": extra}))

    return set_extra


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "mlruns",
        "/srv/mlruns",
        "file:///srv/mlruns",
        "sqlite:///relative.db",
        "sqlite:////srv/:memory:",
        "sqlite://",
        "databricks",
        "postgresql://bob:hunter2@db/mlflow",
        "mysql://bob:hunter2@db/mlflow",
    ],
)
def test_a_tracking_uri_that_cannot_hold_what_is_written_is_refused_without_its_password(connect, uri: str) -> None:
    connect(tracking_uri=uri)
    with pytest.raises(ConfigError, match=r"^connection contender_mlflow: tracking_uri must be http") as caught:
        _ = MLflowHook().tracking_uri
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["http://mlflow:5000", "sqlite:////srv/mlflow.db", "postgresql+psycopg://bob:pw@db/mlflow"]
)
def test_a_tracking_uri_that_can_is_taken(connect, uri: str) -> None:
    connect(tracking_uri=uri)
    assert MLflowHook().tracking_uri == uri


def test_a_link_for_people_has_no_password_of_the_workers(connect) -> None:
    connect(tracking_uri="https://bob:hunter2@mlflow.example:5000")
    assert MLflowHook().ui_url == "https://mlflow.example:5000"
    connect(tracking_uri="postgresql+psycopg://bob:hunter2@db/mlflow")
    assert MLflowHook().ui_url is None


def test_a_store_is_an_absolute_folder_and_its_key_lies_outside(connect, tmp_path: Path) -> None:
    connect(uri="store", signing_key="key.pem")
    with pytest.raises(ConfigError, match="contender_store: uri must be an absolute path, got 'store'"):
        ArtifactStoreHook().get_conn()
    connect(uri=str(tmp_path), signing_key=f"{tmp_path}/keys/key.pem")
    with pytest.raises(ConfigError, match="signing_key must lie outside the store"):
        _ = ArtifactStoreHook().signing_key
