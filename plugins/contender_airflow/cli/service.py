"""``contender up`` and ``down``: an Airflow and an MLflow that stay, with their user interfaces."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from contender_airflow.cli import embedded
from contender_airflow.cli.airflow_api import AirflowApi
from contender_airflow.cli.home import ADMIN, Home, Ports

if TYPE_CHECKING:
    from rich.console import Console

_PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


def up(home: Home, console: Console, *, airflow_port: int, mlflow_port: int) -> None:
    """Start both, wait until they work, and say where they are. Does nothing but the last when they run already.

    Raises:
        Conflict: a ``contender run`` works on this home.
        BackendError: a component does not start.
    """
    found = embedded.running(home)
    if found is not None and found.kind == "run":
        embedded.raise_taken(home, found)
    if found is not None:
        console.print("already up", highlight=False)
        _show_addresses(home, found, console)
        return
    began = time.monotonic()
    home.prepare()
    ports = embedded.free_ports(airflow=airflow_port, mlflow=mlflow_port)
    for wanted, got, name in ((airflow_port, ports.airflow, "Airflow"), (mlflow_port, ports.mlflow, "MLflow")):
        if wanted not in (0, got):
            console.print(f"port {wanted} is taken; {name} listens on {got}", highlight=False)
    console.print(f"starting Airflow and MLflow in {home.root} (half a minute)", highlight=False, soft_wrap=True)
    supervisor = embedded.start(home, "up", ports)
    api = AirflowApi(ports.airflow_url, password=home.password())
    try:
        embedded.wait_until(api.ready, home, supervisor, what="the start of the API server")
        embedded.wait_until(lambda: _healthy(api), home, supervisor, what="the start of the scheduler")
        embedded.wait_until(lambda: _answers(ports), home, supervisor, what="the start of MLflow")
    except BaseException:
        embedded.end(home, supervisor)
        raise
    console.print(f"ready after {time.monotonic() - began:.0f} s", highlight=False)
    record = embedded.running(home)
    if record is not None:
        _show_addresses(home, record, console)


def down(home: Home, console: Console) -> None:
    """Stop whatever runs on this home.

    Raises:
        BackendError: a process could not be stopped.
    """
    stopped = embedded.stop(home)
    console.print(
        f"stopped {', '.join(stopped)}" if stopped else "nothing was running", highlight=False, soft_wrap=True
    )


def ports_in_use(home: Home) -> Ports:
    """The ports of what runs on this home, or the ones it would like."""
    record = embedded.running(home)
    if record is None:
        return Ports()
    airflow, mlflow = (urlsplit(url).port or 0 for url in (record.airflow_url, record.mlflow_url))
    return Ports(airflow=airflow, mlflow=mlflow)


def _healthy(api: AirflowApi) -> bool:
    health = api.health()
    return all(health.get(part) == "healthy" for part in _PARTS)


def _answers(ports: Ports) -> bool:
    try:
        return httpx.get(f"{ports.mlflow_url}/health", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _show_addresses(home: Home, record: embedded.Running, console: Console) -> None:
    console.print(f"Airflow  {record.airflow_url}  (user {ADMIN}, password {home.password()})", highlight=False)
    console.print(f"MLflow   {record.mlflow_url}", highlight=False)
    console.print("next: `contender run churn` trains now; `contender down` stops everything", highlight=False)
