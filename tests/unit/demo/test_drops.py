"""How the simulated world's drops reach a folder, also when several processes publish at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pyarrow.parquet as pq
import pytest

from builders import read_frame
from contender.demo import LABEL_DELAY, Scenario, drop, drops, write_drops

DAY = date(2026, 3, 1)
WORLD = drops.WORLDS["churn"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def labelled(folder: Path) -> list[str]:
    return [path.stem for path in sorted(folder.iterdir()) if pd.read_parquet(path)["churned"].notna().all()]


def test_a_drop_is_published_at_the_end_of_its_day(tmp_path: Path) -> None:
    written = write_drops(tmp_path / "lake" / "churn", until=DAY, days=3, rows=5)
    assert [path.name for path in written] == ["2026-02-26.parquet", "2026-02-27.parquet", "2026-02-28.parquet"]
    assert sorted((tmp_path / "lake" / "churn").iterdir()) == written


@pytest.mark.parametrize("scenario", get_args(Scenario))
def test_a_file_holds_the_drop_of_its_day(tmp_path: Path, scenario: Scenario) -> None:
    (path,) = write_drops(tmp_path, until=DAY, days=1, seed=3, scenario=scenario, rows=8)
    expected = drop(DAY - timedelta(days=1), seed=3, scenario=scenario, rows=8, labels_as_of=DAY)
    pd.testing.assert_frame_equal(read_frame(path), expected)


def test_with_and_without_labels_the_schema_is_the_same(tmp_path: Path) -> None:
    written = write_drops(tmp_path, until=DAY, days=32, rows=5)
    first, last = (pq.read_schema(path) for path in (written[0], written[-1]))
    assert first.equals(last)


def test_nothing_is_made_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_drops(tmp_path, until=DAY, days=32, rows=5)
    before = contents(tmp_path)
    monkeypatch.setitem(drops.WORLDS, "churn", WORLD._replace(drop=None))  # type: ignore[arg-type]
    assert write_drops(tmp_path, until=DAY, days=32, rows=5) == []
    assert contents(tmp_path) == before


def test_labels_are_added_when_they_arrive(tmp_path: Path) -> None:
    write_drops(tmp_path, until=DAY, days=32, rows=5)
    assert len(labelled(tmp_path)) == 3
    written = write_drops(tmp_path, until=DAY + timedelta(days=2), days=34, rows=5)
    assert [path.stem for path in written] == ["2026-01-31", "2026-02-01", "2026-03-01", "2026-03-02"]
    assert len(labelled(tmp_path)) == 5


def test_labels_are_never_taken_away(tmp_path: Path) -> None:
    write_drops(tmp_path, until=DAY, days=32, rows=5)
    before = contents(tmp_path)
    assert write_drops(tmp_path, until=DAY - timedelta(days=20), days=12, rows=5) == []
    assert contents(tmp_path) == before


def test_labels_change_nothing_else_in_what_was_published(tmp_path: Path) -> None:
    (path,) = write_drops(tmp_path, until=DAY, days=1, seed=3, scenario="covariate", onset=date(2026, 1, 1), rows=5)
    write_drops(tmp_path, until=DAY + LABEL_DELAY, days=31, seed=4, scenario="broken", rows=9)
    expected = drop(DAY - timedelta(days=1), seed=3, scenario="covariate", rows=5)
    pd.testing.assert_frame_equal(read_frame(path), expected)


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / f"{DAY - LABEL_DELAY}.parquet"
    pd.DataFrame({"churned": ["maybe"]}).to_parquet(theirs)
    before = theirs.read_bytes()
    assert theirs not in write_drops(tmp_path, until=DAY, days=30, rows=5)
    assert theirs.read_bytes() == before


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(_table: Any, path: Path) -> None:
        path.write_bytes(b"PAR1")
        msg = "no space left on device"
        raise OSError(msg)

    monkeypatch.setattr(pq, "write_table", disk_full)
    with pytest.raises(OSError, match="no space left"):
        write_drops(tmp_path, until=DAY, days=1, rows=5)
    assert contents(tmp_path) == {}


def test_a_slow_process_does_not_take_labels_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one process makes an unlabelled drop, another that looks from later publishes it with labels."""

    def overtaken(day: date, **options: Any) -> pd.DataFrame:
        monkeypatch.setitem(drops.WORLDS, "churn", WORLD)
        write_drops(tmp_path, until=DAY + LABEL_DELAY, days=31, rows=5)
        return drop(day, **options)

    monkeypatch.setitem(drops.WORLDS, "churn", WORLD._replace(drop=overtaken))
    assert write_drops(tmp_path, until=DAY, days=1, rows=5) == []
    assert labelled(tmp_path)[0] == "2026-02-28"


def test_a_slow_process_adds_the_labels_that_a_fast_one_lacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other way round: what it finds published when it arrives still gets its labels."""

    def overtaken(day: date, **options: Any) -> pd.DataFrame:
        monkeypatch.setitem(drops.WORLDS, "churn", WORLD)
        write_drops(tmp_path, until=DAY, days=1, rows=5)
        return drop(day, **options)

    monkeypatch.setitem(drops.WORLDS, "churn", WORLD._replace(drop=overtaken))
    write_drops(tmp_path, until=DAY + LABEL_DELAY, days=31, rows=5)
    assert labelled(tmp_path) == ["2026-02-28", "2026-03-01"]


def test_many_writers_at_once_leave_what_one_would(tmp_path: Path) -> None:
    def write(folder: str) -> list[Path]:
        written: list[Path] = write_drops(tmp_path / folder, until=DAY, days=32, rows=5)
        return written

    alone = write("alone")
    with ThreadPoolExecutor(4) as writers:
        together = [path.name for written in writers.map(write, ["together"] * 4) for path in written]
    assert sorted(together) == [path.name for path in alone]
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")
