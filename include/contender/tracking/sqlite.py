"""MLflow's database as one SQLite file, made for several writers: MLflow itself only waits for a lock."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

_PREFIX = "sqlite:///"
_tuned: set[str] = set()


def path_of(uri: str) -> Path | None:
    """The file behind a tracking URI, if it is one."""
    return Path(uri.removeprefix(_PREFIX)) if uri.startswith(_PREFIX) else None


def create(uri: str, artifacts: str) -> None:
    """The file with its tables, of the installed MLflow's version. One process at a time: migrations bear no company.

    In write-ahead mode readers and the writer do not block each other. The mode stays with the file.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(uri, artifacts).engine.dispose()  # type: ignore[no-untyped-call]
    write_ahead(Path(uri.removeprefix(_PREFIX)))


def write_ahead(path: Path) -> None:
    """Switch the file to write-ahead mode, for good."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def tune(path: Path) -> None:
    """From now on this process's connections to the file wait for the disk at checkpoints, not at every commit.

    After a power cut the last commits may be missing, in write-ahead mode nothing worse; they are mended from the store.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    _tuned.add(str(path.resolve()))
    if not event.contains(Engine, "connect", _connected):
        event.listen(Engine, "connect", _connected)


def _connected(connection: Any, _: object) -> None:
    """Called for each new connection of any engine; others than ours stay as they are."""
    if not isinstance(connection, sqlite3.Connection):
        return
    [file] = [row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main"]
    if file in _tuned and connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
        connection.execute("PRAGMA synchronous=NORMAL")


if __name__ == "__main__":
    create(*sys.argv[1:])
