"""How one run is brought about, with an Airflow that is played."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from contender.errors import BackendError, ConfigError, Conflict, DataRejected
from contender.run.outcome import record_failure
from contender.store.local import LocalStore
from contender_airflow.cli import run as module
from contender_airflow.cli.render import Screen
from contender_airflow.cli.run import (
    Request,
    Server,
    _fail_abandoned,
    _failure,
    _failures,
    _message,
    _server,
    _wait_for_dag,
    run,
)
from contender_airflow.embedded import processes
from contender_airflow.embedded.home import Home

SINCE = datetime(2026, 11, 23, tzinfo=UTC)
OLD = (SINCE - timedelta(hours=1)).isoformat()
FRESH = (SINCE + timedelta(seconds=1)).isoformat()
CHURN = Request("churn", {})


def dag(dag_id: str, parsed: str, **more: Any) -> dict[str, Any]:
    found = {"dag_id": dag_id, "last_parsed_time": parsed, "is_stale": False, "is_paused": False}
    return found | {"has_import_errors": False, "relative_fileloc": "contender_dags.py"} | more


class PlayedApi:
    """An Airflow whose answers are attributes."""

    url = "http://127.0.0.1:8080"

    def __init__(self) -> None:
        self.found: list[dict[str, Any] | None] = [dag("churn__training", FRESH)]
        self.others: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self.unfinished: list[str] = []
        self.states = ["running", "success"]
        self.calls: list[tuple[Any, ...]] = []
        self.instances: list[dict[str, Any]] = []
        self.announced: Any = None

    def dag(self, _: str) -> dict[str, Any] | None:
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]

    def dags(self) -> list[dict[str, Any]]:
        return self.others

    def import_errors(self) -> list[dict[str, Any]]:
        return self.errors

    def unpause(self, dag_id: str) -> None:
        self.calls.append(("unpause", dag_id))

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        assert run_id.startswith("cli__")
        self.calls.append(("trigger", dag_id, conf))

    def unfinished_runs(self, _: str) -> list[str]:
        return self.unfinished

    def fail_run(self, _: str, run_id: str, *, note: str) -> None:
        self.calls.append(("fail", run_id[:5], note))

    def run_state(self, *_: str) -> str:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state == "interrupt":
            raise KeyboardInterrupt
        if state == "away":
            raise BackendError("no answer")
        return state

    def tasks(self, _: str) -> dict[str, list[str]]:
        return {"plan": ["announce"], "announce": []}

    def task_instances(self, *_: str) -> list[dict[str, Any]]:
        return self.instances

    def xcom(self, *_: str) -> Any:
        return self.announced

    def close(self) -> None:
        return None


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SETTLED", 0.0)
    monkeypatch.setattr(module.time, "sleep", lambda _: None)


@pytest.fixture
def api() -> PlayedApi:
    return PlayedApi()


def server(api: PlayedApi, **more: Any) -> Server:
    return Server(api, **({"parsed_since": SINCE} | more))  # type: ignore[arg-type]


def screen() -> tuple[Screen, io.StringIO]:
    text = io.StringIO()
    return Screen(Console(file=text, width=200)), text


def test_it_waits_until_the_dag_is_parsed_as_it_is_now(api: PlayedApi) -> None:
    api.found = [None, dag("churn__training", OLD), dag("churn__training", FRESH)]
    _wait_for_dag(server(api), CHURN)
    assert api.found == [dag("churn__training", FRESH)]


def test_a_paused_dag_is_unpaused(api: PlayedApi) -> None:
    api.found = [dag("churn__training", FRESH, is_paused=True)]
    _wait_for_dag(server(api), CHURN)
    assert api.calls == [("unpause", "churn__training")]


def test_an_unknown_pipeline_is_told_with_the_one_that_was_meant(api: PlayedApi) -> None:
    api.found = [None]
    api.others = [dag("churn__training", FRESH), dag("fraud__monitoring", FRESH)]
    with pytest.raises(ConfigError, match=r"no pipeline 'churm' .*Did you mean 'churn'"):
        _wait_for_dag(server(api), Request("churm", {}))


def test_a_file_that_cannot_be_imported_is_told_by_its_last_line(api: PlayedApi) -> None:
    api.found = [None]
    api.errors = [{"filename": "x.py", "timestamp": FRESH, "stack_trace": "Traceback\n  ...\nNameError: nope\n"}]
    with pytest.raises(ConfigError, match=r"x\.py: .*NameError: nope"):
        _wait_for_dag(server(api), CHURN)


def test_a_dag_whose_own_file_broke_is_told_by_that_file(api: PlayedApi) -> None:
    api.found = [dag("churn__training", OLD, has_import_errors=True)]
    api.errors = [
        {"filename": name, "timestamp": FRESH, "stack_trace": f"{name}Error"} for name in ("x.py", "contender_dags.py")
    ]
    with pytest.raises(ConfigError, match=r"^contender_dags\.py"):
        _wait_for_dag(server(api), CHURN)


def test_an_airflow_elsewhere_is_not_waited_for(api: PlayedApi) -> None:
    api.found = [None]
    with pytest.raises(ConfigError, match="has none"):
        _wait_for_dag(server(api, parsed_since=None), CHURN)


def test_runs_of_a_killed_command_are_ended_and_scheduled_ones_are_not(api: PlayedApi) -> None:
    api.unfinished = ["cli__1", "scheduled__1"]
    shown, text = screen()
    _fail_abandoned(server(api), CHURN, shown)
    assert [call[:2] for call in api.calls] == [("fail", "cli__")]
    assert "cli__1 was left unfinished" in text.getvalue()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "dags").mkdir()
    return Home(tmp_path / "home", tmp_path / "dags")


@pytest.fixture
def played(api: PlayedApi, monkeypatch: pytest.MonkeyPatch) -> PlayedApi:
    """The whole of ``run`` on an Airflow of its own that is played."""
    monkeypatch.setattr(module, "_own_server", lambda *_: _Context(server(api, own=True)))
    return api


class _Context:
    def __init__(self, value: Server) -> None:
        self.value = value

    def __enter__(self) -> Server:
        return self.value

    def __exit__(self, *_: object) -> None:
        return None


def test_success_is_what_airflow_calls_success(played: PlayedApi, home: Home) -> None:
    shown, text = screen()
    assert run(Request("churn", {"as_of": "2026-03-02"}), home, shown)
    assert played.calls == [("trigger", "churn__training", {"as_of": "2026-03-02"})]
    assert "done in" in text.getvalue()


def test_a_failed_run_is_no_success(played: PlayedApi, home: Home) -> None:
    played.states = ["failed"]
    shown, text = screen()
    assert not run(CHURN, home, shown)
    assert "churn__training failed" in text.getvalue()


@pytest.mark.parametrize(("failed", "told"), [(["train", "close"], ["train"]), (["close"], ["close"])])
def test_close_which_is_as_red_as_the_run_is_told_only_when_nothing_else_failed(
    played: PlayedApi, home: Home, monkeypatch: pytest.MonkeyPatch, failed: list[str], told: list[str]
) -> None:
    played.states = ["failed"]
    run_of = {"dag_id": "churn__training", "dag_run_id": "cli__1", "map_index": -1, "try_number": 1, "state": "failed"}
    played.instances = [run_of | {"task_id": task, "start_date": None, "end_date": None} for task in failed]
    monkeypatch.setattr(PlayedApi, "log", lambda *_: [{"event": "why", "level": "error"}], raising=False)
    shown, text = screen()
    assert not run(CHURN, home, shown)
    assert [task for task in ("train", "close") if f"failed in {task}" in text.getvalue()] == told


def test_a_run_that_was_decided_and_could_not_tell_shows_both_and_is_no_success(played: PlayedApi, home: Home) -> None:
    played.states = ["failed"]
    played.announced = {"pipeline": "churn", "sentence": "keep: the champion stays"}
    shown, text = screen()
    assert not run(CHURN, home, shown)
    told = text.getvalue()
    assert told.index("keep: the champion stays") < told.index("churn__training failed") < told.index("decision stands")
    assert "run it again" not in told


def test_an_interrupted_run_is_marked_as_failed_in_our_own_airflow(played: PlayedApi, home: Home) -> None:
    played.states = ["running", "interrupt"]
    with pytest.raises(KeyboardInterrupt):
        run(CHURN, home, screen()[0])
    assert played.calls[-1] == ("fail", "cli__", "stopped by interrupt")


def test_an_interrupted_run_goes_on_in_another_airflow(
    api: PlayedApi, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.states = ["interrupt"]
    monkeypatch.setattr(module, "_own_server", lambda *_: _Context(server(api, own=False)))
    shown, text = screen()
    with pytest.raises(KeyboardInterrupt):
        run(CHURN, home, shown)
    assert [call[0] for call in api.calls] == ["trigger"]
    assert "goes on in the Airflow" in text.getvalue()


def test_a_run_that_takes_too_long_is_ended(played: PlayedApi, home: Home) -> None:
    played.states = ["running"]
    with pytest.raises(TimeoutError, match=r"did not end within 0\.0 s"):
        run(Request("churn", {}, timeout=0.0), home, screen()[0])
    assert played.calls[-1][2] == "stopped by timeout"


def test_an_api_server_that_is_away_for_a_moment_does_not_end_the_run(played: PlayedApi, home: Home) -> None:
    played.states = ["running", "away", "success"]
    assert run(CHURN, home, screen()[0])


def test_another_airflow_needs_a_token(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTENDER_AIRFLOW_TOKEN", raising=False)
    with (
        pytest.raises(ConfigError, match="CONTENDER_AIRFLOW_TOKEN"),
        _server(Request("churn", {}, airflow_url="http://x"), home, screen()[0]),
    ):
        pass


def test_a_home_where_another_run_is_at_work_is_left_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    record = processes.Running("run", processes.Component(42, 0.0), "http://x", "http://y")
    monkeypatch.setattr(processes, "running", lambda _: record)
    with (
        pytest.raises(Conflict, match=r"`contender run` \(process 42\).*wait for it"),
        _server(CHURN, home, screen()[0]),
    ):
        pass


def test_the_message_is_the_exception_and_not_airflows_wrapping() -> None:
    wrapped = {"exc_type": "AirflowFailException", "exc_value": "ConfigError: data.uri: no file"}
    assert _message([{"event": "x", "error_detail": [wrapped]}]) == "ConfigError: data.uri: no file"
    plain = {"exc_type": "ValueError", "exc_value": "no"}
    assert _message([{"event": "x", "error_detail": [plain]}, {"event": "end"}]) == "ValueError: no"


def test_a_log_without_an_exception_gives_its_last_error() -> None:
    assert _message([{"event": "killed", "level": "error"}, {"event": "end", "level": "info"}]) == "killed"
    assert _message([]) == "its log names no error"


def test_a_failed_shard_is_told_with_its_own_log_file(home: Home) -> None:
    class Api(PlayedApi):
        def log(self, _: dict[str, Any]) -> list[dict[str, Any]]:
            return []

    keys = {"dag_id": "d", "dag_run_id": "r", "task_id": "t", "map_index": 2, "try_number": 3}
    failure = _failure(server(Api(), home=home), keys, None)
    assert failure.log == f"{home.airflow}/logs/dag_id=d/run_id=r/task_id=t/map_index=2/attempt=3.log"


def test_the_reason_that_a_step_stored_comes_before_what_failed_because_of_it(home: Home) -> None:
    class Api(PlayedApi):
        def log(self, instance: dict[str, Any]) -> list[dict[str, Any]]:
            return [{"event": f"see the log of another task ({instance['task_id']})", "level": "error"}]

    def instance(task: str, end: str | None, index: int = -1) -> dict[str, Any]:
        run = {"dag_id": "churn__training", "dag_run_id": "cli__1", "task_id": task, "map_index": index}
        return run | {"try_number": 1, "end_date": end}

    home.store.mkdir(parents=True)
    store = LocalStore(home.store)
    record_failure(store, "churn", "cli__1", "challenge", DataRejected("sweep: no trial but the baseline's completed"))
    record_failure(store, "churn", "cli__1", "train_1", ConfigError("sweep.candidates: no such parameter"))
    record_failure(store, "churn", "cli__1", "train_0", ValueError("a value of the data"))
    instances = [
        instance("announce", "2026-03-02T03:09:00Z"),
        instance("challenge", "2026-03-02T03:08:00Z"),
        instance("train", None, 0),
        instance("train", "2026-03-02T03:07:00Z", 1),
    ]
    told = [(one.task, one.map_index, one.message) for one in _failures(server(Api(), home=home), instances)]
    assert told == [
        ("train", 1, "ConfigError: sweep.candidates: no such parameter"),
        ("challenge", -1, "DataRejected: sweep: no trial but the baseline's completed"),
        ("announce", -1, "see the log of another task (announce)"),
        ("train", 0, "see the log of another task (train)"),
    ]
    assert len(_failures(server(Api()), instances)) == 4  # an Airflow elsewhere has a store that is not at hand
