"""Opens a home that an earlier version of Contender left behind: unpacked, put into its new place, its store reachable."""

from __future__ import annotations

import sqlite3
import tarfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contender.backends import Backends

if TYPE_CHECKING:
    from s3servers import S3Server

PLACE = (
    "@CONTENDER_HOME@"  # stands in the archived MLflow database where the home's folder stood: it keeps absolute paths
)
PIPELINE = "churn"
PREFIX = "prod"  # of the store's keys in a bucket


@dataclass(frozen=True)
class OldHome:
    """An opened home.

    Attributes:
        root: what ``CONTENDER_HOME`` must be: the pipeline's source is below ``${CONTENDER_HOME}``.
        store: the store's settings, as ``open_store`` takes them.
    """

    root: Path
    store: dict[str, Any]

    @property
    def spec_file(self) -> Path:
        return self.root / "dags" / "pipelines" / f"{PIPELINE}.yaml"

    @property
    def database(self) -> Path:
        return self.root / "mlflow" / "mlflow.db"

    @property
    def signing_key(self) -> Path:
        return self.root / "keys" / "release_ed25519.pem"

    def connect(self) -> Backends:
        """New ones each time: MLflow resolves ``models:/`` by a global URI, which the newest client has set."""
        return Backends.connect(
            store=self.store, tracking_uri=f"sqlite:///{self.database}", signing_key=str(self.signing_key)
        )


def home_at(root: Path, server: S3Server | None = None) -> OldHome:
    """The home in a folder, its store in there or in a new bucket of the server."""
    if server is None:
        return OldHome(root, {"uri": str(root / "store")})
    uri, cache = f"s3://{server.bucket()}/{PREFIX}", root.with_name(f"{root.name}-cache")
    return OldHome(root, {"uri": uri, "connection": server.fields(), "cache": str(cache)})


def open_home(archive: Path, into: Path, server: S3Server | None = None) -> OldHome:
    """Unpack an archive into an empty folder.

    Args:
        server: where the store goes of a home that had it in a bucket, into a bucket of its own.
    """
    with tarfile.open(archive) as packed:
        packed.extractall(into, filter="data")
    home = home_at(into.resolve(), server)
    relocate(home.database, PLACE, str(home.root))
    bucket = home.root / "bucket"
    assert (server is not None) == bucket.exists(), f"{archive.name}: a server goes with a store in a bucket"
    if server is not None:
        for path in sorted(bucket.rglob("*")):
            if path.is_file():
                key = f"{PREFIX}/{path.relative_to(bucket).as_posix()}"
                server.client.put_object(Bucket=home.store["uri"].split("/")[2], Key=key, Body=path.read_bytes())
    return home


def relocate(database: Path, old: str, new: str) -> None:
    """Put one folder in the place of another, in whatever text of the database has it."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for _, column, *_ in connection.execute(f'PRAGMA table_info("{table}")').fetchall():
                connection.execute(
                    f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) WHERE instr("{column}", ?)',  # noqa: S608
                    (old, new, old),
                )
