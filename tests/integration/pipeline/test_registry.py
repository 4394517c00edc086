"""Versions that somebody deleted, made or moved in MLflow: the store and its ledger say which release serves."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pytest

from builders import make_table
from contender import pipeline
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

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here", "no_report")]


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


def releases(backends: Backends) -> tuple[str, str]:
    """The hashes of the releases of r1 and r2."""
    first, second = Ledger(backends.store, "churn").entries()
    return str(first.release), str(second.release)


def stranger(backends: Backends) -> str:
    """A version that somebody registers by hand."""
    client = backends.tracking.client
    models.create_registered(backends.tracking, "churn")
    run_id = client.create_run(backends.tracking.experiment("churn")).info.run_id
    return str(client.create_model_version("churn", source=f"runs:/{run_id}/model", run_id=run_id).version)


def announce(backends: Backends) -> Any:
    """As every run ends, or as when the last run's ``announce`` is cleared."""
    return pipeline.announce(timed(Path("nowhere"), "r2", as_of=LATER), backends)


def test_a_registered_model_that_was_deleted_is_registered_again_by_the_next_run(two: Backends, lake: Path) -> None:
    """Numbers start again, and the release stays the same."""
    _, release = releases(two)
    two.tracking.client.delete_registered_model("churn")
    outcome = through(timed(lake, "r3", as_of=LATER), two)
    assert outcome.decision == "keep"
    assert serves(two) == release
    assert champion(two) == shown(two) == outcome.champion["version"] == "1"
    assert Ledger(two.store, "churn").verify() == 3
    rows = make_table(50).to_pandas()[["noise", "region", "x"]]
    assert mlflow.pyfunc.load_model("models:/churn@champion").predict(rows).shape == (50, 2)


def test_a_version_that_was_deleted_with_its_model_is_registered_again_from_the_store(two: Backends) -> None:
    _, release = releases(two)
    client = two.tracking.client
    for model in client.search_logged_models([two.tracking.experiment("churn")]):
        client.delete_logged_model(model.model_id)
    client.delete_model_version("churn", "2")
    outcome = announce(two)
    assert serves(two) == release
    assert champion(two) == shown(two) == outcome.promoted == "3"
    verify.check_version(two, "churn", "r2", "3")


def test_a_version_that_is_deleted_while_it_is_verified_is_named(two: Backends) -> None:
    two.tracking.client.delete_model_version("churn", "2")
    with pytest.raises(BackendError, match=r"MLflow has no version 2 of churn: it was deleted there"):
        verify.check_version(two, "churn", "r2", "2")


def test_a_rollback_to_a_version_that_was_deleted_registers_its_release_again(two: Backends) -> None:
    first, _ = releases(two)
    two.tracking.client.delete_model_version("churn", "1")
    entry = rollback(two, "churn", version="1", reason="complaints", by="ada")
    assert (entry.release, entry.version, entry.run_id) == (first, "3", "r1")
    assert serves(two) == first
    assert shown(two) == champion(two) == "3"
    rollback(two, "churn", version="2", reason="it was the data", by="ada")
    rollback(two, "churn", version="3", reason="as it is called now", by="ada")
    assert serves(two) == first


def test_a_number_that_two_releases_had_is_told_apart_by_their_runs(two: Backends) -> None:
    first, second = releases(two)
    two.tracking.client.delete_registered_model("churn")
    announce(two)
    assert serves(two) == second
    assert shown(two) == "1"
    before = entries(two)
    with pytest.raises(
        ConfigError, match=r"version 1 can be read in more than one way.*r[12] \(promotion of 20.*r[12] \("
    ):
        rollback(two, "churn", version="1", reason="complaints", by="ada")
    assert entries(two) == before
    assert rollback(two, "churn", version="r1", reason="complaints", by="ada").release == first
    assert serves(two) == first
    assert rollback(two, "churn", version=second[:12], reason="by its hash", by="ada").run_id == "r2"
    assert serves(two) == second


def test_the_alias_never_points_at_a_stranger_that_has_the_champions_number(two: Backends) -> None:
    two.tracking.client.delete_registered_model("churn")
    assert [stranger(two), stranger(two)] == ["1", "2"]
    announce(two)
    assert serves(two) == releases(two)[1]
    assert champion(two) == "3"
    with pytest.raises(ConfigError, match="MLflow's version 1 now is none of them"):
        rollback(two, "churn", version="1", reason="complaints", by="ada")


def test_an_alias_on_a_stranger_that_has_the_champions_number_is_somebody_elses(two: Backends) -> None:
    two.tracking.client.delete_registered_model("churn")
    two.tracking.client.set_registered_model_alias("churn", "champion", stranger(two))
    with pytest.raises(Conflict, match=r"somebody else set the alias champion \(to version 1\)"):
        announce(two)
    assert (champion(two), versions(two)) == ("1", ["1"])


def test_a_version_that_is_registered_again_is_verified_before_it_serves(
    two: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.tracking.client.delete_model_version("churn", "2")

    def refuses(*_: Any) -> None:
        raise BackendError("does not verify")

    monkeypatch.setattr(verify, "verify_version", refuses)
    with pytest.raises(BackendError, match="does not verify"):
        announce(two)
    assert champion(two) is None


def test_a_rollback_whose_alias_could_not_be_set_is_finished_by_the_next_try(
    two: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = releases(two)

    def away(*_: Any) -> None:
        raise BackendError("MLflow does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(models, "set_champion_alias", away)
        with pytest.raises(BackendError):
            rollback(two, "churn", version="1", reason="complaints", by="ada")
    assert (head(two).release, serves(two)) == (first, second)
    assert rollback(two, "churn", version="1", reason="complaints", by="ada") == head(two)
    assert serves(two) == first
    assert entries(two) == [("promotion", "1"), ("promotion", "2"), ("rollback", "1")]
    with pytest.raises(ConfigError, match="version 1 is the champion already"):
        rollback(two, "churn", version="1", reason="complaints", by="ada")


def test_after_two_rollbacks_at_once_the_alias_is_where_the_ledger_ends(
    two: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is slow: it has appended its entry, and sets the alias after the second has done all it does."""
    first, second = releases(two)
    appended, others_done = threading.Event(), threading.Event()
    genuine, slow = models.set_champion_alias, "1"

    def set_alias(tracking: Any, name: str, version: str) -> None:
        if version == slow and not others_done.is_set():
            appended.set()
            assert others_done.wait(60)
        genuine(tracking, name, version)

    monkeypatch.setattr(models, "set_champion_alias", set_alias)
    with ThreadPoolExecutor(1) as threads:
        one = threads.submit(rollback, two, "churn", version="1", reason="complaints", by="ada")
        assert appended.wait(60)
        rollback(two, "churn", version="r2", reason="no, it was the data", by="bob")
        others_done.set()
        one.result(60)
    assert head(two).release == second == serves(two)
    assert entries(two)[-2:] == [("rollback", "1"), ("rollback", "2")]
    assert first != second
