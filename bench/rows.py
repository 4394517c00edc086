"""What all measurements share, and the measurements of single steps. Each measurement returns one row.

No other measurement is imported here: they import this module. ``bench.__main__`` names them all.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench import tables
from contender.documents.run import Run
from contender.frozen import Frozen
from contender.store.base import require_document
from contender.store.local import LocalStore
from contender.sweep.prepared import ROOM
from contender.sweep.results import complete_results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contender.documents.sweep import TrialResult

CORES = len(os.sched_getaffinity(0))
WARM_UP, MEASURED = "2026-02-23", "2026-03-02"  # as_of of the runs

PIPELINE = """
description: what the bench trains
data:
  source: {{kind: demo}}
  target: churned
  positive: "yes"
  id: customer_id
  time: observed_on
  window: 180d
  label_delay: 30d
sweep:
  metric: roc_auc
  strategy: {{kind: random, trials: {trials}}}
  candidates:
    - estimator: sklearn.ensemble.HistGradientBoostingClassifier
      params: {{learning_rate: {{log_uniform: [0.02, 0.3]}}, max_iter: {iterations}, early_stopping: false}}
gates:
  - {{kind: threshold, metric: roc_auc, min: 0.5}}
overridable: [as_of, sweep.strategy.trials]
"""


class Row(Frozen):
    """One figure with its limit, and how it was measured."""

    name: str
    value: float
    unit: str
    against: str
    limit: float
    better: Literal["lower", "higher"] = "lower"
    ok: bool
    how: str


@dataclass
class Memory:
    """Peak memory of all processes of a home together, in MB, as PSS: shared pages count once over all processes."""

    peak: float = 0.0
    _done: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watching(self, root: Path) -> Iterator[None]:
        """Sample every 10 s while the block runs: reading PSS walks page tables, which takes CPU time."""
        from contender_airflow.embedded.processes import owned

        def sample() -> None:
            while not self._done.wait(10):
                total = 0
                for process in owned(root):
                    try:
                        total += process.memory_full_info().pss
                    except Exception:  # noqa: BLE001, S112 - the process has ended meanwhile
                        continue
                self.peak = max(self.peak, total / 1e6)

        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()


@dataclass(frozen=True)
class Bench:
    """A home and a DAG folder of the bench, with one pipeline."""

    root: Path
    name: str

    @classmethod
    def with_pipeline(cls, root: Path, name: str, *, trials: int, iterations: int) -> Bench:
        """Create both and run the pipeline once, so that databases, demo data and bytecode exist before measuring."""
        shutil.rmtree(root, ignore_errors=True)
        (root / "dags" / "pipelines").mkdir(parents=True)
        dag_file = Path(__file__).parent.parent / "dags" / "contender_dags.py"
        shutil.copy(dag_file, root / "dags")
        text = PIPELINE.format(trials=trials, iterations=iterations)
        (root / "dags" / "pipelines" / f"{name}.yaml").write_text(text)
        bench = cls(root, name)
        bench.contender_run(WARM_UP, trials=2)
        return bench

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a child process that works on this home."""
        home = {"CONTENDER_HOME": str(self.root / "home"), "CONTENDER_DAGS": str(self.root / "dags")}
        return os.environ | home | {"OMP_NUM_THREADS": "1"}

    @property
    def store(self) -> LocalStore:
        """The home's store."""
        return LocalStore(self.root / "home" / "store")

    def contender_run(self, as_of: str | None = None, *, trials: int | None = None) -> str:
        """Run the pipeline by ``contender run``; what it printed."""
        command = [str(Path(sys.executable).parent / "contender"), "run", self.name]
        command += [] if as_of is None else ["--as-of", as_of]
        command += [] if trials is None else ["--conf", json.dumps({"sweep.strategy.trials": trials})]
        return subprocess.run(  # noqa: S603
            command, env=self.environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def last_run(self) -> tuple[Run, list[TrialResult]]:
        """The newest run and the records of its trials."""
        keys = [f"{self.name}/runs/{run_id}/run.json" for run_id in self.store.children(f"{self.name}/runs")]
        run = max((require_document(self.store, key, Run) for key in keys), key=lambda one: one.started)
        return run, complete_results(run, self.store).results


def fixed_cost(root: Path) -> Row:
    """What Airflow adds to a run: its wall time minus that of the same steps in one plain Python process."""
    limit = 25.0
    bench = Bench.with_pipeline(root, "bench_fixed", trials=8, iterations=100)
    shutil.copytree(root / "home", root / "plain", symlinks=True)
    memory = Memory()
    with memory.watching(root / "home"):
        began = time.perf_counter()
        bench.contender_run(MEASURED)
        whole = time.perf_counter() - began
    plain_environment = bench.environment | {"CONTENDER_HOME": str(root / "plain")}
    began = time.perf_counter()
    command = [sys.executable, "-m", "bench.plain", bench.name, MEASURED]
    subprocess.run(command, env=plain_environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    plain = time.perf_counter() - began
    return Row(
        name="fixed_cost",
        value=round(whole - plain, 1),
        unit="s (absolute)",
        against="the same seven steps in one plain Python process on as many cores",
        limit=limit,
        ok=whole - plain < limit,
        how=f"contender run {whole:.1f} s, plain {plain:.1f} s, {CORES} cores, warm home; "
        f"peak memory {memory.peak:.0f} MB (PSS)",
    )


def parsing(root: Path) -> Row:
    """What 100 pipelines add to parsing the DAG file."""
    limit = 1.0
    shutil.rmtree(root, ignore_errors=True)
    seconds = {}
    for count in (1, 101):
        folder = root / str(count)
        folder.mkdir(parents=True)
        for number in range(count):
            (folder / f"p{number}.yaml").write_text(PIPELINE.format(trials=20, iterations=100))
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "bench.parse", str(folder)],
            env=os.environ | {"AIRFLOW_HOME": str(root / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
            check=True,
            capture_output=True,
            text=True,
        )
        seconds[count] = float(done.stdout.splitlines()[-1])
    added = seconds[101] - seconds[1]
    return Row(
        name="parsing",
        value=round(added, 3),
        unit="s (absolute)",
        against="one pipeline in the same folder",
        limit=limit,
        ok=added < limit,
        how="median of 5 parses of 101 YAML files minus that of 1, in one warm process",
    )


def snapshot(root: Path) -> Row:
    """A snapshot against PyArrow reading, sorting and writing the same columns."""
    limit = 2.0
    shutil.rmtree(root, ignore_errors=True)
    tables.write(root / "lake" / "rows.parquet")
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    peak = dict.fromkeys(seconds, 0.0)
    for _ in range(3):
        for name, times in seconds.items():
            shutil.rmtree(root / "store", ignore_errors=True)
            took, memory = in_a_process("bench.snapshots", name, str(root))
            times.append(took)
            peak[name] = max(peak[name], memory)
    shutil.rmtree(root)
    middle = {name: sorted(took)[1] for name, took in seconds.items()}
    ratio = middle["ours"] / middle["plain"]
    return Row(
        name="snapshot",
        value=round(ratio, 2),
        unit="ratio",
        against=f"PyArrow read, sort and write: {middle['plain']:.1f} s, peak {peak['plain']:.1f} GB",
        limit=limit,
        ok=ratio < limit,
        how=f"{tables.ROWS:,} rows x 20 columns in {middle['ours']:.1f} s, peak {peak['ours']:.1f} GB; medians of 3, in turn",
    )


def validate(root: Path) -> Row:
    """All data checks with their quarantine and page, against Great Expectations alone on the same frame."""
    limit, most = 1.5, 1.5
    shutil.rmtree(root, ignore_errors=True)
    tables.write(root / "lake" / "rows.parquet")
    in_a_process("bench.validations", "take", str(root))
    found: dict[str, list[list[float]]] = {"plain": [], "ours": [], "step": []}
    for _ in range(3):
        for name, figures in found.items():
            figures.append(in_a_process("bench.validations", name, str(root)))
    shutil.rmtree(root)
    seconds = {name: sorted(took for took, _, _ in figures)[1] for name, figures in found.items()}
    peak = {name: max(most for _, _, most in figures) for name, figures in found.items()}
    frame = found["ours"][0][1]
    ratio, memory = seconds["ours"] / seconds["plain"], peak["ours"] / frame
    return Row(
        name="validate",
        value=round(ratio, 2),
        unit="ratio",
        against=f"the same 12 expectations by Great Expectations, SUMMARY: {seconds['plain']:.1f} s, peak {peak['plain']:.2f} GB",
        limit=limit,
        ok=ratio <= limit and memory <= most,
        how=f"{tables.ROWS:,} rows x 20 columns, {frame:.2f} GB, in {seconds['ours']:.1f} s, peak {peak['ours']:.2f} GB "
        f"({memory:.2f} times the frame, at most {most:g}); with reading the snapshot {seconds['step']:.1f} s, peak "
        f"{peak['step']:.2f} GB and its mapped file is part of that; medians of 3, in turn",
    )


def folds(root: Path) -> Row:
    """What a training task holds of prepared folds, when three kinds of preprocessing alternate over five folds."""
    del root
    limit = ROOM / 1e6
    _, alone, _ = in_a_process("bench.folds", "0")
    seconds, peak, size = in_a_process("bench.folds", str(ROOM))
    held = (peak - alone) * 1e3
    return Row(
        name="folds",
        value=round(held),
        unit="MB (peak, absolute)",
        against=f"the same trials with nothing held: peak {alone * 1e3:.0f} MB",
        limit=limit,
        ok=held <= limit,
        how=f"{size * 1e3:.0f} MB of features, 3 kinds x 5 folds x 2 trials in {seconds:.0f} s, peak {peak * 1e3:.0f} MB; "
        "maximum resident size of a process each, without what glibc keeps of memory that was let go",
    )


def in_a_process(module: str, *arguments: str) -> list[float]:
    """The numbers on the last line that ``python -m module`` prints."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return [float(word) for word in done.stdout.splitlines()[-1].split()]


def forked_seconds(work: Callable[[int], None], count: int) -> float:
    """Seconds that ``work(0)`` to ``work(count - 1)`` take in as many forked processes as there are cores."""
    began = time.perf_counter()
    with multiprocessing.get_context("fork").Pool(CORES) as pool:
        pool.map(work, range(count), chunksize=1)
    return time.perf_counter() - began
