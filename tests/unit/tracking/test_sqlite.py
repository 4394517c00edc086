"""MLflow's SQLite file: set up for several writers, and no other file is touched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from contender.tracking import sqlite
from contender.tracking.runs import Tracking

FULL, NORMAL = 2, 1


def pragma(path: Path, name: str) -> object:
    """As an engine's own new connection sees it."""
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        value = connection.execute(sa.text(f"PRAGMA {name}")).scalar()
    engine.dispose()
    return value


def test_only_a_sqlite_uri_names_a_file() -> None:
    assert sqlite.path_of("sqlite:////a/b.db") == Path("/a/b.db")
    assert sqlite.path_of("http://localhost:5000") is None
    assert sqlite.path_of("postgresql+psycopg://h/d") is None


def test_a_new_database_has_its_tables_and_is_in_write_ahead_mode(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    sqlite.create(f"sqlite:///{path}", str(tmp_path / "artifacts"))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT name FROM experiments").fetchall() == [("Default",)]
    assert not path.with_name("mlflow.db-wal").exists()  # nothing is open any more


def test_commits_to_our_file_do_not_wait_for_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    sqlite.write_ahead(path)
    assert pragma(path, "synchronous") == FULL
    assert Tracking(f"sqlite:///{path}").client
    assert pragma(path, "synchronous") == NORMAL


def test_other_files_of_the_process_stay_as_they_are(tmp_path: Path) -> None:
    ours, other = tmp_path / "mlflow.db", tmp_path / "airflow.db"
    for path in (ours, other):
        sqlite.write_ahead(path)
    sqlite.tune(ours)
    assert pragma(other, "synchronous") == FULL
    assert sa.create_engine("sqlite://").connect().execute(sa.text("PRAGMA synchronous")).scalar() == FULL


def test_without_write_ahead_every_commit_is_on_the_disk(tmp_path: Path) -> None:
    """A rollback journal may be corrupted by a power cut otherwise."""
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a)")
    sqlite.tune(path)
    assert pragma(path, "synchronous") == FULL


@pytest.mark.parametrize("times", [1, 3])
def test_a_file_reached_by_a_link_is_the_same_file(tmp_path: Path, times: int) -> None:
    path, link = tmp_path / "mlflow.db", tmp_path / "link.db"
    sqlite.write_ahead(path)
    link.symlink_to(path)
    for _ in range(times):
        sqlite.tune(link)
    assert pragma(link, "synchronous") == NORMAL
