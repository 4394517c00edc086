"""A small client of Airflow's REST API: the calls that the command line makes, from and to plain values."""

from __future__ import annotations

import os
from typing import Any

import httpx

from contender.errors import BackendError, ConfigError
from contender_airflow.embedded.home import ADMIN

_TIMEOUT = 30.0
_UNFINISHED = ("queued", "running")


class AirflowApi:
    """One Airflow, by its address, with a token or with the password that gets one."""

    def __init__(self, url: str, *, token: str | None = None, password: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._password = password
        # An Airflow with a password runs on this machine; the proxy of the user's network cannot reach it.
        self._http = httpx.Client(base_url=self.url, timeout=_TIMEOUT, trust_env=password is None)
        if token is not None:
            self._http.headers["Authorization"] = f"Bearer {token}"

    @classmethod
    def with_token(cls, url: str) -> AirflowApi:
        """An Airflow elsewhere, with the token in CONTENDER_AIRFLOW_TOKEN.

        Raises:
            ConfigError: there is no token.
        """
        token = os.environ.get("CONTENDER_AIRFLOW_TOKEN")
        if not token:
            msg = "--airflow-url needs a token of that Airflow in the environment variable CONTENDER_AIRFLOW_TOKEN"
            raise ConfigError(msg)
        return cls(url, token=token)

    def ready(self) -> bool:
        """Whether the API server answers, also to tasks; it prepares its first answer to tasks for some seconds."""
        try:
            return self._http.get("/execution/health").is_success
        except httpx.HTTPError:
            return False

    def health(self) -> dict[str, str | None]:
        """The state of each component that Airflow knows of."""
        raw = self._get("/monitor/health")
        return {name: part["status"] for name, part in raw.items() if part is not None}

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        """One DAG, or None when there is none of that id, or its file is gone."""
        found = self._get(f"/dags/{dag_id}", missing=None)
        return None if found is None or found["is_stale"] else dict(found)

    def dags(self) -> list[dict[str, Any]]:
        """Every DAG there is."""
        return list(self._get("/dags", limit=1000)["dags"])

    def import_errors(self) -> list[dict[str, Any]]:
        """The DAG files that could not be imported, with ``filename``, ``stack_trace`` and ``timestamp``."""
        return list(self._get("/importErrors")["import_errors"])

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler work on a DAG."""
        self._json("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        """Start a run.

        Raises:
            ConfigError: the DAG's parameters refuse the conf.
        """
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        response = self._request("POST", f"/dags/{dag_id}/dagRuns", json=body)
        if response.status_code in (400, 422):
            # The other lines are the whole JSON schema.
            raise ConfigError(f"--conf: Airflow refused to start {dag_id}: {_detail(response).partition(chr(10))[0]}")
        self._checked(response)

    def unfinished_runs(self, dag_id: str) -> list[str]:
        """The ids of the runs that are queued or running, oldest first."""
        query = {"state": list(_UNFINISHED), "order_by": "run_after"}
        return [run["dag_run_id"] for run in self._get(f"/dags/{dag_id}/dagRuns", **query)["dag_runs"]]

    def dag_runs(self, dag_id: str) -> dict[str, str]:
        """The state of each of the newest runs, by id; none of a DAG that is not there."""
        found = self._get(f"/dags/{dag_id}/dagRuns", missing=None, order_by="-run_after", limit=100)
        return {} if found is None else {run["dag_run_id"]: str(run["state"]) for run in found["dag_runs"]}

    def run_state(self, dag_id: str, run_id: str) -> str:
        """``queued``, ``running``, ``success`` or ``failed``."""
        return str(self._get(f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def fail_run(self, dag_id: str, run_id: str, *, note: str) -> None:
        """Mark a run as failed; its running tasks are told to stop."""
        self._json("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", json={"state": "failed", "note": note})

    def tasks(self, dag_id: str) -> dict[str, list[str]]:
        """Every task of the DAG with the tasks right after it."""
        found = self._get(f"/dags/{dag_id}/tasks")["tasks"]
        return {task["task_id"]: list(task["downstream_task_ids"]) for task in found}

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Every task instance of a run, mapped ones one by one."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found: list[dict[str, Any]] = []
        while True:
            page = self._get(path, limit=100, offset=len(found))
            found += page["task_instances"]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned, or None."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        found = self._get(path, missing=None, deserialize=True)
        return None if found is None else found["value"]

    def log(self, instance: dict[str, Any]) -> list[dict[str, Any]]:
        """The log of a task instance's last try, as Airflow's structured events."""
        run, task, tries = instance["dag_run_id"], instance["task_id"], instance["try_number"]
        path = f"/dags/{instance['dag_id']}/dagRuns/{run}/taskInstances/{task}/logs/{tries}"
        content = self._get(path, map_index=instance["map_index"])["content"]
        return [line for line in content if isinstance(line, dict)]

    def close(self) -> None:
        """Close the HTTP connections."""
        self._http.close()

    def _get(self, path: str, *, missing: object = ..., **query: Any) -> Any:
        response = self._request("GET", path, params=query)
        if response.status_code == httpx.codes.NOT_FOUND and missing is not ...:
            return missing
        return self._checked(response).json()

    def _json(self, method: str, path: str, *, json: object) -> None:
        self._checked(self._request(method, path, json=json))

    def _request(self, method: str, path: str, **content: Any) -> httpx.Response:
        url = f"/api/v2{path}"
        headers = {"Accept": "application/json"}
        try:
            response = self._http.request(method, url, headers=headers, **content)
            if response.status_code == httpx.codes.UNAUTHORIZED and self._password is not None:
                self._log_in()
                response = self._http.request(method, url, headers=headers, **content)
        except httpx.HTTPError as error:
            msg = f"Airflow at {self.url} does not answer: {type(error).__name__}: {error}"
            raise BackendError(msg) from None
        return response

    def _log_in(self) -> None:
        response = self._http.post("/auth/token", json={"username": ADMIN, "password": self._password})
        self._http.headers["Authorization"] = f"Bearer {self._checked(response).json()['access_token']}"

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.is_success:
            return response
        call = f"{response.request.method} {response.request.url.path}"
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            msg = f"Airflow at {self.url} refused {call} ({response.status_code}); check CONTENDER_AIRFLOW_TOKEN"
            raise ConfigError(msg)
        raise BackendError(f"Airflow at {self.url}: {call} gave {response.status_code}: {_detail(response)}")


def _detail(response: httpx.Response) -> str:
    """What the server says is wrong, bounded."""
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = response.text
    if isinstance(detail, list):
        detail = "; ".join(str(part.get("msg", part)) if isinstance(part, dict) else str(part) for part in detail)
    return str(detail)[:500]
