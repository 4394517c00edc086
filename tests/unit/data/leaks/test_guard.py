"""What is suspected stops the run, takes columns out of it or is only said, as the YAML has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from builders import make_run, make_spec, make_table, write_parquet
from contender.data.leaks.guard import guard, judge_findings
from contender.data.rows import as_frame, kept_rows
from contender.data.snapshot import read_snapshot, take_snapshot
from contender.documents import Finding, Quarantine
from contender.errors import ConfigError, DataRejected
from contender.loading import loads

if TYPE_CHECKING:
    from pathlib import Path

    from contender.store.local import LocalStore

N = 400
CANARY = "canary@example.com"


def leaky(**columns: Any) -> pa.Table:
    """``status`` is the target under another name, ``number`` numbers the rows."""
    table = make_table(N)
    left = np.array(table["y"].to_pylist()) == "yes"
    table = table.append_column("status", pa.array(np.where(left, CANARY, "here")))
    table = table.append_column("number", pa.array(np.random.default_rng(1).permutation(N)))
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return table


@pytest.fixture
def guarded(tmp_path: Path, store: LocalStore) -> Any:
    def of(table: pa.Table, leaks: dict[str, Any] | None = None, *, bad: tuple[int, ...] = (), **data: Any) -> Any:
        run = make_run(
            write_parquet(tmp_path / "lake" / "a.parquet", table), data={"exclude": ["at"]} | data, leaks=leaks or {}
        )
        snapshot = take_snapshot(run, store)
        quarantine = Quarantine(id="q", snapshot=snapshot.id, rows=dict.fromkeys(bad, ("expect_x",)), checks=())
        read = read_snapshot(snapshot, run.pipeline, store)
        found = guard(run, snapshot, quarantine, as_frame(read), store)
        return found, kept_rows(run, snapshot, found, read)

    return of


def policies(quarantine: Quarantine) -> dict[str, str]:
    return {name: finding.policy for finding in quarantine.findings for name in finding.columns}


def test_what_gives_the_target_away_stops_the_run_and_an_id_is_dropped(guarded: Any) -> None:
    found, rows = guarded(leaky())
    assert policies(found) == {"status": "stop", "number": "drop"}
    assert found.dropped == ("number",)
    assert [column.name for column in rows.columns] == ["noise", "region", "status", "x"]
    with pytest.raises(DataRejected) as caught:
        judge_findings(found)
    assert str(caught.value) == (
        "leaks: 'status' (determines): reaches ROC AUC 1.000 alone: each of its 2 values goes with one of the target, in "
        f"all {len(rows.split.sweep)} rows. Nothing was trained; put the columns under data.exclude, or under leaks.allow "
        "if they are known when a prediction is made; leaks.kinds sets another policy for a kind"
    )
    assert CANARY not in found.model_dump_json()


def test_dropped_columns_make_other_data_and_stay_in_the_frame_for_the_champion(guarded: Any) -> None:
    found, rows = guarded(leaky(), {"policy": "drop"})
    judge_findings(found)
    assert found.dropped == ("number", "status")
    assert found.id not in ("q", guarded(leaky())[0].id)
    assert "status" not in rows.features
    assert {"number", "status"} <= set(rows.frame)


def test_a_warning_leaves_all_as_it_is(guarded: Any) -> None:
    found, rows = guarded(leaky(), {"policy": "warn"})
    judge_findings(found)
    assert policies(found) == {"status": "warn", "number": "warn"}
    assert (found.id, found.dropped) == ("q", ())
    assert {"number", "status"} <= set(rows.features)


def test_one_kind_may_have_a_policy_of_its_own(guarded: Any) -> None:
    found, _ = guarded(leaky(), {"kinds": {"determines": "drop", "id_like": "stop"}})
    assert policies(found) == {"status": "drop", "number": "stop"}


def test_an_allowed_column_is_not_accused(guarded: Any) -> None:
    found, rows = guarded(leaky(), {"allow": ["status", "number"]})
    assert (found.findings, found.id) == ((), "q")
    assert "status" in rows.features


def test_of_columns_that_give_it_away_together_only_those_that_are_not_allowed_are_dropped(guarded: Any) -> None:
    table = make_table(N)
    part = np.random.default_rng(2).normal(size=N)
    whole = np.array(table["y"].to_pylist()) == "yes"
    table = table.append_column("part", pa.array(part)).append_column("rest", pa.array(whole - part))
    found, _ = guarded(table, {"allow": ["part"], "policy": "drop"})
    assert found.findings[0].columns == ("part", "rest")
    assert found.dropped == ("rest",)


def test_a_misspelt_allowed_column_is_named(guarded: Any) -> None:
    with pytest.raises(
        DataRejected, match=r"leaks\.allow: no column 'statsu' in the snapshot\. Did you mean 'status'\?"
    ):
        guarded(leaky(), {"allow": ["statsu"]})


def test_copies_are_seen_behind_a_column_that_is_different_in_every_row(guarded: Any) -> None:
    table = make_table(N).drop_columns(["id", "at"])
    doubled = pa.concat_tables([table, table])
    found, _ = guarded(
        doubled.append_column("number", pa.array(np.random.default_rng(1).permutation(2 * N))), id=None, exclude=[]
    )
    assert [(finding.kind, finding.policy) for finding in found.findings] == [
        ("id_like", "drop"),
        ("duplicates", "stop"),
    ]
    with pytest.raises(DataRejected, match=r"remove the copies from the source, or name what they share in data\.id"):
        judge_findings(found)


def test_quarantined_rows_are_not_looked_at(guarded: Any, tmp_path: Path, store: LocalStore) -> None:
    table = leaky()
    run = make_run(write_parquet(tmp_path / "b.parquet", table), data={"exclude": ["at"]})
    y = read_snapshot(take_snapshot(run, store), "churn", store)["y"].to_pylist()
    wrong = tuple(place for place, value in enumerate(y) if value == "no")[:3]
    status = np.array(table["status"].to_pylist(), dtype=object)
    ids = read_snapshot(take_snapshot(run, store), "churn", store)["id"].to_pylist()
    for place in wrong:
        status[table["id"].to_pylist().index(ids[place])] = CANARY
    table = table.set_column(table.column_names.index("status"), "status", pa.array(status.astype(str)))
    assert {one.kind for one in guarded(table)[0].findings} == {"near_perfect", "id_like"}
    assert {one.kind for one in guarded(table, bad=wrong)[0].findings} == {"determines", "id_like"}


def test_a_message_about_many_columns_is_bounded() -> None:
    many = tuple(f"column_{n}" for n in range(500))
    findings = tuple(Finding(kind="near_perfect", columns=many, evidence="x" * 100, policy="stop") for _ in range(50))
    with pytest.raises(DataRejected, match=r"; and 45 more\. Nothing was trained") as caught:
        judge_findings(Quarantine(id="q", snapshot="s", rows={}, checks=(), findings=findings))
    assert len(str(caught.value)) < 1_500
    assert findings[0].words.startswith("'column_0' and 'column_1'")


def test_the_same_rows_give_the_same_findings(guarded: Any) -> None:
    assert guarded(leaky())[0] == guarded(leaky().take(np.random.default_rng(3).permutation(N)))[0]


def test_rows_cannot_be_dropped_as_columns_are(tmp_path: Path) -> None:
    yaml = make_spec().model_dump_json(exclude={"name"}).replace('"kinds":{}', '"kinds":{"duplicates":"drop"}')
    with pytest.raises(ConfigError, match=r"leaks.*duplicates: rows are the matter there.*use stop or warn"):
        loads(yaml.encode(), tmp_path / "churn.yaml")
    assert make_spec(leaks={"policy": "drop"}).leaks.policy_of("duplicates") == "stop"
