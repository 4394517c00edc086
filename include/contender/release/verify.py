"""``python -m contender.release.verify``: check a registered version in a fresh process, before it becomes champion.

The process reads its task as JSON from standard input.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contender.backends import Backends
from contender.canonical import sha256
from contender.documents.release import Adopted
from contender.documents.run import Run, run_key
from contender.errors import BackendError, ConfigError, ContenderError
from contender.metrics.predictions import Predictions
from contender.release.bundle import golden_parts, model_files, model_of, read_release, release_file, with_same_sklearn
from contender.release.isolation import isolated_from
from contender.spec.timeouts import verification_timeout
from contender.store.base import read_document
from contender.telling import raised
from contender.tracking import models
from contender.tracking.foreign import load_pyfunc
from contender.words import duration

if TYPE_CHECKING:
    import pandas as pd

    from contender.documents.release import Release


NO_RETRY = 3  # exit code of the process: the version does not verify and a retry cannot help


def verify_version(backends: Backends, pipeline: str, run_id: str, version: str) -> None:
    """Check in a fresh process that the registered version is this release and predicts its golden rows.

    Raises:
        BackendError: the check failed or timed out; the message says why.
        ConfigError: the check failed, and a retry cannot help.
    """
    task = {
        "store": backends.store.settings,  # may hold a secret, so the task goes through a pipe
        "tracking_uri": backends.tracking.uri,
        "signing_key": str(backends.signing_key),
        "pipeline": pipeline,
        "run_id": run_id,
        "version": version,
    }
    run = read_document(backends.store, run_key(pipeline, run_id, "run.json"), Run)  # an adopted model has none
    seconds = verification_timeout(None if run is None else run.spec).total_seconds()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "contender.release.verify"],
            input=json.dumps(task).encode(),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        msg = f"version {version} of {pipeline} was not verified within {duration(seconds)}"
        raise BackendError(msg) from None
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        msg = f"version {version} of {pipeline} does not verify: {why[0][:800]}"
        raise ConfigError(msg) if done.returncode == NO_RETRY else BackendError(msg)


def check_version(backends: Backends, pipeline: str, run_id: str, version: str) -> None:
    """Check the signature, the hashes of MLflow's files, and the golden predictions, in this process.

    Raises:
        BackendError: the first check that fails.
        ConfigError: the model needs code or files of the user that are not inside it.
    """
    release = read_release(backends, pipeline, run_id)
    with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
        folder = models.fetch_version(backends.tracking, pipeline, version, Path(scratch))
        found = {name: sha256(content) for name, content in model_files(folder).items()}
        if found != release.files:
            odd, _ = min(set(found.items()) ^ set(release.files.items()))
            msg = f"MLflow's copy of {odd} is not the one that was released"
            raise BackendError(msg)
        bundle = release_file(backends, pipeline, run_id, "golden.parquet")
        if sha256(bundle) != release.golden:
            msg = "golden.parquet was changed since the release was signed"
            raise BackendError(msg)
        with isolated_from(release.shipped):
            _check_predictions(release, folder, bundle)


class _Served:
    """A model of our own as its users call it: MLflow's pyfunc, which enforces the signature."""

    def __init__(self, loaded: Any) -> None:
        self._loaded = loaded

    def predict(self, features: pd.DataFrame) -> Any:
        try:
            return self._loaded.predict(features)
        except Exception as error:  # noqa: BLE001 - a model may raise anything
            msg = f"the model, served by MLflow, refuses rows that it was made from: {raised(error)}"
            raise ConfigError(msg) from None

    predict_proba = predict  # a classifier's pyfunc answers with probabilities


def _check_predictions(release: Release, folder: Path, bundle: bytes) -> None:
    if isinstance(release.recipe, Adopted):
        model = with_same_sklearn(lambda: model_of(release, folder))
    else:
        model = _Served(with_same_sklearn(lambda: load_pyfunc(folder)))
    golden, expected = golden_parts(bundle, [column.name for column in release.features])
    got = Predictions.of(model, golden, classification=release.labels is not None).values.reshape(len(golden), -1)
    # A tolerance, because floating-point sums may be in another order in another process.
    if got.shape != expected.shape or not (abs(got - expected) <= 1e-9 * (1 + abs(expected))).all():
        msg = "the loaded model does not predict what it predicted when it was released"
        raise BackendError(msg)


def main() -> int:
    """The exit code: 0 when the version verifies, ``NO_RETRY`` when a retry cannot help, else 1.

    The reason is the last line of standard error.
    """
    task = json.load(sys.stdin)
    backends = Backends.connect(store=task["store"], tracking_uri=task["tracking_uri"], signing_key=task["signing_key"])
    try:
        check_version(backends, task["pipeline"], task["run_id"], task["version"])
    except ContenderError as error:
        sys.stderr.write(f"{error}\n")
        return 1 if error.retryable else NO_RETRY
    except Exception as error:  # noqa: BLE001 - a model may raise anything, and quote the golden rows
        sys.stderr.write(f"{raised(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
