"""A campaign: one lab, one case per seed. A case starts a run, strikes, waits for its end and looks whether the promises held."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contender.documents.run import Run, run_key
from contender.store.base import require_document
from faults import reference
from faults.faults import Fault, faults_of, pipeline_of, progress, strike, told, waited_for, workers
from faults.lab import dag_id, laboratory, wait_until
from faults.promises import broken, tried_again

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from faults.lab import Lab
    from faults.reference import Reference

_TASKS = 2  # at a time, each with one trial in flight
_PATIENCE = 900.0
_FINAL = ("success", "failed")


@dataclass(frozen=True)
class Case:
    """What became of one run.

    Attributes:
        struck: the faults that found their victim before the run was over.
        seconds: from the trigger to the end; ``recovery`` from the last fault to it, None without one.
        wrong: every promise that was broken, in words.
    """

    seed: int
    struck: tuple[Fault, ...]
    seconds: float
    recovery: float | None
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        what = "; ".join(map(told, self.struck)) or "nothing"
        verdict = "FAILED" if self.wrong else "ok"
        recovered = "" if self.recovery is None else f", {self.recovery:.1f} s after the last fault"
        return f"seed {self.seed:>4}  {verdict:<6}  struck: {what}; ended after {self.seconds:.1f} s{recovered}"


class Campaign:
    """A lab and, beside it, a process that computes what its runs must come to."""

    def __init__(self, lab: Lab, plain: ProcessPoolExecutor) -> None:
        self.lab = lab
        self._plain = plain

    def case(self, seed: int, faults: tuple[Fault, ...] | None = None) -> Case:
        """Run a seed, with its own faults unless others are given."""
        lab, run_id = self.lab, f"case_{seed}"
        planned = faults_of(seed) if faults is None else faults
        pipeline = pipeline_of(planned)
        expected = self._plain.submit(reference.undisturbed, pipeline, seed)
        wait_until(lab.healthy, 120, "the recovery of the components")
        began = time.monotonic()
        lab.trigger(pipeline, run_id, seed)
        struck = []
        last = began
        for fault in planned:
            if self._aim(pipeline, run_id, fault):
                struck.append(fault)
                last = time.monotonic()
        wrong: list[str] = []
        try:
            state = wait_until(
                lambda: (now := lab.state(pipeline, run_id)) in _FINAL and now, _PATIENCE, run_id, tick=2
            )
            ended = time.monotonic()
            wait_until(lambda: not workers(lab), 60, "the end of the run's last process")
            wait_until(lab.healthy, 120, "the recovery of the components")
        except TimeoutError as error:
            state, ended = str(error), time.monotonic()
            self._give_up(pipeline, run_id)
        if state != "success":
            wrong.append(f"the run: {state}")
        wrong += self._broken(pipeline, run_id, expected, struck)
        recovery = ended - last if struck else None
        return Case(seed, tuple(struck), ended - began, recovery, tuple(wrong))

    def _aim(self, pipeline: str, run_id: str, fault: Fault) -> bool:
        """Wait for the fault's moment, then for somebody to strike; whether that came before the run was over."""
        store = self.lab.backends[pipeline].store
        over = run_key(pipeline, run_id, "outcome.json")
        began = time.monotonic()
        while progress(store, pipeline, run_id) < fault.milestone:
            if store.exists(over) or time.monotonic() - began > _PATIENCE:
                return False
            time.sleep(0.1)
        time.sleep(fault.delay)
        while not strike(self.lab, pipeline, run_id, fault):
            if store.exists(over) or time.monotonic() - began > _PATIENCE:
                return False
            time.sleep(0.1)
        return True

    def _give_up(self, pipeline: str, run_id: str) -> None:
        """Let the next case begin."""
        with suppress(Exception):
            self.lab.api.fail_run(dag_id(pipeline), run_id, note="gave up")

    def _broken(self, pipeline: str, run_id: str, expected: Future[Reference], struck: Sequence[Fault]) -> list[str]:
        lab, backends = self.lab, self.lab.backends[pipeline]
        try:
            run = require_document(backends.store, run_key(pipeline, run_id, "run.json"), Run)
        except KeyError:
            return ["the run was never frozen"]
        most = _TASKS * len(struck)
        wrong = broken(run, backends, expected.result(_PATIENCE), lab.fits, most, deleted=lab.deleted)
        if waited_for(struck):
            wrong += tried_again(lab.api.task_instances(dag_id(pipeline), run_id))
        return wrong


@contextmanager
def campaign(root: Path) -> Iterator[Campaign]:
    """Set it up below a folder; nothing of it runs on."""
    plain = root / "plain"
    plain.mkdir(parents=True)
    with laboratory(root) as lab:
        setting = {"mp_context": multiprocessing.get_context("spawn"), "initializer": reference.prepare}
        with ProcessPoolExecutor(1, initargs=(plain, lab.home.dags), **setting) as pool:
            yield Campaign(lab, pool)
