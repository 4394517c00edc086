"""What a connection may say of MLflow and the store, and what a refusal repeats of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contender.errors import ConfigError
from contender.release.signing import create_key
from contender_airflow.hooks.mlflow import MLflowHook
from contender_airflow.hooks.store import ArtifactStoreHook
from s3servers import SECRET, S3Server


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
        "bob:p@hunter2@db/mlflow",
        "mlflow:5000?token=hunter2",
        "ftp://mlflow/?token=hunter2",
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


@pytest.mark.parametrize("uri", ["http://bob:hunter2@store/x", "s3://bob:hunter2@lake", "lake?token=hunter2"])
def test_a_store_that_is_refused_is_shown_without_its_password(connect, uri: str) -> None:
    connect(uri=uri)
    with pytest.raises(ConfigError, match="uri must be an absolute folder or s3://bucket/prefix, got") as caught:
        ArtifactStoreHook().get_conn()
    assert "hunter2" not in str(caught.value)


def test_an_account_of_the_connection_reaches_the_client_and_the_address_shows_none(monkeypatch) -> None:
    for uri, fields in (
        ("http://mlflow:5000", {"login": "bob", "password": "hunter2"}),
        ("http://bob:hunter%32@mlflow:5000", {}),
        ("http://eve:other@mlflow:5000", {"login": "bob", "password": "hunter2"}),
    ):
        connection = {"conn_type": "mlflow", "extra": {"tracking_uri": uri}} | fields
        monkeypatch.setenv("AIRFLOW_CONN_CONTENDER_MLFLOW", json.dumps(connection))
        tracking = MLflowHook().get_conn()
        assert (tracking.uri, tracking.ui_url) == ("http://mlflow:5000", "http://mlflow:5000")
        assert tracking._account == ("bob", "hunter2")
        assert "hunter2" not in repr(vars(MLflowHook()))


def test_a_store_is_a_folder_or_a_bucket_and_its_key_lies_outside(connect, tmp_path: Path) -> None:
    connect(uri="store", signing_key="key.pem")
    with pytest.raises(
        ConfigError, match=r"^connection contender_store: uri must be an absolute folder or s3://bucket/"
    ):
        ArtifactStoreHook().get_conn()
    with pytest.raises(ConfigError, match=r"contender_store: signing_key must be an absolute path, got 'key.pem'"):
        _ = ArtifactStoreHook().signing_key
    connect(uri=str(tmp_path), signing_key=f"{tmp_path}/keys/key.pem")
    with pytest.raises(ConfigError, match=r"signing_key must lie outside the store"):
        _ = ArtifactStoreHook().signing_key
    (tmp_path / "elsewhere").symlink_to(tmp_path / "store")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "link.pem").symlink_to(tmp_path / "key.pem")
    for root, key in [("store", "x/../store/key.pem"), ("store", "elsewhere/key.pem"), ("elsewhere", "store/key.pem"),
                      ("x/../store", "store/key.pem"), ("store", "elsewhere/link.pem")]:  # fmt: skip
        connect(uri=f"{tmp_path}/{root}", signing_key=f"{tmp_path}/{key}")
        with pytest.raises(ConfigError, match=r"signing_key must lie outside the store"):
            _ = ArtifactStoreHook().signing_key
    connect(uri="s3://bucket/prefix", signing_key=f"{tmp_path}/key.pem")
    assert ArtifactStoreHook().signing_key == tmp_path / "key.pem"
    assert ArtifactStoreHook().get_conn().url("a") == "s3://bucket/prefix/a"


def test_a_store_in_s3_has_the_keys_of_its_own_connection(connect, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(uri="s3://bucket", conn_id="lake", cache="/fast", cache_gib="5")
    with pytest.raises(ConfigError, match=r"^connection contender_store: conn_id: Airflow has no connection 'lake'$"):
        ArtifactStoreHook().get_conn()
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", "aws://AK:s3cret%2Fkey@/?endpoint_url=http%3A%2F%2Fs3%3A9000")
    settings = ArtifactStoreHook().get_conn().settings
    connection = settings.pop("connection")
    assert settings == {"uri": "s3://bucket", "cache": "/fast", "cache_gib": 5.0}
    assert (connection["login"], connection["password"]) == ("AK", "s3cret/key")
    assert connection["extra"] == {"endpoint_url": "http://s3:9000"}


def test_a_mistyped_extra_is_named(connect) -> None:
    connect(uri="s3://bucket", con_id="lake")
    with pytest.raises(ConfigError, match=r"^connection contender_store: 'con_id' is not understood"):
        ArtifactStoreHook().get_conn()


def test_the_form_tells_whether_runs_can_promote(connect, tmp_path: Path) -> None:
    create_key(tmp_path / "key.pem")
    connect(uri=str(tmp_path / "store"), signing_key=str(tmp_path / "key.pem"))
    told = (True, "0 pipelines in the store; it can tell who was first, so runs can promote")
    assert ArtifactStoreHook().test_connection() == told


def test_the_form_tells_of_a_server_on_which_no_run_can_promote(
    connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rclone: S3Server
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(rclone.fields()))
    connect(uri=f"s3://{rclone.bucket()}", conn_id="lake", signing_key=str(tmp_path / "key.pem"), cache=str(tmp_path))
    works, said = ArtifactStoreHook().test_connection()
    assert not works
    assert "this store cannot decide who was first, so two runs could both take the title" in said
    assert SECRET not in said
