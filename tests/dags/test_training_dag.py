from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, Asset
from airflow.sdk.exceptions import ParamValidationError

from builders import make_run
from contender.errors import BackendError, ConfigError, Conflict, DataRejected, DataUnavailable
from contender.loading import load
from contender.run import resolve
from contender_airflow.dags import build_dags
from contender_airflow.links import CHECKS_URL, MLFLOW_RUN_URL, REPORT_URL
from contender_airflow.operators import training
from contender_airflow.operators.base import ContenderOperator
from contender_airflow.outcomes import RETRY_POLICY

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "dags" / "pipelines"
OPERATORS = [
    value for value in vars(training).values() if inspect.isclass(value) and issubclass(value, ContenderOperator)
]

EDGES = {
    "snapshot": {"validate"},
    "validate": {"plan"},
    "plan": {"train"},
    "train": {"challenge"},
    "challenge": {"promote"},
    "promote": {"announce"},
    "announce": {"close"},
    "close": set(),
}


@pytest.fixture
def dag(pipelines: Path) -> DAG:
    return build_dags(pipelines)["small__training"]


def test_every_shipped_yaml_becomes_one_training_dag() -> None:
    assert set(build_dags(SHIPPED)) == {f"{file.stem}__training" for file in SHIPPED.glob("*.yaml")}


def test_no_shipped_pipeline_is_broken() -> None:
    assert not [dag for dag in build_dags(SHIPPED).values() if "broken" in dag.tags]


def test_the_steps_follow_one_another(dag: DAG) -> None:
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == EDGES


def test_a_strategy_with_rounds_has_a_group_of_tasks_for_each(pipelines: Path) -> None:
    """In the graph they are seen one after another; with one round there is nothing to group."""
    text = (pipelines / "small.yaml").read_text()
    halving = re.sub(r"strategy: .*", "strategy: {kind: halving, trials: 9, rounds: 3}", text)
    assert halving != text
    (pipelines / "rungs.yaml").write_text(halving)
    dag = build_dags(pipelines)["rungs__training"]
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "snapshot": {"validate"},
        "validate": {"round_1.plan"},
        "round_1.plan": {"round_1.train"},
        "round_1.train": {"round_2.plan"},
        "round_2.plan": {"round_2.train"},
        "round_2.train": {"round_3.plan"},
        "round_3.plan": {"round_3.train"},
        "round_3.train": {"challenge"},
        **{step: EDGES[step] for step in ("challenge", "promote", "announce", "close")},
    }
    assert [dag.task_dict[f"round_{n}.plan"].number for n in (1, 2, 3)] == [1, 2, 3]
    assert [dag.task_dict[f"round_{n}.train"].partial_kwargs["number"] for n in (1, 2, 3)] == [1, 2, 3]


def test_only_close_is_a_teardown_so_that_announce_decides_the_runs_state(dag: DAG) -> None:
    assert [task.task_id for task in dag.tasks if task.is_teardown] == ["close"]


def test_a_run_waits_for_nothing_it_missed_and_for_the_one_before_it(dag: DAG) -> None:
    assert (dag.catchup, dag.max_active_runs, dag.start_date) == (False, 1, None)


def test_the_schedule_is_the_yamls_cron_in_utc() -> None:
    timetable = build_dags(SHIPPED)["churn__training"].timetable
    assert (timetable.expression, str(timetable.timezone)) == (load(SHIPPED / "churn.yaml").schedule, "UTC")


def test_every_task_has_an_owner_retries_a_policy_and_a_timeout(dag: DAG) -> None:
    for task in dag.tasks:
        arguments = task.partial_kwargs if task.is_mapped else vars(task)
        assert task.owner == "tests"
        assert task.retries >= 2
        assert arguments["retry_policy"] is RETRY_POLICY
        assert timedelta(0) < task.execution_timeout <= timedelta(hours=3)


@pytest.mark.parametrize("error", [ConfigError, DataRejected, Conflict])
def test_what_a_retry_cannot_mend_fails_at_once(error: type[Exception]) -> None:
    assert not error.retryable
    assert RETRY_POLICY.evaluate(error("x"), 1, 3, None).action.value == "fail"


@pytest.mark.parametrize("error", [BackendError, DataUnavailable])
def test_what_may_mend_itself_is_retried(error: type[Exception]) -> None:
    assert error.retryable
    assert RETRY_POLICY.evaluate(error("x"), 1, 3, None).action.value == "retry"


def test_the_dag_is_described_for_people(dag: DAG) -> None:
    assert {"contender", "training", "small"} <= dag.tags
    assert "roc_auc >= 0.6" in dag.doc_md
    assert "beats champion" in dag.doc_md


def test_the_trigger_form_offers_what_the_spec_allows_and_promote_and_reason(dag: DAG) -> None:
    params = dag.params.dump()
    assert params == {"as_of": None, "sweep.strategy.trials": 4, "promote": True, "reason": None}


def test_the_trigger_form_knows_the_limits_of_a_setting(dag: DAG) -> None:
    schema = dag.params.get_param("sweep.strategy.trials").schema
    assert (schema["type"], schema["minimum"], schema["maximum"]) == ("integer", 1, 1000)


def test_the_trigger_form_has_sections_titles_descriptions_with_keys_and_a_gate_that_only_gets_stricter(
    pipelines: Path,
) -> None:
    text = (pipelines / "small.yaml").read_text()
    (pipelines / "small.yaml").write_text(text.replace("trials]", "trials, gates.0.min, data.source.scenario]"))
    dag = build_dags(pipelines)["small__training"]
    form = {name: dag.params.get_param(name) for name in dag.params}
    assert {name: param.schema["section"] for name, param in form.items()} == {
        "as_of": "What to look at",
        "data.source.scenario": "What to look at",
        "sweep.strategy.trials": "The sweep",
        "gates.0.min": "The gates (only stricter)",
        "promote": "What may happen",
        "reason": "What may happen",
    }
    for name, param in form.items():
        assert param.schema["title"]
        assert param.description.endswith(f" ({name})")
        assert param.resolve() == param.value
    assert form["gates.0.min"].description.endswith("At least 0.6. (gates.0.min)")
    with pytest.raises(ParamValidationError, match=r"0\.5 is less than the minimum of 0\.6"):
        form["gates.0.min"].resolve(0.5)
    untouched = {name: param.value for name, param in form.items()}
    spec = load(pipelines / "small.yaml")
    asked = datetime(2026, 3, 2, 3, tzinfo=UTC)
    assert resolve(spec, untouched, requested=asked) == resolve(spec, {}, requested=asked)


def test_promote_announces_the_champion_asset_and_nothing_else_does(dag: DAG) -> None:
    outlets = {task.task_id: task.outlets for task in dag.tasks if task.outlets}
    assert outlets == {"promote": [Asset(name="small_champion", uri="x-contender://small/champion")]}


def test_a_broken_yaml_becomes_its_own_failing_dag_and_leaves_the_others_alone(pipelines: Path) -> None:
    (pipelines / "wrong.yaml").write_text("data: {source: {kind: parqet, uri: x}, target: y}\n")
    dags = build_dags(pipelines)
    assert set(dags) == {"small__training", "wrong__training"}
    assert (
        "wrong.yaml:1: data.source.kind: unknown kind 'parqet'. Did you mean 'parquet'?"
        in dags["wrong__training"].doc_md
    )
    assert "broken" in dags["wrong__training"].tags
    assert dags["wrong__training"].task_ids == ["configuration"]


def test_a_file_with_an_impossible_name_is_a_broken_dag_too(pipelines: Path) -> None:
    for name in ("My Model!.yaml", "m" * 245 + ".yaml", "small.yml", "sm\u00e4ll.yaml"):
        (pipelines / name).write_text((pipelines / "small.yaml").read_text())
    dags = build_dags(pipelines)
    assert len(dags) == 5
    assert [dag_id for dag_id, dag in dags.items() if "broken" not in dag.tags] == ["small__training"]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_template_fields_are_constructor_arguments_kept_under_the_same_name(operator: type[ContenderOperator]) -> None:
    accepted = {name for parent in operator.__mro__ for name in inspect.signature(parent.__init__).parameters}
    assert set(operator.template_fields) <= accepted


def test_no_operator_renders_what_a_user_typed(dag: DAG) -> None:
    for task in dag.tasks:
        arguments = task.partial_kwargs if task.is_mapped else vars(task)
        assert "conf" not in str({name: arguments.get(name) for name in ContenderOperator.template_fields})


def _python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_airflows_own_dag_bag_finds_the_dags_without_an_error() -> None:
    code = """
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder="dags/contender_dags.py")
print(bag.import_errors, sorted(bag.dags))
"""
    printed = _python(f"import os; os.chdir({str(ROOT)!r})\n{code}").splitlines()[-1]
    assert printed == f"{{}} {sorted(f'{file.stem}__training' for file in SHIPPED.glob('*.yaml'))}"


def test_airflows_plugin_loader_takes_nothing_from_the_plugins_folder() -> None:
    """It would import each file there under its bare name, ``mlflow.py`` in the place of mlflow."""
    code = """
import sys
before = set(sys.modules)
from airflow import plugins_manager
plugins = plugins_manager._get_plugins()
own = [name for name, module in sys.modules.items() if "/plugins/contender" in str(getattr(module, "__file__", ""))]
print(sorted(name for name in own if not name.startswith("contender_airflow")), plugins[1])
"""
    assert _python(code, AIRFLOW__CORE__PLUGINS_FOLDER=str(ROOT / "plugins")).splitlines()[-1] == "[] {}"


def test_airflow_knows_our_connection_types_and_links() -> None:
    code = """
from airflow.providers_manager import ProvidersManager
manager = ProvidersManager()
print(sorted(set(manager.hooks) & {"mlflow", "contender_store", "http", "smtp"}))
print(sorted(link for link in manager.extra_links_class_names if "contender" in link))
"""
    lines = _python(code).splitlines()[-2:]
    assert lines == [
        "['contender_store', 'http', 'mlflow', 'smtp']",
        "['contender_airflow.links.ChecksLink', 'contender_airflow.links.MLflowRunLink', 'contender_airflow.links.ReportLink']",
    ]


def test_validate_leads_to_the_page_of_its_checks_and_nothing_else_does(dag: DAG) -> None:
    offered = {task.task_id for task in dag.tasks if "Data checks" in [link.name for link in task.operator_extra_links]}
    assert offered == {"validate"}
    validate, pushed = dag.get_task("validate"), {}
    mlflow = SimpleNamespace(open_run=lambda _: "7", run_url=lambda _, run, place: f"http://mlflow/#/runs/{run}{place}")
    ti = SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}))
    validate._push_links({"ti": ti}, make_run(), SimpleNamespace(tracking=mlflow))
    assert pushed == {
        MLFLOW_RUN_URL: "http://mlflow/#/runs/7",
        REPORT_URL: "http://mlflow/#/runs/7/artifacts/report.html",
        CHECKS_URL: "http://mlflow/#/runs/7/artifacts/checks.html",
    }


NOTIFY = """
notify:
  - {kind: email, to: a@example.com}
  - {kind: webhook, conn_id: chat}
  - {kind: webhook, conn_id: deploy, on: [promoted]}
"""
TOLD = ["notify_email", "notify_webhook", "notify_webhook_2"]


@pytest.fixture
def telling(pipelines: Path) -> DAG:
    file = pipelines / "small.yaml"
    file.write_text(file.read_text() + NOTIFY)
    return build_dags(pipelines)["small__training"]


def test_every_receiver_has_a_task_after_all_others(telling: DAG) -> None:
    edges = {task.task_id: task.downstream_task_ids for task in telling.tasks}
    assert edges == EDGES | {"close": set(TOLD)} | {task: set() for task in TOLD}
    assert telling.get_task("notify_webhook_2").receiver == {"kind": "webhook", "conn_id": "deploy", "on": ["promoted"]}


def test_a_receiver_can_make_a_run_red_and_never_green(telling: DAG) -> None:
    failing = {task.task_id: task.on_failure_fail_dagrun for task in telling.tasks if task.is_teardown}
    assert failing == {"close": False} | dict.fromkeys(TOLD, True)


def test_a_receiver_is_tried_four_times_ever_more_patiently(telling: DAG) -> None:
    for task in map(telling.get_task, TOLD):
        assert (task.retries, task.retry_delay, task.retry_exponential_backoff) == (3, timedelta(seconds=5), 2.0)
        assert task.retry_policy is None
        assert "receiver" not in task.template_fields


def test_the_deadline_tells_the_receivers(telling: DAG) -> None:
    [deadline] = telling.deadline
    assert deadline.callback.path == "contender_airflow.notifications.run_is_late"
    kinds = [receiver["kind"] for receiver in deadline.callback.kwargs["receivers"]]
    assert (kinds, deadline.callback.kwargs["deadline"]) == (["email", "webhook", "webhook"], "6h")
