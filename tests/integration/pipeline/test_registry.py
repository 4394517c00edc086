"""Versions that somebody deleted, made or moved in MLflow: the store and its ledger say which release serves."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pytest

from builders import make_table
from contender.backends import Backends
from contender.errors import BackendError, ConfigError, Conflict
from contender.release import verify
from contender.release.title import rollback
from contender.run.status import status
from contender.store.ledger import Ledger
from contender.tracking import models
from steps import LATER, champion, entries, through, timed, versions

if TYPE_CHECKING:
    from contender.store.ledger import LedgerEntry

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here", "few_draws", "no_report")]


def head(backends: Backends) -> LedgerEntry:
    found = Ledger(backends.store, "churn").champion()
    assert found is not None
    return found


def serves(backends: Backends) -> str | None:
    """The release that the alias points at."""
    found = models.champion_version(backends.tracking, "churn")
    return None if found is None else found[1]


def shown(backends: Backends) -> Any:
    [state] = status(backends.store, "churn")["pipelines"]
    return state["champion"]["version"]


def two_champions(backends: Backends, lake: Path) -> tuple[str, str]:
    """Runs r1 and r2 promoted one after another; the hashes of their releases."""
    through(timed(lake), backends)
    through(timed(lake, "r2", as_of=LATER), backends)
    return tuple(str(one.release) for one in Ledger(backends.store, "churn").entries())  # type: ignore[return-value]


def stranger(backends: Backends) -> str:
    """A version that somebody registers by hand."""
    client = backends.tracking.client
    models.create_registered(backends.tracking, "churn")
    run_id = client.create_run(backends.tracking.experiment("churn")).info.run_id
    return str(client.create_model_version("churn", source=f"runs:/{run_id}/model", run_id=run_id).version)


@pytest.mark.parametrize("what", ["version", "model"])
def test_a_champion_that_was_deleted_in_mlflow_is_registered_again_by_the_next_run(
    backends: Backends, lake: Path, what: str
) -> None:
    """Numbers start again when the whole registered model is gone; the release stays the same."""
    through(timed(lake), backends)
    release, client = head(backends).release, backends.tracking.client
    if what == "version":
        client.delete_model_version("churn", "1")
    else:
        client.delete_registered_model("churn")
    if what == "version":
        client.delete_logged_model(client.search_logged_models([backends.tracking.experiment("churn")])[0].model_id)
    outcome = through(timed(lake, "r2"), backends)
    assert outcome.decision == "keep"
    assert serves(backends) == release
    assert champion(backends) == shown(backends) == outcome.champion["version"] == {"version": "2", "model": "1"}[what]
    assert Ledger(backends.store, "churn").verify() == 2
    rows = make_table(50).to_pandas()[["noise", "region", "x"]]
    assert mlflow.pyfunc.load_model("models:/churn@champion").predict(rows).shape == (50, 2)


def test_a_rollback_to_a_version_that_was_deleted_registers_its_release_again(backends: Backends, lake: Path) -> None:
    first, _ = two_champions(backends, lake)
    backends.tracking.client.delete_model_version("churn", "1")
    entry = rollback(backends, "churn", version="1", reason="complaints", by="ada")
    assert (entry.release, entry.version, entry.run_id) == (first, "3", "r1")
    assert serves(backends) == first
    assert shown(backends) == champion(backends) == "3"
    rollback(backends, "churn", version="2", reason="it was the data", by="ada")
    rollback(backends, "churn", version="3", reason="as it is called now", by="ada")
    assert serves(backends) == first


def test_a_number_that_two_releases_had_is_told_apart_by_their_runs(backends: Backends, lake: Path) -> None:
    first, second = two_champions(backends, lake)
    backends.tracking.client.delete_registered_model("churn")
    through(timed(lake, "r3", as_of=LATER), backends)
    assert serves(backends) == second
    assert shown(backends) == "1"
    before = entries(backends)
    with pytest.raises(
        ConfigError, match=r"version 1 can be read in more than one way.*r[12] \(promotion of 20.*r[12] \("
    ):
        rollback(backends, "churn", version="1", reason="complaints", by="ada")
    assert entries(backends) == before
    assert rollback(backends, "churn", version="r1", reason="complaints", by="ada").release == first
    assert serves(backends) == first
    assert rollback(backends, "churn", version=second[:12], reason="by its hash", by="ada").run_id == "r2"
    assert serves(backends) == second


def test_the_alias_never_points_at_a_stranger_that_has_the_champions_number(backends: Backends, lake: Path) -> None:
    through(timed(lake), backends)
    release = head(backends).release
    backends.tracking.client.delete_registered_model("churn")
    assert stranger(backends) == "1"
    through(timed(lake, "r2"), backends)
    assert serves(backends) == release
    assert champion(backends) == "2"
    with pytest.raises(ConfigError, match="MLflow's version 1 now is none of them"):
        rollback(backends, "churn", version="1", reason="complaints", by="ada")


def test_an_alias_on_a_stranger_that_has_the_champions_number_is_somebody_elses(backends: Backends, lake: Path) -> None:
    through(timed(lake), backends)
    backends.tracking.client.delete_registered_model("churn")
    version = stranger(backends)
    backends.tracking.client.set_registered_model_alias("churn", "champion", version)
    with pytest.raises(Conflict, match=r"somebody else set the alias champion \(to version 1\)"):
        through(timed(lake, "r2"), backends)
    assert (champion(backends), versions(backends)) == ("1", ["1"])


def test_a_version_that_is_registered_again_is_verified_before_it_serves(
    backends: Backends, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(timed(lake), backends)
    backends.tracking.client.delete_model_version("churn", "1")

    def refuses(*_: Any) -> None:
        raise BackendError("does not verify")

    monkeypatch.setattr(verify, "verify_version", refuses)
    with pytest.raises(BackendError, match="does not verify"):
        through(timed(lake, "r2"), backends)
    assert champion(backends) is None


def test_a_rollback_whose_alias_could_not_be_set_is_finished_by_the_next_try(
    backends: Backends, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two_champions(backends, lake)

    def away(*_: Any) -> None:
        raise BackendError("MLflow does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(models, "set_champion_alias", away)
        with pytest.raises(BackendError):
            rollback(backends, "churn", version="1", reason="complaints", by="ada")
    assert (head(backends).release, serves(backends)) == (first, second)
    assert rollback(backends, "churn", version="1", reason="complaints", by="ada") == head(backends)
    assert serves(backends) == first
    assert entries(backends) == [("promotion", "1"), ("promotion", "2"), ("rollback", "1")]
    with pytest.raises(ConfigError, match="version 1 is the champion already"):
        rollback(backends, "churn", version="1", reason="complaints", by="ada")


def test_after_two_rollbacks_at_once_the_alias_is_where_the_ledger_ends(
    backends: Backends, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is slow: it has appended its entry, and sets the alias after the second has done all it does."""
    first, second = two_champions(backends, lake)
    appended, others_done = threading.Event(), threading.Event()
    genuine, slow = models.set_champion_alias, "1"

    def set_alias(tracking: Any, name: str, version: str) -> None:
        if version == slow and not others_done.is_set():
            appended.set()
            assert others_done.wait(60)
        genuine(tracking, name, version)

    monkeypatch.setattr(models, "set_champion_alias", set_alias)
    with ThreadPoolExecutor(1) as threads:
        one = threads.submit(rollback, backends, "churn", version="1", reason="complaints", by="ada")
        assert appended.wait(60)
        rollback(backends, "churn", version="r2", reason="no, it was the data", by="bob")
        others_done.set()
        one.result(60)
    assert head(backends).release == second == serves(backends)
    assert entries(backends)[-2:] == [("rollback", "1"), ("rollback", "2")]
    assert first != second
