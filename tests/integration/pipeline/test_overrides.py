"""A person may answer for a gate that cannot be asked of the champion, for a while; for no gate that can be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from builders import AS_OF, TIMED
from contender.canonical import content_key
from contender.errors import ConfigError, Conflict
from contender.judge import overrides
from contender.release.title import rollback
from contender.store.base import write_document
from contender.store.ledger import Ledger, LedgerEntry
from life import decided
from steps import GATES, LATER, champion, entries, through, timed

if TYPE_CHECKING:
    from pathlib import Path

    from contender.backends import Backends
    from contender.documents.run import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here", "no_report")]
NOW = datetime.now(UTC)
LABEL = "beats champion (unless_worse, margin 0.5)"


def without_noise(lake: Path, run_id: str, **parts: Any) -> Run:
    return timed(lake, run_id, as_of=LATER, data={**TIMED, "exclude": ["noise"]}, **parts)


def lived(run: Run, backends: Backends) -> Any:
    write_document(backends.store, run.key("run.json"), run)
    return through(run, backends)


def settle(backends: Backends, **said: Any) -> LedgerEntry:
    given = {"reason": "noise was never legal", "by": "ada", "expires": NOW + timedelta(days=7), "now": NOW} | said
    return overrides.override(backends, "churn", **given)


def test_a_champion_that_can_never_predict_again_is_replaced_after_an_override_and_not_before(
    one: Backends, lake: Path
) -> None:
    with pytest.raises(
        ConfigError, match="the last decision left no gate undecided about the champion; an override se"
    ):
        settle(one)
    outcome = lived(without_noise(lake, "r2"), one)
    assert outcome.decision == "undecided"
    assert (
        "contender override churn --reason WHY --by APPROVER --expires DATE, then start a new run" in outcome.sentence
    )
    with pytest.raises(
        ConfigError, match=r"no gate 'roc_auc >= 0\.5' undecided about the champion\. Undecided about the ch"
    ):
        settle(one, gates=["roc_auc >= 0.5"])
    entry = settle(one)
    assert (entry.kind, entry.version, entry.by, entry.reason) == ("override", "1", "ada", "noise was never legal")
    assert entry.override is not None
    assert (entry.override.gates, entry.override.champion) == ((LABEL,), 1)
    assert champion(one) == "1"
    outcome = lived(without_noise(lake, "r3", reason="a new run"), one)
    assert outcome.decision == "promote"
    verdict = decided(without_noise(lake, "r3"), one).verdicts[1]
    assert verdict.status == "not_applicable"
    assert verdict.reason.startswith("overridden by ada until ")
    assert "(noise was never legal); version 1 cannot predict on today's data" in verdict.reason
    assert entries(one) == [("promotion", "1"), ("keep", "1"), ("override", "1"), ("promotion", "2")]
    assert champion(one) == "2"
    ledger = Ledger(one.store, "churn")
    assert ledger.verify() == 4
    assert overrides.standing(ledger, NOW) == {}  # it was for the champion of then
    assert rollback(one, "churn", version="1", reason="back", by="ada").run_id == "r1"


def test_an_override_lets_nothing_pass_that_can_be_asked_and_ends_when_it_expires(one: Backends, lake: Path) -> None:
    lived(without_noise(lake, "r2"), one)
    settle(one)
    strict = [GATES[0], {**GATES[1], "policy": "superior", "margin": 0.5}]
    worse = lived(timed(lake, "r3", as_of=LATER, gates=strict), one)
    assert worse.decision == "keep"
    assert worse.verdicts[1].status == "failed"
    late = overrides.standing(Ledger(one.store, "churn"), NOW + timedelta(days=8))
    assert late == {}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"reason": " "}, "give --reason"),
        ({"by": ""}, "give --by"),
        ({"expires": NOW - timedelta(days=1)}, "it would have expired on .*; give a later --expires"),
    ],
)
def test_an_override_says_who_why_and_until_when(backends: Backends, said: dict[str, Any], message: str) -> None:
    promoted(Ledger(backends.store, "churn"))
    with pytest.raises(ConfigError, match=message):
        settle(backends, **said)


def test_without_a_champion_there_is_nothing_to_override(backends: Backends) -> None:
    with pytest.raises(ConfigError, match="churn: there is no champion"):
        settle(backends)


def promoted(ledger: Ledger) -> LedgerEntry:
    return ledger.append(
        kind="promotion", version="1", release="f" * 64, run_id="r1", as_of=AS_OF, at=AS_OF, by="ada", reason="better",
        expected=ledger.champion(),
    )  # fmt: skip


def test_an_entry_from_before_there_were_overrides_hashes_as_it_did(backends: Backends) -> None:
    entry = promoted(Ledger(backends.store, "churn"))
    then = entry.model_dump(mode="json", exclude={"digest": True, "override": True, "evidence": {"proved"}})
    assert entry.digest == content_key(then)


def test_an_override_of_another_champion_is_a_conflict(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    promoted(Ledger(backends.store, "churn"))

    def meanwhile(*_: object) -> list[str]:
        promoted(Ledger(backends.store, "churn"))
        return [LABEL]

    monkeypatch.setattr(overrides, "_undecided", meanwhile)
    store, append = backends.store, Ledger.append

    def reread(self: Ledger, **said: Any) -> LedgerEntry:
        self.reread()
        return append(self, **said)

    monkeypatch.setattr(Ledger, "append", reread)
    with pytest.raises(Conflict, match="the champion changed while this was decided"):
        settle(backends)
    assert [entry.kind for entry in Ledger(store, "churn").entries()] == ["promotion"] * 2
