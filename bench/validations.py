"""``python -m bench.validations take|ours|plain|step FOLDER``: data checks of a snapshot, ours or GX's alone.

``take`` makes the snapshot. ``ours`` and ``plain`` start from the frame, ``step`` from the stored file. It prints
seconds, the frame's size in GB, and the peak memory meanwhile in GB, the frame included.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.tables import SPEC

AS_OF = datetime(2026, 1, 5, tzinfo=UTC)
SUITE = """
expectations:
  - expect_table_row_count_to_be_between: {min_value: 1000}
  - expect_column_values_to_not_be_null: {column: amount_1}
  - expect_column_values_to_not_be_null: {column: amount_3, mostly: 0.95, severity: warning}
  - expect_column_values_to_be_between: {column: amount_0, min_value: -4, max_value: 4}
  - expect_column_values_to_be_between: {column: amount_2, min_value: -1000, max_value: 1000}
  - expect_column_values_to_be_between: {column: count_0, min_value: 0, max_value: 99}
  - expect_column_values_to_be_in_set: {column: region, value_set: [north, south, east, west]}
  - expect_column_values_to_match_regex: {column: plan, regex: "^plan [0-9]+$"}
  - expect_column_value_lengths_to_be_between: {column: plan, min_value: 6, max_value: 7}
  - expect_column_mean_to_be_between: {column: amount_6, min_value: -10, max_value: 10}
  - expect_column_values_to_be_in_set: {column: y, value_set: ["yes", "no"]}
  - expect_column_pair_values_a_to_be_greater_than_b: {column_A: count_0, column_B: amount_4, mostly: 0.5, severity: warning}
quarantine: {max_share: 0.02}
leaks: {policy: warn}
"""


def main(what: str, folder: Path) -> None:
    """Measure and print the three numbers."""
    import pyarrow as pa

    from contender.data.rows import as_frame
    from contender.data.snapshot import read_snapshot, take_snapshot
    from contender.documents.data import Snapshot
    from contender.documents.run import Run
    from contender.run.code import installed_code
    from contender.spec.loading import parse_spec
    from contender.store.base import require_document, write_document
    from contender.store.local import LocalStore

    spec = parse_spec((SPEC.format(uri=folder / "lake") + SUITE).encode(), Path("bench.yaml"))
    run = Run(id="bench", spec=spec, as_of=AS_OF, by="bench", started=AS_OF, code=installed_code())
    store = LocalStore(folder / "store")
    if what == "take":
        write_document(store, run.key("snapshot.json"), take_snapshot(run, store))
        print(0)
        return
    taken = require_document(store, run.key("snapshot.json"), Snapshot)
    work: Callable[[Any], object] = plain(run) if what == "plain" else ours(run, taken)
    frame = as_frame(read_snapshot(taken, run.pipeline, store))
    size = frame.memory_usage().sum() / 1e9
    work(frame.head(1000))  # so that everything is imported before the clock starts
    if what == "step":
        del frame
    pa.default_memory_pool().release_unused()
    held = 0.0 if what == "step" else size
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak (VmHWM)
    began = time.perf_counter()
    work(as_frame(read_snapshot(taken, run.pipeline, store)) if what == "step" else frame)
    seconds = time.perf_counter() - began
    print(f"{seconds:.3f} {size:.3f} {held + memory('VmHWM') - before:.3f}")


def ours(run: Any, taken: Any) -> Callable[[Any], object]:
    """The work of the validate step on the rows: all checks, quarantine, document and page."""
    from contender.data.checks.quarantine import examine
    from contender.report.checks import checks_page

    def work(frame: Any) -> object:
        snapshot = taken.model_copy(update={"rows": len(frame)})
        quarantine = examine(run.spec, snapshot, frame)
        return quarantine.model_dump_json(), checks_page(run, snapshot, quarantine)

    return work


def plain(run: Any) -> Callable[[Any], object]:
    """The suite on a pandas batch, as in Great Expectations' documentation."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    from contender.data.checks.expectations import build

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    suite = gx.ExpectationSuite(
        name="plain", expectations=[one.to_domain_obj() for one in build(run.spec.expectations)]
    )
    rows = (
        context.data_sources.add_pandas("bench").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    )
    return lambda frame: rows.get_batch({"dataframe": frame}).validate(suite, result_format="SUMMARY")


def memory(name: str) -> float:
    """A figure of ``/proc/self/status``, in GB."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) * 1024 / 1e9


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
