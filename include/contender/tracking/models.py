"""Models as MLflow holds them: saving, logging, registering, aliases. One logged model per recipe and run, one version
per promoted run; each is looked up by its key before it is created, and the key is part of the create call.
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

from contender.owncode import by_value
from contender.tracking.runs import RUN

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from mlflow.entities.model_registry import ModelVersion

    from contender.documents import Run
    from contender.owncode import OwnCode
    from contender.tracking.runs import Tracking

CHAMPION = "champion"
RECIPE = "contender.recipe"
_TYPES = {"float64": DataType.double, "str": DataType.string, "datetime64[us]": DataType.datetime}
_ALWAYS = ("cloudpickle", "mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skrub")


def requirements(code: OwnCode) -> list[str]:
    """What a model needs to load and predict, pinned to what it was fitted with."""
    pinned = {name: version(name) for name in _ALWAYS} | dict(code.requirements)
    return [f"{name}=={pinned[name]}" for name in sorted(pinned)]


def log_model(
    tracking: Tracking, run: Run, model: Any, *, recipe: str, code: OwnCode, sample: pd.DataFrame, into: Path
) -> str:
    """Save a fitted pipeline to ``into`` and log exactly these files as one MLflow model; its id.

    A classifier's pyfunc gives probabilities, shape (n, 2): of the negative and of the positive class.

    Args:
        code: what is behind its estimator: the user's own is saved inside the model, the rest is required.
        sample: some rows of the features; their dtypes become the signature.
    """
    client = tracking.client
    experiment = tracking.experiment(run.pipeline)
    parent = tracking.open_run(run)
    tags = {RECIPE: recipe, RUN: run.id}
    query = f"tags.`{RECIPE}` = '{recipe}' AND tags.`{RUN}` = '{run.id}'"
    found: dict[Any, Any] = {one.status: one for one in client.search_logged_models([experiment], query)}
    if LoggedModelStatus.READY in found:  # an interrupted task got this far: its bytes are the model's
        model_id = str(found[LoggedModelStatus.READY].model_id)
        download_artifacts(artifact_uri=f"models:/{model_id}", dst_path=str(into), tracking_uri=tracking.uri)
        return model_id
    logged = found.get(LoggedModelStatus.PENDING) or client.create_logged_model(
        experiment, name=run.pipeline, source_run_id=parent, tags=tags, model_type="sklearn"
    )
    ask = "predict_proba" if run.spec.data.classification else "predict"
    # Not inferred from values: a text that is missing in the whole sample is a text that may be missing.
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
    outputs_so_far: Any = client.get_run(parent).outputs  # logging one twice breaks MLflow's own unique key
    if logged.model_id not in {one.model_id for one in outputs_so_far.model_outputs}:
        client.log_outputs(parent, [LoggedModelOutput(str(logged.model_id), step=0)])
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
            run_id=tracking.open_run(run),
            tags={RUN: run.id, "contender.release": release, "contender.as_of": run.as_of.isoformat()},
            description=description,
            model_id=model_id,
        )
    # Of two that a task and its lost twin made at once, everyone takes the first.
    return str(min(int(one.version) for one in client.search_model_versions(query)))


def create_registered(tracking: Tracking, pipeline: str) -> None:
    """The pipeline's registered model, made when it is missing."""
    try:
        tracking.client.create_registered_model(pipeline)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def champion_alias(tracking: Tracking, pipeline: str) -> str | None:
    """The version the alias points at, if there is one."""
    found = _version_by_alias(tracking, pipeline)
    return None if found is None else str(found.version)


def set_champion_alias(tracking: Tracking, pipeline: str, version: str) -> None:
    """Point the alias at a version."""
    try:
        tracking.client.set_registered_model_alias(pipeline, CHAMPION, version)
    except MlflowException:  # of two who set it for the first time at once, a database lets one through
        if champion_alias(tracking, pipeline) != version:
            raise


def fetch_version(tracking: Tracking, pipeline: str, version: str, into: Path) -> Path:
    """Download a version's files as MLflow has them."""
    uri = f"models:/{pipeline}/{version}"
    return Path(download_artifacts(artifact_uri=uri, dst_path=str(into), tracking_uri=tracking.uri))


def load(folder: Path) -> Any:
    """Unpickle a model from a local folder. Only ever called on files whose hashes and signature were checked."""
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
    """MLflow warns of pickles. Ours are loaded only after hashes and signature were checked (``contender.release``)."""
    logger = logging.getLogger("mlflow.sklearn")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
