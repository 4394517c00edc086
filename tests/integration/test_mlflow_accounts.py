"""An MLflow that lets in accounts only (``--app-name basic-auth``), asked by an ordinary one that sees only what it made."""

from __future__ import annotations

import json
import os
import time
import warnings
from typing import TYPE_CHECKING, Any

import mlflow
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from builders import AS_OF, make_table, write_parquet
from contender.adopt import Request, adopt_model
from contender.backends import Backends
from contender.errors import ConfigError
from contender.release.signing import create_key
from contender.release.title import rollback
from contender.release.verify import verify_version as verified_in_a_fresh_process
from contender.store.ledger import Ledger
from contender.store.local import LocalStore
from contender.tracking.access import MLflowRefused
from contender.tracking.models import champion_alias
from contender.tracking.runs import Tracking
from contender_airflow.hooks.mlflow import MLflowHook
from faultproxy import proxy_to
from life import through
from mlflowserver import Server, serving
from steps import LATER, timed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here", "no_report")]

PASSWORD = "p@ss/w:rd?#%1-of-ann"  # noqa: S105 - of no account


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("accounts")
    with serving(f"sqlite:///{folder}/mlflow.db", folder, admin="password-of-the-admin") as started:
        started.account("ann", PASSWORD)
        started.account("bob", "password-of-bob")
        yield started


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")  # to be what it was afterwards


def connected(monkeypatch: pytest.MonkeyPatch, uri: str, *, in_uri: bool = False, **account: str) -> Tracking:
    """What a task gets of an Airflow connection."""
    monkeypatch.setenv(
        "AIRFLOW_CONN_CONTENDER_MLFLOW",
        json.dumps({"conn_type": "mlflow", "extra": {"tracking_uri": uri}} | ({} if in_uri else account)),
    )
    return MLflowHook().get_conn()


def test_an_ordinary_account_gets_a_champion_adopts_and_rolls_back_and_its_password_is_nowhere(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    create_key(tmp_path / "key.pem")
    write_parquet(tmp_path / "lake" / "a.parquet", make_table(900, until=LATER, days=90))
    tracking = connected(monkeypatch, server.url, login="ann", password=PASSWORD)
    backends = Backends(LocalStore(tmp_path / "store"), tracking, tmp_path / "key.pem")
    run = timed(tmp_path / "lake")
    assert through(run, backends).outcome == "promote"
    first = Ledger(backends.store, "churn").champion()
    assert first is not None
    assert first.version == champion_alias(tracking, "churn")
    verified_in_a_fresh_process(backends, "churn", "r1", first.version or "")  # finds login and password, too

    rows = pd.read_parquet(tmp_path / "lake")
    mlflow.set_experiment("theirs")
    with mlflow.start_run(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        info = mlflow.sklearn.log_model(
            LogisticRegression().fit(rows[["x", "noise"]], rows["y"]),
            name="model",
            registered_model_name="churn",
            pip_requirements=["scikit-learn"],
        )
    mlflow.set_tracking_uri(tracking.uri)
    asked = Request(as_of=AS_OF, by="ann", through=AS_OF.replace(month=1), reason="by hand", model=info.model_uri)
    adopted = adopt_model(backends, run.spec, asked)
    assert adopted.entry.version == champion_alias(tracking, "churn") != first.version
    back = rollback(backends, "churn", version=first.version or "", reason="it was better", by="ann")
    assert back.version == champion_alias(tracking, "churn") == first.version

    assert tracking.run_url("churn", tracking.run_id(run)).startswith(f"{server.url}/#/")  # type: ignore[union-attr]
    said = caplog.text + "".join(capfd.readouterr()) + (server.folder / "server.log").read_text()
    assert said
    assert PASSWORD not in said
    files = [path for folder in (tmp_path / "store", server.folder) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


def test_an_account_without_rights_on_the_pipelines_model_is_told_so_before_the_ledger_says_anything(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob's MLflow has a registered model that ann made: he may neither see nor change it."""
    connected(monkeypatch, server.url, login="ann", password=PASSWORD).client.create_registered_model("loans")
    create_key(tmp_path / "key.pem")
    write_parquet(tmp_path / "lake" / "a.parquet", make_table(900, until=LATER, days=90))
    tracking = connected(monkeypatch, server.url, login="bob", password="password-of-bob")  # noqa: S106 - of no account
    backends = Backends(LocalStore(tmp_path / "store"), tracking, tmp_path / "key.pem")
    with pytest.raises(MLflowRefused, match=r"answers 403: the account may not do that, or .* give it MANAGE"):
        through(timed(tmp_path / "lake", name="loans"), backends)
    assert Ledger(backends.store, "loans").entries() == ()


@pytest.mark.parametrize(
    ("account", "message"),
    [
        ({"login": "ann", "password": "hunter2-hunter2"}, r"answers 401: it does not know this account; set login and"),
        ({}, r"answers 401: it does not know this account; set login and password"),
        ({"login": "bob", "password": "password-of-bob"}, r"answers 403: the account may not do that, or what it asks"),
    ],
)  # fmt: skip
def test_what_mlflow_refuses_is_named_with_the_next_move_and_asked_once(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, account: dict[str, str], message: str
) -> None:
    theirs = connected(monkeypatch, server.url, login="ann", password=PASSWORD).client
    if theirs.get_experiment_by_name("anns") is None:
        theirs.create_experiment("anns")
    with proxy_to(server.url) as proxy:
        tracking = connected(monkeypatch, proxy.endpoint, **account)
        began = time.monotonic()
        with pytest.raises(ConfigError, match=message) as caught:
            tracking.run_id(timed(tmp_path, name="anns"))
        assert time.monotonic() - began < 20
        assert len(proxy.seen) == 1
    assert proxy.endpoint in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_server_that_is_no_mlflow_is_named(monkeypatch: pytest.MonkeyPatch, moto: Any) -> None:
    tracking = connected(monkeypatch, f"{moto.endpoint}/mlflow")
    with pytest.raises(MLflowRefused, match=r"answers 40[34]: .*|not in a valid JSON"):
        tracking.experiment("churn")


def test_an_account_in_the_address_is_taken_out_of_it_and_forgotten_for_another_server(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = server.url.removeprefix("http://")
    tracking = connected(monkeypatch, f"http://bob:password%2Dof-bob@{host}", in_uri=True)
    assert tracking.client.search_experiments(max_results=1) is not None
    assert (tracking.uri, tracking.ui_url) == (server.url, server.url)
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "password-of-bob"  # noqa: S105 - of no account
    assert connected(monkeypatch, server.url).client is not None
    assert "MLFLOW_TRACKING_PASSWORD" not in os.environ
    with pytest.raises(ConfigError, match=r"cannot be read; let the connection have login and password") as caught:
        connected(monkeypatch, f"http://bob:hunter2/hunter3@{host}", in_uri=True)
    assert "hunter" not in str(caught.value)
