"""``python -m bench.snapshots ours|plain FOLDER``: take a snapshot, or read, sort and write the rows by PyArrow alone.

It prints the seconds and the process's peak memory in GB.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.tables import SPEC, peak_gigabytes

AS_OF = datetime(2026, 1, 5, tzinfo=UTC)


def ours(folder: Path) -> None:
    """Do what the snapshot step does with the data: canonical rows, id, statistics, file, manifest."""
    from contender.data.snapshot import take_snapshot
    from contender.documents.run import Run
    from contender.run.code import installed_code
    from contender.spec.loading import parse_spec
    from contender.store.local import LocalStore

    spec = parse_spec(SPEC.format(uri=folder / "lake").encode(), Path("bench.yaml"))
    run = Run(id="bench", spec=spec, as_of=AS_OF, by="bench", started=AS_OF, code=installed_code())
    take_snapshot(run, LocalStore(folder / "store"))


def plain(folder: Path) -> None:
    """Do the least that is necessary with the same columns."""
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "lake").sort_by([("at", "ascending"), ("id", "ascending")])
    pq.write_table(rows, folder / "plain.parquet", compression="zstd")


if __name__ == "__main__":
    import pyarrow.dataset  # noqa: F401 - imported before the clock starts

    work = {"ours": ours, "plain": plain}[sys.argv[1]]
    began = time.perf_counter()
    work(Path(sys.argv[2]))
    print(f"{time.perf_counter() - began:.3f} {peak_gigabytes():.3f}")
