"""Contender's own models in MLflow: saving, logging, registering, the champion alias.

There is one logged model per recipe and run, and one version per release. Each has a key in its tags: it is looked up by
this key before it is created, and created together with it, so that a retry finds what an earlier try left.
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
from mlflow.types.schema import AnyType
from pandas import Timestamp

from contender.errors import BackendError
from contender.tracking.access import MLflowRefused, refusals
from contender.tracking.retrying import asked_once, attempts
from contender.tracking.runs import run_tags
from contender.usercode import by_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd
    from mlflow.entities import LoggedModel

    from contender.documents.run import Run
    from contender.tracking.runs import Tracking
    from contender.usercode import OwnCode

CHAMPION = "champion"
RECIPE = "contender.recipe"
RELEASE = "contender.release"  # the hash of a release's manifest, by which the ledger names it
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND")  # codes for what does not exist
PIPELINE = "contender.pipeline"
# MLflow's types of the dtypes that features can have; see ``contender.data.rows.as_features``.
_TYPES = {"float64": DataType.double, "str": DataType.string, "datetime64[us]": DataType.datetime}
# Requirements of every model: its pipeline is built of these, and pickled with cloudpickle.
_ALWAYS = ("cloudpickle", "mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skrub")


def requirements(code: OwnCode) -> list[str]:
    """The distributions a model needs to load and predict, pinned to the versions it was fitted with."""
    pinned = {name: version(name) for name in _ALWAYS} | dict(code.requirements)
    return [f"{name}=={pinned[name]}" for name in sorted(pinned)]


def log_model(
    tracking: Tracking,
    run: Run,
    model: Any,
    *,
    recipe: str,
    code: OwnCode,
    sample: pd.DataFrame,
    into: Path,
    keep: Callable[[str], None],
) -> str:
    """Save a fitted pipeline to ``into`` and log exactly these files as one MLflow model; its id.

    A classifier's pyfunc predicts probabilities, shape (n, 2): of the negative and of the positive class.

    Args:
        code: the code behind its estimator; the user's packages are pickled into the model, the rest are requirements.
        sample: some rows of the features, among them the earliest and latest timestamps; the signature is made of them.
        keep: called with the id when the files are saved, before they are uploaded.
    """
    client = tracking.client
    parent = tracking.run_id(run)
    tags = {RECIPE: recipe, **run_tags(run)}
    logged = _unfinished(tracking, run.pipeline, tags, model_type="sklearn", source_run_id=parent)
    ask = "predict_proba" if run.spec.data.classification else "predict"
    # The inputs are not inferred from values: a text column may be all missing in the sample.
    inputs = Schema([_column(str(name), values) for name, values in sample.items()])
    outputs = infer_signature(model_output=getattr(model, ask)(sample)).outputs
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
    keep(str(logged.model_id))
    client.log_model_artifacts(logged.model_id, str(into))
    asked_once(
        tracking,
        lambda: _is_output(tracking, parent, logged.model_id),
        lambda: _log_output(tracking, parent, logged.model_id),
    )
    # READY comes last: it says that the files are complete.
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return str(logged.model_id)


def _column(name: str, values: pd.Series) -> ColSpec:
    """A column of the signature. A timestamp that nanoseconds cannot hold (9999-12-31) would be refused as such by
    MLflow, which converts to them; its column is declared as of any type and passed as it is.
    """
    kind = _TYPES[str(values.dtype)]
    if kind is DataType.datetime and (values.min() < Timestamp.min or values.max() > Timestamp.max):
        return ColSpec(AnyType(), name)  # type: ignore[no-untyped-call]
    return ColSpec(kind, name)


def fetch_logged(tracking: Tracking, model_id: str, into: Path) -> None:
    """Download the files of a logged model. Check their hashes before anything is done with them."""
    tracking.client  # noqa: B018 - sets the global URIs, with which MLflow resolves models:/
    download_artifacts(artifact_uri=f"models:/{model_id}", dst_path=str(into), tracking_uri=tracking.uri)


def log_copy(tracking: Tracking, pipeline: str, folder: Path, *, tags: dict[str, str], kind: str) -> str:
    """Log the files in a folder as an MLflow model of its own; its id. An interrupted upload is finished.

    Args:
        kind: MLflow's name of the library that saved it.
    """
    logged = _unfinished(tracking, pipeline, tags, model_type=kind)
    tracking.client.log_model_artifacts(logged.model_id, str(folder))
    tracking.client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return str(logged.model_id)


def is_logged(tracking: Tracking, model_id: str) -> bool:
    """Whether MLflow has a complete model with this id."""
    try:
        return bool(tracking.client.get_logged_model(model_id).status == LoggedModelStatus.READY)
    except (MlflowException, MLflowRefused) as error:
        if is_absent(error):
            return False
        raise


def _unfinished(tracking: Tracking, pipeline: str, tags: dict[str, str], **parts: Any) -> LoggedModel:
    """The MLflow model with these tags whose upload is not complete, created when it is missing."""
    experiment = tracking.experiment(pipeline)
    query = " AND ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())

    def find() -> LoggedModel | None:
        found: Any = tracking.client.search_logged_models([experiment], query)
        return next((one for one in found if one.status == LoggedModelStatus.PENDING), None)

    def create() -> LoggedModel:
        return tracking.client.create_logged_model(experiment, name=pipeline, tags=tags, **parts)

    return asked_once(tracking, find, create)


def _is_output(tracking: Tracking, parent: str, model_id: str) -> bool | None:
    outputs: Any = tracking.client.get_run(parent).outputs
    return model_id in {one.model_id for one in outputs.model_outputs} or None


def _log_output(tracking: Tracking, parent: str, model_id: str) -> bool:
    """Show the model on the run's page. MLflow fails (unique key) when an output is logged twice."""
    tracking.client.log_outputs(parent, [LoggedModelOutput(model_id, step=0)])
    return True


def version_of(tracking: Tracking, pipeline: str, release: str) -> str | None:
    """The version of the pipeline's registered model that is this release, if there is one.

    It is recognised by its tag and never by its number: numbers start again when a registered model is deleted.
    """
    found = tracking.client.search_model_versions(f"name = '{pipeline}' AND tags.`{RELEASE}` = '{release}'")
    # A task and its duplicate (one was believed dead) may have created two at once; both then use the first.
    return str(min(int(one.version) for one in found)) if found else None


def register(
    tracking: Tracking, pipeline: str, model_id: str, *, release: str, tags: dict[str, str], description: str
) -> str:
    """The version that is this release, created when it is missing; ``tags`` are shown with it."""
    create_registered(tracking, pipeline)

    def create() -> str:
        made = tracking.client.create_model_version(
            pipeline,
            source=f"models:/{model_id}",
            tags={RELEASE: release, **tags},
            description=description,
            model_id=model_id,
        )
        return str(made.version)

    made = asked_once(tracking, lambda: version_of(tracking, pipeline, release), create)
    return version_of(tracking, pipeline, release) or made


def mark(tracking: Tracking, pipeline: str, version: str, release: str) -> None:
    """Tag a version that was registered outside Contender, or by an earlier one, as this release."""
    tracking.client.set_model_version_tag(pipeline, version, RELEASE, release)


def experiment_tags(tracking: Tracking, pipeline: str) -> dict[str, str]:
    """The tags of the pipeline's experiment; none without an experiment."""
    found = tracking.client.get_experiment_by_name(pipeline)
    return {} if found is None else dict(found.tags)


def tag_experiment(tracking: Tracking, pipeline: str, name: str, value: str) -> None:
    """Set a tag of the pipeline's experiment."""
    tracking.client.set_experiment_tag(tracking.experiment(pipeline), name, value)


def create_registered(tracking: Tracking, pipeline: str) -> None:
    """Create the pipeline's registered model unless it exists."""
    try:
        attempts(tracking)(tracking.client.create_registered_model, pipeline)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def is_absent(error: MlflowException | MLflowRefused) -> bool:
    """Whether MLflow says that what was looked up is not there.

    To an account that may not see everything, what is not there is forbidden, too. If it is there and forbidden, making it
    or setting the alias will say so.
    """
    return error.status == 403 if isinstance(error, MLflowRefused) else error.error_code in ABSENT


def version_tags(tracking: Tracking, pipeline: str, version: str) -> dict[str, str] | None:
    """The tags of a version; None when there is no such version."""
    try:
        return dict(tracking.client.get_model_version(pipeline, version).tags)
    except (MlflowException, MLflowRefused) as error:
        if is_absent(error):
            return None
        raise


def champion_version(tracking: Tracking, pipeline: str) -> tuple[str, str | None] | None:
    """The version that the champion alias points at and the release that it is tagged as; None when it is not set."""
    try:
        found: Any = tracking.client.get_model_version_by_alias(pipeline, CHAMPION)
    except (MlflowException, MLflowRefused) as error:
        if is_absent(error):
            return None
        raise
    return str(found.version), found.tags.get(RELEASE)


def champion_alias(tracking: Tracking, pipeline: str) -> str | None:
    """The version that the champion alias points at, if it is set."""
    found = champion_version(tracking, pipeline)
    return None if found is None else found[0]


def check_may_set_alias(tracking: Tracking, pipeline: str) -> None:
    """See that this account may change the registered model, before anything says that it did.

    Raises:
        MLflowRefused: it may not.
    """
    tracking.client.set_registered_model_tag(pipeline, PIPELINE, pipeline)


def set_champion_alias(tracking: Tracking, pipeline: str, version: str) -> None:
    """Point the champion alias at a version."""
    tracking.client.set_registered_model_alias(pipeline, CHAMPION, version)


def fetch_version(tracking: Tracking, pipeline: str, version: str, into: Path) -> Path:
    """Download the files of a version of the pipeline's registered model; the folder that holds them.

    Raises:
        BackendError: there is no such version; somebody may just have deleted it.
    """
    tracking.client  # noqa: B018 - sets the global URIs, with which MLflow resolves models:/
    uri = f"models:/{pipeline}/{version}"
    try:
        with refusals(tracking.uri):
            return Path(download_artifacts(artifact_uri=uri, dst_path=str(into), tracking_uri=tracking.uri))
    except MlflowException as error:
        if not is_absent(error):
            raise
        raise BackendError(f"MLflow has no version {version} of {pipeline}: it was deleted there") from None


def load_sklearn(folder: Path) -> Any:
    """Unpickle a model from a local folder. Call it only on files whose hashes and signature were checked."""
    return load_model(str(folder))  # type: ignore[no-untyped-call]


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
