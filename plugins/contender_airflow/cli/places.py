"""The store, MLflow and key that a command works on, and the Airflow that knows about the runs.

Those of a home (CONTENDER_HOME, or ``.contender`` here) where there is one; else those of the connections of the Airflow
that is configured here, in its environment, secrets backend or database, through the hooks, which import Airflow. The
variable ``AIRFLOW_CONN_CONTENDER_STORE`` goes before everything.
"""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from contender.errors import BackendError, ConfigError, did_you_mean
from contender_airflow.embedded.home import Home, Ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contender.backends import Backends
    from contender.run.status import Asked
    from contender.spec.pipeline import PipelineSpec
    from contender.store.base import ArtifactStore

_OURS = "AIRFLOW_CONN_CONTENDER_"
_CONNECTION = f"{_OURS}STORE"


def store() -> ArtifactStore:
    """The artifact store alone, for commands that only read.

    Raises:
        ConfigError: the Airflow that is configured here has no such connection.
    """
    if _of_airflow():
        from contender_airflow.hooks.store import ArtifactStoreHook

        with _looking_in_airflow():
            return ArtifactStoreHook().get_conn()
    from contender.store.local import LocalStore

    return LocalStore(Home.current().store)


def backends() -> Backends:
    """All that a command with effects needs. A home is created or migrated first.

    Raises:
        ConfigError: the Airflow that is configured here lacks a connection.
    """
    from contender.backends import Backends

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    if _of_airflow():
        from contender_airflow.hooks.mlflow import MLflowHook
        from contender_airflow.hooks.store import ArtifactStoreHook

        with _looking_in_airflow():
            hook = ArtifactStoreHook()
            return Backends(hook.get_conn(), MLflowHook().get_conn(), hook.signing_key)
    home = Home.current()
    home.prepare()
    for name, value in home.environment(Ports()).items():  # what a data source may need: its path, its database
        if name == "CONTENDER_HOME" or (name.startswith("AIRFLOW_CONN_") and not name.startswith(_OURS)):
            os.environ.setdefault(name, value)
    return Backends.connect(store=str(home.store), tracking_uri=home.tracking_uri, signing_key=str(home.signing_key))


def spec(pipeline: str) -> PipelineSpec:
    """The pipeline of a name, from the DAG folder of the home, or of a YAML file's path.

    Raises:
        ConfigError: there is no such file, or it is not right.
    """
    from contender.spec.loading import load_spec

    if pipeline.endswith((".yaml", ".yml")):
        return load_spec(pipeline)
    folder = Home.current().dags / "pipelines"
    path = folder / f"{pipeline}.yaml"
    if not path.is_file():
        hint = did_you_mean(pipeline, [one.stem for one in folder.glob("*.yaml")])
        raise ConfigError(f"no pipeline {pipeline!r} in {folder}.{hint}")
    return load_spec(path)


def described() -> str:
    """Where a command looks, in words."""
    if _of_airflow():
        return f"the connection contender_store of the Airflow in {_airflow_home()}"
    return f"the home {Home.current().root}"


@contextmanager
def airflow(url: str | None = None) -> Iterator[Asked]:
    """A function that asks Airflow for the state of a run: the one at the URL, else the home's if it runs.

    Raises:
        ConfigError: there is no token for the Airflow at the URL.
    """
    from contender.run.freeze import safe_id
    from contender_airflow.cli.airflow_api import AirflowApi
    from contender_airflow.embedded import processes

    if url is not None:
        api = AirflowApi.with_token(url)
    elif _of_airflow():
        yield lambda *_: None
        return
    elif (up := processes.running(Home.current())) is None:
        yield lambda *_: "stopped"
        return
    else:
        api = AirflowApi(up.airflow_url, password=Home.current().password())

    def asked(pipeline: str, run_id: str) -> str | None:
        try:
            found = api.dag_runs(f"{pipeline}__training")
        except BackendError:
            if url is not None:
                raise
            return None  # it starts or ends just now
        return {safe_id(known): state for known, state in found.items()}.get(run_id, "deleted")

    with closing(api):
        yield asked


def _of_airflow() -> bool:
    """Whether the connections of an Airflow say where things are."""
    if _CONNECTION in os.environ:
        return True
    if os.environ.get("CONTENDER_HOME") or Home.current().root.exists():
        return False
    database = [name for name in os.environ if name.startswith("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")]
    return bool(database) or (_airflow_home() / "airflow.cfg").exists()


def _airflow_home() -> Path:
    return Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()


@contextmanager
def _looking_in_airflow() -> Iterator[None]:
    """Let hooks look where ``airflow connections get`` looks, also in the database, and say where that was."""
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        yield
    except AirflowNotFoundException as error:
        msg = (
            f"{error}: looked in AIRFLOW_CONN_... variables, the secrets backend and the database of the Airflow in "
            f"{_airflow_home()}; add it there (see docs/existing-airflow.md), set AIRFLOW_HOME to another Airflow, or "
            "CONTENDER_HOME to a home of contender's own"
        )
        raise ConfigError(msg) from None
