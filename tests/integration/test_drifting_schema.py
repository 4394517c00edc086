"""Files change their types from one month to the next: the run trains across it, and says so."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from builders import AS_OF, TIMED, make_run, make_table, write_parquet
from contender.backends import Backends
from contender.documents.decision import Decision
from contender.documents.run import Run
from life import report_page, through

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here")]

MONTH = timedelta(days=28)
GATES = [
    {"kind": "threshold", "metric": "roc_auc", "min": 0.5},
    {"kind": "beats", "opponent": "champion", "policy": "unless_worse", "margin": 0.5, "min_rows": 20},
]


def drop(lake: Path, month: int, types: dict[str, pa.DataType]) -> None:
    table = make_table(400, seed=month, first=400 * month, until=AS_OF + month * MONTH, days=28)
    table = table.append_column("visits", pa.array([float(row % 7) if row % 9 else None for row in range(400)]))
    for name, kind in types.items():
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    write_parquet(lake / f"{month}.parquet", table)


def trained(backends: Backends, lake: Path, month: int) -> tuple[Run, Decision]:
    run = make_run(
        lake, run_id=f"m{month}", as_of=AS_OF + month * MONTH, data={**TIMED, "window": "56d"}, gates=GATES,
        split={"gate": "14d", "folds": 2},
    )  # fmt: skip
    return run, through(run, backends)


def test_three_months_of_files_with_other_types_are_one_pipeline_and_the_change_is_told(
    backends: Backends, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    drop(lake, 0, {"id": pa.int64(), "visits": pa.float64(), "region": pa.string()})
    _, decision = trained(backends, lake, 0)
    assert ("promote", ()) == (decision.outcome, decision.changes)
    for month, types in ((1, {"id": pa.int32(), "visits": pa.int64()}), (2, {"id": pa.int32(), "visits": pa.int64()})):
        drop(lake, month, types | {"region": pa.large_string()})
        run, decision = trained(backends, lake, month)
        assert "promote" == decision.outcome, decision.sentence
        told = {change.column: change.words for change in decision.changes if change.kind == "type"}
        assert {"id", "visits"} == told.keys()
        assert told["visits"].endswith("before; read as numbers all the same")
        assert "the source has" in report_page(run, backends)
