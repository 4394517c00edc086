"""What is done to a run, and to whom: drawn from a seed, aimed at a milestone of the run, and only at the lab's own processes."""

from __future__ import annotations

import random
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import psutil

from contender.documents.sweep import Plan
from contender.run.freeze import safe_id
from contender.store.base import require_document
from contender.store.runs import standing_decision, standing_run
from contender_airflow.embedded import processes as embedded
from faults.lab import IN_BUCKET, PIPELINE, ROUNDS, TRIALS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from contender.store.base import ArtifactStore
    from faults.lab import Lab

COMPONENTS = ("scheduler", "api-server", "mlflow", "dag-processor")
#: Who is struck first is dealt in turn, so that as many seeds in a row have them all. ``snapshot`` and ``challenge`` are
#: pauses of just these steps: they are believed dead, and wake up when another try has done their work. ``reply`` is
#: MLflow's to the next call that changes something there. ``version`` is deleted in MLflow, or the whole registered model;
#: ``store`` is the bucket's server, which is away for a while.
VICTIMS = (
    *("task", "supervisor", "mlflow", "pause", "scheduler", "trial", "api-server", "dag-processor"),
    *("snapshot", "challenge", "reply", "version", "store"),
)
PAUSES = dict.fromkeys(("pause", "snapshot", "challenge"), (10, 20)) | {"store": (5, 60)}  # seconds, from and to
_WAITED = frozenset({"mlflow", "dag-processor", "reply", "store"})
_WHOLE = 0.3  # the share of deletions that are of the whole registered model

# A run's milestones: these documents, one trial's record after another, all of them, the decision.
_BEFORE = ("run.json", "snapshot.json", "quarantine.json", "rounds/1/plan.json")
_SWEPT = len(_BEFORE) + TRIALS
_DECIDED = _SWEPT + 1
# How often a fault comes before, while and after trials are run. A version is looked at only by the last steps.
_PARTS = {"trial": (0, 1, 0), "version": (1, 0, 3)}
_STEPS = {"snapshot": 1, "challenge": _SWEPT}  # the milestone after which the step is under way
_WORKER = re.compile(r"airflow worker -- (LocalExecutor: )?[0-9a-f-]{36}")


@dataclass(frozen=True)
class Fault:
    """One blow: SIGKILL, for a pause a SIGSTOP that some seconds later is taken back, or what a person or a network does.

    Attributes:
        milestone: how far the run is when it comes: documents and trials' records that are there.
        delay: seconds after that.
        which: of several it could hit, from 0 to 1.
        pause: seconds; a supervisor wakes up ``late`` seconds after its task.
    """

    victim: str
    milestone: int
    delay: float
    which: float
    pause: float = 0.0
    late: float = 0.0


def faults_of(seed: int) -> tuple[Fault, ...]:
    """One to four faults, in the order of their milestones."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    victims = [VICTIMS[seed % len(VICTIMS)], *rng.choices(VICTIMS, k=rng.randrange(4))]
    return tuple(sorted((_fault(victim, rng) for victim in victims), key=lambda fault: (fault.milestone, fault.delay)))


def _fault(victim: str, rng: random.Random) -> Fault:
    training = range(len(_BEFORE), _SWEPT)
    [part] = rng.choices(("before", "training", "after"), _PARTS.get(victim, (1, 5, 4)))
    milestone = {
        "before": rng.randrange(len(_BEFORE)),
        "training": rng.choice(training),
        "after": rng.choice((_SWEPT, _DECIDED)),  # challenge, or promote and announce
    }[part]
    return Fault(
        victim=victim,
        milestone=_STEPS.get(victim, milestone),
        delay=rng.uniform(0, 0.5 if part == "training" or victim in _STEPS else 4.0),
        which=rng.random(),
        pause=rng.uniform(*PAUSES[victim]) if victim in PAUSES else 0.0,
        late=rng.uniform(0, 3),
    )


def pipeline_of(faults: Sequence[Fault]) -> str:
    """Whose run they strike: only a store that is a bucket can be away."""
    return IN_BUCKET if any(fault.victim == "store" for fault in faults) else PIPELINE


def waited_for(faults: Sequence[Fault]) -> bool:
    """Whether tasks wait until all of it is over, so that none needs another try. Two absences may be more than the patience."""
    victims = [fault.victim for fault in faults]
    return _WAITED.issuperset(victims) and victims.count("store") < 2


def progress(store: ArtifactStore, pipeline: str, run_id: str) -> int:
    """The last milestone that a run has behind it."""
    run = standing_run(store, pipeline, safe_id(run_id))
    if run is None:
        return 0
    if standing_decision(run, store) is not None:
        return _DECIDED
    plans = [run.round_key(number + 1, "plan.json") for number in range(ROUNDS)]
    planned = [key for plan in plans if store.exists(plan) for key in _planned(store, plan)]
    recorded = set(store.children(f"{pipeline}/trials")) if planned else set()
    trials = [f"{key}.json" in recorded for key in planned]
    if store.exists(plans[-1]) and all(trials):
        return _SWEPT
    return min(sum(store.exists(run.key(name)) for name in _BEFORE) + sum(trials), _SWEPT - 1)


@cache
def _planned(store: ArtifactStore, plan: str) -> list[str]:
    return [trial.key for trial in require_document(store, plan, Plan).trials]


def told(fault: Fault) -> str:
    """The fault in words."""
    recorded = fault.milestone - len(_BEFORE)
    if recorded < 0:
        place = f"before {_BEFORE[fault.milestone].removesuffix('.json').rpartition('/')[2]}"
    else:
        place = {_SWEPT: "after the sweep", _DECIDED: "after the decision"}.get(
            fault.milestone, f"with {recorded} trials recorded"
        )
    lasting = f" for {fault.pause:.0f} s" if fault.pause else ""
    what = "model" if fault.victim == "version" and fault.which < _WHOLE else fault.victim
    return f"{what}{lasting} {place} +{fault.delay:.1f} s"


class Worker(NamedTuple):
    """A running task: who supervises it, its own process, and the child that runs its trials, if it has one now."""

    supervisor: psutil.Process
    task: psutil.Process
    trial: psutil.Process | None


def workers(lab: Lab) -> list[Worker]:
    """The tasks that run now under a supervisor, by process id."""
    found = {process.pid: (process, title, parent) for process, title, parent in _titled(lab)}
    supervising = {pid for pid, (_, title, _) in found.items() if "LocalExecutor" in title}
    tasks = {pid: one for pid, one in found.items() if pid not in supervising and one[2] in supervising}
    trials = {parent: process for pid, (process, _, parent) in found.items() if parent in tasks}
    return [Worker(found[parent][0], task, trials.get(pid)) for pid, (task, _, parent) in sorted(tasks.items())]


def _titled(lab: Lab) -> Iterator[tuple[psutil.Process, str, int]]:
    for process in embedded.owned(lab.home.root):
        with suppress(psutil.Error):
            title = (process.cmdline() or [""])[0]
            if _WORKER.fullmatch(title):
                yield process, title, process.ppid()


def strike(lab: Lab, pipeline: str, run_id: str, fault: Fault) -> bool:
    """Do it, if there is somebody to do it to now."""
    if fault.victim == "version":
        return lab.delete_version(pipeline, run_id, whole=fault.which < _WHOLE)
    if fault.victim in ("reply", "store"):
        lab.lose_reply() if fault.victim == "reply" else lab.take_store_away(fault.pause)
        return True
    targets = _targets(lab, fault)
    if not targets:
        return False
    target = targets[int(fault.which * len(targets))]
    if fault.pause:
        _pause(target, fault)
        return True
    with suppress(psutil.NoSuchProcess):
        target[0].kill()
        return True
    return False


def _targets(lab: Lab, fault: Fault) -> Sequence[list[psutil.Process]]:
    """Whom it could hit; each with those who are stopped together with it, in the order in which they wake up."""
    if fault.victim in COMPONENTS:
        record = embedded.running(lab.home)
        component = record.components.get(fault.victim) if record else None
        with suppress(psutil.NoSuchProcess):
            # MLflow's command is the parent of its server.
            process = psutil.Process(component.pid) if component else None
            found = [process, *process.children()] if fault.victim == "mlflow" and process else [process]
            return [[one] for one in found if one is not None]
        return []
    now = workers(lab)
    if fault.pause:
        return [[*filter(None, (one.trial, one.task)), one.supervisor] for one in now]
    return [[process] for one in now if (process := getattr(one, fault.victim)) is not None]


def _pause(processes: list[psutil.Process], fault: Fault) -> None:
    """Supervisor first, so that it does not take its task for dead; and last to wake up, so that the task writes on."""
    for process in reversed(processes):
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    time.sleep(fault.pause)
    for process in processes:
        if process is processes[-1]:
            time.sleep(fault.late)
        with suppress(psutil.NoSuchProcess):
            process.resume()
