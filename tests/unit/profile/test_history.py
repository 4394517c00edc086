"""Which snapshots are on record, how one is found, and what a run's data is compared with."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from builders import AS_OF, make_run, make_snapshot
from contender.documents.data import Snapshot
from contender.errors import ConfigError
from contender.profile.history import changes_between, find, since_champion, snapshots
from contender.store.base import write_document
from contender.store.ledger import Ledger, LedgerEntry
from contender.store.runs import let_count

if TYPE_CHECKING:
    from contender.store.local import LocalStore


def taken(id_: str, *, yes: int = 50, days: int = 0) -> Snapshot:
    labels = pa.array(["yes"] * yes * 40 + ["no"] * (100 - yes) * 40, pa.large_string())
    return make_snapshot(pa.table({"y": labels}), id=id_, as_of=AS_OF + timedelta(days=days))


def keep(
    store: LocalStore, snapshot: Snapshot, *runs: str, pipeline: str = "churn", beside: bool = True, counts: bool = True
) -> None:
    """Store a snapshot as its runs do; ``beside``: its document beside its rows, too; ``counts``: it was validated."""
    store.write(snapshot.key(pipeline, "data.parquet"), b"rows")
    if beside:
        write_document(store, snapshot.key(pipeline, "snapshot.json"), snapshot)
    for run_id in runs:
        run = make_run(run_id=run_id, name=pipeline)
        write_document(store, run.key("snapshot.json"), snapshot)
        if counts:
            let_count(run, store)


def promoted(store: LocalStore, run_id: str | None) -> LedgerEntry:
    return Ledger(store, "churn").append(
        kind="promotion", version="1", release=None, run_id=run_id, as_of=AS_OF, at=AS_OF, by="tests", reason="better"
    )


def test_snapshots_are_listed_oldest_first_with_their_runs(store: LocalStore) -> None:
    keep(store, taken("aa", days=7), "scheduled", "by-hand")
    keep(store, taken("bb"), "first")
    keep(store, taken("cc", days=14))  # its run was killed before it could say so
    keep(store, taken("dd", days=21), "old", beside=False)
    assert [(kept.snapshot.id, kept.runs) for kept in snapshots(store, "churn")] == [
        ("bb", ("first",)),
        ("aa", ("by-hand", "scheduled")),
        ("cc", ()),
        ("dd", ("old",)),
    ]
    assert snapshots(store, "nobody") == []


def test_a_snapshot_that_was_read_again_later_is_as_old_as_its_first_reading(store: LocalStore) -> None:
    keep(store, taken("aa", days=7), "later", beside=False)
    keep(store, taken("aa"), "zfirst", beside=False)
    [kept] = snapshots(store, "churn")
    assert (kept.snapshot.as_of, kept.runs) == (AS_OF, ("later", "zfirst"))


def test_the_beginning_of_an_id_finds_it_in_every_pipeline_that_has_it(store: LocalStore) -> None:
    keep(store, taken("abc123"), "r1")
    keep(store, taken("abc123"), "r1", pipeline="other")
    keep(store, taken("abd999"), "r2")
    assert [(kept.pipeline, kept.snapshot.id) for kept in find(store, " ABC")] == [
        ("churn", "abc123"),
        ("other", "abc123"),
    ]


def test_an_id_that_nothing_or_several_begin_with_is_refused(store: LocalStore) -> None:
    for number in range(12):
        keep(store, taken(f"ab{number:02}" + "0" * 60))
    with pytest.raises(
        ConfigError, match=r"'ab' is the beginning of 12 snapshots: ab0000000000, .* and 2 more; give more"
    ):
        find(store, "ab")
    with pytest.raises(ConfigError, match=r"no snapshot 'x\\ny' here; `contender data list PIPELINE`"):
        find(store, "x\ny")


def test_rows_without_a_document_are_named(store: LocalStore) -> None:
    keep(store, taken("abc123"), beside=False)
    with pytest.raises(ConfigError, match=r"churn/snapshots/abc123: no document says what this snapshot is"):
        find(store, "abc")


def test_a_comparison_knows_the_target_of_the_newer_ones_run(store: LocalStore) -> None:
    keep(store, taken("aa"), "r1")
    keep(store, taken("bb", yes=70), "killed", "r2", counts=False)
    old, new = snapshots(store, "churn")
    assert [change.kind for change in changes_between(store, old, new)] == ["distribution"]
    let_count(make_run(run_id="r2"), store)
    assert [change.kind for change in changes_between(store, old, new)] == ["target"]


def test_a_run_is_compared_with_what_its_champion_was_made_from(store: LocalStore) -> None:
    run, now = make_run(run_id="r3"), taken("cc", yes=70)
    assert since_champion(run, store, None, now) == (None, ())
    keep(store, taken("aa"), "r1")
    before, changes = since_champion(run, store, promoted(store, "r1"), now)
    assert (before, [change.kind for change in changes]) == ("aa", ["target"])
    assert since_champion(run, store, Ledger(store, "churn").champion(), taken("aa")) == ("aa", ())


def test_a_champion_that_was_adopted_has_no_snapshot(store: LocalStore) -> None:
    assert since_champion(make_run(), store, promoted(store, "adopted-1"), taken("cc")) == (None, ())
