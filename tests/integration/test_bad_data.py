"""Bad data through snapshot, validate and plan on a real store and MLflow: named, counted, and nothing half-written stays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

import life
from builders import AS_OF, TIMED, make_run, make_table, write_parquet
from contender import pipeline
from contender.data.rows import load_rows
from contender.documents.data import Quarantine
from contender.errors import DataRejected, DataUnavailable
from contender.store.base import require_document
from contender.store.ledger import Ledger
from contender.tracking import models
from contender_airflow.operators.training import ValidateOperator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contender.backends import Backends
    from contender.documents.run import Run

pytestmark = pytest.mark.integration

ROWS = 300
LEFT_BY_A_STOPPED_RUN = {"run.json", "snapshot.json", "checks.json", "checks.html"}


def with_column(name: str, change: Callable[[list[Any]], Any]) -> pa.Table:
    """The usual rows, one column of them changed."""
    table = make_table(ROWS)
    values = change(table[name].to_pylist())
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def cells(places: dict[int, Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [places.get(place, value) for place, value in enumerate(values)]


def run_on(lake: Path, table: pa.Table, run_id: str = "r1", **parts: Any) -> Run:
    write_parquet(lake / "a.parquet", table)
    data = {**TIMED, **parts.pop("data", {})}
    return make_run(lake, run_id=run_id, **{"data": data, "split": {"gate": "14d", "folds": 2}} | parts)


def checked(run: Run, backends: Backends) -> Quarantine:
    pipeline.snapshot(run, backends)
    return pipeline.validate(run, backends)


def warned(quarantine: Quarantine) -> dict[str, tuple[int, str]]:
    return {one.label: (one.unexpected, one.detail) for one in quarantine.structure if not one.success}


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


REFUSED: dict[str, tuple[pa.Table, dict[str, Any], type[Exception], str]] = {
    "no rows at all": (make_table(ROWS).slice(0, 0), {}, DataUnavailable, "no row at all"),
    "no label at all": (
        with_column("y", lambda values: pa.array([None] * len(values), pa.string())),
        {},
        DataUnavailable,
        "no row with a value of 'y'",
    ),
    "fewer rows than asked for": (
        make_table(40),
        {},
        DataRejected,
        r"data\.min_rows: got 40 rows with a label, expected at least 100",
    ),
    "no target": (make_table(ROWS).drop_columns(["y"]), {}, DataRejected, r"data\.target: no column 'y' in the source"),
    "fewer labels than asked for": (
        with_column("y", cells(dict.fromkeys(range(150)))),
        {"data": {"label_coverage": 0.9}},
        DataRejected,
        r"data\.label_coverage: 150 of 300 rows of the window have a label \(50\.0%\), expected at least 90\.0%",
    ),
    "older than allowed": (
        make_table(ROWS, until=AS_OF - (AS_OF - AS_OF.replace(day=1)) * 5),
        {"data": {"freshness": "2d"}},
        DataRejected,
        r"data\.freshness: the newest row is \d+d.* older than the end of the window \(2026-03-02 00:00 UTC\), expected at most 2d",
    ),
    "infinite features": (
        with_column("x", cells({1: math.inf, 2: -math.inf, 3: float("1e400")})),
        {},
        DataRejected,
        r"3 of 300 rows \(1\.0%\) failed, quarantine\.max_share allows 0\.0%\. finite\(x\): 3 rows",
    ),
    "a range that is left": (
        with_column("x", lambda values: [value * 100 for value in values]),
        {"expectations": [{"expect_column_values_to_be_between": {"column": "x", "min_value": -10, "max_value": 10}}]},
        DataRejected,
        r"quarantine: \d+ of 300 rows .* expect_column_values_to_be_between\(x\): \d+ rows",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_data_that_cannot_be_trained_on_is_refused_and_leaves_no_trace_but_its_documents(
    backends: Backends, lake: Path, case: str
) -> None:
    table, parts, error, message = REFUSED[case]
    run = run_on(lake, table, **parts)
    for _ in range(2):  # a retry says the same
        with pytest.raises(error, match=message):
            checked(run, backends)
    left = {key.removeprefix("churn/runs/r1/") for key in backends.store.keys("churn/runs")}
    assert {key for key in left if not key.startswith("usage/")} <= LEFT_BY_A_STOPPED_RUN  # and what each try cost
    assert not [key for key in backends.store.keys("churn") if "contract" in key]
    assert not list(lake.parent.rglob(".pending-*"))
    client = backends.tracking.client
    assert client.search_model_versions("name = 'churn'") == []
    assert client.search_logged_models([backends.tracking.experiment("churn")]) == []
    assert len(client.search_runs([backends.tracking.experiment("churn")])) <= 1
    with pytest.raises(KeyError, match=r"(snapshot|quarantine)\.json"):
        pipeline.plan(run, backends, cores=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: ["yes"] * len(values), r"data\.positive: 'y' takes 'yes'; expected two values"),
        (cells({1: "maybe"}), r"data\.positive: 'y' takes 'maybe', 'no', 'yes'; expected two values"),
    ],
    ids=["one class", "three classes"],
)
def test_a_target_of_other_than_two_classes_is_refused(
    backends: Backends, lake: Path, change: Callable[[list[Any]], Any], message: str
) -> None:
    run = run_on(lake, with_column("y", change))
    with pytest.raises(DataRejected, match=message):
        checked(run, backends)
    assert not backends.store.exists(run.key("quarantine.json"))


def test_a_class_too_rare_for_the_folds_stops_before_a_plan(backends: Backends, lake: Path) -> None:
    rare = with_column("y", lambda values: ["yes" if place in (0, ROWS - 1) else "no" for place in range(len(values))])
    run = run_on(lake, rare, split={"gate": "14d", "folds": 5})
    checked(run, backends)
    with pytest.raises(
        DataRejected,
        match=r"split\.folds: the rarer class of 'y' has 1 of the 240 rows that are folded; 5 folds need at least 5",
    ):
        pipeline.plan(run, backends, cores=1)
    assert not backends.store.exists(run.round_key(1, "plan.json"))


def test_rows_without_a_label_are_counted_and_left_out(backends: Backends, lake: Path) -> None:
    run = run_on(lake, with_column("y", cells(dict.fromkeys(range(50)))))
    quarantine = checked(run, backends)
    assert (quarantine.kept, quarantine.rows) == (250, {})
    assert pipeline.snapshot(run, backends).unlabelled == 50


def test_missing_cells_are_no_fault_and_infinite_ones_are_set_aside(backends: Backends, lake: Path) -> None:
    places = {1: math.nan, 2: math.inf, 3: -math.inf, 4: float("1e400"), 5: None}
    run = run_on(lake, with_column("x", cells(places)), quarantine={"max_share": 0.02})
    quarantine = checked(run, backends)
    assert [*quarantine.rows.values()] == [("finite(x)",)] * 3
    rows = load_rows(run, backends.store)
    assert len(rows.frame) == quarantine.kept == ROWS - 3
    assert rows.frame["x"].isna().sum() == 2
    assert np.isfinite(rows.frame["x"].dropna()).all()


def test_features_that_say_nothing_are_told(backends: Backends, lake: Path) -> None:
    table = with_column("noise", lambda values: pa.array([None] * len(values), pa.float64()))
    table = table.set_column(table.column_names.index("region"), "region", pa.array(["north"] * ROWS))
    quarantine = checked(run_on(lake, table), backends)
    assert warned(quarantine) == {
        "has_values(noise)": (0, "has no value at all"),
        "varies(region)": (0, "has one value only"),
    }
    assert quarantine.kept == ROWS


def test_rows_that_repeat_or_contradict_one_another_are_counted(backends: Backends, lake: Path) -> None:
    table = make_table(ROWS)
    twice = table.slice(0, 5)
    torn = table.slice(5, 3)
    other = ["no" if label == "yes" else "yes" for label in torn["y"].to_pylist()]
    torn = torn.set_column(torn.column_names.index("y"), "y", pa.array(other))
    quarantine = checked(run_on(lake, pa.concat_tables([table, twice, torn])), backends)
    assert {name: count for name, (count, _) in warned(quarantine).items()} == {"no_repeats": 5, "labels_agree": 6}
    assert quarantine.kept == ROWS + 8


def test_a_run_goes_on_without_the_bad_rows_and_shows_it(backends: Backends, lake: Path) -> None:
    expectations = [{"expect_column_values_to_be_between": {"column": "x", "min_value": -2, "max_value": 2}}]
    run = run_on(lake, make_table(ROWS), expectations=expectations, quarantine={"max_share": 0.2})
    quarantine = checked(run, backends)
    assert 0 < len(quarantine.rows) < 60
    page = backends.store.read(run.key("checks.html")).decode()
    assert f"The run goes on with {quarantine.kept} of 300 rows; {len(quarantine.rows)} are set aside" in page
    client = backends.tracking.client
    tracked = backends.tracking.run_id(run)
    assert "checks.html" in [one.path for one in client.list_artifacts(tracked)]
    assert len(load_rows(run, backends.store).frame) == quarantine.kept


def test_after_bad_data_the_champion_serves_as_before(backends: Backends, lake: Path) -> None:
    """Whatever comes in the second week: no version, no alias, no entry, no contract and no model of the first changes."""
    first = run_on(lake, make_table(ROWS), run_id="r1", gates=[{"kind": "threshold", "metric": "roc_auc", "min": 0.5}])
    for step in ("snapshot", "validate"):
        getattr(pipeline, step)(first, backends)
    life.sweep(first, backends)
    for step in ("challenge", "promote", "announce"):
        getattr(pipeline, step)(first, backends)

    def serving() -> dict[str, Any]:
        versions = backends.tracking.client.search_model_versions("name = 'churn'")
        return {
            "store": {
                key: backends.store.read(key)
                for key in backends.store.keys("churn")
                if "/runs/bad" not in key and "/snapshots/" not in key
            },
            "ledger": Ledger(backends.store, "churn").entries(),
            "alias": models.champion_alias(backends.tracking, "churn"),
            "versions": [version.version for version in versions],
            "models": len(backends.tracking.client.search_logged_models([backends.tracking.experiment("churn")])),
        }

    before = serving()
    assert before["alias"] == "1"
    gone = make_table(ROWS).drop_columns(["noise"])
    cases = {**REFUSED, "a feature less": (gone, {}, DataRejected, "'noise'")}
    for number, (table, parts, error, message) in enumerate(cases.values()):
        run = run_on(lake, table, run_id=f"bad{number}", **parts)
        with pytest.raises(error, match=message):
            checked(run, backends)
        pipeline.close(backends, "churn", run.id, failed=["validate"])
        assert serving() == before
    require_document(backends.store, first.key("quarantine.json"), Quarantine)


def test_the_log_of_validate_says_what_failed_what_is_set_aside_and_where_all_of_it_stands(
    backends: Backends, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expectations = [{"expect_column_values_to_be_between": {"column": "x", "min_value": -2, "max_value": 2}}]
    validate = ValidateOperator(task_id="validate", pipeline="churn")
    run = run_on(lake, make_table(ROWS), expectations=expectations, quarantine={"max_share": 0.2})
    pipeline.snapshot(run, backends)
    said = validate.step(run, backends, {})
    log = capsys.readouterr().out
    assert said["kept"] + said["quarantined"] == ROWS
    assert f"critical: expect_column_values_to_be_between(x): {said['quarantined']} rows" in log
    assert f"the run goes on with {said['kept']} rows, without {said['quarantined']} that are set aside" in log
    assert f"all checks: {backends.store.url(run.key('checks.html'))}" in log


def test_the_log_of_a_stopped_validate_still_says_where_all_of_it_stands(
    backends: Backends, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_on(lake, make_table(40))
    pipeline.snapshot(run, backends)
    with pytest.raises(DataRejected):
        ValidateOperator(task_id="validate", pipeline="churn").step(run, backends, {})
    assert f"all checks: {backends.store.url(run.key('checks.html'))}" in capsys.readouterr().out


def test_a_declared_column_that_never_had_a_value_is_no_column_that_lost_them(backends: Backends, lake: Path) -> None:
    table = make_table(ROWS).append_column("spare", pa.nulls(ROWS, pa.float64()))
    for run_id in ("r1", "r2"):  # before there is a contract, and with it
        run = run_on(lake, table, run_id=run_id, data={"columns": {"spare": "number"}})
        pipeline.snapshot(run, backends)
        [said] = [one for one in pipeline.validate(run, backends).structure if one.name == "has_values"]
        assert ("spare", "warning") == (said.column, said.severity)
