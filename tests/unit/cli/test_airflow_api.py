"""The REST client against a played server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from contender.errors import BackendError, ConfigError
from contender_airflow.cli.airflow_api import AirflowApi

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, **login: Any) -> AirflowApi:
    api = AirflowApi("http://airflow/", **(login or {"token": "t"}))
    headers = api._http.headers
    api._http = httpx.Client(base_url=api.url, transport=httpx.MockTransport(handler), headers=headers)
    return api


def test_a_password_gets_a_token_when_one_is_asked_for() -> None:
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, request.url.path, request.headers.get("authorization")))
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": "t"})
        return httpx.Response(200 if "authorization" in request.headers else 401, json={"state": "running"})

    assert client(handler, password="p").run_state("d", "r") == "running"  # noqa: S106 - it is no secret
    assert seen == [
        ("GET", "/api/v2/dags/d/dagRuns/r", None),
        ("POST", "/auth/token", None),
        ("GET", "/api/v2/dags/d/dagRuns/r", "Bearer t"),
    ]


def test_a_refused_token_is_told() -> None:
    api = client(lambda _: httpx.Response(401, json={"detail": "x"}))
    with pytest.raises(ConfigError, match="CONTENDER_AIRFLOW_TOKEN"):
        api.dags()


def test_a_refused_conf_is_told_in_one_line() -> None:
    detail = "Invalid input for param n: 9 is greater than the maximum of 5\n\nFailed validating 'maximum'"
    api = client(lambda _: httpx.Response(400, json={"detail": detail}))
    with pytest.raises(ConfigError, match=r"^--conf: Airflow refused to start d: .* maximum of 5$"):
        api.trigger("d", "r", {"n": 9})


def test_a_missing_dag_is_none_and_a_missing_run_is_an_error() -> None:
    api = client(lambda _: httpx.Response(404, json={"detail": "not found"}))
    assert api.dag("d") is None
    assert api.xcom("d", "r", "announce") is None
    with pytest.raises(BackendError, match=r"GET /api/v2/dags/d/dagRuns/r gave 404: not found"):
        api.run_state("d", "r")


def test_a_dag_that_is_gone_from_the_folder_is_none() -> None:
    api = client(lambda _: httpx.Response(200, json={"dag_id": "d", "is_stale": True}))
    assert api.dag("d") is None


def test_all_pages_of_task_instances_are_read() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        page = [{"map_index": index} for index in range(offset, min(offset + 100, 150))]
        return httpx.Response(200, json={"task_instances": page, "total_entries": 150})

    assert len(client(handler).task_instances("d", "r")) == 150


def test_a_server_that_is_away_is_a_backend_error_and_not_ready() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    api = client(handler)
    assert not api.ready()
    with pytest.raises(BackendError, match=r"Airflow at http://airflow does not answer: ConnectError"):
        api.dags()


def test_a_log_in_plain_lines_has_no_events() -> None:
    api = client(lambda _: httpx.Response(200, json={"content": ["line"]}))
    keys = {"dag_id": "d", "dag_run_id": "r", "task_id": "t", "map_index": -1, "try_number": 1}
    assert api.log(keys) == []
