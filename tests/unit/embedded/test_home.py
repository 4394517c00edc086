"""What a home holds and what its components are told."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from contender.errors import ConfigError
from contender_airflow.cli.service import ports_in_use
from contender_airflow.embedded.home import Home, Ports, last_error


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose databases are not migrated."""
    monkeypatch.setattr(Home, "_migrate", lambda _: None)
    (tmp_path / "clone" / "dags").mkdir(parents=True)
    (tmp_path / "clone" / "plugins").mkdir()
    return Home(tmp_path / "home", tmp_path / "clone" / "dags")


def test_the_home_is_where_the_environment_says_else_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONTENDER_HOME", raising=False)
    monkeypatch.setenv("CONTENDER_DAGS", "mine")
    assert Home.current() == Home(tmp_path / ".contender", tmp_path / "mine")


def test_only_the_user_can_read_keys_and_passwords(home: Home) -> None:
    home.prepare()
    for path in (home.passwords, home.signing_key, home.root / "keys" / "airflow.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.signing_key.parent.stat().st_mode) == 0o700


def test_preparing_twice_changes_no_secret(home: Home) -> None:
    home.prepare()
    before = (home.password(), home.signing_key.read_bytes(), home.environment(Ports()))
    home.prepare()
    assert (home.password(), home.signing_key.read_bytes(), home.environment(Ports())) == before


def test_without_dags_it_says_what_to_do_and_creates_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"no DAG folder at .*nowhere; .*CONTENDER_DAGS"):
        home.prepare()
    assert not home.root.exists()


def test_airflow_listens_on_loopback_and_asks_for_a_login(home: Home) -> None:
    home.prepare()
    environment = home.environment(Ports(airflow=1234))
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "False"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:1234/execution/"
    assert len(environment["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64
    assert environment["AIRFLOW__CORE__PLUGINS_FOLDER"] == str(home.dags.parent / "plugins")


def test_a_task_waits_for_an_api_server_that_restarts(home: Home) -> None:
    home.prepare()
    environment = home.environment(Ports())
    tries, longest = (
        int(environment[f"AIRFLOW__WORKERS__EXECUTION_API_{name}"]) for name in ("RETRIES", "RETRY_WAIT_MAX")
    )
    waits = [(1 + min(2**number, longest)) / 2 for number in range(tries - 1)]  # of Airflow's client, on average
    assert 60 < sum(waits) < 120


def test_the_connections_lead_into_the_home(home: Home) -> None:
    home.prepare()
    environment = home.environment(Ports(mlflow=5001))
    store = json.loads(environment["AIRFLOW_CONN_CONTENDER_STORE"])
    mlflow = json.loads(environment["AIRFLOW_CONN_CONTENDER_MLFLOW"])
    assert store == {
        "conn_type": "contender_store",
        "extra": {"uri": str(home.store), "signing_key": str(home.signing_key)},
    }
    assert mlflow["extra"] == {"tracking_uri": home.tracking_uri, "ui_url": "http://127.0.0.1:5001"}


def test_mlflow_listens_where_it_did_last_for_airflow_keeps_links_to_it(home: Home) -> None:
    assert home.mlflow_port == 5000
    home.prepare()
    home.remember_mlflow_port(5001)
    assert Home(home.root, home.dags).mlflow_port == 5001
    assert ports_in_use(home).mlflow == 5001


def test_nothing_is_cached_outside_the_home(home: Home) -> None:
    home.prepare()
    environment = home.environment(Ports())
    for name in ("AIRFLOW_HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "_MLFLOW_SERVER_ARTIFACT_ROOT"):
        assert Path(environment[name]).is_relative_to(home.root), name


def test_a_proxy_stays_out_of_the_way_and_the_users_exceptions_stay(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.prepare()
    monkeypatch.setenv("NO_PROXY", "corp.example")
    assert home.environment(Ports())["NO_PROXY"] == "corp.example,127.0.0.1,localhost"


def test_a_home_is_prepared_again_when_a_version_changed(home: Home) -> None:
    home.prepare()
    for path in home._databases:
        path.touch()
    home._stamp.write_text(json.dumps({"apache-airflow": "3.3.1", "mlflow": "3.0"}))
    assert not home.prepared


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("a\nx.y.SomeError: it broke\n(Background at https://)\n", "x.y.SomeError: it broke"),
        ("starting\n\n", "starting"),
        ("", "it said nothing"),
    ],
)
def test_the_last_error_of_a_log_is_its_exception(tmp_path: Path, log: str, said: str) -> None:
    path = tmp_path / "log"
    path.write_text(log)
    assert last_error(path) == said


def test_a_missing_log_said_nothing(tmp_path: Path) -> None:
    assert last_error(tmp_path / "none") == "it said nothing"


def test_the_environment_is_complete_without_the_one_it_is_laid_over(home: Home) -> None:
    home.prepare()
    assert all(isinstance(value, str) for value in home.environment(Ports()).values())
    assert "PATH" not in home.environment(Ports())
    assert os.sep in home.environment(Ports())["CONTENDER_HOME"]
