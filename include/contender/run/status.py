"""The state of the pipelines, read from the store: champion, last run, next run, progress. Nothing here writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from contender.documents.outcome import Outcome
from contender.errors import ConfigError, did_you_mean
from contender.frozen import format_duration
from contender.run.outcome import champion_summary
from contender.store.ledger import Ledger
from contender.store.runs import counted_run, standing_end, standing_run
from contender.sweep.results import plans

if TYPE_CHECKING:
    from contender.documents.run import Run
    from contender.store.base import ArtifactStore


#: What the orchestrator says of a pipeline's run, by its id: ``queued``, ``running``, ``success`` or ``failed``; ``deleted``
#: when it has no such run, ``stopped`` when it does not run itself, None when it cannot be asked.
Asked = Callable[[str, str], str | None]


@dataclass(frozen=True)
class Progress:
    """How many trials of a run are planned, and how many are recorded."""

    planned: int
    done: int


def pipelines(store: ArtifactStore) -> list[str]:
    """Every pipeline that ever ran or has a champion, sorted."""
    return [name for name in store.children("") if store.children(f"{name}/runs") or store.children(f"{name}/ledger")]


def status(
    store: ArtifactStore, only: str | None = None, *, now: datetime | None = None, asked: Asked = lambda *_: None
) -> dict[str, Any]:
    """``{"pipelines": [{"name", "champion", "last_run", "next_run"}]}`` as ``contender status --json`` prints it.

    The state of the last run is what its record says, unless the orchestrator knows better: ``running``, ``success``,
    ``failed``, ``stopped``, or ``unknown`` of a run that has no end, is over its deadline, and nobody can be asked about.

    Raises:
        ConfigError: no such pipeline ever ran here.
    """
    known = pipelines(store)
    if only is not None and only not in known:
        msg = f"pipeline {only!r} never ran here." + did_you_mean(only, known)
        raise ConfigError(msg)
    names = known if only is None else [only]
    moment = now or datetime.now(UTC)
    return {"pipelines": [_pipeline_status(store, name, moment, asked) for name in names]}


def progress(store: ArtifactStore, pipeline: str, run_id: str) -> Progress | None:
    """The progress of a run's sweep; None before its first round is planned."""
    run = counted_run(store, pipeline, run_id)
    planned = [] if run is None else [trial.key for plan in plans(run, store) for trial in plan.trials]
    if not planned:
        return None
    done = sum(store.exists(f"{pipeline}/trials/{key}.json") for key in planned)
    return Progress(planned=len(planned), done=done)


def _pipeline_status(store: ArtifactStore, name: str, now: datetime, asked: Asked) -> dict[str, Any]:
    runs = [standing_run(store, name, run_id) for run_id in store.children(f"{name}/runs")]
    started = sorted((run for run in runs if run is not None), key=lambda run: run.started)
    last = started[-1] if started else None
    return {
        "name": name,
        "champion": champion_summary(store, Ledger(store, name).champion()),
        "last_run": None if last is None else _last_run(store, last, now, asked),
        "next_run": None if last is None else _next_run(last.spec.schedule, now),
    }


def _last_run(store: ArtifactStore, run: Run, now: datetime, asked: Asked) -> dict[str, Any]:
    outcome = standing_end(store, run.pipeline, run.id).outcome
    state, sentence = _state(run, outcome, now, asked(run.pipeline, run.id))
    return {
        "run_id": run.id,
        "state": state,
        "decision": None if outcome is None else outcome.decision,
        "sentence": sentence,
        "verdicts": [] if outcome is None else [verdict.model_dump(mode="json") for verdict in outcome.verdicts],
        "trials": {} if outcome is None else outcome.trials,
        "cost": None if outcome is None or outcome.cost is None else outcome.cost.model_dump(mode="json"),
    }


def _state(run: Run, outcome: Outcome | None, now: datetime, told: str | None) -> tuple[str, str]:
    """The run's state and a sentence. A run whose close failed, or was never run, has no record of its end."""
    if told in ("queued", "running"):
        return "running", "" if outcome is None else f"runs again; before: {outcome.sentence}"
    if outcome is not None:
        marked = told not in (None, "deleted", "stopped", outcome.state)
        note = f" (Airflow has it as {told}: it was marked so after its end)" if marked else ""
        return outcome.state, outcome.sentence + note
    if told == "stopped":
        return "stopped", "it was cut short, for no Airflow runs here: `contender up` goes on with it"
    if told is not None:
        deleted, failed = "no such run: it was deleted there", f"it as {told}: the store was away, or it timed out"
        return "failed", f"it has no end on record, and Airflow has {deleted if told == 'deleted' else failed}"
    if now - run.started > run.spec.deadline:
        late = format_duration(now - run.started), format_duration(run.spec.deadline)
        return (
            "unknown",
            f"it began {late[0]} ago, its deadline was {late[1]}, and it has no end on record; ask Airflow",
        )
    return "running", ""


def _next_run(schedule: str | None, now: datetime) -> str | None:
    if schedule is None:
        return None
    from croniter import croniter

    moment: datetime = croniter(schedule, now).get_next(datetime)
    return moment.isoformat()
