"""What serves is exactly what was signed: whatever else is there is refused before a byte of it is unpickled."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sklearn.base
from mlflow.entities.logged_model_status import LoggedModelStatus

from builders import LOGISTIC, TIMED, make_run, make_table
from contender.canonical import sha256
from contender.data.rows import Rows, as_frame
from contender.data.snapshot import canonical
from contender.data.split import trained_on
from contender.documents.columns import Column
from contender.documents.decision import Decision
from contender.documents.release import Logged, Recipe, Release, release_key
from contender.documents.run import Run
from contender.documents.scoreboard import Scoreboard
from contender.documents.sweep import Trial
from contender.errors import BackendError, ConfigError
from contender.release import verify
from contender.release.bundle import (
    build_release,
    golden_parquet,
    golden_parts,
    load_release,
    manifest_hash,
    read_release,
)
from contender.release.signing import create_key, sign
from contender.release.verify import check_version, verify_version
from contender.store.base import require_document
from contender.store.local import LocalStore
from contender.store.runs import let_count, put_decision, release_place
from contender.sweep.model import build_model
from contender.tracking import models
from homes import begun, copied

if TYPE_CHECKING:
    from contender.backends import Backends

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class World:
    """A release in the store, and its version in MLflow."""

    backends: Backends
    run: Run
    rows: Rows
    version: str

    @property
    def release(self) -> Release:
        return read_release(self.backends, "churn", "r1")

    def check(self) -> None:
        check_version(self.backends, "churn", "r1", self.version)

    def load(self) -> Any:
        return load_release(self.backends, self.release)

    def key(self, name: str) -> str:
        return release_key("churn", release_place(self.backends.store, "churn", self.run.id), name)

    def stored(self, name: str) -> Path:
        return self.backends.store.local(self.key(name))

    def served(self) -> Path:
        """MLflow's copy of the model, as it lies in its artifact folder."""
        [model] = Path(self.backends.tracking.uri.removeprefix("sqlite:///")).parent.glob("artifacts/churn/models/*")
        return model / "artifacts"

    def sign_again(self, **changes: Any) -> None:
        """A manifest that says something else, signed with the right key."""
        manifest = self.release.model_copy(update=changes).model_dump_json().encode()
        self.backends.store.write(self.key("manifest.json"), manifest)
        self.backends.store.write(self.key("manifest.sig"), sign(manifest, self.backends.signing_key))


def release_of(backends: Backends, run: Run, **more: Any) -> World:
    """``more`` are further columns, timestamps."""
    table = make_table(200)
    for name, values in more.items():
        table = table.append_column(name, pa.array(values))
    frame = as_frame(canonical(table, run.spec.data), run.spec.data.id)
    kinds: dict[str, Any] = {"region": "text", "x": "number"} | dict.fromkeys(more, "timestamp")
    columns = tuple(Column(name=name, type=kind) for name, kind in sorted(kinds.items()))
    target = (frame["y"] == "yes").to_numpy().astype("int64")
    rows = Rows(run=run, frame=frame, columns=columns, target=target, labels=("no", "yes"))
    recipe = Recipe(
        key=f"recipe of {run.id}",
        trial=Trial(key="t", estimator=LOGISTIC, params={}, seed=0),
        snapshot="s",
        quarantine="q",
        rows="all_rows",
        trained_on=trained_on(run, frame),
    )
    model = build_model(LOGISTIC, {}, 0).fit(rows.features, rows.target)
    release = build_release(backends, run, rows, model, recipe)
    decision = Decision(
        run_id=run.id, outcome="promote", sentence="", recipe=recipe, verdicts=(),
        board=Scoreboard(metric="roc_auc", cards=()), release=release.place,
    )  # fmt: skip
    put_decision(let_count(run, backends.store), backends.store, 1, decision)
    digest = manifest_hash(backends, run.pipeline, run.id)
    version = models.register(backends.tracking, run.pipeline, release.model, release=digest, tags={}, description="")
    return World(backends, run, rows, version)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> tuple[Path, World]:
    """The home of a release, to be copied."""
    folder = tmp_path_factory.mktemp("released")
    return folder, release_of(begun(folder, empty_mlflow), make_run(data=TIMED, split={"gate": "14d"}))


@pytest.fixture
def world(released: tuple[Path, World], tmp_path: Path) -> World:
    """A copy of it of the test's own."""
    folder, world = released
    return replace(world, backends=copied(folder, tmp_path / "home", lived_at=folder))


class Canary:
    """Unpickled, it leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return (Path.touch, (self.trace,))


def flip(path: Path, place: int = -10) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


def test_a_release_is_read_loaded_and_checked(world: World) -> None:
    world.check()
    assert world.load().predict_proba(world.rows.features).shape == (200, 2)
    release = world.release
    assert (release.run_id, release.as_of, release.labels) == ("r1", world.run.as_of, ("no", "yes"))
    assert set(release.files) >= {"MLmodel", "model.pkl", "requirements.txt"}


def test_the_store_and_mlflow_hold_the_same_bytes(world: World) -> None:
    for name, expected in world.release.files.items():
        assert sha256(world.stored(f"model/{name}").read_bytes()) == expected
        assert sha256((world.served() / name).read_bytes()) == expected


def test_a_release_built_again_by_a_retried_task_is_the_same(world: World) -> None:
    before = manifest_hash(world.backends, "churn", "r1")
    again = release_of(world.backends, world.run)
    assert manifest_hash(world.backends, "churn", "r1") == before
    assert again.version == world.version == "1"


def test_one_flipped_bit_in_any_stored_file_of_the_model_is_seen(world: World) -> None:
    for name in world.release.files:
        path = world.stored(f"model/{name}")
        before = path.read_bytes()
        flip(path)
        with pytest.raises(
            BackendError, match=rf"release of run r1: {name} is missing or was changed; it is not loaded"
        ):
            world.load()
        path.write_bytes(before)
    world.load()


def test_a_missing_file_of_the_model_is_seen(world: World) -> None:
    world.stored("model/model.pkl").unlink()
    with pytest.raises(BackendError, match=r"model\.pkl is missing or was changed"):
        world.load()


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig"])
def test_one_flipped_bit_in_the_manifest_or_its_signature_is_seen(world: World, name: str) -> None:
    flip(world.stored(name))
    for refused in (world.load, world.check):
        with pytest.raises(BackendError, match=r"manifest was not signed with signing\.pem or was changed since"):
            refused()


def test_one_flipped_bit_in_the_golden_rows_is_seen(world: World) -> None:
    flip(world.stored("golden.parquet"))
    with pytest.raises(BackendError, match=r"golden\.parquet was changed since the release was signed"):
        world.check()


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig", "golden.parquet"])
def test_a_missing_part_is_a_sentence_and_not_a_key_error(world: World, name: str) -> None:
    world.stored(name).unlink()
    with pytest.raises(BackendError, match=rf"the release of run r1 is not in the store: .*{name} is missing"):
        world.check()


def test_a_release_without_a_manifest_does_not_exist(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written last, so a task that is killed before leaves no release."""
    write = LocalStore.write

    def killed(store: LocalStore, key: str, content: bytes) -> None:
        if key.endswith("manifest.json"):
            raise KeyboardInterrupt
        write(store, key, content)

    monkeypatch.setattr(LocalStore, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        release_of(backends, make_run(data=TIMED, split={"gate": "14d"}))
    assert [key for key in backends.store.keys("churn/releases/r1") if key.endswith("model/model.pkl")]
    with pytest.raises(BackendError, match="is not in the store"):
        read_release(backends, "churn", "r1")
    with pytest.raises(BackendError, match="is not in the store"):
        manifest_hash(backends, "churn", "r1")


def test_a_pickle_that_was_swapped_is_never_opened(world: World, tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    bomb = pickle.dumps(Canary(trace))
    world.stored("model/model.pkl").write_bytes(bomb)
    (world.served() / "model.pkl").write_bytes(bomb)
    with pytest.raises(BackendError, match=r"model\.pkl is missing or was changed"):
        world.load()
    with pytest.raises(BackendError, match=r"MLflow's copy of model\.pkl is not the one that was released"):
        world.check()
    assert not trace.exists()
    pickle.loads(bomb)  # noqa: S301 - ours; the trap itself works
    assert trace.exists()


def test_a_model_that_somebody_else_logged_under_the_runs_tags_is_neither_signed_nor_opened(
    backends: Backends, tmp_path: Path
) -> None:
    """The tags are no secret: recipe and run are in MLflow for all to read."""
    run, trace = make_run(data=TIMED, split={"gate": "14d"}), tmp_path / "executed"
    client, folder = backends.tracking.client, tmp_path / "theirs"
    tags = {"contender.recipe": "recipe of r1", "contender.run": "r1"}
    theirs = client.create_logged_model(backends.tracking.experiment("churn"), name="churn", tags=tags)
    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickle.dumps(Canary(trace)))
    (folder / "MLmodel").write_text(
        "flavors: {python_function: {loader_module: mlflow.sklearn, model_path: model.pkl}}"
    )
    client.log_model_artifacts(theirs.model_id, str(folder))
    client.finalize_logged_model(theirs.model_id, LoggedModelStatus.READY)
    world = release_of(backends, run)
    assert world.release.model != theirs.model_id
    world.check()
    assert world.load().predict_proba(world.rows.features).shape == (200, 2)
    assert not trace.exists()


def test_what_an_earlier_try_logged_is_taken_only_with_the_bytes_that_it_had(world: World, tmp_path: Path) -> None:
    first, bomb = world.release.model, pickle.dumps(Canary(tmp_path / "executed"))

    def logged_again() -> Logged:
        release_of(world.backends, world.run)
        return require_document(world.backends.store, "churn/releases/r1/logged.json", Logged)

    assert logged_again().model == first
    (world.served() / "model.pkl").write_bytes(bomb)
    again = logged_again()
    assert again.model != first
    assert sha256(bomb) not in again.files.values()
    assert not (tmp_path / "executed").exists()


def test_a_timestamp_at_the_end_of_time_is_served_as_it_was_trained(backends: Backends) -> None:
    """Nanoseconds end in 2262; the golden rows hold the column's extremes, wherever they are."""
    run = make_run(data=TIMED, split={"gate": "14d"})
    until = np.full(200, np.datetime64("2026-05-01", "us"))
    until[-3], until[-2] = np.datetime64("9999-12-31", "us"), np.datetime64("0001-01-01", "us")
    world = release_of(backends, run, until=until)
    golden = pd.read_parquet(world.stored("golden.parquet"))["until"]
    assert (str(golden.min()), str(golden.max())) == ("0001-01-01 00:00:00", "9999-12-31 00:00:00")
    world.check()
    served = mlflow.pyfunc.load_model(f"models:/churn/{world.version}")
    assert served.predict(world.rows.features) == pytest.approx(world.load().predict_proba(world.rows.features))


def test_a_model_that_serving_refuses_does_not_verify(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    """It predicts when it is called directly, and users call it through MLflow's signature."""
    genuine = models._column
    monkeypatch.setattr(models, "_column", lambda name, values: genuine("xx" if name == "x" else name, values))
    world = release_of(backends, make_run(data=TIMED, split={"gate": "14d"}))
    with pytest.raises(ConfigError, match=r"the model, served by MLflow, refuses rows that it was made from: Mlflow"):
        world.check()


def test_an_mlmodel_that_was_swapped_is_never_followed(world: World, tmp_path: Path) -> None:
    """It says which file is loaded by which code."""
    trace = tmp_path / "executed"
    (world.served() / "other.pkl").write_bytes(pickle.dumps(Canary(trace)))
    path = world.served() / "MLmodel"
    path.write_text(path.read_text().replace("model.pkl", "other.pkl"))
    with pytest.raises(BackendError, match=r"MLflow's copy of (MLmodel|other\.pkl) is not the one that was released"):
        world.check()
    assert not trace.exists()


def test_a_file_too_many_in_mlflows_copy_is_refused(world: World) -> None:
    (world.served() / "sitecustomize.py").write_text("raise SystemExit")
    with pytest.raises(BackendError, match=r"MLflow's copy of sitecustomize\.py is not the one"):
        world.check()


def test_a_file_that_mlflow_lost_is_refused(world: World) -> None:
    (world.served() / "conda.yaml").unlink()
    with pytest.raises(BackendError, match=r"MLflow's copy of conda\.yaml is not the one"):
        world.check()


def test_another_key_signs_nothing_that_is_loaded(world: World, tmp_path: Path) -> None:
    create_key(tmp_path / "other.pem")
    stranger = replace(world, backends=replace(world.backends, signing_key=tmp_path / "other.pem"))
    for refused in (stranger.load, stranger.check):
        with pytest.raises(BackendError, match=r"was not signed with other\.pem"):
            refused()


def test_a_key_that_is_not_there_is_a_config_error(world: World, tmp_path: Path) -> None:
    lost = replace(world, backends=replace(world.backends, signing_key=tmp_path / "lost.pem"))
    with pytest.raises(ConfigError, match=r"signing key: cannot read .*lost\.pem"):
        lost.load()


def test_a_signed_manifest_of_another_run_is_not_this_runs(world: World) -> None:
    """An old release put into a new one's place is still correctly signed."""
    old = release_of(world.backends, make_run(run_id="r0", data=TIMED, split={"gate": "14d"}))
    for name in ("manifest.json", "manifest.sig"):
        world.stored(name).write_bytes(old.stored(name).read_bytes())
    for refused in (world.load, world.check):
        with pytest.raises(BackendError, match="the release of run r1 is in truth that of run r0 of churn"):
            refused()


def test_a_release_of_another_contender_says_so(world: World) -> None:
    manifest = world.stored("manifest.json").read_bytes().replace(b'"golden"', b'"golden_rows"')
    world.backends.store.write(world.key("manifest.json"), manifest)
    world.backends.store.write(world.key("manifest.sig"), sign(manifest, world.backends.signing_key))
    with pytest.raises(BackendError, match="was written by another version of Contender"):
        world.load()


def test_a_version_of_another_run_is_not_this_release(world: World) -> None:
    other = release_of(world.backends, make_run(run_id="r2", data=TIMED, split={"gate": "14d"}))
    with pytest.raises(BackendError, match=r"MLflow's copy of .* is not the one that was released"):
        check_version(world.backends, "churn", "r1", other.version)


def golden_with(world: World, change: float) -> bytes:
    table = pd.read_parquet(world.stored("golden.parquet"))
    predicted = [name for name in table.columns if name.startswith("__predicted_")]
    table.loc[0, predicted] += change
    sink = io.BytesIO()
    table.to_parquet(sink)
    return sink.getvalue()


@pytest.mark.parametrize(("change", "refused"), [(1e-6, True), (np.nan, True), (1e-12, False)])
def test_a_model_that_predicts_something_else_is_refused(world: World, change: float, *, refused: bool) -> None:
    golden = golden_with(world, change)
    world.backends.store.write(world.key("golden.parquet"), golden)
    world.sign_again(golden=sha256(golden))
    if not refused:
        world.check()
        return
    with pytest.raises(BackendError, match="the loaded model does not predict what it predicted when it was released"):
        world.check()


def test_a_feature_may_have_the_name_of_a_prediction(backends: Backends) -> None:
    run = make_run(data=TIMED, split={"gate": "14d"})
    moments = np.arange(200).astype("datetime64[D]").astype("datetime64[us]")
    release_of(backends, run, __predicted_0=moments).check()


@pytest.mark.parametrize(
    "names", [["__predicted_0", "__predicted_1"], ["___predicted_0", "__predicted_"], ["0", "index"]]
)
@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_golden_rows_and_predictions_read_back_whatever_the_features_are_called(
    names: list[str], shape: tuple[int, ...]
) -> None:
    rows = pd.DataFrame({name: [1.0, 2.0, np.nan] for name in names})
    predicted = np.arange(float(np.prod(shape))).reshape(shape)
    read, expected = golden_parts(golden_parquet(rows, predicted), names)
    pd.testing.assert_frame_equal(read, rows)
    assert expected.tolist() == predicted.reshape(3, -1).tolist()


def test_golden_rows_are_gate_rows(world: World) -> None:
    table = pd.read_parquet(world.stored("golden.parquet"))
    gate = world.rows.features.iloc[world.rows.split.gate[:20]]
    assert table["x"].tolist() == gate["x"].tolist()


def test_a_fresh_process_verifies_what_was_released_whatever_registry_the_shell_names(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{tmp_path}/other.db")
    world.check()
    verify_version(world.backends, "churn", "r1", world.version)


def test_a_fresh_process_says_why_it_refuses(world: World) -> None:
    flip(world.served() / "model.pkl")
    message = r"version 1 of churn does not verify: MLflow's copy of model\.pkl is not the one that was released"
    with pytest.raises(BackendError, match=message):
        verify_version(world.backends, "churn", "r1", world.version)


def test_a_model_of_another_scikit_learn_does_not_verify(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    """It only warns, and may predict something else on other rows than the golden ones."""
    with monkeypatch.context() as patch:
        patch.setattr(sklearn.base, "__version__", "1.0.2")
        old = release_of(backends, make_run(data=TIMED, split={"gate": "14d"}))
    with pytest.raises(BackendError, match=r"it was made with scikit-learn 1\.0\.2, here is"):
        check_version(backends, "churn", "r1", old.version)


def test_a_verification_that_takes_too_long_is_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "verification_timeout", lambda _: timedelta(seconds=0.01))
    with pytest.raises(BackendError, match=r"version 1 of churn was not verified within 0\.0 s"):
        verify_version(world.backends, "churn", "r1", world.version)
