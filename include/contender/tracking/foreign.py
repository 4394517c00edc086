"""Models in MLflow that Contender did not make: find, fetch and load the one a user named.

How such a model predicts is in ``release.foreign_model``; whether it may become the champion is decided in ``adopt``.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow import pyfunc
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from contender.errors import BackendError, ConfigError, did_you_mean
from contender.telling import first_line
from contender.tracking.access import refusals
from contender.tracking.models import ABSENT

if TYPE_CHECKING:
    from contender.tracking.runs import Tracking

ADOPTED = "contender.adopted"
_FORMS = "models:/NAME/VERSION, models:/NAME@ALIAS, models:/m-ID or runs:/RUN/PATH"


@dataclass(frozen=True)
class Origin:
    """Where a model is: an immutable MLflow address, and its version if the pipeline's registered model has it."""

    uri: str
    version: str | None


def find(tracking: Tracking, pipeline: str, *, version: str | None, model: str | None) -> Origin:
    """The model that a user named, by a version of the pipeline's registered model or by any MLflow address.

    Raises:
        ConfigError: the address is invalid, or there is no such version.
        BackendError: MLflow does not answer.
    """
    if version is not None:
        return _own_version(tracking, pipeline, version)
    address = model or ""
    # An alias can be moved between two calls, so it is replaced by the version it points at now.
    if alias := re.fullmatch(r"models:/([^/@]+)@([^/@]+)", address):
        try:
            found = tracking.client.get_model_version_by_alias(alias[1], alias[2])
        except MlflowException as error:
            raise _translated(error, f"there is no {address[:200]}") from None
        address = f"models:/{alias[1]}/{found.version}"
    if named := re.fullmatch(r"models:/([^/@]+)/([0-9]+)", address):
        return _own_version(tracking, pipeline, named[2]) if named[1] == pipeline else Origin(address, None)
    if not re.fullmatch(r"models:/m-[0-9a-f]+|runs:/[^/]+/.+", address):
        msg = f"--model: got {address[:200]!r}, expected {_FORMS}"
        raise ConfigError(msg)
    return Origin(address, None)


def _own_version(tracking: Tracking, pipeline: str, version: str) -> Origin:
    try:
        found = tracking.client.search_model_versions(f"name = '{pipeline}'")
    except MlflowException as error:
        raise _translated(error, f"there is no registered model {pipeline}") from None
    known = [str(one.version) for one in found]
    if version not in known:
        elsewhere = "" if known else f" It has no version of {pipeline} at all; --model takes one from elsewhere."
        msg = f"--version: MLflow has no version {version[:60]!r} of the registered model {pipeline}."
        raise ConfigError(msg + (did_you_mean(version, known) if known else elsewhere))
    return Origin(f"models:/{pipeline}/{version}", version)


def fetch(tracking: Tracking, uri: str, into: Path) -> Path:
    """Download a model's files; the folder that holds them.

    Raises:
        ConfigError: there is no model at this address.
        BackendError: it cannot be fetched.
    """
    tracking.client  # noqa: B018 - sets the global URI, with which MLflow resolves models:/
    try:
        with refusals(tracking.uri):
            folder = Path(download_artifacts(artifact_uri=uri, dst_path=str(into), tracking_uri=tracking.uri))
    except MlflowException as error:
        raise _translated(error, f"there is no model at {uri}") from None
    except OSError as error:
        msg = f"MLflow: the files of {uri} cannot be fetched: {first_line(error)}"
        raise BackendError(msg) from None
    if not (folder / "MLmodel").is_file():
        msg = f"{uri} is no MLflow model: it has no MLmodel file"
        raise ConfigError(msg)
    return folder


def load_pyfunc(folder: Path) -> Any:
    """Load the pyfunc model in a local folder. Loading runs the model's own code.

    Call it only on a model that a user named for ``contender adopt``, or on its release after hashes and signature were
    checked.
    """
    return pyfunc.load_model(str(folder), suppress_warnings=True)


def saved_at(loaded: Any) -> datetime | None:
    """When the model was saved, by its MLmodel file. It cannot have been trained on rows observed later."""
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(str(loaded.metadata.utc_time_created)).replace(tzinfo=UTC)
    return None


def columns(loaded: Any) -> dict[str, tuple[str, bool]] | None:
    """The signature's columns: name to (MLflow's type name, whether it is required); None if it names no columns."""
    signature = loaded.metadata.signature
    if signature is None or signature.inputs is None or signature.inputs.is_tensor_spec():
        return None
    if not signature.inputs.has_input_names():
        return None
    return {str(one.name): (str(getattr(one.type, "name", one.type)), bool(one.required)) for one in signature.inputs}


def copied_version(tracking: Tracking, pipeline: str, digest: str) -> str | None:
    """The version of the pipeline's registered model that is a copy of these files, if there is one."""
    found = tracking.client.search_model_versions(f"name = '{pipeline}' AND tags.`{ADOPTED}` = '{digest}'")
    return str(min(int(one.version) for one in found)) if found else None


def _translated(error: MlflowException, absent: str) -> ConfigError | BackendError:
    if error.error_code in ABSENT:
        return ConfigError(f"MLflow: {absent} ({first_line(error)})")
    return BackendError(f"MLflow: {first_line(error)}")
