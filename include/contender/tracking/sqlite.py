"""MLflow's database as one SQLite file, set up for several writers. MLflow itself does nothing but wait for a lock.

``python -m contender.tracking.sqlite URI ARTIFACTS`` creates the file.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

_PREFIX = "sqlite:///"
_tuned: set[str] = set()  # absolute paths of the files that ``tune`` was called for


def path_of(uri: str) -> Path | None:
    """The database file of a ``sqlite:///`` tracking URI; None for any other URI."""
    return Path(uri.removeprefix(_PREFIX)) if uri.startswith(_PREFIX) else None


def create(uri: str, artifacts: str) -> None:
    """Create the file with the tables of the installed MLflow. Two processes at once would break its migrations.

    The file is switched to write-ahead mode, in which readers and the writer do not block each other.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(uri, artifacts).engine.dispose()  # type: ignore[no-untyped-call]
    write_ahead(Path(uri.removeprefix(_PREFIX)))


def write_ahead(path: Path) -> None:
    """Switch the file to write-ahead mode. The mode is stored in the file and stays."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def tune(path: Path) -> None:
    """Make this process's new connections to the file flush to disk at checkpoints instead of at every commit.

    In write-ahead mode a power cut can then lose the last commits, but not corrupt the file; the lost runs are shown
    again from the store.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    _tuned.add(str(path.resolve()))
    if not event.contains(Engine, "connect", _on_connect):
        event.listen(Engine, "connect", _on_connect)


def _on_connect(connection: Any, _: object) -> None:
    """Set the flush mode of a new connection. SQLAlchemy calls it for every engine; only tuned files are changed."""
    if not isinstance(connection, sqlite3.Connection):
        return
    [file] = [row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main"]
    if file in _tuned and connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
        connection.execute("PRAGMA synchronous=NORMAL")


if __name__ == "__main__":
    create(*sys.argv[1:])
