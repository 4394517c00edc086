"""Who holds the title after rollbacks, foreign aliases and promotions at once."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException

from builders import AS_OF
from contender import pipeline
from contender.backends import Backends
from contender.canonical import canonical_json, sha256
from contender.errors import BackendError, ConfigError, Conflict
from contender.release import bundle as releases
from contender.release import verify
from contender.release.signing import create_key, sign
from contender.release.title import rollback
from contender.release.witness import open_ledger
from contender.store.ledger import Ledger, LedgerEntry
from contender.store.local import LocalStore
from contender.tracking import models
from contender_airflow.operators.training import PromoteOperator
from life import decided
from steps import LATER, champion, entries, everything, released, through, timed, versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from contender.documents.run import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here", "no_report")]


def test_every_step_and_a_rollback_read_the_ledger_once_at_most(
    one: Backends, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    genuine = LocalStore.keys

    def keys(store: LocalStore, prefix: str) -> list[str]:
        listed.append(prefix)
        return genuine(store, prefix)

    monkeypatch.setattr(LocalStore, "keys", keys)
    run = timed(lake, "r2", as_of=LATER)
    steps: dict[str, Callable[[], object]] = {
        "snapshot": lambda: pipeline.snapshot(run, one),
        "validate": lambda: pipeline.validate(run, one),
        "plan": lambda: pipeline.plan(run, one, cores=1),
        "train": lambda: pipeline.train(run, one, task=0),
        "challenge": lambda: pipeline.challenge(run, one),
        "promote": lambda: pipeline.promote(run, one),
        "announce": lambda: pipeline.announce(run, one),
        "rollback": lambda: rollback(one, "churn", version="1", reason="complaints", by="ada"),
    }
    reads = {}
    for name, step in steps.items():
        listed.clear()
        step()
        reads[name] = listed.count("churn/ledger")
    assert reads == {
        "snapshot": 0, "validate": 1, "plan": 1, "train": 0, "challenge": 1, "promote": 1, "announce": 1, "rollback": 1,
    }  # fmt: skip


def test_a_rollback_gives_the_title_back(two: Backends) -> None:
    entry = rollback(two, "churn", version="1", reason="complaints", by="ada")
    assert (entry.kind, entry.version, entry.reason, entry.by) == ("rollback", "1", "complaints", "ada")
    assert entry.release == releases.manifest_hash(two, "churn", "r1")
    assert entries(two) == [("promotion", "1"), ("promotion", "2"), ("rollback", "1")]
    assert champion(two) == "1"
    assert Ledger(two.store, "churn").verify() == 3


def test_a_model_that_lost_the_title_is_not_promoted_again(two: Backends, lake: Path) -> None:
    rollback(two, "churn", version="1", reason="complaints", by="ada")
    outcome = through(timed(lake, "r3", as_of=LATER), two)
    assert outcome.decision == "keep"
    assert outcome.sentence.startswith("Kept version 1 (same model as before): version 2 ")
    assert "lost the title on" in outcome.sentence
    assert "(rollback: complaints)" in outcome.sentence
    assert champion(two) == "1"
    assert versions(two) == ["1", "2"]


def test_the_other_way_round_is_a_rollback_too(two: Backends, lake: Path) -> None:
    rollback(two, "churn", version="1", reason="complaints", by="ada")
    rollback(two, "churn", version="2", reason="it was the data", by="ada")
    assert champion(two) == "2"
    outcome = through(timed(lake, "r3", as_of=LATER), two)
    assert outcome.sentence.startswith("Kept version 2 (same model): version 2")


def test_a_rollback_that_makes_no_sense_is_refused(two: Backends) -> None:
    before = everything(two)
    for version, reason, message in (
        ("7", "why not", r"churn: version '7' never served\. Allowed: 1, 2"),
        ("2", "why not", r"churn: version 2 is the champion already \(since 20"),
        ("1", " ", r"rollback: give a reason; it stays in the ledger"),
    ):
        with pytest.raises(ConfigError, match=message):
            rollback(two, "churn", version=version, reason=reason, by="ada")
    assert everything(two) == before


def test_a_rollback_to_a_release_that_was_changed_is_refused(two: Backends) -> None:
    path = two.store.local(released("manifest.json", two))
    path.write_bytes(path.read_bytes().replace(b"churn", b"other"))
    with pytest.raises(BackendError, match="the release of version 1 is not the one that the ledger names"):
        rollback(two, "churn", version="1", reason="complaints", by="ada")
    assert champion(two) == "2"


def append(backends: Backends, name: str) -> None:
    path = backends.store.local(released(name, backends))
    path.write_bytes(path.read_bytes() + b"!")


def sign_another(backends: Backends) -> None:
    manifest = backends.store.read(released("manifest.json", backends)).replace(b'"as_of"', b' "as_of"')
    backends.store.write(released("manifest.json", backends), manifest)
    backends.store.write(released("manifest.sig", backends), sign(manifest, backends.signing_key))


def replace_key(backends: Backends) -> None:
    backends.signing_key.unlink()
    create_key(backends.signing_key)


def forget_module(backends: Backends) -> None:
    """The pickle names a module of another scikit-learn; hashes, signature and ledger are made to fit."""
    pickled = b"cnowhere\nModel\n."
    backends.store.write(released("model/model.pkl", backends), pickled)
    release = releases.read_release(backends, "churn", "r1")
    changed = release.model_copy(update={"files": release.files | {"model.pkl": sha256(pickled)}})
    manifest = changed.model_dump_json().encode()
    backends.store.write(released("manifest.json", backends), manifest)
    backends.store.write(released("manifest.sig", backends), sign(manifest, backends.signing_key))
    entry = Ledger(backends.store, "churn").entries()[0].model_copy(update={"release": sha256(manifest)})
    entry = entry.model_copy(update={"digest": entry.computed_digest()})
    backends.store.write("churn/ledger/00000001.json", canonical_json(entry.model_dump(mode="json")))
    experiment = backends.tracking.client.get_experiment_by_name("churn")
    [witness] = [name for name in experiment.tags if name.startswith("contender.ledger.")]
    backends.tracking.client.delete_experiment_tag(experiment.experiment_id, witness)


DAMAGES: dict[str, tuple[Callable[[Backends], None], str]] = {
    "a file of the model changed": (
        lambda backends: append(backends, "model/model.pkl"),
        "release of run r1: model.pkl is missing or was changed; it is not loaded",
    ),
    "another manifest, signed with the right key": (
        sign_another,
        "the release of run r1 is not the one that the ledger names: its manifest was replaced; restore it",
    ),
    "the key replaced": (
        replace_key,
        "the release manifest was not signed with signing.pem or was changed since; it is not loaded",
    ),
    "a model that does not load under these libraries": (
        forget_module,
        "it does not load here (ModuleNotFoundError)",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_champion_that_cannot_be_read_judges_nothing_and_the_run_says_why(
    one: Backends, lake: Path, damage: str
) -> None:
    spoil, why = DAMAGES[damage]
    spoil(one)
    run = timed(lake, "r2", as_of=LATER)
    through(run, one, "challenge")
    decision = decided(run, one)
    assert decision.outcome == "undecided"
    assert decision.board.absent["champion"] == (
        f"version 1 cannot be judged: {why}. Restore it, or give the title to a model that can be read: "
        "contender rollback churn --to VERSION, or contender adopt churn --version VERSION; or, when it shall be replaced "
        "without being compared: contender override churn --reason WHY --by APPROVER --expires DATE, then start a new run"
    )


def test_an_old_release_that_is_damaged_is_told_and_the_others_are_read(
    two: Backends, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    append(two, "manifest.json")
    two.store.local("churn/runs/r2/decisions/1.json").unlink()
    decision = through_decision(timed(lake, "r3", as_of=LATER), two)
    assert decision.sentence.startswith("Kept version 2 (same model): version 2 ")
    run = timed(lake, "r4", as_of=LATER + timedelta(days=1))
    assert not through_decision(run, two).same_model
    assert (
        "whether ledger entry 1 was made by this recipe is unknown: the release of run r1 is not the one" in caplog.text
    )


def through_decision(run: Run, backends: Backends) -> Any:
    through(run, backends)
    return decided(run, backends)


def test_a_run_whose_version_lost_the_title_tells_nobody_that_it_was_promoted(two: Backends, lake: Path) -> None:
    """Its tasks may be cleared long after."""
    rollback(two, "churn", version="1", reason="complaints", by="ada")
    asset = Asset("churn_champion", uri="x-contender://churn/champion")
    promote = PromoteOperator(task_id="promote", pipeline="churn", outlets=[asset])
    told: Any = {"outlet_events": {asset: SimpleNamespace(extra=None)}}
    with pytest.raises(AirflowSkipException, match="version 2 lost the title since it was promoted"):
        promote.step(timed(lake, "r2", as_of=LATER), two, told)
    outcome = pipeline.announce(timed(lake, "r2", as_of=LATER), two)
    assert outcome.promoted is None
    assert "(version 2 lost the title since, on " in outcome.sentence
    assert outcome.sentence.endswith(": rollback: complaints)")
    assert champion(two) == "1"
    assert promote.step(timed(lake), two, told) == {"version": "1", "ledger_entry": 1}
    assert told["outlet_events"][asset].extra == {"version": "1", "run_id": "r1"}


def test_a_ledger_without_its_newest_entries_is_told_apart_from_one_that_is_whole(one: Backends, lake: Path) -> None:
    """As after a restored backup: the rest of the chain is sound."""
    assert open_ledger(one, "churn").verify() == 1
    through(timed(lake, "r2"), one)
    newest = one.store.local("churn/ledger/00000002.json")
    kept = newest.read_bytes()
    newest.unlink()
    message = (
        r"churn: the ledger ends with entry 1, but MLflow was told of entry 2 \([0-9a-f]{12}\): the newest entries were "
        r"removed, or the store was restored from an older backup\. Restore them .* delete the tag (contender\.ledger\.\w+) of"
    )
    assert Ledger(one.store, "churn").verify() == 1
    with pytest.raises(BackendError, match=message) as told:
        open_ledger(one, "churn").verify()
    run = timed(lake, "r3", as_of=LATER)
    for act in (
        lambda: through(run, one, "challenge"),
        lambda: rollback(one, "churn", version="1", reason="complaints", by="ada"),
        lambda: pipeline.promote(timed(lake), one),
    ):
        with pytest.raises(BackendError, match=message):
            act()
    newest.write_bytes(kept.replace(b"tests", b"texts"))
    entry = LedgerEntry.model_validate_json(newest.read_bytes())
    entry = entry.model_copy(update={"digest": entry.computed_digest()})
    newest.write_bytes(canonical_json(entry.model_dump(mode="json")))
    with pytest.raises(BackendError, match="the ledger has another entry 2, but MLflow was told of entry 2"):
        open_ledger(one, "churn").verify()
    newest.unlink()
    tag = re.search(r"contender\.ledger\.\w+", str(told.value))
    assert tag is not None
    one.tracking.client.delete_experiment_tag(one.tracking.experiment("churn"), tag[0])
    through(run, one, "challenge")


def foreign_version(backends: Backends) -> str:
    """A version that somebody registered by hand, as champion."""
    client = backends.tracking.client
    if champion(backends) is None:
        client.create_registered_model("churn")
    run_id = client.create_run(client.create_experiment("by hand")).info.run_id
    version = str(client.create_model_version("churn", source=f"runs:/{run_id}/model", run_id=run_id).version)
    client.set_registered_model_alias("churn", "champion", version)
    return version


def test_an_alias_that_somebody_else_set_is_never_moved(backends: Backends, lake: Path) -> None:
    theirs = foreign_version(backends)
    run = timed(lake)
    message = (
        r"churn: somebody else set the alias champion \(to version 1\); Contender does not move it\. "
        r"To let that version defend its title: contender adopt churn --version 1\. Or remove the alias"
    )
    with pytest.raises(Conflict, match=message):
        through(run, backends)
    assert champion(backends) == theirs
    assert versions(backends) == [theirs]
    assert entries(backends) == []
    backends.tracking.client.delete_registered_model_alias("churn", "champion")
    assert pipeline.promote(run, backends) is not None
    assert champion(backends) == "2"


def test_an_alias_that_was_moved_to_a_strangers_version_is_not_moved_back(one: Backends, lake: Path) -> None:
    theirs = foreign_version(one)
    before = entries(one)
    with pytest.raises(Conflict, match="somebody else set the alias"):
        through(timed(lake, "r2", as_of=LATER), one)
    assert champion(one) == theirs
    assert entries(one) == before


def test_an_alias_that_is_gone_or_behind_is_set_again(two: Backends, lake: Path) -> None:
    two.tracking.client.delete_registered_model_alias("churn", "champion")
    through(timed(lake, "r3", as_of=LATER), two)
    assert champion(two) == "2"
    two.tracking.client.set_registered_model_alias("churn", "champion", "1")
    through(timed(lake, "r4", as_of=LATER), two)
    assert champion(two) == "2"


def test_of_two_runs_that_promote_at_once_one_wins(
    backends: Backends, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contenders = [timed(lake, "a"), timed(lake, "b", as_of=AS_OF + timedelta(days=7))]
    for run in contenders:
        through(run, backends, "challenge")
        assert decided(run, backends).outcome == "promote"
    both_verified = threading.Barrier(2, timeout=60)
    genuine = verify.verify_version

    def together(*arguments: Any) -> None:
        genuine(*arguments)
        both_verified.wait()

    monkeypatch.setattr(verify, "verify_version", together)

    def attempt(run: Run) -> str | Conflict:
        own = Backends.connect(
            store=str(backends.store.root),  # type: ignore[attr-defined]
            tracking_uri=backends.tracking.uri,
            signing_key=str(backends.signing_key),
        )
        try:
            entry = pipeline.promote(run, own)
        except Conflict as error:
            return error
        assert entry is not None
        return str(entry.version)

    with ThreadPoolExecutor(2) as threads:
        ended = list(threads.map(attempt, contenders))
    [loser] = [one for one in ended if isinstance(one, Conflict)]
    [winner] = [one for one in ended if isinstance(one, str)]
    assert "the champion changed while this was decided" in str(loser)
    assert "start a new run" in str(loser)
    assert entries(backends) == [("promotion", winner)]
    assert champion(backends) == winner


def test_a_task_and_its_lost_twin_promote_once(
    will_promote: Backends, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task whose heartbeat was lost may still be running when its retry begins."""
    run = timed(lake)
    both_found_nothing, genuine = threading.Barrier(2, timeout=300), models.version_of

    def together(*arguments: Any) -> str | None:
        found = genuine(*arguments)
        if found is None:
            both_found_nothing.wait()
        return found

    monkeypatch.setattr(models, "version_of", together)
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(lambda _: pipeline.promote(run, will_promote), range(2))
    assert one == other
    assert entries(will_promote) == [("promotion", "1")]
    assert champion(will_promote) == "1"


def test_a_decision_that_was_overtaken_stays_a_conflict(backends: Backends, lake: Path) -> None:
    slow, fast = timed(lake, "slow"), timed(lake, "fast", as_of=AS_OF + timedelta(days=7))
    through(slow, backends, "challenge")
    through(fast, backends)
    for _ in range(2):
        with pytest.raises(Conflict, match="expected version None, found 1"):
            pipeline.promote(slow, backends)
    assert champion(backends) == "1"
    assert entries(backends) == [("promotion", "1")]


def test_a_keep_in_between_is_no_conflict(will_promote: Backends, lake: Path) -> None:
    run, other = timed(lake), timed(lake, "r2", gates=[{"kind": "threshold", "metric": "roc_auc", "min": 0.999}])
    through(other, will_promote)
    pipeline.promote(run, will_promote)
    assert entries(will_promote) == [("keep", None), ("promotion", "1")]
