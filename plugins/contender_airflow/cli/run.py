"""``contender run``: find or start an Airflow, trigger one training run, follow it to its end, and say how it ended."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from typing import Any, NoReturn

from contender.errors import BackendError, ConfigError, did_you_mean
from contender_airflow.cli import embedded
from contender_airflow.cli.airflow_api import AirflowApi
from contender_airflow.cli.home import Home, Ports
from contender_airflow.cli.render import Failure, Screen, Trials, summarise

_SUFFIX = "__training"
_PREFIX = "cli__"
_FINAL = ("success", "failed")
# Each look costs the API server some 70 ms of a core that the trials could use.
_TICK, _TICK_AT_MOST = 1.0, 5.0
_SETTLED = 3.0
_PATIENCE = 60.0


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    pipeline: str
    conf: dict[str, Any]
    airflow_url: str | None = None
    timeout: float | None = None

    @property
    def dag_id(self) -> str:
        """The DAG that trains the pipeline."""
        return f"{self.pipeline}{_SUFFIX}"


@dataclass(frozen=True)
class Server:
    """The Airflow that does the work: ours for this one run, the one of ``contender up``, or somebody else's."""

    api: AirflowApi
    own: bool = False
    home: Home | None = None
    parsed_since: datetime | None = None


def run(request: Request, home: Home, screen: Screen) -> bool:
    """Do the run; whether Airflow calls it a success.

    Raises:
        ContenderError: the pipeline does not exist, the conf is refused, or Airflow does not work.
        TimeoutError: it took longer than the user allowed.
    """
    began = time.monotonic()
    with _server(request, home, screen) as server, closing(server.api):
        _wait_for_dag(server, request)
        if server.own:
            _fail_abandoned(server, request, screen)
        run_id = f"{_PREFIX}{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
        server.api.trigger(request.dag_id, run_id, request.conf)
        screen.note(f"{request.dag_id} runs as {run_id} (Airflow was ready after {time.monotonic() - began:.1f} s)")
        try:
            state = _follow(server, request, run_id, screen)
        except (KeyboardInterrupt, TimeoutError) as stopped:
            _leave(server, request, run_id, screen, why="timeout" if isinstance(stopped, TimeoutError) else "interrupt")
            raise
        outcome = server.api.xcom(request.dag_id, run_id, "announce")
        ends = {it["state"] for it in server.api.task_instances(request.dag_id, run_id) if it["task_id"] == "announce"}
        if state == "success" and ends - {"success"}:
            # Its last steps are skipped then, which Airflow takes for success.
            raise BackendError(f"{run_id} was ended by hand before it announced a decision; nothing was decided")
        if state == "success" or outcome is not None:
            screen.outcome(outcome, seconds=time.monotonic() - began, own=server.own, url=server.api.url)
        if state != "success":
            failures = [_failure(server, it) for it in _failed(server, request, run_id)]
            screen.failed(request.dag_id, failures, decided=outcome is not None)
        return state == "success"


@contextmanager
def _server(request: Request, home: Home, screen: Screen) -> Iterator[Server]:
    if request.airflow_url is not None:
        token = os.environ.get("CONTENDER_AIRFLOW_TOKEN")
        if not token:
            msg = "--airflow-url needs a token of that Airflow in the environment variable CONTENDER_AIRFLOW_TOKEN"
            raise ConfigError(msg)
        yield Server(AirflowApi(request.airflow_url, token=token))
        return
    up = embedded.running(home)
    if up is not None and up.kind == "up":
        screen.note(f"using the Airflow of `contender up` at {up.airflow_url}")
        yield Server(AirflowApi(up.airflow_url, password=home.password()), home=home, parsed_since=_newest_file(home))
        return
    if up is not None:
        embedded.raise_taken(home, up)
    with _own_server(home, screen) as own:
        yield own


@contextmanager
def _own_server(home: Home, screen: Screen) -> Iterator[Server]:
    home.require_dags()
    screen.note(f"starting Airflow in {home.root}{'' if home.prepared else ', which is new: half a minute'}")
    home.prepare()
    # MLflow is not started for a run; links into it are for the next `contender up`.
    ports = replace(embedded.free_ports(), mlflow=Ports().mlflow)
    since = datetime.now(UTC)
    supervisor = embedded.start(home, "run", ports)
    try:
        api = AirflowApi(ports.airflow_url, password=home.password())
        embedded.wait_until(api.ready, home, supervisor, what="the start of the API server")
        yield Server(api, own=True, home=home, parsed_since=since)
    finally:
        embedded.end(home, supervisor)


def _newest_file(home: Home) -> datetime:
    """When the DAG folder changed last: what Airflow parsed before that is not what the user sees."""
    files = [path for pattern in ("*.py", "*.y*ml") for path in home.dags.rglob(pattern)]
    return datetime.fromtimestamp(max((path.stat().st_mtime for path in files), default=0.0), UTC)


def _wait_for_dag(server: Server, request: Request) -> None:
    """Wait until Airflow has parsed the DAG as it is now, and let it be scheduled.

    Raises:
        ConfigError: there is no such pipeline, or its file cannot be imported.
    """
    began = time.monotonic()
    first_parsed: float | None = None
    while (dag := server.api.dag(request.dag_id)) is None or not _is_fresh(dag, server.parsed_since):
        now = time.monotonic()
        others = [found["dag_id"] for found in server.api.dags() if _is_fresh(found, server.parsed_since)]
        errors = [error for error in server.api.import_errors() if _after(error["timestamp"], server.parsed_since)]
        if first_parsed is None and (others or errors):
            first_parsed = now
        # Another file may be parsed first, so a missing DAG is given some time; one that is only old will come.
        missing = dag is None or dag["has_import_errors"]
        settled = missing and first_parsed is not None and now - first_parsed > _SETTLED
        if settled or server.parsed_since is None or now - began > _PATIENCE:
            own = [error for error in errors if dag is not None and error["filename"] == dag["relative_fileloc"]]
            _raise_unknown(server, request, others, own or errors)
        time.sleep(0.2)
    if dag["is_paused"]:
        server.api.unpause(request.dag_id)


def _is_fresh(dag: dict[str, Any], since: datetime | None) -> bool:
    return not dag["is_stale"] and _after(dag["last_parsed_time"], since)


def _after(moment: str | None, since: datetime | None) -> bool:
    return since is None or (moment is not None and datetime.fromisoformat(moment) >= since)


def _raise_unknown(server: Server, request: Request, dag_ids: list[str], errors: list[dict[str, Any]]) -> NoReturn:
    if errors:
        last = str(errors[0]["stack_trace"]).strip().rsplit("\n", 1)[-1]
        msg = f"{errors[0]['filename']}: Airflow cannot import this DAG file: {last[:500]}"
        raise ConfigError(msg)
    known = [dag_id.removesuffix(_SUFFIX) for dag_id in dag_ids if dag_id.endswith(_SUFFIX)]
    hint = did_you_mean(request.pipeline, known) or f" Airflow at {server.api.url} has none."
    msg = f"there is no pipeline {request.pipeline!r} (no DAG {request.dag_id}).{hint}"
    raise ConfigError(msg)


def _fail_abandoned(server: Server, request: Request, screen: Screen) -> None:
    """End the runs of a `contender run` that was killed: nobody waits for them, and one run at a time may go."""
    for run_id in server.api.unfinished_runs(request.dag_id):
        if run_id.startswith(_PREFIX):
            server.api.fail_run(request.dag_id, run_id, note="its `contender run` was killed")
            screen.note(f"{run_id} was left unfinished by a `contender run` that was killed; it is marked as failed")


def _follow(server: Server, request: Request, run_id: str, screen: Screen) -> str:
    """Show the run until it ends; its last state."""
    began = answered = time.monotonic()
    successors = server.api.tasks(request.dag_id)
    predecessors = {task: [other for other, after in successors.items() if task in after] for task in successors}
    order = tuple(TopologicalSorter(predecessors).static_order())
    trials = _trials(server, request, run_id)
    with screen.live():
        while True:
            if server.home is not None and embedded.running(server.home) is None:
                msg = f"Airflow was stopped while {run_id} ran; see {server.home.log('supervisor')}"
                raise BackendError(msg)
            try:
                state = server.api.run_state(request.dag_id, run_id)
                screen.update(summarise(server.api.task_instances(request.dag_id, run_id), order), trials())
                answered = time.monotonic()
            except BackendError:
                # The supervisor starts the API server again, and tasks wait for that too.
                if time.monotonic() - answered > _PATIENCE:
                    raise
                state = "unknown"
            if state in _FINAL:
                return state
            if request.timeout is not None and time.monotonic() - began > request.timeout:
                msg = f"{run_id} did not end within {request.timeout:.0f} s"
                raise TimeoutError(msg)
            time.sleep(min(_TICK_AT_MOST, max(_TICK, (time.monotonic() - began) / 10)))  # asking takes of the cores


def _trials(server: Server, request: Request, run_id: str) -> Callable[[], Trials | None]:
    if server.home is None:
        return lambda: None
    from contender.status import progress
    from contender.store.local import LocalStore

    store = LocalStore(server.home.store)

    def look() -> Trials | None:
        found = progress(store, request.pipeline, run_id)
        return None if found is None else Trials(planned=found.planned, done=found.done)

    return look


def _leave(server: Server, request: Request, run_id: str, screen: Screen, *, why: str) -> None:
    """What an interrupted run leaves: with our own Airflow nothing that goes on, else the run, which is not ours to end."""
    if not server.own:
        screen.note(f"{run_id} goes on in the Airflow at {server.api.url}")
        return
    screen.note("stopping the run and its Airflow")
    try:
        server.api.fail_run(request.dag_id, run_id, note=f"stopped by {why}")
    except BackendError as error:
        screen.note(f"the run could not be marked as failed: {error}")


def _failed(server: Server, request: Request, run_id: str) -> list[dict[str, Any]]:
    return [it for it in server.api.task_instances(request.dag_id, run_id) if it["state"] == "failed"]


def _failure(server: Server, instance: dict[str, Any]) -> Failure:
    try:
        message = _message(server.api.log(instance))
    except BackendError as error:
        message = f"its log cannot be read: {error}"
    return Failure(
        task=instance["task_id"],
        map_index=instance["map_index"],
        tries=instance["try_number"],
        message=message,
        log=None if server.home is None else str(_log_file(server.home, instance)),
    )


def _message(events: list[dict[str, Any]]) -> str:
    """The last exception in a task's log, else its last error."""
    for event in reversed(events):
        for error in event.get("error_detail") or ():
            # Airflow's own types only say what is to happen to the task.
            kind = "" if error["exc_type"].startswith("Airflow") else f"{error['exc_type']}: "
            return f"{kind}{error['exc_value']}"
    errors = [str(event["event"]) for event in events if event.get("level") in ("error", "critical")]
    return errors[-1] if errors else "its log names no error"


def _log_file(home: Home, instance: dict[str, Any]) -> str:
    parts = [f"{name}={instance[key]}" for name, key in (("dag_id", "dag_id"), ("run_id", "dag_run_id"))]
    parts.append(f"task_id={instance['task_id']}")
    if instance["map_index"] >= 0:
        parts.append(f"map_index={instance['map_index']}")
    return str(home.airflow.joinpath("logs", *parts, f"attempt={instance['try_number']}.log"))
