"""Which store a command works on. The database of another Airflow is asked for real in ``test_run_ends.py``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from contender.errors import ConfigError
from contender_airflow.cli import places


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a home, and an environment without an Airflow."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW", "CONTENDER"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_any_airflow_it_is_the_home_of_this_folder(bare: Path) -> None:
    assert places.described() == f"the home {bare}/.contender"


def test_an_airflow_that_is_configured_here_is_asked_unless_there_is_a_home(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(bare / "theirs"))
    assert places.described() == f"the home {bare}/.contender"
    (bare / "theirs").mkdir()
    (bare / "theirs" / "airflow.cfg").touch()
    theirs = f"the connection contender_store of the Airflow in {bare}/theirs"
    assert places.described() == theirs
    (bare / ".contender").mkdir()
    assert places.described() == f"the home {bare}/.contender"
    monkeypatch.setenv("AIRFLOW_CONN_CONTENDER_STORE", "{}")
    assert places.described() == theirs


def test_a_database_in_the_environment_is_an_airflow_too_and_a_named_home_goes_before_it(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD", "cat /run/secrets/db")
    assert "of the Airflow in" in places.described()
    monkeypatch.setenv("CONTENDER_HOME", str(bare / "mine"))
    assert places.described() == f"the home {bare}/mine"


@pytest.mark.usefixtures("bare")
def test_where_no_airflow_runs_on_a_home_no_run_goes_on_and_another_airflow_is_asked_only_at_its_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with places.airflow() as asked:
        assert asked("churn", "r1") == "stopped"
    monkeypatch.setenv("AIRFLOW_CONN_CONTENDER_STORE", "{}")
    with places.airflow() as asked:
        assert asked("churn", "r1") is None
    with pytest.raises(ConfigError, match="CONTENDER_AIRFLOW_TOKEN"), places.airflow("http://airflow.example"):
        pass
