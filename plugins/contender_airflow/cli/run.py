"""``contender run``: find or start an Airflow, trigger one training run, follow it, and show how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, NoReturn

from contender.errors import BackendError, ConfigError, did_you_mean
from contender.words import duration
from contender_airflow.cli.airflow_api import AirflowApi
from contender_airflow.cli.render import Failure, Screen, summarise
from contender_airflow.embedded import processes
from contender_airflow.embedded.home import Home

if TYPE_CHECKING:
    from contender.run.status import Progress

_SUFFIX = "__training"
_PREFIX = "cli__"
_FINAL = ("success", "failed")
# All in seconds. Between two looks at a run, the longer the run takes: a look is 70 ms of a core that trials could use.
_TICK, _TICK_AT_MOST = 1.0, 5.0
_SETTLED = 3.0  # a DAG that is still missing this long after others were parsed does not exist
_PATIENCE = 60.0  # for a DAG to be parsed, and for an API server that restarts


@dataclass(frozen=True)
class Request:
    """What the user typed."""

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
    """The Airflow that does the work: one for this run alone, the one of ``contender up``, or one elsewhere.

    Attributes:
        own: it was started for this run and ends with it.
        home: the home it runs on; None: it is elsewhere.
        parsed_since: DAGs that were parsed before are out of date; None: take them as they are.
    """

    api: AirflowApi
    own: bool = False
    home: Home | None = None
    parsed_since: datetime | None = None


def run(request: Request, home: Home, screen: Screen) -> bool:
    """Do one run; returns whether Airflow calls it a success.

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
        screen.note(f"{request.dag_id} runs as {run_id} (Airflow was ready after {duration(time.monotonic() - began)})")
        try:
            state = _follow(server, request, run_id, screen)
        except (KeyboardInterrupt, TimeoutError) as stopped:
            _leave(server, request, run_id, screen, why="timeout" if isinstance(stopped, TimeoutError) else "interrupt")
            raise
        outcome = server.api.xcom(request.dag_id, run_id, "announce")
        instances = server.api.task_instances(request.dag_id, run_id)
        ends = {it["state"] for it in instances if it["task_id"] == "announce"}
        if state == "success" and ends - {"success"}:
            # Marked as failed or successful by hand, it ends with skipped steps, and Airflow calls that a success.
            raise BackendError(f"{run_id} was ended by hand before it announced a decision; nothing was decided")
        if state == "success" or outcome is not None:
            screen.show_result(outcome, seconds=time.monotonic() - began, own=server.own, url=server.api.url)
        if state != "success":
            failed = [it for it in instances if it["state"] == "failed"]
            # ``close`` is as red as the run, which explains nothing where another task failed.
            failed = [it for it in failed if it["task_id"] != "close"] or failed
            screen.show_failures(request.dag_id, _failures(server, failed), decided=outcome is not None)
        return state == "success"


@contextmanager
def _server(request: Request, home: Home, screen: Screen) -> Iterator[Server]:
    if request.airflow_url is not None:
        yield Server(AirflowApi.with_token(request.airflow_url))
        return
    up = processes.running(home)
    if up is not None and up.kind == "up":
        screen.note(f"using the Airflow of `contender up` at {up.airflow_url}")
        yield Server(AirflowApi(up.airflow_url, password=home.password()), home=home, parsed_since=_newest_file(home))
        return
    if up is not None:
        processes.raise_taken(home, up)
    with _own_server(home, screen) as own:
        yield own


@contextmanager
def _own_server(home: Home, screen: Screen) -> Iterator[Server]:
    home.require_dags()
    screen.note(f"starting Airflow in {home.root}{'' if home.prepared else ', which is new: half a minute'}")
    home.prepare()
    # MLflow is not started for a run; links into it are for the next `contender up`.
    ports = replace(processes.free_ports(), mlflow=home.mlflow_port)
    since = datetime.now(UTC)
    supervisor = processes.start(home, "run", ports)
    try:
        api = AirflowApi(ports.airflow_url, password=home.password())
        processes.wait_until(api.ready, home, supervisor, what="the start of the API server")
        yield Server(api, own=True, home=home, parsed_since=since)
    finally:
        processes.end(home, supervisor)


def _newest_file(home: Home) -> datetime:
    """When the DAG folder changed last: what Airflow parsed before is not what is in the folder now."""
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
        # A missing DAG gets some time: another file may be parsed first. One that is only out of date is waited for.
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
        raise ConfigError(f"{errors[0]['filename']}: Airflow cannot import this DAG file: {last[:500]}")
    known = [dag_id.removesuffix(_SUFFIX) for dag_id in dag_ids if dag_id.endswith(_SUFFIX)]
    hint = did_you_mean(request.pipeline, known) or f" Airflow at {server.api.url} has none."
    raise ConfigError(f"there is no pipeline {request.pipeline!r} (no DAG {request.dag_id}).{hint}")


def _fail_abandoned(server: Server, request: Request, screen: Screen) -> None:
    """Fail the runs of an earlier `contender run` that was killed: a DAG has one active run at a time."""
    for run_id in server.api.unfinished_runs(request.dag_id):
        if run_id.startswith(_PREFIX):
            server.api.fail_run(request.dag_id, run_id, note="its `contender run` was killed")
            screen.note(f"{run_id} was left unfinished by a `contender run` that was killed; it is marked as failed")


def _follow(server: Server, request: Request, run_id: str, screen: Screen) -> str:
    """Show the run until it ends; returns its last state."""
    began = answered = time.monotonic()
    successors = server.api.tasks(request.dag_id)
    predecessors = {task: [other for other, after in successors.items() if task in after] for task in successors}
    order = tuple(TopologicalSorter(predecessors).static_order())
    trials = _trials(server, request, run_id)
    with screen.live():
        while True:
            if server.home is not None and processes.running(server.home) is None:
                raise BackendError(f"Airflow was stopped while {run_id} ran; see {server.home.log('supervisor')}")
            try:
                state = server.api.run_state(request.dag_id, run_id)
                screen.update(summarise(server.api.task_instances(request.dag_id, run_id), order), trials())
                answered = time.monotonic()
            except BackendError:
                # The supervisor restarts the API server, and the tasks wait for that, too.
                if time.monotonic() - answered > _PATIENCE:
                    raise
                state = "unknown"
            if state in _FINAL:
                return state
            if request.timeout is not None and time.monotonic() - began > request.timeout:
                raise TimeoutError(f"{run_id} did not end within {duration(request.timeout)}")
            time.sleep(min(_TICK_AT_MOST, max(_TICK, (time.monotonic() - began) / 10)))


def _trials(server: Server, request: Request, run_id: str) -> Callable[[], Progress | None]:
    """A function that looks up how many trials are done; an Airflow elsewhere has a store that is not at hand."""
    if server.home is None:
        return lambda: None
    from contender.run.status import progress
    from contender.store.local import LocalStore

    store = LocalStore(server.home.store)
    return lambda: progress(store, request.pipeline, run_id)


def _leave(server: Server, request: Request, run_id: str, screen: Screen, *, why: str) -> None:
    """After an interrupt: fail the run if its Airflow ends with this command, else let it go on."""
    if not server.own:
        screen.note(f"{run_id} goes on in the Airflow at {server.api.url}")
        return
    screen.note("stopping the run and its Airflow")
    try:
        server.api.fail_run(request.dag_id, run_id, note=f"stopped by {why}")
    except BackendError as error:
        screen.note(f"the run could not be marked as failed: {error}")


def _failures(server: Server, instances: list[dict[str, Any]]) -> list[Failure]:
    """The failures, the one that explains the others first: the earliest of those whose reason the step itself stored."""
    ordered = sorted(instances, key=lambda it: it.get("end_date") or "9")
    found = [(reason is None, _failure(server, it, reason)) for it in ordered for reason in [_reason(server, it)]]
    return [failure for _, failure in sorted(found, key=lambda pair: pair[0])]


def _failure(server: Server, instance: dict[str, Any], reason: str | None) -> Failure:
    """One failure; without the reason that the step stored, its log says why."""
    if reason is None:
        try:
            reason = _message(server.api.log(instance))
        except BackendError as error:
            reason = f"its log cannot be read: {error}"
    return Failure(
        task=instance["task_id"],
        map_index=instance["map_index"],
        tries=instance["try_number"],
        message=reason,
        log=None if server.home is None else str(_log_file(server.home, instance)),
    )


def _reason(server: Server, instance: dict[str, Any]) -> str | None:
    """Why a step failed, as it stored it; None where the store is not at hand or holds no message of ours."""
    if server.home is None:
        return None
    from contender.run.freeze import safe_id
    from contender.run.outcome import recorded_failure
    from contender.store.local import LocalStore

    step = instance["task_id"] + (f"_{instance['map_index']}" if instance["map_index"] >= 0 else "")
    pipeline, run_id = instance["dag_id"].removesuffix(_SUFFIX), safe_id(instance["dag_run_id"])
    found = recorded_failure(LocalStore(server.home.store), pipeline, run_id, step)
    return f"{found.error}: {found.message}" if found is not None and found.message else None


def _message(events: list[dict[str, Any]]) -> str:
    """The last exception in a task's log, else its last error."""
    for event in reversed(events):
        for error in event.get("error_detail") or ():
            # Airflow's own exception types only say what becomes of the task; the message has the cause.
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
