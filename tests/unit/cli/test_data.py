"""``contender data`` prints what is on record, never cut and never as markup; a mistake is one line and exit code 1."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from builders import make_snapshot
from contender.documents.data import Accounts, SourceFile, Uncoerced
from contender.documents.run import run_key
from contender.store.base import write_document
from contender.store.local import LocalStore
from contender_airflow.cli import app

if TYPE_CHECKING:
    from pathlib import Path

    from contender.documents.data import Snapshot

LONG = "s3://lake/" + "folder/" * 40 + "[bold]drop.csv"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    monkeypatch.setenv("CONTENDER_HOME", str(tmp_path / "home"))
    return LocalStore(tmp_path / "home" / "store")


def kept(store: LocalStore, **parts: Any) -> Snapshot:
    table = pa.table(
        {
            "at": pa.array([-(2**62), 0], pa.timestamp("us")),
            "[red]x": [1.5, None],
            "empty": pa.nulls(2, pa.float64()),
        }
    )
    snapshot = make_snapshot(table, **parts)
    store.write(snapshot.key("churn", "data.parquet"), b"rows")
    write_document(store, run_key("churn", "r1", "snapshot.json"), snapshot)
    return snapshot


def call(*arguments: str) -> str:
    done = CliRunner().invoke(app.app, ["data", *arguments])
    assert done.exit_code == 0, done.exception
    return done.stdout


def test_a_snapshot_is_shown_whole(store: LocalStore) -> None:
    files = tuple(SourceFile(uri=f"{LONG}{number}", bytes=1, digest="sha256:0") for number in range(23))
    unread = (Uncoerced(column="[red]x", expected="number", rows=3),)
    shown = call("show", kept(store, sources=files, uncoerced=unread, ignored=("extra",), query="select 1").id)
    for words in (
        f"{LONG}0, 1 byte,",
        "and 3 more files",
        "[red]x is not a number: 3 cells",
        "unused     extra",
        "query      select 1",
    ):
        assert words in shown
    assert "[red]x" in shown.splitlines()[-2]
    assert "before the year 1" in shown
    assert "50 %" in shown
    assert "100 %" in shown


def test_where_every_row_and_file_went_is_shown(store: LocalStore) -> None:
    counts = {"in_window": 2, "outside": 1_000, "without_time": 0, "unlabelled": 3}
    accounts = Accounts(rows_read=1_005, **counts, files_found=2, files_read=1, files_other={".txt": 1})
    shown = call("show", kept(store, accounts=accounts).id)
    assert f"accounts   {accounts.words}" in shown
    assert "accounts" not in call("show", kept(store, ignored=("one of an older version",)).id)


def test_a_snapshot_without_time_or_statistics_is_shown_as_far_as_it_goes(store: LocalStore) -> None:
    bare = kept(store, as_of=None, statistics=())
    assert bare.id in call("show", bare.id)
    assert json.loads(call("list", "churn", "--json"))["snapshots"][0]["as_of"] is None


@pytest.mark.parametrize("command", [["list", "nobody"], ["show", "abc"], ["diff", "abc", "abd"]])
def test_a_mistake_is_one_red_line(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["contender", "data", *command])
    with pytest.raises(SystemExit, match="1"):
        app.main()
    said = capsys.readouterr().err
    assert command[1] in said
    assert len(said.strip().splitlines()) == 1
