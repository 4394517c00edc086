"""``contender up`` and ``down``: an Airflow and an MLflow that stay, with their user interfaces."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from contender.words import duration
from contender_airflow.cli.airflow_api import AirflowApi
from contender_airflow.cli.render import plain
from contender_airflow.embedded import processes
from contender_airflow.embedded.home import ADMIN, Home, Ports

if TYPE_CHECKING:
    from rich.console import Console

_PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


def up(home: Home, console: Console, *, airflow_port: int, mlflow_port: int | None) -> None:
    """Start both, wait until they work, and print their addresses. If they run already it only prints.

    Raises:
        Conflict: a ``contender run`` works on this home.
        BackendError: a component does not start.
    """
    found = processes.running(home)
    if found is not None and found.kind == "run":
        processes.raise_taken(home, found)
    if found is not None:
        plain(console, "already up")
        _show_addresses(home, found, console)
        return
    began = time.monotonic()
    home.prepare()
    mlflow_port = home.mlflow_port if mlflow_port is None else mlflow_port
    ports = processes.free_ports(airflow=airflow_port, mlflow=mlflow_port)
    home.remember_mlflow_port(ports.mlflow)
    for wanted, got, name in ((airflow_port, ports.airflow, "Airflow"), (mlflow_port, ports.mlflow, "MLflow")):
        if wanted not in (0, got):
            links = "; links of earlier runs lead to the old port" if name == "MLflow" else ""
            plain(console, f"port {wanted} is taken; {name} listens on {got}{links}")
    plain(console, f"starting Airflow and MLflow in {home.root} (half a minute)")
    supervisor = processes.start(home, "up", ports)
    api = AirflowApi(ports.airflow_url, password=home.password())
    try:
        processes.wait_until(api.ready, home, supervisor, what="the start of the API server")
        processes.wait_until(lambda: _healthy(api), home, supervisor, what="the start of the scheduler")
        processes.wait_until(lambda: _answers(ports), home, supervisor, what="the start of MLflow")
    except BaseException:
        processes.end(home, supervisor)
        raise
    plain(console, f"ready after {duration(time.monotonic() - began)}")
    record = processes.running(home)
    if record is not None:
        _show_addresses(home, record, console)


def down(home: Home, console: Console) -> None:
    """Stop all that runs on this home.

    Raises:
        BackendError: a process could not be stopped.
    """
    stopped = processes.stop(home)
    plain(console, f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


def ports_in_use(home: Home) -> Ports:
    """The ports of what runs on this home, else the default ones."""
    record = processes.running(home)
    if record is None:
        return Ports(mlflow=home.mlflow_port)
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


def _show_addresses(home: Home, record: processes.Running, console: Console) -> None:
    plain(console, f"Airflow  {record.airflow_url}  (user {ADMIN}, password {home.password()})")
    plain(console, f"MLflow   {record.mlflow_url}")
    plain(console, "next: `contender run churn` trains now; `contender down` stops everything")
