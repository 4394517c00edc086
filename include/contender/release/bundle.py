"""Building, storing and loading releases, the bundles that serve.

A release is built once and signed; it is loaded only after its hashes and signature were checked. Verification of a
registered version in a fresh process is in ``verify``, the champion's title in ``title``.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import warnings
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from sklearn.exceptions import InconsistentVersionWarning

from contender.canonical import content_key, sha256
from contender.documents.release import Adopted, Logged, Release, release_key
from contender.errors import BackendError
from contender.metrics.predictions import Predictions
from contender.release.foreign_model import AdoptedModel
from contender.release.signing import check_signature, sign
from contender.store.base import read_document, write_document
from contender.store.runs import release_place
from contender.telling import raised
from contender.tracking import foreign, models
from contender.usercode import check_ships, own_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pandas as pd

    from contender.backends import Backends
    from contender.data.rows import Rows
    from contender.documents.release import Recipe
    from contender.documents.run import Run
    from contender.usercode import OwnCode

GOLDEN_ROWS = 20  # rows whose predictions are stored with the model; verification compares them
_PREDICTED = "__predicted_"  # prefix of the prediction columns beside the golden rows


class UnreadableRelease(BackendError):
    """A release is missing, was changed, or was signed with another key. It must be restored."""


def build_release(backends: Backends, run: Run, rows: Rows, model: Any, recipe: Recipe) -> Release:
    """Log the fitted model in MLflow, put the same files into the store, and sign the manifest.

    The user's own code is pickled into the model. The release is in a place that its content names, so nobody who builds
    another one for this run can overwrite it; the run's decision names the place.

    Raises:
        ConfigError: the user's own code cannot be pickled.
    """
    code = own_code(recipe.trial.estimator, pipeline=recipe.trial.pipeline)
    check_ships(model, code, "sweep.candidates")
    golden = _with_extremes(rows.features, rows.split.gate[:GOLDEN_ROWS])
    predicted = Predictions.of(model, golden, classification=run.spec.data.classification).values
    with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
        model_id, files = _log(backends, run, model, recipe=recipe.key, code=code, rows=rows, scratch=Path(scratch))
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
        files=_hashes(files),
        golden=sha256(bundle),
        shipped=dict(code.packages),
    )
    place = f"{run.id}/{content_key(release.model_dump(mode='json'))[:32]}"
    release = release.model_copy(update={"place": place})
    keep_release(backends, release, files, bundle)
    return release


def _log(
    backends: Backends, run: Run, model: Any, *, recipe: str, code: OwnCode, rows: Rows, scratch: Path
) -> tuple[str, dict[str, bytes]]:
    """Log the model in MLflow; its id and its files.

    What an earlier try logged is used (pickling again could give other bytes) if its files are, by their hashes, those
    that this store was told of before they were uploaded. Whatever else bears the run's tags in MLflow may be anybody's.
    """
    key = release_key(run.pipeline, run.id, "logged.json")
    before = read_document(backends.store, key, Logged)
    if before is not None and before.recipe in ("", recipe) and models.is_logged(backends.tracking, before.model):
        models.fetch_logged(backends.tracking, before.model, scratch / "before")
        files = model_files(scratch / "before")
        if _hashes(files) == before.files:
            return before.model, files
    folder = scratch / "model"

    def keep(model_id: str) -> None:
        write_document(backends.store, key, Logged(model=model_id, files=_hashes(model_files(folder)), recipe=recipe))

    sample = _with_extremes(rows.features, range(min(100, len(rows.features))))
    model_id = models.log_model(
        backends.tracking, run, model, recipe=recipe, code=code, sample=sample, into=folder, keep=keep
    )
    return model_id, model_files(folder)


def _with_extremes(features: pd.DataFrame, positions: Iterable[int]) -> pd.DataFrame:
    """These rows, then those with the earliest and the latest timestamp of each column, which serving might refuse."""
    chosen = dict.fromkeys(int(position) for position in positions)
    for name in features.select_dtypes("datetime"):
        known = features[name].reset_index(drop=True).dropna()
        chosen |= {} if known.empty else dict.fromkeys((int(known.idxmin()), int(known.idxmax())))
    return features.iloc[list(chosen)].reset_index(drop=True)


def _hashes(files: dict[str, bytes]) -> dict[str, str]:
    return {name: sha256(content) for name, content in sorted(files.items())}


def keep_release(backends: Backends, release: Release, files: dict[str, bytes], golden: bytes) -> None:
    """Put the bundle into the store and sign its manifest.

    Raises:
        ConfigError: the name of a model file is not a valid key of the store; nothing was written.
    """
    contents = {release.key(f"model/{name}"): content for name, content in files.items()}
    manifest = release.model_dump_json(indent=1).encode()
    signature = sign(manifest, backends.signing_key)
    contents |= {release.key("golden.parquet"): golden, release.key("manifest.sig"): signature}
    for key in contents:
        backends.store.exists(key)  # raises ConfigError for an invalid key, before the first write
    for key, content in contents.items():
        backends.store.write(key, content)
    # The manifest comes last: a release without one does not exist, so an interrupted write leaves no half release.
    backends.store.write(release.key("manifest.json"), manifest)


def read_release(backends: Backends, pipeline: str, run_id: str, *, expected: str | None = None) -> Release:
    """The manifest of a run's release, its signature checked.

    Args:
        expected: the hash by which the ledger names the release.

    Raises:
        UnreadableRelease: it is missing, its signature is wrong, or it belongs to another release.
    """
    place = release_place(backends.store, pipeline, run_id)
    manifest = _file(backends, pipeline, run_id, place, "manifest.json")
    if expected is not None and sha256(manifest) != expected:
        msg = f"the release of run {run_id} is not the one that the ledger names: its manifest was replaced; restore it"
        raise UnreadableRelease(msg)
    signature = _file(backends, pipeline, run_id, place, "manifest.sig")
    try:
        check_signature(manifest, signature, backends.signing_key)
    except BackendError as error:
        raise UnreadableRelease(str(error)) from None
    try:
        release = Release.model_validate_json(manifest)
    except ValidationError:
        msg = f"the release of run {run_id} was written by another version of Contender, which this one cannot read"
        raise UnreadableRelease(msg) from None
    if (release.pipeline, release.run_id) != (pipeline, run_id):  # correctly signed, but copied from another release
        msg = f"the release of run {run_id} is in truth that of run {release.run_id} of {release.pipeline}"
        raise UnreadableRelease(msg)
    return release


def manifest_hash(backends: Backends, pipeline: str, run_id: str) -> str:
    """The hash by which the ledger names a release.

    Raises:
        BackendError: the manifest is missing.
    """
    return sha256(release_file(backends, pipeline, run_id, "manifest.json"))


def load_release(backends: Backends, release: Release) -> Any:
    """Load the model from the store. The hash of every file is checked before anything is unpickled.

    Raises:
        BackendError: a file is missing or has another hash, or an adopted model does not load here.
    """
    with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
        return model_of(release, put_files(backends, release, Path(scratch)))


def put_files(backends: Backends, release: Release, folder: Path) -> Path:
    """Put the model's files into a folder, the hash of each checked; the folder.

    Raises:
        UnreadableRelease: a file is missing or has another hash.
    """
    for name, expected in release.files.items():
        try:
            content = backends.store.read(release.key(f"model/{name}"))
        except KeyError:
            content = b""
        if sha256(content) != expected:
            msg = f"release of run {release.run_id}: {name} is missing or was changed; it is not loaded"
            raise UnreadableRelease(msg)
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder


def model_of(release: Release, folder: Path) -> Any:
    """Load a release's model from a folder whose hashes were checked."""
    if not isinstance(release.recipe, Adopted):
        return models.load_sklearn(folder)
    return AdoptedModel(load_foreign(folder), release.recipe)


def load_foreign(folder: Path) -> Any:
    """Load a model that Contender did not make, as MLflow's pyfunc.

    A copy of the folder lives as long as the model, which may read its files only when it predicts.

    Raises:
        BackendError: it does not load here.
    """
    kept = Path(tempfile.mkdtemp(prefix="contender-"))
    try:
        loaded = foreign.load_pyfunc(Path(shutil.copytree(folder, kept / "model")))
    except Exception as error:
        shutil.rmtree(kept, ignore_errors=True)
        if isinstance(error, InconsistentVersionWarning):  # for ``with_same_sklearn``, which makes the message
            raise
        msg = (
            f"the adopted model does not load here: {raised(error)}; install what its requirements.txt names, "
            "here and where the training tasks run"
        )
        raise BackendError(msg) from None
    weakref.finalize(loaded, shutil.rmtree, kept, ignore_errors=True)
    return loaded


def with_same_sklearn(load: Callable[[], Any]) -> Any:
    """The model that ``load`` loads, pickled by the installed scikit-learn: another version may predict other values.

    Raises:
        BackendError: another version pickled it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            return load()
        except InconsistentVersionWarning as warned:
            msg = f"it was made with scikit-learn {warned.original_sklearn_version}, here is {warned.current_sklearn_version}"
            raise BackendError(msg) from None


def golden_parquet(golden: pd.DataFrame, predicted: Any) -> bytes:
    """The golden rows and the model's predictions for them, as Parquet; ``golden_parts`` reads it."""
    prefix = _PREDICTED
    while any(str(name).startswith(prefix) for name in golden.columns):  # a feature may have any name
        prefix = f"_{prefix}"
    columns = {f"{prefix}{number}": values for number, values in enumerate(predicted.reshape(len(golden), -1).T)}
    sink = io.BytesIO()
    golden.assign(**columns).to_parquet(sink)
    return sink.getvalue()


def golden_parts(bundle: bytes, features: Sequence[str]) -> tuple[pd.DataFrame, Any]:
    """The golden rows, shape (n, features), and the predictions for them, shape (n, k): every column that is no feature."""
    import pandas as pd

    table = pd.read_parquet(io.BytesIO(bundle))
    known = set(features)
    return table[list(features)], table[[name for name in table.columns if name not in known]].to_numpy()


def model_files(folder: Path) -> dict[str, bytes]:
    """The model's files by name, without ``registered_model_meta``, which MLflow adds to a download."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "registered_model_meta")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def release_file(backends: Backends, pipeline: str, run_id: str, name: str) -> bytes:
    """A file of a run's release.

    Raises:
        UnreadableRelease: it is missing.
    """
    return _file(backends, pipeline, run_id, release_place(backends.store, pipeline, run_id), name)


def _file(backends: Backends, pipeline: str, run_id: str, place: str, name: str) -> bytes:
    try:
        return backends.store.read(release_key(pipeline, place, name))
    except KeyError as error:
        msg = f"the release of run {run_id} is not in the store: {error.args[0]} is missing"
        raise UnreadableRelease(msg) from None
