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
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import (  # type: ignore[attr-defined] # some are exported lazily
    DAG,
    Asset,
    AsyncCallback,
    CronTriggerTimetable,
    DeadlineAlert,
    DeadlineReference,
    Param,
    TaskGroup,
    TriggerRule,
    chain,
    get_parsing_context,
    task,
)
from airflow.sdk.exceptions import AirflowFailException

from contender.canonical import sha256
from contender.errors import ConfigError
from contender.frozen import format_duration, parse_duration
from contender.loading import load
from contender.spec import NAME_PATTERN
from contender.turns import stagger as stagger_of
from contender_airflow.executor import training_tasks_at_a_time
from contender_airflow.notifications import run_is_late
from contender_airflow.operators.notify import notify_tasks
from contender_airflow.operators.training import (
    AnnounceOperator,
    ChallengeOperator,
    CloseOperator,
    PlanOperator,
    PromoteOperator,
    SnapshotOperator,
    TrainOperator,
    ValidateOperator,
)
from contender_airflow.operators.turn import TurnSensor
from contender_airflow.outcomes import RETRY_POLICY

if TYPE_CHECKING:
    from contender.spec import PipelineSpec

_STEP_TIMEOUT = timedelta(hours=1)


def build_dags(
    folder: str | Path, *, stagger: str | timedelta | None = None, max_running: int | None = None
) -> dict[str, DAG]:
    """One training DAG per ``*.yaml`` in a folder, by DAG id.

    A broken file becomes a DAG of its usual id that fails with the located error, and leaves the others alone. In a
    task's process only that task's DAG is built.

    Args:
        stagger: a window such as ``2h``: each pipeline's scheduled runs start some minutes into it, by its name.
        max_running: how many runs may be under way at a time, of all pipelines with such a limit and the same store.

    Raises:
        ConfigError: one of them is not such a limit.
    """
    spread = Spread.of(stagger, max_running)
    wanted = get_parsing_context().dag_id
    dags = {}
    for file in sorted([*Path(folder).glob("*.yaml"), *Path(folder).glob("*.yml")]):
        dag_id = f"{_name(file)}__training"
        if wanted in (None, dag_id):
            try:
                if file.suffix != ".yaml":
                    raise ConfigError(f"{file}: rename it to {file.stem}.yaml")
                dags[dag_id] = training_dag(load(file), file, spread)
            except ConfigError as error:
                dags[dag_id] = broken_dag(dag_id, str(error))
    return dags


class Spread(NamedTuple):
    """How pipelines keep out of each other's way: a window to start in, and how many run at a time."""

    window: timedelta | None = None
    max_running: int | None = None

    @classmethod
    def of(cls, stagger: str | timedelta | None, max_running: int | None) -> Spread:
        """From what a DAG file says.

        Raises:
            ConfigError: it is no duration, or no number of runs.
        """
        if max_running is not None and max_running < 1:
            raise ConfigError(f"build_dags: max_running: got {max_running}, expected 1 or more")
        try:
            return cls(None if stagger is None else parse_duration(stagger), max_running)
        except ValueError as error:
            raise ConfigError(f"build_dags: stagger: {error}") from None

    def turn(self, spec: PipelineSpec) -> list[TurnSensor]:
        """The task that waits, when there is something to wait for."""
        if self == Spread():
            return []
        sensor = TurnSensor(
            task_id="turn",
            pipeline=spec.name,
            deadline=spec.deadline,
            offset=self.offset(spec),
            max_running=self.max_running,
        )
        return [sensor]

    def offset(self, spec: PipelineSpec) -> timedelta:
        """How long after its tick a pipeline starts."""
        return timedelta(0) if self.window is None else stagger_of(spec.name, self.window)


def training_dag(spec: PipelineSpec, file: Path, spread: Spread = Spread()) -> DAG:  # noqa: B008 - immutable
    """Snapshot -> validate -> plan -> train (mapped) -> challenge -> promote -> announce, the teardown, the notices.

    With a spread there is a turn to wait for before the snapshot.
    """
    common: dict[str, Any] = {"pipeline": spec.name}
    receivers = [receiver.model_dump(mode="json") for receiver in spec.notify]
    patience = spec.deadline + spread.offset(spec)
    champion = Asset(name=f"{spec.name}_champion", uri=f"x-contender://{spec.name}/champion")
    with DAG(
        f"{spec.name}__training",
        description=spec.description,
        schedule=_schedule(spec),
        catchup=False,
        max_active_runs=1,
        tags=["contender", "training", spec.name],
        doc_md=_docs(spec),
        params=_params(spec),
        default_args={
            "owner": spec.owner,
            "retries": 2,
            "retry_delay": timedelta(seconds=10),
            "retry_policy": RETRY_POLICY,
            "execution_timeout": _STEP_TIMEOUT,
        },
        deadline=DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=patience,
            callback=AsyncCallback(  # on the triggerer: in an executor it may not read Airflow's own connections
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
        close = CloseOperator(task_id="close", **common).as_teardown()
        chain(*spread.turn(spec), snapshot, validate, *rounds, challenge, promote, announce, close)
        close >> notify_tasks(spec, **common)
    return dag


def _rounds(spec: PipelineSpec, **common: Any) -> list[Any]:
    """Plan and training tasks, once for each round; when there are several, each pair is a group of its own."""
    count = spec.sweep.strategy.rounds
    rounds = []
    for number in range(1, count + 1):
        with TaskGroup(f"round_{number}") if count > 1 else nullcontext():
            plan = PlanOperator(task_id="plan", number=number, **common)
            train = TrainOperator.partial(
                task_id="train",
                number=number,
                map_index_template="{{ shard_label }}",
                max_active_tis_per_dagrun=training_tasks_at_a_time(spec.sweep.parallelism),
                # The budget ends a trial, too; this ends what is stuck elsewhere.
                execution_timeout=spec.sweep.round_budget + timedelta(minutes=10),
                **common,
            ).expand(shard=plan.output)
        rounds += [plan, train]
    return rounds


def broken_dag(dag_id: str, error: str) -> DAG:
    """What a broken YAML becomes: a DAG that cannot be missed and says what is wrong."""
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
    """A pipeline's name, or for a file that cannot be one a name that Airflow takes and no other file has."""
    if file.suffix == ".yaml" and re.fullmatch(NAME_PATTERN, file.stem):
        return file.stem
    readable = re.sub(r"[^A-Za-z0-9_]", "_", file.name)[:60]
    return f"{readable}_{sha256(file.name.encode())[:8]}"


def _schedule(spec: PipelineSpec) -> CronTriggerTimetable | None:
    """Cron in UTC. There is no start date on purpose: with one, Airflow would run the last missed tick the moment a
    pipeline is new or unpaused. The ten minutes are for a tick that comes while the file is being parsed.
    """
    if spec.schedule is None:
        return None
    return CronTriggerTimetable(spec.schedule, timezone="UTC", run_immediately=timedelta(minutes=10))


def _params(spec: PipelineSpec) -> dict[str, Param]:
    """The trigger form: what the spec makes overridable, and promote and reason always. Left as it is it changes nothing.

    A description ends with the setting's key in the conf, which API and command line know it by.
    """
    params: dict[str, Param] = {}
    for path in sorted(spec.overridable, key=lambda path: list(_SECTIONS).index(_section(path))):
        if path == "as_of":
            params[path] = Param(
                None,
                type=["null", "string"],
                format="date",
                title="As of",
                section=_SECTIONS["data"],
                description="The day the run looks from (UTC). Empty: the day it is triggered. "
                "A day before the champion's evaluates only. (as_of)",
            )
        else:
            schema = spec.override_schema(path)
            described = f"{_sentence(schema.pop('description'), schema)} ({path})".lstrip()
            params[path] = Param(schema.pop("default"), described, section=_SECTIONS[_section(path)], **schema)
    params["promote"] = Param(
        default=True,
        type="boolean",
        title="Promote",
        section=_SECTIONS["promote"],
        description="Off: evaluate and report only, the champion stays. (promote)",
    )
    params["reason"] = Param(
        None,  # a required text would turn the whole form red
        type=["null", "string"],
        maxLength=2_000,
        title="Reason",
        section=_SECTIONS["promote"],
        description="Why this run; it stays in the ledger. (reason)",
    )
    return params


_SECTIONS = {
    "data": "What to look at",
    "sweep": "The sweep",
    "gates": "The gates (only stricter)",
    "promote": "What may happen",
}


def _section(path: str) -> str:
    """Where in the form a setting stands."""
    group = path.split(".", maxsplit=1)[0]
    return {"as_of": "data", "split": "data", "quarantine": "data", "seed": "sweep", "refit": "sweep"}.get(
        group, group if group in _SECTIONS else "promote"
    )


def _sentence(description: str, schema: dict[str, Any]) -> str:
    """What a setting is, and within which limits a number must be."""
    keywords = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    bounds = " and ".join(f"{words} {schema[key]:g}" for key, words in keywords.items() if key in schema).capitalize()
    return "".join(f"{words}. " for words in (description, bounds) if words)[:-1]


def _docs(spec: PipelineSpec) -> str:
    gates = "\n".join(f"- {gate.label}" for gate in spec.gates)
    candidates = ", ".join(candidate.label for candidate in spec.sweep.candidates)
    return (
        f"### {spec.description or spec.name}\n\n"
        f"Sweeps **{candidates}** for `{spec.sweep.metric}` and lets the best challenge the champion. "
        f"It takes the title when every gate passes:\n{gates}\n\n"
        "A kept champion shows as a skipped `promote`; the first line of `challenge`'s log is the decision. "
        "A failed run changes nothing: mend the cause and clear the red task, finished trials are not run again."
    )
