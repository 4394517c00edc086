"""From a folder of YAML files to DAGs.

A DAG file needs three lines::

    from contender_airflow.dags import build_dags

    globals().update(build_dags("/path/to/pipelines"))
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import (  # type: ignore[attr-defined] # some are exported lazily
    DAG,
    Asset,
    AsyncCallback,
    CronTriggerTimetable,
    DeadlineAlert,
    DeadlineReference,
    TaskGroup,
    TriggerRule,
    chain,
    get_parsing_context,
    task,
)
from airflow.sdk.exceptions import AirflowFailException

from contender.canonical import sha256
from contender.errors import ConfigError
from contender.frozen import format_duration
from contender.spec.loading import load_spec
from contender.spec.pipeline import NAME_PATTERN
from contender.spec.timeouts import step_timeout, train_timeout
from contender.sweep.trial_queue import TASK_TRIES
from contender_airflow.delivery import run_is_late
from contender_airflow.errors import RETRY_POLICY
from contender_airflow.executor import training_tasks_at_a_time
from contender_airflow.form import trigger_form
from contender_airflow.operators.ending import CloseOperator
from contender_airflow.operators.notify import close_timed_out_run, notify_tasks
from contender_airflow.operators.slot import Slots
from contender_airflow.operators.training import (
    AnnounceOperator,
    ChallengeOperator,
    PlanOperator,
    PromoteOperator,
    SnapshotOperator,
    TrainOperator,
    ValidateOperator,
)

if TYPE_CHECKING:
    from contender.spec.pipeline import PipelineSpec


def build_dags(
    folder: str | Path, *, stagger: str | timedelta | None = None, max_running: int | None = None
) -> dict[str, DAG]:
    """One training DAG per ``*.yaml`` in a folder, by DAG id.

    A broken file becomes a DAG of its usual id that fails with the located error; the others are built as usual. A
    task's process builds only the DAG of that task.

    Args:
        stagger: a window such as ``2h``: each pipeline's scheduled runs start at a minute of it that its name decides.
        max_running: how many runs may be under way at a time, over all pipelines with such a limit and the same store.

    Raises:
        ConfigError: ``stagger`` is no duration, or ``max_running`` is below 1.
    """
    slots = Slots.of(stagger, max_running)
    wanted = get_parsing_context().dag_id
    dags = {}
    for file in sorted([*Path(folder).glob("*.yaml"), *Path(folder).glob("*.yml")]):
        dag_id = f"{_name(file)}__training"
        if wanted in (None, dag_id):
            try:
                if file.suffix != ".yaml":
                    raise ConfigError(f"{file}: rename it to {file.stem}.yaml")
                dags[dag_id] = training_dag(load_spec(file), file, slots)
            except ConfigError as error:
                dags[dag_id] = broken_dag(dag_id, str(error))
    return dags


def training_dag(spec: PipelineSpec, file: Path, slots: Slots = Slots()) -> DAG:  # noqa: B008 - immutable
    """Snapshot -> validate -> plan -> train (mapped) -> challenge -> promote -> announce, the notices, the teardown.

    Where runs are staggered or limited in number, a slot to wait for comes first.
    """
    common: dict[str, Any] = {"pipeline": spec.name}
    receivers = [receiver.model_dump(mode="json") for receiver in spec.notify]
    patience = spec.deadline + slots.offset(spec)  # the wait for its minute does not make a run late
    champion = Asset(name=f"{spec.name}_champion", uri=f"x-contender://{spec.name}/champion")
    with DAG(
        f"{spec.name}__training",
        description=spec.description,
        schedule=_schedule(spec),
        catchup=False,
        max_active_runs=1,
        tags=["contender", "training", spec.name],
        doc_md=_docs(spec),
        params=trigger_form(spec),
        default_args={
            "owner": spec.owner,
            "retries": 2,
            "retry_delay": timedelta(seconds=10),
            "retry_policy": RETRY_POLICY,
            "execution_timeout": step_timeout(spec),
        },
        on_failure_callback=close_timed_out_run,
        deadline=DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            # A number, as Airflow 3.1 stored it: of a timedelta, 3.3.2 cannot clear a failed run (apache/airflow 70368).
            interval=patience.total_seconds(),
            callback=AsyncCallback(  # in the triggerer: a callback in an executor cannot read Airflow's connections
                run_is_late,
                kwargs={"pipeline": spec.name, "receivers": receivers, "deadline": format_duration(patience)},
            ),
        ),
    ) as dag:
        snapshot = SnapshotOperator(task_id="snapshot", spec_file=str(file.absolute()), **common)
        validate = ValidateOperator(task_id="validate", **common)
        rounds = _rounds(spec, **common)
        challenge = ChallengeOperator(task_id="challenge", **common)
        promote = PromoteOperator(task_id="promote", outlets=[champion], **common)
        announce = AnnounceOperator(task_id="announce", trigger_rule=TriggerRule.NONE_FAILED, **common)
        # The only leaf that Airflow takes the run's state from: steps that a person's mark skips would be green.
        close = CloseOperator(task_id="close", **common).as_teardown(on_failure_fail_dagrun=True)
        chain(*slots.tasks(spec), snapshot, validate, *rounds, challenge, promote, announce, close)
        announce >> notify_tasks(spec, **common) >> close
    return dag


def _rounds(spec: PipelineSpec, **common: Any) -> list[Any]:
    """A plan task and its mapped training tasks for each round; several rounds are a task group each."""
    count = spec.sweep.strategy.rounds
    rounds = []
    for number in range(1, count + 1):
        with TaskGroup(f"round_{number}") if count > 1 else nullcontext():
            plan = PlanOperator(task_id="plan", number=number, **common)
            train = TrainOperator.partial(
                task_id="train",
                number=number,
                map_index_template="{{ task_label }}",
                max_active_tis_per_dagrun=training_tasks_at_a_time(spec.sweep.parallelism),
                execution_timeout=train_timeout(spec),
                retries=TASK_TRIES - 1,
                **common,
            ).expand(training_task=plan.output)
        rounds += [plan, train]
    return rounds


def broken_dag(dag_id: str, error: str) -> DAG:
    """The DAG of a broken YAML: its docs and its only task, which fails, say what is wrong."""
    with DAG(
        dag_id,
        description="This pipeline's YAML is broken",
        schedule=None,
        catchup=False,
        tags=["contender", "training", "broken"],
        doc_md=f"### This pipeline's YAML is broken\n```\n{error}\n```\nMend the file; the DAG follows by itself.",
        default_args={"owner": "contender", "retries": 0},
    ) as dag:

        @task
        def configuration() -> None:
            raise AirflowFailException(f"ConfigError: {error}")

        configuration()
    return dag


def _name(file: Path) -> str:
    """The pipeline's name: the file's stem, or where that is no name, one that Airflow accepts and no other file has."""
    if file.suffix == ".yaml" and re.fullmatch(NAME_PATTERN, file.stem):
        return file.stem
    readable = re.sub(r"[^A-Za-z0-9_]", "_", file.name)[:60]
    return f"{readable}_{sha256(file.name.encode())[:8]}"


def _schedule(spec: PipelineSpec) -> CronTriggerTimetable | None:
    """Cron in UTC. The DAG has no start date on purpose: with one, Airflow would run the last missed tick as soon as a
    pipeline is new or unpaused. A tick of the last ten minutes still runs: it may have come while the file was parsed.
    """
    if spec.schedule is None:
        return None
    return CronTriggerTimetable(spec.schedule, timezone="UTC", run_immediately=timedelta(minutes=10))


def _docs(spec: PipelineSpec) -> str:
    gates = "\n".join(f"- {gate.label}" for gate in spec.gates)
    candidates = ", ".join(candidate.label for candidate in spec.sweep.candidates)
    return (
        f"### {spec.description or spec.name}\n\n"
        f"Sweeps **{candidates}** for `{spec.sweep.metric}` and lets the best challenge the champion. "
        f"It takes the title when every gate passes:\n{gates}\n\n"
        "A kept champion shows as a skipped `promote`; the first line of `challenge`'s log is the decision. "
        "A failed run changes nothing. Mend the cause and clear the red tasks with everything after them. Is `snapshot` or "
        "`validate` red, clear `snapshot`: it reads YAML and data anew. Once `validate` has passed nothing changes any more, "
        "and an error that only another run can mend says so. Finished trials are not run again."
    )
