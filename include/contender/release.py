"""Releases: the bundle that serves. Built once, signed, and never loaded before its hashes and signature are checked."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tempfile
import warnings
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import ValidationError
from sklearn.exceptions import InconsistentVersionWarning

from contender.adopted import AdoptedModel
from contender.canonical import sha256
from contender.documents import Adopted, Release, release_key
from contender.elsewhere import elsewhere
from contender.errors import BackendError, ConfigError
from contender.judge.metrics import Predictions
from contender.owncode import check_ships, own_code
from contender.signing import check_signature, sign
from contender.tracking import foreign, models

if TYPE_CHECKING:
    from collections.abc import Callable

    from contender.backends import Backends
    from contender.data.rows import Rows
    from contender.documents import Recipe, Run

GOLDEN_ROWS = 20
NO_RETRY = 3
_VERIFY_SECONDS = 300


def build_release(backends: Backends, run: Run, rows: Rows, model: Any, recipe: Recipe) -> str:
    """Log the fitted model in MLflow, keep the same bytes in the store, and sign the manifest; the model's id.

    The manifest is written last: a bundle without one does not exist. The user's own code is pickled into the model.

    Raises:
        ConfigError: the user's own code cannot be pickled.
    """
    code = own_code(recipe.trial.estimator, pipeline=recipe.trial.pipeline)
    check_ships(model, code, "sweep.candidates")
    golden = rows.features.iloc[rows.split.gate[:GOLDEN_ROWS]].reset_index(drop=True)
    predicted = Predictions.of(model, golden, classification=run.spec.data.classification).values
    with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
        folder = Path(scratch) / "model"
        model_id = models.log_model(
            backends.tracking,
            run,
            model,
            recipe=recipe.key,
            code=code,
            sample=rows.features.head(100),
            into=folder,
        )
        files = model_files(folder)
    bundle = golden_parquet(golden, predicted)
    release = Release(
        pipeline=run.pipeline,
        run_id=run.id,
        as_of=run.as_of,
        recipe=recipe,
        code=run.code,
        model=model_id,
        features=rows.columns,
        labels=rows.labels,
        files={name: sha256(content) for name, content in sorted(files.items())},
        golden=sha256(bundle),
        shipped=dict(code.packages),
    )
    keep_release(backends, release, files, bundle)
    return model_id


def keep_release(backends: Backends, release: Release, files: dict[str, bytes], golden: bytes) -> None:
    """Put the bundle into the store and sign its manifest, which is written last.

    Raises:
        ConfigError: a file of the model has a name that the store cannot take; nothing is written then.
    """
    contents = {release.key(f"model/{name}"): content for name, content in files.items()}
    manifest = release.model_dump_json(indent=1).encode()
    signature = sign(manifest, backends.signing_key)
    contents |= {release.key("golden.parquet"): golden, release.key("manifest.sig"): signature}
    for key in contents:
        backends.store.exists(key)  # it knows which keys it takes
    for key, content in contents.items():
        backends.store.write(key, content)
    backends.store.write(release.key("manifest.json"), manifest)


def read_release(backends: Backends, pipeline: str, run_id: str) -> Release:
    """The manifest, its signature checked.

    Raises:
        BackendError: it is not there, the signature does not fit, or it is another release's.
    """
    manifest = _stored(backends, pipeline, run_id, "manifest.json")
    check_signature(manifest, _stored(backends, pipeline, run_id, "manifest.sig"), backends.signing_key)
    try:
        release = Release.model_validate_json(manifest)
    except ValidationError:
        msg = f"the release of run {run_id} was written by another version of Contender, which this one cannot read"
        raise BackendError(msg) from None
    if (release.pipeline, release.run_id) != (pipeline, run_id):  # a signed one, put into another's place
        msg = f"the release of run {run_id} is in truth that of run {release.run_id} of {release.pipeline}"
        raise BackendError(msg)
    return release


def manifest_hash(backends: Backends, pipeline: str, run_id: str) -> str:
    """What the ledger names a release by.

    Raises:
        BackendError: it is not there.
    """
    return sha256(_stored(backends, pipeline, run_id, "manifest.json"))


def load_release(backends: Backends, release: Release) -> Any:
    """The fitted pipeline from the store, every byte checked before it is unpickled.

    Raises:
        BackendError: a file is missing or is not what the manifest says, or an adopted model does not load here.
    """
    with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
        folder = Path(scratch)
        for name, expected in release.files.items():
            try:
                content = backends.store.read(release.key(f"model/{name}"))
            except KeyError:
                content = b""
            if sha256(content) != expected:
                msg = f"release of run {release.run_id}: {name} is missing or was changed; it is not loaded"
                raise BackendError(msg)
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        return _model_of(release, folder)


def _model_of(release: Release, folder: Path) -> Any:
    """The model in a folder whose hashes were checked."""
    if not isinstance(release.recipe, Adopted):
        return models.load(folder)
    return AdoptedModel(load_foreign(folder), release.recipe)


def load_foreign(folder: Path) -> Any:
    """MLflow's pyfunc of a model that somebody else made. It keeps the folder: such a model may read its files when it
    is asked.

    Raises:
        BackendError: it does not load here.
    """
    kept = Path(tempfile.mkdtemp(prefix="contender-"))
    try:
        loaded = foreign.load(Path(shutil.copytree(folder, kept / "model")))
    except Exception as error:
        shutil.rmtree(kept, ignore_errors=True)
        if isinstance(error, InconsistentVersionWarning):
            raise
        msg = (
            f"the adopted model does not load here: {type(error).__name__}: {str(error)[:300]}; install what its requirements.txt names, "
            "here and where the training tasks run"
        )
        raise BackendError(msg) from None
    weakref.finalize(loaded, shutil.rmtree, kept, ignore_errors=True)
    return loaded


def exactly(load: Callable[[], Any]) -> Any:
    """What ``load`` loads, if it was made with the scikit-learn that is here: another one may predict something else.

    Raises:
        BackendError: it was not.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            return load()
        except InconsistentVersionWarning as warned:
            msg = f"it was made with scikit-learn {warned.original_sklearn_version}, here is {warned.current_sklearn_version}"
            raise BackendError(msg) from None


def verify_version(backends: Backends, pipeline: str, run_id: str, version: str) -> None:
    """See, in a fresh process, that the registered version is this release and predicts what it must.

    Raises:
        BackendError: it is not or does not; the message says why.
        ConfigError: the same, but trying again cannot help.
    """
    task = {
        "store": backends.store.settings,  # through a pipe: they may hold a secret
        "tracking_uri": backends.tracking.uri,
        "signing_key": str(backends.signing_key),
        "pipeline": pipeline,
        "run_id": run_id,
        "version": version,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "contender.verify"],
            input=json.dumps(task).encode(),
            capture_output=True,
            timeout=_VERIFY_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        msg = f"version {version} of {pipeline} was not verified within {_VERIFY_SECONDS} s"
        raise BackendError(msg) from None
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        msg = f"version {version} of {pipeline} does not verify: {why[0][:800]}"
        raise ConfigError(msg) if done.returncode == NO_RETRY else BackendError(msg)


def check_version(backends: Backends, pipeline: str, run_id: str, version: str) -> None:
    """What the fresh process does: signature, the registry's bytes, golden predictions.

    Raises:
        BackendError: the first thing that does not hold.
        ConfigError: the model needs code or files of the user's that are not in it.
    """
    release = read_release(backends, pipeline, run_id)
    with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
        folder = models.fetch_version(backends.tracking, pipeline, version, Path(scratch))
        found = {name: sha256(content) for name, content in model_files(folder).items()}
        if found != release.files:
            odd, _ = min(set(found.items()) ^ set(release.files.items()))
            msg = f"MLflow's copy of {odd} is not the one that was released"
            raise BackendError(msg)
        bundle = _stored(backends, pipeline, run_id, "golden.parquet")
        if sha256(bundle) != release.golden:
            msg = "golden.parquet was changed since the release was signed"
            raise BackendError(msg)
        with elsewhere(release.shipped):
            _check_predictions(release, folder, pd.read_parquet(io.BytesIO(bundle)))


def _check_predictions(release: Release, folder: Path, table: pd.DataFrame) -> None:
    model = exactly(lambda: _model_of(release, folder))
    expected = table[[name for name in table.columns if name.startswith(_PREDICTED)]].to_numpy()
    golden = table[[column.name for column in release.features]]
    got = Predictions.of(model, golden, classification=release.labels is not None).values.reshape(len(table), -1)
    if got.shape != expected.shape or not (abs(got - expected) <= 1e-9 * (1 + abs(expected))).all():
        msg = "the loaded model does not predict what it predicted when it was released"
        raise BackendError(msg)


_PREDICTED = "__predicted_"


def golden_parquet(golden: pd.DataFrame, predicted: Any) -> bytes:
    """Rows, and what the model says about them."""
    columns = {f"{_PREDICTED}{number}": values for number, values in enumerate(predicted.reshape(len(golden), -1).T)}
    sink = io.BytesIO()
    golden.assign(**columns).to_parquet(sink)
    return sink.getvalue()


def model_files(folder: Path) -> dict[str, bytes]:
    """The model's own files by name; MLflow adds ``registered_model_meta`` to what it hands out."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "registered_model_meta")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def _stored(backends: Backends, pipeline: str, run_id: str, name: str) -> bytes:
    try:
        return backends.store.read(release_key(pipeline, run_id, name))
    except KeyError as error:
        msg = f"the release of run {run_id} is not in the store: {error.args[0]} is missing"
        raise BackendError(msg) from None
