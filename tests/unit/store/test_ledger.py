"""The ledger: a chain that one writer at a time extends, and that shows when it was tampered with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from contender.canonical import canonical_json
from contender.errors import BackendError, Conflict
from contender.store.ledger import GENESIS, Evidence, Ledger, LedgerEntry

if TYPE_CHECKING:
    from contender.store.local import LocalStore

AT = datetime(2026, 3, 2, 3, tzinfo=UTC)

RACE = """
import json, sys, time
from datetime import UTC, datetime
from pathlib import Path
from contender.errors import Conflict
from contender.store.ledger import Ledger
from contender.store.local import LocalStore

root, me, other, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
store, at, won = LocalStore(root), datetime(2026, 3, 2, tzinfo=UTC), []
ledger = Ledger(store, "churn")

def meet(place):
    store.write(f"meet/{place}-{me}", b"")
    while not store.exists(f"meet/{place}-{other}"):
        time.sleep(0.0005)

for number in range(rounds):
    meet(f"{number}-before")
    expected = ledger.champion()
    meet(f"{number}-read")
    try:
        entry = ledger.append(kind="promotion", version=f"{me}{number}", release=None, run_id=None, as_of=at, at=at,
                              by=me, reason="race", expected=expected)
        won.append([number, entry.number])
    except Conflict:
        pass
print(json.dumps(won))
"""


def append(ledger: Ledger, kind: str = "promotion", version: str | None = "1", **changes: Any) -> LedgerEntry:
    expected = changes.pop("expected", ledger.champion())
    values: dict[str, Any] = {
        "release": "r" * 64, "run_id": f"run{version}", "as_of": AT, "at": AT, "by": "ada", "reason": "better",
    } | changes  # fmt: skip
    return ledger.append(kind=kind, version=version, expected=expected, **values)  # type: ignore[arg-type]


@pytest.fixture
def ledger(store: LocalStore) -> Ledger:
    return Ledger(store, "churn")


@pytest.fixture
def five(ledger: Ledger) -> Ledger:
    """Promotion, keep, promotion, rollback, keep."""
    append(ledger, version="1", evidence=Evidence(metric="roc_auc", value=0.81))
    append(ledger, "keep", None, run_id="run9")
    append(ledger, version="2")
    append(ledger, "rollback", "1")
    append(ledger, "keep", None, run_id="run10")
    ledger.reread()
    return ledger


def test_an_empty_ledger_has_no_champion_and_is_whole(ledger: Ledger) -> None:
    assert ledger.entries() == ()
    assert ledger.champion() is None
    assert ledger.verify() == 0


def test_each_entry_is_numbered_and_names_the_one_before(five: Ledger) -> None:
    entries = five.entries()
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.previous for entry in entries] == [GENESIS, *(entry.digest for entry in entries[:-1])]
    assert [entry.version for entry in entries] == ["1", "1", "2", "1", "1"]
    assert five.verify() == 5


def test_the_champion_is_the_newest_entry_that_is_no_keep(five: Ledger) -> None:
    champion = five.champion()
    assert champion is not None
    assert (champion.number, champion.kind, champion.version) == (4, "rollback", "1")


def test_a_ledger_reads_the_same_in_another_process(five: Ledger, store: LocalStore) -> None:
    assert Ledger(store, "churn").entries() == five.entries()
    assert Ledger(store, "other").entries() == ()


def test_a_keep_names_the_champion_that_stays(five: Ledger) -> None:
    keep = five.entries()[1]
    assert (keep.kind, keep.version, keep.release, keep.run_id) == ("keep", "1", "r" * 64, "run9")


def test_two_tasks_of_one_run_enter_its_keep_once(five: Ledger, store: LocalStore) -> None:
    twin = Ledger(store, "churn")
    assert len(twin.entries()) == 5  # read before the other one writes
    first = append(five, "keep", None, run_id="run11", evidence=Evidence(decision="d" * 64))
    assert append(twin, "keep", None, run_id="run11", evidence=Evidence(decision="d" * 64)) == first
    assert twin.verify() == 6
    # Judged anew, the run has another decision, and so an entry more.
    assert append(twin, "keep", None, run_id="run11", evidence=Evidence(decision="e" * 64)).number == 7


def test_a_keep_before_any_champion_names_none(ledger: Ledger) -> None:
    keep = append(ledger, "keep", "ignored")
    assert (keep.version, keep.release) == (None, None)
    assert ledger.champion() is None


def test_a_champion_that_changed_meanwhile_is_a_conflict(five: Ledger) -> None:
    with pytest.raises(
        Conflict,
        match=r"^churn: the champion changed while this was decided: expected version None, found 1; start a new run",
    ):
        append(five, version="3", expected=None)
    with pytest.raises(Conflict, match="expected version 2, found 1"):
        append(five, version="3", expected=five.entries()[2])
    assert five.verify() == 5


def test_the_same_version_crowned_again_is_another_champion(five: Ledger) -> None:
    """Version 1 lost the title and got it back: a decision against its first entry rests on old facts."""
    with pytest.raises(Conflict, match="expected version 1, found 1"):
        append(five, version="3", expected=five.entries()[0])


def test_keeps_do_not_disturb_an_expected_champion(five: Ledger) -> None:
    champion = five.champion()
    for number in range(3):
        append(five, "keep", None, run_id=f"k{number}")
    assert append(five, version="3", expected=champion).number == 9
    assert five.verify() == 9


def test_a_keep_never_conflicts(five: Ledger) -> None:
    assert append(five, "keep", None, expected=None).number == 6


def test_a_writer_that_always_comes_second_gives_up(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger._store, "put_if_absent", lambda *_: False)
    with pytest.raises(Conflict, match="written by too many at once; try again"):
        append(ledger)


def key(number: int) -> str:
    return f"churn/ledger/{number:08d}.json"


CHANGES: dict[str, Any] = {
    "version": "7", "release": "x" * 64, "run_id": None, "kind": "override", "reason": "worse", "by": "eve",
    "at": "2026-03-03T03:00:00Z", "as_of": None, "evidence": {"decision": None, "metric": None, "value": 0.99},
    "previous": "f" * 64, "digest": "f" * 64, "number": 9, "pipeline": "other",
}  # fmt: skip


@pytest.mark.parametrize("number", [1, 3, 5])
@pytest.mark.parametrize("field", CHANGES)
def test_a_changed_entry_is_found(five: Ledger, store: LocalStore, number: int, field: str) -> None:
    document = json.loads(store.read(key(number)))
    assert document[field] != CHANGES[field]
    store.write(key(number), canonical_json({**document, field: CHANGES[field]}))
    with pytest.raises(BackendError, match=f"churn/ledger/{number:08d}"):
        five.verify()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_an_entry_forged_with_its_digest_is_found_by_the_next_one(five: Ledger, store: LocalStore, number: int) -> None:
    forged = five.entries()[number - 1].model_copy(update={"reason": "because"})
    forged = forged.model_copy(update={"digest": forged.computed_digest()})
    store.write(key(number), forged.model_dump_json().encode())
    with pytest.raises(BackendError, match=f"{key(number + 1)}: does not follow from entry {number}"):
        five.verify()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_ledger_with_a_missing_entry_refuses_to_decide(five: Ledger, store: LocalStore, number: int) -> None:
    store.local(key(number)).unlink()
    message = f"{key(number)}: this ledger entry is missing; restore it"
    for act in (five.verify, five.entries, five.champion, lambda: append(five, expected=None)):
        with pytest.raises(BackendError, match=message):
            act()


@pytest.mark.parametrize(("one", "two"), [(1, 2), (2, 4), (4, 5)])
def test_swapped_entries_are_found(five: Ledger, store: LocalStore, one: int, two: int) -> None:
    first, second = store.read(key(one)), store.read(key(two))
    store.write(key(one), second)
    store.write(key(two), first)
    with pytest.raises(BackendError, match=f"{key(one)}: holds entry {two} of churn; the chain is broken"):
        five.verify()


def test_an_entry_of_another_pipeline_is_found(five: Ledger, store: LocalStore) -> None:
    append(Ledger(store, "other"), version="8")
    store.write(key(1), store.read("other/ledger/00000001.json"))
    with pytest.raises(BackendError, match=f"{key(1)}: holds entry 1 of other; the chain is broken"):
        five.verify()


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b'{"number": 1'])
def test_an_unreadable_entry_is_named_and_nothing_is_decided(five: Ledger, store: LocalStore, content: bytes) -> None:
    store.write(key(5), content)
    for act in (five.verify, five.champion, lambda: append(five, expected=None)):
        with pytest.raises(BackendError, match=f"{key(5)}: not a LedgerEntry"):
            act()


def test_what_else_lies_beside_the_entries_does_not_matter(five: Ledger, store: LocalStore) -> None:
    store.write("churn/ledger/README.md", b"hands off")
    store.write("churn/ledger/old-00000001.json", b"{}")
    (store.root / "churn" / "ledger" / ".pending-abc").write_bytes(b"half")
    assert five.verify() == 5


@pytest.mark.timeout(120)
def test_of_two_processes_that_race_for_the_title_exactly_one_wins_each_time(store: LocalStore, ledger: Ledger) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", RACE, str(store.root), me, other, "50"], stdout=subprocess.PIPE)
        for me, other in (("a", "b"), ("b", "a"))
    ]
    won = [json.loads(process.communicate(timeout=100)[0]) for process in started]
    assert Counter(number for wins in won for number, _ in wins) == Counter(range(50))
    assert ledger.verify() == 50
    entries = {entry.number: entry for entry in ledger.entries()}
    for me, wins in zip("ab", won, strict=True):
        assert all(entries[place].version == f"{me}{number}" for number, place in wins)


def test_the_proven_champion_is_the_newest_that_nobody_only_let_pass(store: LocalStore) -> None:
    ledger = Ledger(store, "churn")
    assert ledger.proven() is None
    append(ledger, version="1", evidence=Evidence(metric="roc_auc", value=0.81))
    for version, proved in (("2", False), ("3", False)):
        append(ledger, version=version, evidence=Evidence(proved=proved))
    assert ledger.proven() == ledger.entries()[0]
    append(ledger, version="4", evidence=Evidence(proved=True))
    append(ledger, version="5", evidence=Evidence(proved=False))
    assert ledger.proven() == ledger.entries()[3]
