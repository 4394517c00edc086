"""Contender's own models in MLflow: saving, logging, registering, the champion alias.

There is one logged model per recipe and run, and one version per promoted run. Each has a key in its tags: it is looked
up by this key before it is created, and created together with it, so that a retry finds what an earlier try left.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.artifacts import download_artifacts
from mlflow.entities import LoggedModelOutput
from mlflow.entities.logged_model_status import LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.sklearn import load_model, save_model
from mlflow.types import ColSpec, DataType, Schema

from contender.tracking.runs import RUN
from contender.usercode import by_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from mlflow.entities.model_registry import ModelVersion

    from contender.documents.run import Run
    from contender.tracking.runs import Tracking
    from contender.usercode import OwnCode

CHAMPION = "champion"
RECIPE = "contender.recipe"
# MLflow's types of the dtypes that features can have; see ``contender.data.rows.as_features``.
_TYPES = {"float64": DataType.double, "str": DataType.string, "datetime64[us]": DataType.datetime}
# Requirements of every model: its pipeline is built of these, and pickled with cloudpickle.
_ALWAYS = ("cloudpickle", "mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skrub")


def requirements(code: OwnCode) -> list[str]:
    """The distributions a model needs to load and predict, pinned to the versions it was fitted with."""
    pinned = {name: version(name) for name in _ALWAYS} | dict(code.requirements)
    return [f"{name}=={pinned[name]}" for name in sorted(pinned)]


def log_model(
    tracking: Tracking, run: Run, model: Any, *, recipe: str, code: OwnCode, sample: pd.DataFrame, into: Path
) -> str:
    """Save a fitted pipeline to ``into`` and log exactly these files as one MLflow model; its id.

    A classifier's pyfunc predicts probabilities, shape (n, 2): of the negative and of the positive class.

    Args:
        code: the code behind its estimator; the user's packages are pickled into the model, the rest are requirements.
        sample: some rows of the features; their dtypes become the signature.
    """
    client = tracking.client
    experiment = tracking.experiment(run.pipeline)
    parent = tracking.run_id(run)
    tags = {RECIPE: recipe, RUN: run.id}
    query = f"tags.`{RECIPE}` = '{recipe}' AND tags.`{RUN}` = '{run.id}'"
    found: dict[Any, Any] = {one.status: one for one in client.search_logged_models([experiment], query)}
    if LoggedModelStatus.READY in found:  # an earlier try got this far; pickling again could give other bytes
        model_id = str(found[LoggedModelStatus.READY].model_id)
        download_artifacts(artifact_uri=f"models:/{model_id}", dst_path=str(into), tracking_uri=tracking.uri)
        return model_id
    logged = found.get(LoggedModelStatus.PENDING) or client.create_logged_model(
        experiment, name=run.pipeline, source_run_id=parent, tags=tags, model_type="sklearn"
    )
    ask = "predict_proba" if run.spec.data.classification else "predict"
    # The inputs are not inferred from values: a text column may be all missing in the sample.
    inputs = Schema([ColSpec(_TYPES[str(kind)], str(name)) for name, kind in sample.dtypes.items()])
    outputs = infer_signature(sample, getattr(model, ask)(sample)).outputs
    with _without_pickle_warning(), by_value(code.packages):
        save_model(
            model,
            str(into),
            serialization_format="cloudpickle",
            signature=ModelSignature(inputs=inputs, outputs=outputs),
            pip_requirements=requirements(code),
            pyfunc_predict_fn=ask,
            mlflow_model=Model(artifact_path="model", run_id=parent, model_id=logged.model_id),
        )
    client.log_model_artifacts(logged.model_id, str(into))
    outputs_so_far: Any = client.get_run(parent).outputs  # MLflow fails (unique key) when an output is logged twice
    if logged.model_id not in {one.model_id for one in outputs_so_far.model_outputs}:
        client.log_outputs(parent, [LoggedModelOutput(str(logged.model_id), step=0)])
    # READY comes last: it says that the files are complete.
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return str(logged.model_id)


def register(tracking: Tracking, run: Run, model_id: str, *, release: str, description: str) -> str:
    """The version of this run's model, created when it is missing: exactly one per run."""
    client = tracking.client
    create_registered(tracking, run.pipeline)
    query = f"name = '{run.pipeline}' AND tags.`{RUN}` = '{run.id}'"
    if not client.search_model_versions(query):
        client.create_model_version(
            run.pipeline,
            source=f"models:/{model_id}",
            run_id=tracking.run_id(run),
            tags={RUN: run.id, "contender.release": release, "contender.as_of": run.as_of.isoformat()},
            description=description,
            model_id=model_id,
        )
    # A task and its duplicate (one was believed dead) may have created two at once; both then use the first.
    return str(min(int(one.version) for one in client.search_model_versions(query)))


def create_registered(tracking: Tracking, pipeline: str) -> None:
    """Create the pipeline's registered model unless it exists."""
    try:
        tracking.client.create_registered_model(pipeline)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def champion_alias(tracking: Tracking, pipeline: str) -> str | None:
    """The version that the champion alias points at, if it is set."""
    found = _version_by_alias(tracking, pipeline)
    return None if found is None else str(found.version)


def set_champion_alias(tracking: Tracking, pipeline: str, version: str) -> None:
    """Point the champion alias at a version."""
    try:
        tracking.client.set_registered_model_alias(pipeline, CHAMPION, version)
    except MlflowException:  # when two processes set a new alias at once, the database accepts one of them
        if champion_alias(tracking, pipeline) != version:
            raise


def fetch_version(tracking: Tracking, pipeline: str, version: str, into: Path) -> Path:
    """Download the files of a version of the pipeline's registered model; the folder that holds them."""
    uri = f"models:/{pipeline}/{version}"
    return Path(download_artifacts(artifact_uri=uri, dst_path=str(into), tracking_uri=tracking.uri))


def load_sklearn(folder: Path) -> Any:
    """Unpickle a model from a local folder. Call it only on files whose hashes and signature were checked."""
    return load_model(str(folder))  # type: ignore[no-untyped-call]


def _version_by_alias(tracking: Tracking, pipeline: str) -> ModelVersion | None:
    try:
        return tracking.client.get_model_version_by_alias(pipeline, CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


@contextmanager
def _without_pickle_warning() -> Iterator[None]:
    """Silence MLflow's warning about pickles: ours are unpickled only after their hashes and signature were checked."""
    logger = logging.getLogger("mlflow.sklearn")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
