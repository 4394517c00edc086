"""The effects a step may have: one artifact store, one MLflow, one signing key, data sources. Passed in, never looked up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contender.data.connections import Connect, from_environment
from contender.store.local import LocalStore

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
    def connect(cls, *, store: str, tracking_uri: str, signing_key: str, ui_url: str | None = None) -> Backends:
        """From the plain values a connection holds."""
        from contender.tracking.runs import Tracking

        return cls(LocalStore(store), Tracking(tracking_uri, ui_url), Path(signing_key))
