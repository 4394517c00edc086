"""The backends that steps use: one artifact store, one MLflow, one signing key, data sources.

They are passed to a step as an argument; no code looks them up in the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contender.data.reading.connections import Connect, from_environment
from contender.store.opening import open_store

if TYPE_CHECKING:
    from contender.store.base import ArtifactStore
    from contender.tracking.runs import Tracking


@dataclass(frozen=True)
class Backends:
    """The backends of the seven steps. ``connections`` gives a data source the fields of its Airflow connection."""

    store: ArtifactStore
    tracking: Tracking
    signing_key: Path
    connections: Connect = from_environment

    @classmethod
    def connect(
        cls, *, store: str | Mapping[str, Any], tracking_uri: str, signing_key: str, ui_url: str | None = None
    ) -> Backends:
        """Make the backends from the plain values of Airflow connections.

        Args:
            store: its uri, or its settings as for ``open_store``.

        Raises:
            ConfigError: the store's settings are invalid.
        """
        from contender.tracking.runs import Tracking

        settings = {"uri": store} if isinstance(store, str) else store
        return cls(open_store(settings), Tracking(tracking_uri, ui_url), Path(signing_key))
