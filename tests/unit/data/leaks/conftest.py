"""``keep``: the kept rows of a table, as validation hands them to the leak checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from builders import make_run, write_parquet
from contender.data.leaks.sample import KeptRows
from contender.data.rows import as_frame
from contender.data.snapshot import read_snapshot, take_snapshot
from contender.documents.data import Quarantine

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from contender.store.local import LocalStore


@pytest.fixture
def keep(tmp_path: Path, store: LocalStore) -> Any:
    def made(table: pa.Table, *, bad: tuple[int, ...] = (), **parts: Any) -> KeptRows:
        run = make_run(write_parquet(tmp_path / "lake" / "a.parquet", table), **parts)
        snapshot = take_snapshot(run, store)
        quarantine = Quarantine(id="q", snapshot=snapshot.id, rows=dict.fromkeys(bad, ("expect_x",)), checks=())
        frame = as_frame(read_snapshot(snapshot, run.pipeline, store), run.spec.data.id)
        return KeptRows.of(run, snapshot, quarantine, frame, store)

    return made
