"""What the training DAG of a pipeline looks like, and that a broken pipeline is a DAG that says so."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, Asset
from airflow.sdk.exceptions import AirflowFailException

from builders import make_run
from contender.documents.run import Run
from contender.errors import DataRejected
from contender.spec.loading import load_spec
from contender.store.local import LocalStore
from contender_airflow.dags import build_dags
from contender_airflow.errors import RETRY_POLICY
from contender_airflow.hooks.store import ArtifactStoreHook
from contender_airflow.links import ReportLink
from contender_airflow.operators import ending, training
from contender_airflow.operators.base import ContenderOperator

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "dags" / "pipelines"
OPERATORS = [
    value
    for value in (vars(training) | vars(ending)).values()
    if inspect.isclass(value) and issubclass(value, ContenderOperator)
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


def test_only_close_is_a_teardown_and_it_decides_the_runs_state(dag: DAG) -> None:
    assert [task.task_id for task in dag.tasks if task.is_teardown and task.on_failure_fail_dagrun] == ["close"]
    assert [task.task_id for task in dag.tasks if task.is_teardown] == ["close"]


def test_a_run_waits_for_nothing_it_missed_and_for_the_one_before_it(dag: DAG) -> None:
    assert (dag.catchup, dag.max_active_runs, dag.start_date) == (False, 1, None)


def test_the_schedule_is_the_yamls_cron_in_utc() -> None:
    timetable = build_dags(SHIPPED)["churn__training"].timetable
    assert (timetable.expression, str(timetable.timezone)) == (load_spec(SHIPPED / "churn.yaml").schedule, "UTC")


def test_every_task_has_an_owner_retries_a_policy_and_a_timeout(dag: DAG) -> None:
    for task in dag.tasks:
        arguments = task.partial_kwargs if task.is_mapped else vars(task)
        assert task.owner == "tests"
        assert task.retries >= 2
        assert arguments["retry_policy"] is RETRY_POLICY
        assert timedelta(0) < task.execution_timeout <= timedelta(hours=6)


def test_a_long_budget_gives_every_step_its_time_and_not_to_the_training_tasks_alone(pipelines: Path) -> None:
    file = pipelines / "small.yaml"
    file.write_text(file.read_text().replace("sweep:\n", "sweep:\n  budget: 48h\n"))
    tasks = build_dags(pipelines)["small__training"].task_dict
    assert all(
        tasks[step].execution_timeout >= timedelta(hours=48) for step in ("snapshot", "plan", "train", "challenge")
    )


def test_the_dag_is_described_for_people(dag: DAG) -> None:
    assert {"contender", "training", "small"} <= dag.tags
    assert "roc_auc >= 0.6" in dag.doc_md
    assert "beats champion" in dag.doc_md


def test_a_run_is_triggered_by_the_form_of_the_pipeline(dag: DAG) -> None:
    assert dag.params.dump() == {"as_of": None, "sweep.strategy.trials": 4, "promote": True, "reason": None}


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


def test_airflows_own_dag_bag_finds_the_dags_without_an_error() -> None:
    code = """
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder="dags/contender_dags.py")
print(bag.import_errors, sorted(bag.dags))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"{{}} {sorted(f'{file.stem}__training' for file in SHIPPED.glob('*.yaml'))}"


class Offering(ContenderOperator):
    """A step that says what it is told to, on a run of its own."""

    operator_extra_links = (*ContenderOperator.operator_extra_links, ReportLink())
    error: Exception | None = None

    def frozen_run(self, context: object, backends: object) -> Run:
        return make_run()

    def backends(self) -> object:
        mlflow = SimpleNamespace(
            run_id=lambda _: "7", run_url=lambda _, run, place: f"http://mlflow/#/runs/{run}{place}"
        )
        return SimpleNamespace(tracking=mlflow, store=ArtifactStoreHook(self.store_conn_id).get_conn())

    def step(self, run: object, backends: object, context: object) -> None:
        if self.error is not None:
            raise self.error


def test_only_tasks_with_a_page_offer_it(dag: DAG) -> None:
    offered = {task.task_id: {link.name for link in task.operator_extra_links} - {"MLflow run"} for task in dag.tasks}
    some = {"validate": {"Data checks"}} | {step: {"Report"} for step in ("challenge", "promote", "announce")}
    assert {task: names for task, names in offered.items() if names} == some


@pytest.mark.parametrize("error", [None, DataRejected("nothing is left")])
def test_a_page_is_offered_when_it_is_there_also_of_a_step_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception | None
) -> None:
    extra = {"uri": str(tmp_path), "signing_key": "/key.pem"}
    monkeypatch.setenv("AIRFLOW_CONN_CONTENDER_STORE", json.dumps({"conn_type": "contender_store", "extra": extra}))
    store, links = LocalStore(tmp_path), []
    context = {"ti": SimpleNamespace(task_id="t", map_index=-1, try_number=1)}
    for written in (False, True):
        if written:
            store.write(make_run().key("decisions/1.json"), b"{}")
        task = Offering(task_id="t", pipeline="churn", run_id="r1")
        task.error = error
        with nullcontext() if error is None else pytest.raises(AirflowFailException):
            task.execute(context)
        links.append([link.get_link(task, ti_key=None) for link in task.operator_extra_links])
    page = "http://mlflow/#/runs/7"
    assert links == [[page, ""], [page, f"{page}/artifacts/report.html"]]
    said = "DataRejected: nothing is left" in capsys.readouterr().out  # in front of Airflow's traceback
    assert said is (error is not None)
