"""The artifact store's connection."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from contender.errors import ConfigError, ContenderError
from contender.patience import patience
from contender.run.status import pipelines
from contender.store.base import preflight
from contender.store.opening import open_store
from contender_airflow.hooks.connections import connection_fields

if TYPE_CHECKING:
    from contender.store.base import ArtifactStore


class ArtifactStoreHook(BaseHook):
    """Where snapshots, trials, decisions, releases and the ledger live.

    :param store_conn_id: a connection of type ``contender_store`` with the extras ``uri`` (an absolute folder that all
        workers share, or ``s3://bucket/prefix``) and ``signing_key`` (path of an Ed25519 private key, outside the store).
        In S3 also ``conn_id`` (a connection of type ``aws``; without it boto3's own search), ``cache`` (an absolute
        folder on the worker) and ``cache_gib`` (its limit in GiB).
    """

    conn_name_attr = "store_conn_id"
    default_conn_name = "contender_store"
    conn_type = "contender_store"
    hook_name = "Contender artifact store"

    def __init__(self, store_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.store_conn_id = store_conn_id

    @cached_property
    def _extra(self) -> dict[str, Any]:
        return dict(self.get_connection(self.store_conn_id).extra_dejson)

    def get_conn(self) -> ArtifactStore:
        """The store.

        :raises ConfigError: an extra of the connection is missing, wrong or unknown.
        """
        place = f"connection {self.store_conn_id}"
        settings = {
            name: value
            for name, value in self._extra.items()
            if value not in (None, "") and name not in ("signing_key", "conn_id")
        }
        if conn_id := self._extra.get("conn_id"):
            settings["connection"] = connection_fields(str(conn_id), f"{place}: conn_id")
        return open_store(settings, place)

    @property
    def signing_key(self) -> Path:
        """The key that releases are signed with.

        :raises ConfigError: the connection has no absolute path of a key, or one inside the store.
        """
        key, root = self._extra.get("signing_key") or "", self._extra.get("uri") or ""
        if not key.startswith("/"):
            raise ConfigError(f"connection {self.store_conn_id}: signing_key must be an absolute path, got {key!r}")
        # Where the file is, and where the name stands: a link in the store could be led to another key.
        places = (Path(key).resolve(), Path(key).parent.resolve())
        if root.startswith("/") and any(place.is_relative_to(Path(root).resolve()) for place in places):
            msg = f"connection {self.store_conn_id}: signing_key must lie outside the store, or it protects nothing"
            raise ConfigError(msg)
        return Path(key)

    def test_connection(self) -> tuple[bool, str]:
        """See that the store honours conditional writes, and that the key can be read; *Test* in the form calls this."""
        try:
            store = self.get_conn()
            with patience(0):  # a person waits
                preflight(store)
                count = len(pipelines(store))
            self.signing_key.read_bytes()
        except (ContenderError, OSError) as error:
            return False, str(error)
        return True, f"{count} pipelines in the store; it can tell who was first, so runs can promote"
