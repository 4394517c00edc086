"""The store, MLflow and key that a command works on: those of Airflow's connections in the environment
(``AIRFLOW_CONN_CONTENDER_STORE``), through the hooks, which import Airflow; else those of CONTENDER_HOME.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from contender_airflow.embedded.home import Home, Ports

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.store.base import ArtifactStore

_OURS = "AIRFLOW_CONN_CONTENDER_"
_CONNECTION = f"{_OURS}STORE"


def store() -> ArtifactStore:
    """The artifact store alone, for commands that only read."""
    if _CONNECTION in os.environ:
        from contender_airflow.hooks.store import ArtifactStoreHook

        return ArtifactStoreHook().get_conn()
    from contender.store.local import LocalStore

    return LocalStore(Home.current().store)


def backends() -> Backends:
    """All that a command with effects needs. A home is created or migrated first."""
    from contender.backends import Backends

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    if _CONNECTION in os.environ:
        from contender_airflow.hooks.mlflow import MLflowHook
        from contender_airflow.hooks.store import ArtifactStoreHook

        hook = ArtifactStoreHook()
        return Backends(hook.get_conn(), MLflowHook().get_conn(), hook.signing_key)
    home = Home.current()
    home.prepare()
    for name, value in home.environment(Ports()).items():  # what a data source may need: its path, its database
        if name == "CONTENDER_HOME" or (name.startswith("AIRFLOW_CONN_") and not name.startswith(_OURS)):
            os.environ.setdefault(name, value)
    return Backends.connect(store=str(home.store), tracking_uri=home.tracking_uri, signing_key=str(home.signing_key))
