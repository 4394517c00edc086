"""A model that somebody else made becomes the champion and defends its title; one that cannot leaves nothing behind."""

from __future__ import annotations

import importlib
import json
import socket
import subprocess
import sys
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sklearn.base
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from typer.testing import CliRunner

from builders import AS_OF, TIMED, make_run, make_spec, make_table, write_parquet
from contender.adopt import Adoption, Request, adopt_model
from contender.backends import Backends
from contender.documents.release import Adopted
from contender.dtypes import TEXT
from contender.errors import BackendError, ConfigError, Conflict, ContenderError, DataRejected, DataUnavailable
from contender.release import bundle as releases
from contender.release import verify
from contender.release.signing import create_key
from contender.release.title import rollback
from contender.run.status import status
from contender.store.ledger import Ledger
from contender.tracking import models
from contender_airflow.cli import app
from life import through

if TYPE_CHECKING:
    from collections.abc import Callable

    from contender.documents.run import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here", "no_report")]

LATER = AS_OF + timedelta(days=21)
TRAINED = AS_OF - timedelta(days=14)
COLUMNS = ["x", "noise", "region", "visits", "vip"]
GATES: list[dict[str, Any]] = [
    {"kind": "threshold", "metric": "roc_auc", "min": 0.5},
    {"kind": "beats", "opponent": "champion", "policy": "unless_worse", "margin": 0.0, "min_rows": 20},
]
PARTS: dict[str, Any] = {"data": TIMED, "split": {"gate": "14d", "folds": 2}, "gates": GATES}


def customers(rows: int = 700, **parts: Any) -> pa.Table:
    """Customers with whole numbers and truth values, too, as parquet files have them."""
    table = make_table(rows, until=LATER, days=80, **parts)
    random = np.random.default_rng(1)
    table = table.append_column("visits", pa.array(random.integers(0, 9, rows)))
    return table.append_column("vip", pa.array(random.random(rows) < 0.3))


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's script leaves MLflow's files in its working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    write_parquet(tmp_path / "lake" / "a.parquet", customers())
    return tmp_path / "lake"


@pytest.fixture
def theirs(backends: Backends, lake: Path) -> pd.DataFrame:
    """What their script reads, and where it logs to."""
    mlflow.set_tracking_uri(backends.tracking.uri)
    backends.tracking.client.create_experiment("theirs", artifact_location=Path("theirs").absolute().as_uri())
    mlflow.set_experiment("theirs")
    return rows_before(lake)


def rows_before(lake: Path) -> pd.DataFrame:
    frame = pd.read_parquet(lake)
    return frame[frame["at"] < TRAINED.replace(tzinfo=None)]


def spec(lake: Path, **parts: Any) -> Any:
    return make_spec(lake, **PARTS | parts)


def request(**parts: Any) -> Request:
    return Request(**{"as_of": AS_OF, "by": "ada", "through": TRAINED} | parts)


def log(model: Any, inputs: pd.DataFrame | None = None, *, name: str | None = "churn", **settings: Any) -> str:
    """As users log: their model's address. With ``inputs`` the signature is inferred from them."""
    log_model = mlflow.pyfunc.log_model if isinstance(model, PythonModel) else mlflow.sklearn.log_model
    named = {"python_model": model} if isinstance(model, PythonModel) else {"sk_model": model}
    given = (None,) if isinstance(model, PythonModel) else ()  # a wrapper's context
    with mlflow.start_run(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what their script warns of is not ours
        if inputs is not None:
            settings["signature"] = infer_signature(inputs, model.predict(*given, inputs))
        info = log_model(
            name="model", registered_model_name=name, pip_requirements=["scikit-learn"], **named, **settings
        )
    return str(info.model_uri)


def mixed(theirs: pd.DataFrame, target: Any = None) -> Any:
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["region", "visits"]),
        (StandardScaler(), ["x", "noise"]),
        ("passthrough", ["vip"]),
    )
    return make_pipeline(columns, LogisticRegression()).fit(theirs[COLUMNS], theirs["y"] if target is None else target)


class Answers(PythonModel):
    """Their own wrapper: what it answers is ``form`` of the probability of yes."""

    def __init__(self, form: Callable[[np.ndarray], Any]) -> None:
        self.form = form

    def predict(self, context, model_input: pd.DataFrame, params=None):
        return self.form(1 / (1 + np.exp(-2 * model_input["x"].to_numpy())))


def wrapped(form: Callable[[np.ndarray], Any], theirs: pd.DataFrame, **settings: Any) -> str:
    columns = ["x", "visits"]
    return log(Answers(form), theirs[columns], **settings)


def entries(backends: Backends) -> list[tuple[str, str | None]]:
    return [(entry.kind, entry.version) for entry in Ledger(backends.store, "churn").entries()]


def everything(backends: Backends) -> dict[str, Any]:
    """All that exists, in the store and in MLflow."""
    client = backends.tracking.client
    store = Path(backends.store.url("churn")).parent
    experiments = client.search_experiments()
    return {
        "store": {str(path): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()},
        "registered": {one.name: dict(one.aliases) for one in client.search_registered_models()},
        "versions": sorted((one.name, int(one.version), str(one.tags)) for one in client.search_model_versions()),
        "experiments": sorted(one.name for one in experiments),
        "models": sorted(one.model_id for one in client.search_logged_models([e.experiment_id for e in experiments])),
    }


def released(backends: Backends, adopted: Adoption) -> Any:
    assert adopted.entry.run_id is not None
    return releases.read_release(backends, "churn", adopted.entry.run_id)


def yes(theirs: pd.DataFrame) -> pd.Series:
    return (theirs["y"] == "yes").astype("int64")


MODELS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "a pipeline, logged as MLflow does by default": lambda theirs: log(mixed(theirs), theirs[COLUMNS]),
    "a pipeline without a signature": lambda theirs: log(mixed(theirs), serialization_format="cloudpickle"),
    "a bare estimator on numbers": lambda theirs: log(
        LogisticRegression().fit(theirs[["x", "visits"]], yes(theirs)),
        theirs[["x", "visits"]],
        serialization_format="pickle",
    ),
    "classes that are truth values": lambda theirs: log(mixed(theirs, yes(theirs).astype(bool)), theirs[COLUMNS]),
    "fitted on an array, with a signature": lambda theirs: log(
        LogisticRegression().fit(theirs[["x", "noise"]].to_numpy(), theirs["y"]), theirs[["x", "noise"]]
    ),
    "a wrapper that gives a column": lambda theirs: wrapped(lambda p: p, theirs),
    "a wrapper that gives two columns": lambda theirs: wrapped(lambda p: np.column_stack([1 - p, p]), theirs),
    "a wrapper that names its columns": lambda theirs: wrapped(lambda p: pd.DataFrame({"yes": p, "no": 1 - p}), theirs),
}


@pytest.mark.parametrize("how", MODELS)
def test_a_model_as_people_make_them_becomes_the_champion(
    backends: Backends, lake: Path, theirs: pd.DataFrame, how: str
) -> None:
    address = MODELS[how](theirs)
    adopted = adopt_model(backends, spec(lake), request(version="1"))
    assert entries(backends) == [("adoption", "1")]
    assert models.champion_alias(backends.tracking, "churn") == "1"
    assert adopted.entry.evidence.metric == "roc_auc"
    assert adopted.entry.evidence.value is not None
    assert adopted.entry.evidence.value > 0.7
    release = released(backends, adopted)
    assert adopted.entry.release == releases.manifest_hash(backends, "churn", release.run_id)
    rows = pd.DataFrame({name: theirs[name].astype("float64") for name in ("x", "noise", "visits", "vip")})
    rows = rows.assign(region=theirs["region"].astype(TEXT))[[column.name for column in release.features]]
    says = releases.load_release(backends, release).predict_proba(rows)[:, 1]
    if "wrapper" in how:
        expected = 1 / (1 + np.exp(-2 * theirs["x"]))
    else:
        native = mlflow.sklearn.load_model(address)
        named = theirs[[column.name for column in release.features]]
        expected = native.predict_proba(named.to_numpy() if "array" in how else named)[:, 1]
    assert says == pytest.approx(np.asarray(expected), abs=1e-12)


def test_a_regression_is_adopted(backends: Backends, lake: Path, theirs: pd.DataFrame) -> None:
    numbers = spec(
        lake, data=TIMED | {"target": "noise", "positive": None}, sweep={"metric": "r2"},
        gates=[{"kind": "threshold", "metric": "r2", "min": -1}],
    )  # fmt: skip
    log(LinearRegression().fit(theirs[["x", "visits"]], theirs["noise"]), theirs[["x", "visits"]])
    adopted = adopt_model(backends, numbers, request(version="1"))
    assert released(backends, adopted).labels is None
    assert adopted.entry.evidence.metric == "r2"


def test_what_is_known_of_an_adopted_model_is_in_its_release_and_in_the_ledger(
    backends: Backends, lake: Path, theirs: pd.DataFrame
) -> None:
    log(mixed(theirs), theirs[COLUMNS])
    adopted = adopt_model(backends, spec(lake), request(version="1", reason="it serves since spring"))
    recipe = released(backends, adopted).recipe
    assert isinstance(recipe, Adopted)
    assert (recipe.source, recipe.estimator) == ("models:/churn/1", "sklearn.linear_model._logistic.LogisticRegression")
    assert recipe.inputs == {"visits": "int64", "vip": "bool"}
    assert (recipe.positive, recipe.trained_on.through) == (1, TRAINED)
    assert adopted.entry.reason == (
        "it serves since spring; adopted models:/churn/1; trained on nothing from 2026-02-16 00:00 UTC on (ada says)"
    )
    assert (adopted.entry.by, adopted.entry.as_of) == ("ada", AS_OF)
    [state] = status(backends.store)["pipelines"]
    assert (state["champion"]["version"], state["last_run"]) == ("1", None)


def test_unless_told_otherwise_a_model_was_trained_until_it_was_saved(
    backends: Backends, lake: Path, theirs: pd.DataFrame
) -> None:
    before = datetime.now(UTC)
    log(mixed(theirs), theirs[COLUMNS])
    adopted = adopt_model(backends, spec(lake), request(version="1", through=None))
    end = released(backends, adopted).recipe.trained_on.through
    assert before <= end <= datetime.now(UTC)
    assert adopted.entry.evidence.value is None
    assert adopted.entry.reason.endswith("UTC on (when it was saved)")
    assert adopted.notes[-1].startswith(
        "0 of them are new to it, too few for roc_auc: later ones will judge it, those from"
    )
    assert adopted.notes[-1].endswith("; if you know that it saw less, say --trained-through DATE")


@pytest.mark.parametrize("form", ["version", "alias", "model", "run"])
def test_a_model_from_elsewhere_becomes_a_version_of_the_pipelines_own(
    backends: Backends, lake: Path, theirs: pd.DataFrame, form: str
) -> None:
    address = log(mixed(theirs), theirs[COLUMNS], name="churn_prod")
    client = backends.tracking.client
    client.set_registered_model_alias("churn_prod", "champion", "1")
    run_id = client.get_model_version("churn_prod", "1").run_id
    named = {"version": "models:/churn_prod/1", "alias": "models:/churn_prod@champion", "model": address, "run": f"runs:/{run_id}/model"}[form]  # fmt: skip
    adopted = adopt_model(backends, spec(lake), request(model=named))
    again = adopt_model(backends, spec(lake), request(model=named))
    assert not adopted.already
    assert again == Adoption(adopted.entry, already=True)
    assert entries(backends) == [("adoption", "1")]
    [version] = client.search_model_versions("name = 'churn'")
    assert version.tags["contender.adopted_from"] == named.replace("@champion", "/1")
    client.delete_registered_model("churn_prod")
    assert mlflow.sklearn.load_model("models:/churn@champion").predict(theirs[COLUMNS]).shape == (len(theirs),)
    verify.check_version(backends, "churn", released(backends, adopted).run_id, "1")


def test_adopted_again_it_is_the_champion_already(backends: Backends, lake: Path, theirs: pd.DataFrame) -> None:
    log(mixed(theirs), theirs[COLUMNS])
    first = adopt_model(backends, spec(lake), request(version="1"))
    before = everything(backends)
    for again in (request(version="1"), request(version="1", through=None), request(model="models:/churn/1")):
        assert adopt_model(backends, spec(lake), again) == Adoption(first.entry, already=True)
    assert everything(backends) == before
    backends.tracking.client.delete_registered_model_alias("churn", "champion")
    adopt_model(backends, spec(lake), request(version="1"))
    assert models.champion_alias(backends.tracking, "churn") == "1"


def test_what_was_said_of_a_champions_past_can_be_corrected_with_a_reason(
    backends: Backends, lake: Path, theirs: pd.DataFrame
) -> None:
    log(mixed(theirs), theirs[COLUMNS])
    adopt_model(backends, spec(lake), request(version="1"))
    later = TRAINED + timedelta(days=1)
    with pytest.raises(
        ConfigError, match=r"version 1 is the champion already, as trained through 2026-02-16 .*--reason"
    ):
        adopt_model(backends, spec(lake), request(version="1", through=later))
    corrected = adopt_model(backends, spec(lake), request(version="1", through=later, reason="the log says so"))
    assert released(backends, corrected).recipe.trained_on.through == later
    assert entries(backends) == [("adoption", "1"), ("adoption", "1")]


def beaten_by(lake: Path, run_id: str = "r1", **parts: Any) -> Run:
    return make_run(lake, run_id=run_id, as_of=LATER, **PARTS | parts)


def test_it_defends_its_title(backends: Backends, lake: Path, theirs: pd.DataFrame, report: None) -> None:
    log(mixed(theirs), theirs[COLUMNS])
    adopt_model(backends, spec(lake), request(version="1"))
    decision = through(beaten_by(lake), backends)
    assert decision.outcome == "keep"
    card = decision.board.card("champion")
    assert card is not None
    assert (card.version, card.estimator) == ("1", "LogisticRegression (adopted)")
    assert card.rows > 100
    assert entries(backends) == [("adoption", "1"), ("keep", "1")]
    page = backends.store.read(f"churn/runs/r1/{decision.report}").decode()
    assert "LogisticRegression (adopted)" in page


def test_it_is_beaten_and_a_rollback_gives_it_the_title_back(
    backends: Backends, lake: Path, theirs: pd.DataFrame
) -> None:
    coin = LogisticRegression().fit(theirs[["noise"]], theirs["y"])
    log(coin, theirs[["noise"]])
    adopt_model(backends, spec(lake), request(version="1"))
    decision = through(beaten_by(lake), backends)
    assert decision.outcome == "promote"
    assert " over version 1: " in decision.sentence
    with pytest.raises(ConfigError, match=r"version 1 served before; .* contender rollback churn --to 1 --reason TEXT"):
        adopt_model(backends, spec(lake), request(version="1", reason="we want it back"))
    rollback(backends, "churn", version="1", reason="we want it back", by="ada")
    assert entries(backends) == [("adoption", "1"), ("promotion", "2"), ("rollback", "1")]
    assert models.champion_alias(backends.tracking, "churn") == "1"
    assert Ledger(backends.store, "churn").verify() == 3
    assert through(beaten_by(lake, "r2"), backends).same_model  # and the winner is not tried again


def test_rows_that_it_may_have_seen_never_judge_it(backends: Backends, lake: Path, theirs: pd.DataFrame) -> None:
    log(mixed(theirs), theirs[COLUMNS])
    adopt_model(backends, spec(lake), request(version="1", through=LATER))
    decision = through(beaten_by(lake), backends)
    assert decision.outcome == "undecided"
    assert "only 0 gate rows are newer than what the champion was trained on" in decision.sentence


def test_without_a_time_column_its_user_must_say_that_the_gate_rows_are_new_to_it(
    backends: Backends, lake: Path, theirs: pd.DataFrame
) -> None:
    timeless = {"data": {"exclude": ["at"]}, "split": {"gate": 0.3, "folds": 2}}
    log(mixed(theirs), theirs[COLUMNS])
    before = everything(backends)
    with pytest.raises(
        ConfigError, match=r"no data\.time, so nobody can know .* Set data\.time .*; or, .* say --unseen"
    ):
        adopt_model(backends, spec(lake, **timeless), request(version="1", through=None))
    assert everything(backends) == before
    adopted = adopt_model(backends, spec(lake, **timeless), request(version="1", through=None, unseen=True))
    assert adopted.entry.reason.endswith("ada says that it was not trained on the gate rows")
    card = through(beaten_by(lake, **timeless), backends).board.card("champion")
    assert card is not None
    assert card.rows > 100


def test_a_foreign_alias_is_left_alone_until_its_version_is_adopted(
    backends: Backends, lake: Path, theirs: pd.DataFrame
) -> None:
    for _ in range(2):
        log(mixed(theirs), theirs[COLUMNS])
    backends.tracking.client.set_registered_model_alias("churn", "champion", "2")
    before = everything(backends)
    named = r"somebody else set the alias champion \(to version 2\).*contender adopt churn --version 2"
    with pytest.raises(Conflict, match=named):
        adopt_model(backends, spec(lake), request(version="1"))
    assert everything(backends) == before
    with pytest.raises(Conflict, match=named):
        through(beaten_by(lake), backends)
    assert models.champion_alias(backends.tracking, "churn") == "2"
    adopt_model(backends, spec(lake), request(version="2"))
    assert through(beaten_by(lake, "r2"), backends).outcome == "keep"
    assert models.champion_alias(backends.tracking, "churn") == "2"


def test_a_champion_is_replaced_with_a_reason_only(backends: Backends, lake: Path, theirs: pd.DataFrame) -> None:
    for _ in range(2):
        log(mixed(theirs), theirs[COLUMNS])
    adopt_model(backends, spec(lake), request(version="1"))
    with pytest.raises(ConfigError, match=r"version 1 is the champion \(adoption of .*\); to replace it, say why"):
        adopt_model(backends, spec(lake), request(version="2"))
    adopted = adopt_model(backends, spec(lake), request(version="2", reason="the newer one"))
    assert adopted.entry.reason.startswith("the newer one; adopted models:/churn/2 in place of version 1; ")
    assert entries(backends) == [("adoption", "1"), ("adoption", "2")]
    assert models.champion_alias(backends.tracking, "churn") == "2"


def test_of_two_adoptions_at_once_one_wins(
    backends: Backends, lake: Path, theirs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        log(mixed(theirs), theirs[COLUMNS])

    def overtaken(*arguments: Any) -> None:
        monkeypatch.setattr(verify, "verify_version", verify.check_version)
        adopt_model(backends, spec(lake), request(version="2"))
        verify.check_version(*arguments)

    monkeypatch.setattr(verify, "verify_version", overtaken)
    with pytest.raises(Conflict, match="the champion changed while this was decided: expected version None, found 2"):
        adopt_model(backends, spec(lake), request(version="1"))
    assert entries(backends) == [("adoption", "2")]
    assert models.champion_alias(backends.tracking, "churn") == "2"


@pytest.mark.parametrize("killed_in", ["verify_version", "register_copy"])
def test_an_adoption_that_was_killed_is_done_once_when_it_is_run_again(
    backends: Backends, lake: Path, theirs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    log(mixed(theirs), theirs[COLUMNS], name="churn_prod")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        where = verify if killed_in == "verify_version" else backends.tracking.client
        patch.setattr(where, killed_in if where is verify else "finalize_logged_model", killed)
        with pytest.raises(KeyboardInterrupt):
            adopt_model(backends, spec(lake), request(model="models:/churn_prod/1"))
    assert entries(backends) == []
    assert models.champion_alias(backends.tracking, "churn") is None
    adopt_model(backends, spec(lake), request(model="models:/churn_prod/1"))
    [version] = backends.tracking.client.search_model_versions("name = 'churn'")
    [copy] = backends.tracking.client.search_logged_models([backends.tracking.experiment("churn")])
    assert version.source.endswith(copy.model_id)
    assert entries(backends) == [("adoption", "1")]


REFUSED: dict[str, tuple[Callable[[pd.DataFrame], Any], type[ContenderError], str]] = {
    "a column that the data lacks": (
        lambda theirs: log(
            LogisticRegression().fit(theirs[["x"]].assign(regio=1.0), theirs["y"]), theirs[["x"]].assign(regio=1.0)
        ),
        ConfigError,
        r"needs the column 'regio' \(as double\), which the data does not offer\. Did you mean 'region'\?",
    ),
    "a column of another type": (
        lambda theirs: log(mixed(theirs), theirs[COLUMNS].assign(visits="many")),
        ConfigError,
        "the model's signature wants column 'visits' as string, the data has it as integer",
    ),
    "labels only": (
        lambda theirs: log(LinearSVC().fit(theirs[["x"]], theirs["y"]), theirs[["x"]]),
        ConfigError,
        r"LinearSVC gives no probabilities \(predict_proba\)",
    ),
    "labels only, wrapped": (
        lambda theirs: wrapped(lambda p: np.where(p > 0.5, "yes", "no"), theirs),
        ConfigError,
        "the model answers with labels; expected the probabilities of two classes",
    ),
    "labels only, wrapped, as numbers": (
        lambda theirs: wrapped(lambda p: (p > 0.5).astype(int), theirs),
        ConfigError,
        "the model answers with labels; expected",
    ),
    "scores": (lambda theirs: wrapped(lambda p: p * 9, theirs), ConfigError, "the model's answers are no probabilities"),
    "three classes": (
        lambda theirs: log(mixed(theirs, theirs["visits"] % 3), theirs[COLUMNS]),
        ConfigError,
        r"in the shape \(\d+, 3\); expected the probabilities of two classes",
    ),
    "other classes": (
        lambda theirs: log(mixed(theirs, theirs["y"].map({"yes": "gone", "no": "here"})), theirs[COLUMNS]),
        ConfigError,
        r"cannot tell which of the model's classes 'gone' and 'here' is 'yes'; say it with --positive CLASS",
    ),
    "the wrong way round": (
        lambda theirs: wrapped(lambda p: 1 - p, theirs),
        ConfigError,
        "class 1 was taken for 'yes', but is less probable where the target is 'yes'",
    ),
    "not a number": (
        lambda theirs: wrapped(lambda p: np.where(p > 0.9, np.nan, p), theirs),
        DataRejected,
        r"the model cannot be a champion: NotFinite: \d+ of \d+ predictions are not finite",
    ),
    "no names at all": (
        lambda theirs: log(LogisticRegression().fit(theirs[["x", "noise"]].to_numpy(), theirs["y"])),
        ConfigError,
        "fitted on columns without names and has no signature, so nobody can tell which is which",
    ),
    "a name that no store takes": (
        lambda theirs: wrapped(lambda p: p, theirs, artifacts={"a": write(Path("my notes.txt"))}),
        ConfigError,
        r"my notes\.txt' is not a key",
    ),
}  # fmt: skip


def write(path: Path) -> str:
    path.write_text("so it is")
    return str(path)


@pytest.mark.parametrize("what", REFUSED)
def test_a_model_that_cannot_be_a_champion_is_refused_and_nothing_is_left_of_it(
    backends: Backends, lake: Path, theirs: pd.DataFrame, what: str
) -> None:
    make, error, message = REFUSED[what]
    make(theirs)
    before = everything(backends)
    with pytest.raises(error, match=message):
        adopt_model(backends, spec(lake), request(version="1"))
    assert everything(backends) == before


ASKED: dict[str, tuple[dict[str, Any], type[ContenderError], str]] = {
    "nothing": ({}, ConfigError, "name one model, with --version N .* or --model URI"),
    "both": ({"version": "1", "model": "models:/churn/1"}, ConfigError, "name one model"),
    "no version": ({"version": "7"}, ConfigError, r"no version '7' of the registered model churn\. Allowed: 1\."),
    "no alias": ({"model": "models:/churn@champion"}, ConfigError, "MLflow: there is no models:/churn@champion"),
    "no model": ({"model": "models:/other/1"}, ConfigError, "MLflow: there is no model at models:/other/1"),
    "no logged model": ({"model": f"models:/m-{'0' * 32}"}, ConfigError, "there is no model at models:/m-0"),
    "the latest": ({"model": "models:/churn/latest"}, ConfigError, "expected models:/NAME/VERSION, models:/NAME@ALIAS"),
    "a folder": ({"model": "/model"}, ConfigError, "--model: got '/model', expected models:/NAME/VERSION"),
    "no such class": ({"version": "1", "positive": "maybe"}, ConfigError, "the model has no class 'maybe'; it tells 'no'"),
    "the future": ({"version": "1", "through": datetime(2199, 1, 1, tzinfo=UTC)}, ConfigError, "is in the future"),
    "unseen": ({"version": "1", "unseen": True}, ConfigError, "--unseen is for a pipeline without data.time"),
    "no data": ({"version": "1", "as_of": datetime(2020, 1, 1, tzinfo=UTC)}, DataUnavailable, "no row at all from"),
}  # fmt: skip


def test_a_request_that_makes_no_sense_is_refused_and_nothing_is_left_of_it(
    backends: Backends, lake: Path, theirs: pd.DataFrame
) -> None:
    log(mixed(theirs), theirs[COLUMNS])
    before = everything(backends)
    for what, (parts, error, message) in ASKED.items():
        with pytest.raises(error, match=message):
            adopt_model(backends, spec(lake), request(**parts))
        assert everything(backends) == before, what


def test_a_user_may_say_which_class_is_meant(backends: Backends, lake: Path, theirs: pd.DataFrame) -> None:
    log(mixed(theirs, theirs["y"].map({"yes": "gone", "no": "here"})), theirs[COLUMNS])
    adopted = adopt_model(backends, spec(lake), request(version="1", positive="gone"))
    assert adopted.entry.evidence.value is not None
    assert adopted.entry.evidence.value > 0.7


def test_a_model_of_another_scikit_learn_is_refused(
    backends: Backends, lake: Path, theirs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sklearn.base, "__version__", "1.0.2")
        log(mixed(theirs), theirs[COLUMNS], serialization_format="cloudpickle")
    before = everything(backends)
    with pytest.raises(BackendError, match=r"it was made with scikit-learn 1\.0\.2, here is"):
        adopt_model(backends, spec(lake), request(version="1"))
    assert everything(backends) == before


def test_a_model_whose_code_is_not_here_is_refused_by_name(
    backends: Backends, lake: Path, theirs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("only_there.py").write_text(
        "from sklearn.linear_model import LogisticRegression as Theirs\nclass Mine(Theirs): ...\n"
    )
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(Path.cwd()))
        mine = importlib.import_module("only_there").Mine().fit(theirs[["x"]], theirs["y"])
        log(mine, theirs[["x"]], serialization_format="pickle")
    monkeypatch.delitem(sys.modules, "only_there")
    before = everything(backends)
    with pytest.raises(BackendError, match="does not load here: No module named 'only_there'; install"):
        adopt_model(backends, spec(lake), request(version="1"))
    assert everything(backends) == before


def test_a_column_that_is_no_longer_whole_stops_a_strict_champion_and_the_verdict_says_what_to_do(
    backends: Backends, lake: Path, theirs: pd.DataFrame
) -> None:
    """MLflow's wrapper wants the integers of its signature; scikit-learn's models take what comes."""
    wrapped(lambda p: p, theirs)
    adopt_model(backends, spec(lake), request(version="1"))
    table = customers()
    holes = pa.array([None if place % 50 == 0 else float(place % 5) for place in range(table.num_rows)])
    place = table.column_names.index("visits")
    write_parquet(lake / "a.parquet", table.set_column(place, "visits", holes))
    decision = through(beaten_by(lake), backends)
    assert decision.outcome == "undecided"
    says = decision.board.absent["champion"]
    assert "cannot predict on today's data: the model wants column 'visits' as int64; " in says
    assert "contender rollback churn --to VERSION, or contender adopt churn --version VERSION" in says


def test_cells_that_do_not_fit_are_set_aside_as_a_run_does(
    backends: Backends, lake: Path, theirs: pd.DataFrame
) -> None:
    log(mixed(theirs), theirs[COLUMNS])
    table = customers()
    noise = pa.array(["soon", *map(str, table["noise"].to_pylist()[1:])])
    write_parquet(lake / "a.parquet", table.set_column(table.column_names.index("noise"), "noise", noise))
    numbers = {"data": {**TIMED, "columns": {"noise": "number"}}}
    with pytest.raises(DataRejected, match=r"1 of \d+ rows .* noise is not a number: 1 rows"):
        adopt_model(backends, spec(lake, **numbers), request(version="1"))
    adopted = adopt_model(backends, spec(lake, **numbers, quarantine={"max_share": 0.01}), request(version="1"))
    assert {"at": "datetime64[us]"} == released(backends, adopted).recipe.trained_on.columns


def test_a_model_that_does_not_verify_gets_no_title(
    backends: Backends, lake: Path, theirs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody writes over it in MLflow while it is looked at."""
    address = log(mixed(theirs), theirs[COLUMNS])

    def overwritten(*arguments: Any) -> None:
        [place] = Path("theirs").rglob(f"{address.removeprefix('models:/')}/artifacts/MLmodel")
        place.write_text(place.read_text() + "\n")
        verify.check_version(*arguments)

    monkeypatch.setattr(verify, "verify_version", overwritten)
    with pytest.raises(BackendError, match="MLflow's copy of MLmodel is not the one that was released"):
        adopt_model(backends, spec(lake), request(version="1"))
    assert entries(backends) == []
    assert models.champion_alias(backends.tracking, "churn") is None


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_the_command_adopts_from_a_server(
    backends: Backends, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_process: None
) -> None:
    """As a user does it: another registered model on an MLflow server, a YAML file, and a store of one's own."""
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", backends.tracking.uri, "--artifacts-destination", str(tmp_path / "served")]
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    with (tmp_path / "server.log").open("wb") as said:
        server = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
    try:
        for _ in range(240):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.25)
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment("theirs")
        theirs = rows_before(lake)
        log(mixed(theirs), theirs[COLUMNS], name="churn_prod")
        yaml = tmp_path / "churn.yaml"
        yaml.write_text(
            f"data: {{source: {{kind: parquet, uri: {lake}}}, target: y, positive: 'yes', id: id, time: at, window: 60d}}\n"
            "split: {gate: 14d, folds: 2}\n"
            "sweep: {metric: roc_auc, candidates: [{estimator: sklearn.linear_model.LogisticRegression}]}\n"
            "gates: [{kind: threshold, metric: roc_auc, min: 0.5}]\n"
        )
        create_key(tmp_path / "key.pem")
        arguments = ["adopt", str(yaml), "--model", "models:/churn_prod/1", "--as-of", "2026-03-02"]
        arguments += ["--trained-through", "2026-02-16"]
        places = {"uri": str(tmp_path / "mine"), "signing_key": str(tmp_path / "key.pem")}
        for name, extra in (("mlflow", {"tracking_uri": uri}), ("contender_store", places)):
            variable = f"AIRFLOW_CONN_CONTENDER_{name.rpartition('_')[2].upper()}"
            monkeypatch.setenv(variable, json.dumps({"conn_type": name, "extra": extra}))
        done = CliRunner().invoke(app.app, arguments, catch_exceptions=False)
        assert done.exit_code == 0
        assert (
            "churn: version 1 is the champion and defends its title from now on (ledger entry 1: adopted" in done.output
        )
        assert "on the 1" in done.output
        mine = Backends.connect(store=str(tmp_path / "mine"), tracking_uri=uri, signing_key=str(tmp_path / "key.pem"))
        assert entries(mine) == [("adoption", "1")]
        assert models.champion_alias(mine.tracking, "churn") == "1"
        assert "is the champion already" in CliRunner().invoke(app.app, arguments, catch_exceptions=False).output
    finally:
        server.terminate()
        server.wait(30)
