"""A sweep of 200 trials through the real scheduler, against the same fits done in other ways on as many cores."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.rows import CORES, MEASURED, Bench, Memory, Row
from contender.documents.run import Run

if TYPE_CHECKING:
    from contender.documents.sweep import TrialResult

TRIALS, ITERATIONS, LIMIT = 200, 40, 1.05  # a trial takes about half a second
# The as_of of the timed runs. There are three, because the speed of shared cores changes within minutes.
WEEKS = ("2026-03-09", "2026-03-16", "2026-03-23")
SOME = 50  # trials with one Airflow task each, the slowest way
PER_TRIAL = Path(__file__).parent / "per_trial.py"


def measure(root: Path) -> Row:
    """The time from the first trial's start to the last one's end, against the same fits in forked processes.

    Joblib's loky and one Airflow task per trial are measured too, for comparison.
    """
    bench = Bench.with_pipeline(root, "bench_sweep", trials=TRIALS, iterations=ITERATIONS)
    memory = Memory()
    with memory.watching(root / "home"):  # in a run that is not timed, because reading PSS takes CPU time
        bench.contender_run(MEASURED)
    pairs = []
    for as_of in WEEKS:
        bench.contender_run(as_of)
        run, results = bench.last_run()
        pairs.append((span(results), fit_seconds(bench, run, "forked")))
    tasks, slots = task_seconds(bench, run)
    fits = sum(result.seconds for result in results)
    ours, forked = pairs[-1]
    loky, single = fit_seconds(bench, run, "loky"), one_task_a_trial(bench, run)
    ratios = [mine / theirs for mine, theirs in pairs]
    ratio = statistics.median(ratios)
    return Row(
        name="sweep",
        value=round(ratio, 3),
        unit=f"ratio, the median of {', '.join(f'{one:.3f}' for one in ratios)}",
        against=f"the same fits in {CORES} processes forked from a parent that has imported everything: {forked:.1f} s; "
        f"loky {loky:.1f} s ({loky / forked:.2f}), one tuned Airflow task a trial {single:.1f} s for the first {SOME} of them "
        f"({single / forked * TRIALS / SOME:.2f})",
        limit=LIMIT,
        ok=ratio <= LIMIT,
        how=f"{len(results)} trials of {fits / len(results):.2f} s in {ours:.1f} s, {tasks} training tasks, "
        f"{(slots - fits) / len(results):.3f} s of slot time a trial beside its fit, {CORES} cores; "
        f"peak memory {memory.peak:.0f} MB (PSS)",
    )


def span(results: list[TrialResult]) -> float:
    """Seconds from the first trial's start to the last one's end."""
    ends = [result.started.timestamp() + result.seconds for result in results]
    return max(ends) - min(result.started.timestamp() for result in results)


def task_seconds(bench: Bench, run: Run) -> tuple[int, float]:
    """The number of training tasks of a run and the sum of their seconds, from Airflow's database."""
    with sqlite3.connect(bench.root / "home" / "airflow" / "airflow.db") as connection:
        rows = connection.execute(
            "SELECT duration FROM task_instance WHERE dag_id = ? AND run_id = ? AND task_id = 'train'",
            (f"{bench.name}__training", run.id),
        ).fetchall()
    return len(rows), sum(seconds for (seconds,) in rows)


def fit_seconds(bench: Bench, run: Run, way: str) -> float:
    """Seconds of the same fits in another way (see ``bench.forked``)."""
    command = [sys.executable, "-m", "bench.forked", bench.name, run.id, way]
    done = subprocess.run(command, env=bench.environment, check=True, capture_output=True, text=True)  # noqa: S603
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def one_task_a_trial(bench: Bench, run: Run) -> float:
    """Seconds of ``SOME`` of the same fits with a mapped task for each; all other settings are the same."""
    dags = bench.root / "dags"
    shutil.copy(PER_TRIAL, dags / "contender_dags.py")
    plan = {"name": bench.name, "run": run.id, "trials": SOME, "cores": CORES}
    (dags / "trials.json").write_text(json.dumps(plan))
    told = bench.contender_run()
    return float(re.findall(r"([0-9.]+) seconds", told)[0])
