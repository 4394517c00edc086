"""A DAG with one mapped task for each trial of a run, with the same settings as ours; the sweep is compared with it.

It is copied into the bench's DAG folder. ``trials.json`` beside it names the pipeline, the run, and how many trials.
"""

import json
from pathlib import Path

from airflow.sdk import dag, get_current_context, task

PLAN = json.loads((Path(__file__).parent / "trials.json").read_text())


@dag(dag_id=f"{PLAN['name']}__training", schedule=None, catchup=False)
def per_trial() -> None:
    """Fit each trial in its own task, record it in MLflow, and announce the seconds from first start to last end."""

    @task(max_active_tis_per_dagrun=PLAN["cores"])
    def fit(number: int) -> list[float]:
        from contender.data.rows import load_rows
        from contender.documents.run import Run
        from contender.store.base import require_document
        from contender.sweep.results import plans
        from contender.sweep.worker import evaluator_of
        from contender_airflow.hooks.mlflow import MLflowHook
        from contender_airflow.hooks.store import ArtifactStoreHook

        store, tracking = ArtifactStoreHook().get_conn(), MLflowHook().get_conn()
        run = require_document(store, f"{PLAN['name']}/runs/{PLAN['run']}/run.json", Run)
        evaluator = evaluator_of(load_rows(run, store))
        [plan] = plans(run, store)
        result = evaluator.run(plan.trials[number])
        run = run.model_copy(update={"id": get_current_context()["run_id"]})
        tracking.record_trial(run, tracking.run_id(run), result)
        began = result.started.timestamp()
        return [began, began + result.seconds]

    @task
    def announce(spans: list[list[float]]) -> dict[str, str]:
        times = list(spans)
        seconds = max(end for _, end in times) - min(began for began, _ in times)
        return {"pipeline": PLAN["name"], "sentence": f"{seconds} seconds"}

    announce(fit.expand(number=list(range(PLAN["trials"]))))


per_trial()
