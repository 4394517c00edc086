"""The effects a step may have: one artifact store, one MLflow, one signing key, data sources. Passed in, never looked up."""

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
    """What the seven steps work with."""

    store: ArtifactStore
    tracking: Tracking
    signing_key: Path
    connections: Connect = from_environment

    @classmethod
    def connect(
        cls, *, store: str | Mapping[str, Any], tracking_uri: str, signing_key: str, ui_url: str | None = None
    ) -> Backends:
        """From the plain values that connections hold.

        Args:
            store: its uri, or its settings as ``open_store`` takes them.

        Raises:
            ConfigError: the settings make no store.
        """
        from contender.tracking.runs import Tracking

        settings = {"uri": store} if isinstance(store, str) else store
        return cls(open_store(settings), Tracking(tracking_uri, ui_url), Path(signing_key))
