"""The artifact store's connection."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from contender.errors import ConfigError
from contender.store.local import LocalStore

if TYPE_CHECKING:
    from contender.store.base import ArtifactStore


class ArtifactStoreHook(BaseHook):
    """Where snapshots, trials, decisions, releases and the ledger live.

    :param store_conn_id: a connection of type ``contender_store`` with the extras ``uri`` (an absolute folder that all
        workers share) and ``signing_key`` (path of an Ed25519 private key, outside that folder).
    """

    conn_name_attr = "store_conn_id"
    default_conn_name = "contender_store"
    conn_type = "contender_store"
    hook_name = "Contender artifact store"

    def __init__(self, store_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.store_conn_id = store_conn_id

    @cached_property
    def _extra(self) -> dict[str, str]:
        return dict(self.get_connection(self.store_conn_id).extra_dejson)

    def get_conn(self) -> ArtifactStore:
        """The store.

        :raises ConfigError: the connection names no absolute folder.
        """
        return LocalStore(self._absolute("uri"))

    @property
    def signing_key(self) -> Path:
        """The key that releases are signed with.

        :raises ConfigError: the connection names none, or one inside the store.
        """
        key, root = self._absolute("signing_key"), self._absolute("uri")
        if key.is_relative_to(root):
            msg = f"connection {self.store_conn_id}: signing_key must lie outside the store, or it protects nothing"
            raise ConfigError(msg)
        return key

    def _absolute(self, name: str) -> Path:
        value = self._extra.get(name) or ""
        if not value.startswith("/"):
            msg = f"connection {self.store_conn_id}: {name} must be an absolute path, got {value!r}"
            raise ConfigError(msg)
        return Path(value)

    def test_connection(self) -> tuple[bool, str]:
        """See that the folder can be listed and the key read."""
        try:
            count = len(self.get_conn().children(""))
            self.signing_key.read_bytes()
        except (ConfigError, OSError) as error:
            return False, str(error)
        return True, f"{count} pipelines in the store"
