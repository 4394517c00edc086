"""The cost of showing a trial in MLflow, and whether eight processes that write at the same time lose any.

``python -m bench.tracking cost URI TRIALS`` prints milliseconds: median, 95th percentile and CPU time of one trial, and
the time of a check of all trials. ``python -m bench.tracking writers URI WRITERS TRIALS`` prints the number of errors,
of retries, and the seconds.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.rows import CORES, PIPELINE, Row, in_a_process
from contender.documents.run import Run
from contender.documents.sweep import Trial, TrialResult
from contender.run.code import installed_code
from contender.spec.loading import load_spec
from contender.tracking.runs import Tracking
from contender.tracking.sqlite import create

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECT, SERVED = 15.0, 55.0  # limits in milliseconds: into a file, and through a server
TRIALS, WRITERS, EACH = 200, 8, 200
_WARM_UP = 20


def measure(root: Path) -> Row:
    """The time of showing a realistic trial in a SQLite file, and through a local server with such a file."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    create(f"sqlite:///{root / 'mlflow.db'}", str(root / "artifacts"))
    direct = in_a_process("bench.tracking", "cost", f"sqlite:///{root / 'mlflow.db'}", str(TRIALS))
    with served(root) as url:
        behind = in_a_process("bench.tracking", "cost", url, str(TRIALS))
    return Row(
        name="tracking",
        value=direct[0],
        unit="ms a trial",
        against="nothing: what it takes is taken from the fits",
        limit=DIRECT,
        ok=direct[0] <= DIRECT and behind[0] <= SERVED,
        how=f"median of {TRIALS} trials into a SQLite file (p95 {direct[1]:.1f} ms, CPU {direct[2]:.1f} ms); through a local server "
        f"{behind[0]:.1f} ms, at most {SERVED:g} (p95 {behind[1]:.1f} ms, CPU here {behind[2]:.1f} ms); looking through all of "
        f"them {direct[3]:.0f} and {behind[3]:.0f} ms; 8 parameters, 5 folds, a curve of 20 points, 10 tags",
    )


def writers(root: Path) -> Row:
    """The trials lost when several processes show trials in one SQLite file at the same time."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    uri = f"sqlite:///{root / 'mlflow.db'}"
    create(uri, str(root / "artifacts"))
    surfaced, retries, seconds = in_a_process("bench.tracking", "writers", uri, str(WRITERS), str(EACH))
    tracking, lost = Tracking(uri), WRITERS * EACH
    token = None
    while token != "":
        page = tracking.client.search_runs([tracking.experiment("bench_tracking")], max_results=1_000, page_token=token)
        whole = [one for one in page if one.info.status == "FINISHED"]
        lost -= sum(len(one.data.params) == 8 and len(one.data.metrics) == 8 for one in whole)
        token = page.token or ""
    return Row(
        name="writers",
        value=lost + surfaced,
        unit="lost or failed",
        against=f"{WRITERS} processes, {EACH} trials each, one SQLite file",
        limit=0,
        ok=lost + surfaced == 0,
        how=f"{lost:.0f} lost, {surfaced:.0f} errors came through, {retries:.0f} asked again; {seconds:.0f} s, "
        f"{WRITERS * EACH / seconds:.0f} trials a second on {CORES} cores",
    )


@contextmanager
def served(root: Path) -> Iterator[str]:
    """Start an MLflow server as ``contender up`` does; its address."""
    import httpx

    from contender_airflow.embedded.home import Home
    from contender_airflow.embedded.processes import free_ports, mlflow_server

    home = Home(root / "home", root)
    (home.root / "keys").mkdir(parents=True)
    create(home.tracking_uri, str(home.artifacts))
    ports = free_ports()
    _, *command = mlflow_server(home, ports)
    with (root / "server.log").open("wb") as log:
        server = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "mlflow", *command],
            env=os.environ | home.environment(ports),
            cwd=root,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        for _ in range(480):
            try:
                if httpx.get(f"{ports.mlflow_url}/health", trust_env=False).is_success:
                    break
            except httpx.HTTPError:
                time.sleep(0.25)
        yield ports.mlflow_url
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def bench_run(folder: Path) -> Run:
    """A Run of the bench's pipeline."""
    path = folder / "bench_tracking.yaml"
    path.write_text(PIPELINE.format(trials=TRIALS, iterations=100))
    now = datetime.now(UTC)
    return Run(id="bench", spec=load_spec(path), as_of=now, started=now, code=installed_code())


def trial_result(run: Run, key: str) -> TrialResult:
    """A record like those of the bench's trials."""
    params = {"learning_rate": 0.1, "max_iter": 200, "max_leaf_nodes": 31, "l2_regularization": 0.5, "max_bins": 255}
    return TrialResult(
        trial=Trial(
            key=f"{key:>064}",
            estimator="sklearn.ensemble.HistGradientBoostingClassifier",
            params=params | {"early_stopping": False},
            seed=7,
        ),
        status="complete",
        scores=(0.81, 0.79, 0.8, 0.82, 0.78),
        mean=0.8,
        std=0.014,
        seconds=1.5,
        fit_seconds=1.2,
        cpu_seconds=1.4,
        peak_memory=400_000_000,
        started=run.started,
        curves={"test_score": tuple((step, 1 - 0.5**step) for step in range(1, 21))},
        run_id=run.id,
        snapshot="5" * 64,
        code=run.code,
    )


def cost(uri: str, trials: int, run: Run) -> list[float]:
    """Milliseconds to show a trial (wall time: median and 95th percentile; CPU time), and to check all trials."""
    tracking = Tracking(uri)
    parent = tracking.run_id(run)
    results = [trial_result(run, str(number)) for number in range(trials + _WARM_UP)]
    for result in results[:_WARM_UP]:
        tracking.record_trial(run, parent, result)
    seconds, cpu = [], time.process_time()
    for result in results[_WARM_UP:]:
        began = time.perf_counter()
        tracking.record_trial(run, parent, result)
        seconds.append(time.perf_counter() - began)
    cpu = (time.process_time() - cpu) / trials
    began = time.perf_counter()
    tracking.show_trials(run, results)
    looked = time.perf_counter() - began
    seconds.sort()
    return [round(1_000 * one, 2) for one in (seconds[trials // 2], seconds[int(trials * 0.95)], cpu, looked)]


def write(uri: str, writer: int, trials: int, run: Run) -> tuple[int, int]:
    """Show a writer's trials; how many failed, and the number of retries."""
    tracking, failed = Tracking(uri), 0
    parent = tracking.run_id(run)
    for number in range(trials):
        try:
            tracking.record_trial(run, parent, trial_result(run, f"{writer}w{number}"))
        except Exception as error:  # noqa: BLE001 - counted
            sys.stderr.write(f"{error}\n")
            failed += 1
    return failed, tracking.retries


def main(what: str, uri: str, *numbers: str) -> None:
    """Run one of the two measurements in this process and print its numbers."""
    with tempfile.TemporaryDirectory() as scratch:
        run = bench_run(Path(scratch))
    if what == "cost":
        found = cost(uri, int(numbers[0]), run)
    else:
        count, trials = map(int, numbers)
        began = time.perf_counter()
        with multiprocessing.get_context("fork").Pool(count) as pool:
            done = pool.starmap(write, [(uri, writer, trials, run) for writer in range(count)])
        found = [sum(failed for failed, _ in done), sum(again for _, again in done), time.perf_counter() - began]
    sys.stdout.write(" ".join(map(str, found)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
