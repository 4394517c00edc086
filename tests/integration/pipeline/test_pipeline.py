"""The seven steps in plain Python on a real MLflow database: what they decide, and what stops them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from mlflow.exceptions import MlflowException
from pyarrow import csv

from builders import AS_OF, LOGISTIC, TIMED, TREE, make_run, make_table, write_parquet
from contender import pipeline
from contender.backends import Backends
from contender.documents.decision import Decision
from contender.documents.outcome import Outcome
from contender.documents.sweep import TaskReport
from contender.errors import BackendError, ConfigError, DataRejected, DataUnavailable
from contender.release import bundle as releases
from contender.store.base import read_document
from contender.store.ledger import Ledger
from contender.sweep.results import complete_results
from contender.tracking.runs import TRIAL, is_complete
from life import decided, report_page
from steps import GATES, LATER, STEPS, champion, customers, entries, results, runs, step, through, timed, versions

if TYPE_CHECKING:
    from contender.documents.run import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here", "no_report")]


def test_a_first_run_makes_a_first_champion(backends: Backends, lake: Path, fresh_process: None, report: None) -> None:
    run = timed(lake, reason="the beginning")
    outcome: Outcome = through(run, backends)
    assert outcome.state == "success"
    assert outcome.decision == "promote"
    assert outcome.sentence.startswith("Promote DecisionTreeClassifier as the first champion: the candidate")
    assert outcome.trials == {"planned": 3, "completed": 3, "failed": 0, "untried": 0, "reused": 0}
    assert outcome.champion
    assert outcome.champion["version"] == "1"
    [entry] = Ledger(backends.store, "churn").entries()
    assert (entry.kind, entry.version, entry.run_id, entry.by) == ("promotion", "1", "r1", "tests")
    assert (entry.reason, entry.as_of) == ("the beginning", AS_OF)
    assert entry.release == releases.manifest_hash(backends, "churn", "r1")
    assert versions(backends) == ["1"]
    assert champion(backends) == "1"
    assert Counter(found.info.status for found in runs(backends)) == {"FINISHED": 4}
    trials = [found.data.tags[TRIAL] for found in runs(backends) if TRIAL in found.data.tags and is_complete(found)]
    assert len(set(trials)) == len(trials) == 3
    page = report_page(run, backends)
    assert "DecisionTreeClassifier" in page


def test_a_champion_is_served_by_plain_mlflow(one: Backends) -> None:
    mlflow.set_tracking_uri(one.tracking.uri)
    served = mlflow.pyfunc.load_model("models:/churn@champion")
    rows = make_table(10, seed=9).to_pandas()[["noise", "region", "x"]]
    says = served.predict(rows)
    assert says.shape == (10, 2)
    assert says.sum(axis=1) == pytest.approx(1)
    assert served.predict(rows[["x", "region", "noise"]]) == pytest.approx(says)
    release = releases.read_release(one, "churn", "r1")
    assert says == pytest.approx(releases.load_release(one, release).predict_proba(rows))
    with pytest.raises(MlflowException, match="missing inputs"):
        served.predict(rows[["x"]])


def test_a_regression_serves_numbers(backends: Backends, tmp_path: Path) -> None:
    table = make_table(400)
    table = table.set_column(table.column_names.index("y"), "y", pc.add(table["x"], pc.sin(table["noise"])))
    candidates = [{"estimator": "sklearn.linear_model.Ridge", "params": {"alpha": {"choice": [1, 10]}}}]
    run = make_run(
        write_parquet(tmp_path / "a.parquet", table),
        data={"positive": None, "exclude": ["at"]},
        sweep={"metric": "neg_mean_absolute_error", "candidates": candidates},
        gates=[{"kind": "beats", "opponent": "trivial", "min_rows": 20}],
    )
    assert through(run, backends).decision == "promote"
    mlflow.set_tracking_uri(backends.tracking.uri)
    rows = table.to_pandas()[["noise", "region", "x"]]
    assert mlflow.pyfunc.load_model("models:/churn@champion").predict(rows).shape == (400,)


def test_the_same_as_of_again_keeps_the_same_model(one: Backends, lake: Path) -> None:
    outcome = through(timed(lake, "r2"), one)
    assert outcome.decision == "keep"
    assert outcome.sentence.startswith("Kept version 1 (same model): version 1 was made by this recipe")
    assert outcome.trials == {"planned": 3, "completed": 3, "failed": 0, "untried": 0, "reused": 3}
    assert {verdict.status for verdict in outcome.verdicts} == {"not_applicable"}
    assert versions(one) == ["1"]
    assert entries(one) == [("promotion", "1"), ("keep", "1")]
    assert sum(TRIAL in found.data.tags and is_complete(found) for found in runs(one)) == 3


def test_a_later_run_is_judged_against_the_champion_on_rows_it_never_saw(one: Backends, lake: Path) -> None:
    run = timed(lake, "r2", as_of=LATER)
    outcome = through(run, one)
    decision = decided(run, one)
    comparison = decision.board.comparison("champion", "roc_auc")
    assert comparison is not None
    frame = customers().to_pandas()
    gate = frame["at"] >= pd.Timestamp(LATER - timedelta(days=14)).tz_localize(None)
    assert comparison.rows == gate.sum()  # the champion's training ended a week before the gate begins
    assert decision.champion == 1
    assert outcome.decision == "promote"
    assert outcome.previous_champion
    assert outcome.previous_champion["version"] == "1"
    assert entries(one) == [("promotion", "1"), ("promotion", "2")]
    assert champion(one) == "2"


def test_a_week_later_only_the_new_week_counts(one: Backends, lake: Path) -> None:
    run = timed(lake, "r2", as_of=AS_OF + timedelta(days=7))
    through(run, one, "challenge")
    comparison = decided(run, one).board.comparison("champion", "roc_auc")
    assert comparison is not None
    frame = customers().to_pandas()
    start, end = (pd.Timestamp(moment).tz_localize(None) for moment in (AS_OF, AS_OF + timedelta(days=7)))
    assert comparison.rows == ((frame["at"] >= start) & (frame["at"] < end)).sum()


def test_a_champion_that_cannot_predict_today_leaves_the_gate_undecided(one: Backends, lake: Path) -> None:
    write_parquet(lake / "a.parquet", customers().drop_columns(["noise"]))
    with pytest.raises(
        DataRejected, match=r"no column 'noise' in the source; the pipeline's contract, .*data\.exclude"
    ):
        through(timed(lake, "r2", as_of=LATER), one)
    assert champion(one) == "1"
    outcome = through(timed(lake, "r3", as_of=LATER, data={**TIMED, "exclude": ["noise"]}), one)
    assert outcome.decision == "undecided"
    assert "version 1 cannot predict on today's data: the columns ['noise'] that the model needs" in outcome.sentence
    assert champion(one) == "1"


def test_columns_of_one_value_in_a_fold_or_in_all_rows_that_train_are_judged_and_served(
    backends: Backends, tmp_path: Path
) -> None:
    table = make_table(600).sort_by("at")
    late = np.arange(600) > 400  # only in the gate
    middle = (np.arange(600) > 150) & (np.arange(600) < 250)  # only in some folds
    for name, there in (("late", late), ("middle", middle)):
        table = table.append_column(f"{name}_number", pa.array(np.where(there, np.arange(600) % 7, 3.0)))
        table = table.append_column(f"{name}_text", pa.array(np.where(there, "b", "a")))
        table = table.append_column(f"{name}_missing", pa.array(np.arange(600) % 7.0, mask=~there))
        table = table.append_column(f"{name}_word", pa.array(["a"] * 600, mask=~there))
    outcome = through(
        timed(write_parquet(tmp_path / "odd.parquet", table), split={"gate": "14d", "folds": 3}), backends
    )
    assert outcome.decision == "promote"
    assert outcome.trials["failed"] == 0
    assert champion(backends) == "1"


def test_what_is_set_aside_and_what_is_not_used_is_part_of_the_outcome(backends: Backends, tmp_path: Path) -> None:
    table = make_table(300)
    lake = tmp_path / "cells"
    lake.mkdir()
    spec = {"data": {"source": {"kind": "csv", "uri": str(lake / "a.csv"), "types": {"x": "number"}}}}
    csv.write_csv(table, lake / "a.csv")
    assert through(make_run(lake, gates=GATES[:1], **spec), backends).attention == ()
    lines = (lake / "a.csv").read_text().splitlines()
    place = lines[0].replace('"', "").split(",").index("x")
    lines[7] = ",".join("many" if number == place else cell for number, cell in enumerate(lines[7].split(",")))
    (lake / "a.csv").write_text("\n".join([lines[0] + ",extra", *(f"{line},1" for line in lines[1:])]))
    quarantine = {"quarantine": {"max_share": 0.1}}
    first, second = through(make_run(lake, run_id="r2", gates=GATES[:1], **spec, **quarantine), backends).attention
    assert first == "1 of 300 rows are set aside (x is not a number: 1, the first at a.csv:8)"
    assert second == "not in the contract, so not used: extra"
    with pytest.raises(
        DataRejected, match=r"quarantine: 1 of 300 rows .* x is not a number: 1 rows, the first at a\.csv:8"
    ):
        through(make_run(lake, run_id="r3", gates=GATES[:1], **spec), backends)


def test_an_as_of_in_the_champions_past_is_evaluation_only(backends: Backends, lake: Path) -> None:
    through(timed(lake, as_of=LATER), backends)
    before = entries(backends)
    outcome = through(timed(lake, "r2"), backends)
    assert (outcome.decision, outcome.evaluation_only) == ("keep", True)
    assert outcome.sentence.startswith("Evaluation only (as_of 2026-03-02 is before the champion's 2026-03-23)")
    assert entries(backends) == before
    assert versions(backends) == ["1"]


def test_a_run_that_may_not_promote_evaluates_only(backends: Backends, lake: Path) -> None:
    outcome = through(timed(lake, promote=False), backends)
    assert (outcome.decision, outcome.evaluation_only) == ("keep", True)
    assert "promote: false" in outcome.sentence
    assert entries(backends) == []
    assert versions(backends) == []
    assert champion(backends) is None


def test_a_no_is_kept_in_the_ledger(backends: Backends, lake: Path) -> None:
    gates = [{"kind": "threshold", "metric": "roc_auc", "min": 0.999}]
    outcome = through(timed(lake, gates=gates), backends)
    assert outcome.decision == "keep"
    assert outcome.sentence.startswith("No champion yet: the candidate's ROC AUC is 0.")
    assert entries(backends) == [("keep", None)]
    assert versions(backends) == []


def test_a_promotion_that_did_not_happen_is_not_announced(will_promote: Backends, lake: Path) -> None:
    """A killed task may be reported as a success."""
    run = timed(lake)
    with pytest.raises(
        BackendError, match=r"the decision was to promote, but no promotion is in the ledger; clear promote"
    ):
        pipeline.announce(run, will_promote)
    assert read_document(will_promote.store, run.key("outcome.json"), Outcome) is None


def test_a_step_without_its_predecessor_does_nothing(backends: Backends, lake: Path) -> None:
    run = timed(lake)
    for name in STEPS[1:]:
        with pytest.raises((KeyError, BackendError), match=r"churn/runs/r1/|run r1 of churn: nothing was decided"):
            step(name, run, backends)
    assert runs(backends) == []


def test_bad_data_stops_before_anything_is_trained(backends: Backends, lake: Path) -> None:
    run = timed(lake, expectations=[{"expect_column_values_to_be_between": {"column": "x", "max_value": 0}}])
    message = r"quarantine: \d+ of \d+ rows \(\d+\.\d%\) failed, quarantine\.max_share allows 0\.0%"
    for _ in range(2):
        with pytest.raises(DataRejected, match=message):
            through(run, backends)
    assert backends.store.exists(run.key("checks.json"))
    assert not backends.store.exists(run.key("quarantine.json"))
    with pytest.raises(KeyError):
        pipeline.plan(run, backends, cores=1)


def test_quarantined_rows_are_trained_on_by_nobody(backends: Backends, lake: Path) -> None:
    expectations = [{"expect_column_values_to_be_between": {"column": "x", "max_value": 1.5}}]
    run = timed(lake, expectations=expectations, quarantine={"max_share": 0.2})
    through(run, backends)
    frame = customers().to_pandas()
    gate = frame["at"].between(
        pd.Timestamp(AS_OF - timedelta(days=14)).tz_localize(None),
        pd.Timestamp(AS_OF).tz_localize(None),
        inclusive="left",
    )
    [card] = [card for card in decided(run, backends).board.cards if card.contestant == "candidate"]
    assert card.rows == (gate & (frame["x"] <= 1.5)).sum()


def test_no_data_yet_can_be_tried_again_when_it_came(backends: Backends, tmp_path: Path) -> None:
    run = timed(tmp_path / "lake")
    with pytest.raises(DataUnavailable, match="no parquet file at"):
        pipeline.snapshot(run, backends)
    write_parquet(tmp_path / "lake" / "a.parquet", make_table(300))
    assert pipeline.snapshot(run, backends).rows == 300


def test_data_that_came_later_does_not_change_a_run_under_way(backends: Backends, lake: Path) -> None:
    run = timed(lake)
    first = pipeline.snapshot(run, backends)
    write_parquet(lake / "b.parquet", make_table(50, seed=5, first=10_000))
    assert pipeline.snapshot(run, backends) == first


def test_too_little_data_for_the_folds_stops_the_plan(backends: Backends, lake: Path) -> None:
    table = customers()
    flat = table.set_column(table.column_names.index("at"), "at", table["at"].cast("date32"))
    write_parquet(lake / "a.parquet", flat)
    run = timed(lake, split={"gate": "56d", "folds": 5})
    with pytest.raises(DataRejected, match=r"split\.folds: 5 time-ordered folds need at least 6 distinct times, got 4"):
        through(run, backends, "plan")
    assert not backends.store.exists(run.round_key(1, "plan.json"))


def test_a_failed_trial_is_recorded_and_not_the_end(backends: Backends, lake: Path) -> None:
    candidates = [{"estimator": TREE, "params": {"max_depth": {"choice": [2, -1]}}}]
    outcome = through(timed(lake, sweep={"candidates": candidates}), backends)
    assert outcome.trials == {"planned": 2, "completed": 1, "failed": 1, "untried": 0, "reused": 0}
    assert outcome.decision == "promote"
    [failed] = [found for found in runs(backends) if found.info.status == "FAILED"]
    assert "max_depth" in failed.data.tags["contender.error"]


def test_when_every_trial_failed_the_run_says_why(backends: Backends, lake: Path) -> None:
    candidates = [{"estimator": TREE, "params": {"max_depth": {"choice": [-2, -1]}}}]
    with pytest.raises(
        DataRejected, match=r"sweep: none of 2 trials completed: InvalidParameterError: ... 'max_depth' parameter of"
    ):
        through(timed(lake, sweep={"candidates": candidates}), backends)


def test_a_trial_without_a_record_stops_the_challenge(trained: Backends, lake: Path) -> None:
    run = timed(lake)
    trained.store.local(f"churn/trials/{results(run, trained)[0].trial.key}.json").unlink()
    with pytest.raises(BackendError, match=r"1 of 3 planned trials have no record \(.{12}\); clear the train tasks"):
        pipeline.challenge(run, trained)


def test_trials_that_the_budget_cut_are_named_and_tried_when_the_task_is_cleared(
    backends: Backends, lake: Path
) -> None:
    """Also the one that was under way: a short one is done, the one that takes a minute is stopped."""
    slow = {"estimator": "estimators.Slow", "params": {"seconds": {"choice": [0.01, 60.0]}}}
    run = timed(lake, sweep={"budget": "4s", "candidates": [{"estimator": LOGISTIC, "baseline": True}, slow]})
    through(run, backends, "plan")
    [report] = step("train", run, backends)
    assert isinstance(report, TaskReport)
    assert (report.done, len(report.untried)) == (1, 2)
    assert decided_by_what_is_there(run, backends).outcome == "promote"
    [again] = step("train", run, backends)
    assert (again.done, again.untried) == (1, report.untried)


def decided_by_what_is_there(run: Run, backends: Backends) -> Decision:
    decision: Decision = step("challenge", run, backends)
    assert len(complete_results(run, backends.store).untried) == 2
    return decision


def test_without_a_time_column_a_champion_is_judged_on_the_rows_it_was_held_out_from(
    backends: Backends, tmp_path: Path
) -> None:
    lake = tmp_path / "customers"
    write_parquet(lake / "1.parquet", make_table(300).drop_columns(["at"]))
    gates: list[dict[str, Any]] = [GATES[0], {**GATES[1], "min_rows": 5}]
    first = make_run(lake, gates=gates)
    assert through(first, backends).decision == "promote"
    write_parquet(lake / "2.parquet", make_table(300, seed=1, first=300).drop_columns(["at"]))
    second = make_run(lake, run_id="r2", gates=gates, split={"salt": "another", "gate": 0.5})
    through(second, backends, "challenge")
    board = decided(second, backends).board
    [candidate] = [card for card in board.cards if card.contestant == "candidate"]
    comparison = board.comparison("champion", "roc_auc")
    assert comparison is not None
    assert 0 < comparison.rows < candidate.rows / 2


def test_no_value_of_the_data_is_in_a_document_a_report_or_mlflow(backends: Backends, lake: Path) -> None:
    canary = "canary@example.com"
    table = customers()
    mail = [canary if n % 40 == 0 else "" for n in range(900)]
    write_parquet(lake / "a.parquet", table.append_column("mail", [mail]))
    expectations = [
        {"expect_column_values_to_be_in_set": {"column": "mail", "value_set": [""]}},
        {"expect_column_distinct_values_to_be_in_set": {"column": "mail", "value_set": [""], "severity": "warning"}},
    ]
    through(timed(lake, expectations=expectations, quarantine={"max_share": 0.2}), backends)
    documents = [key for key in backends.store.keys("churn") if key.endswith((".json", ".html", "MLmodel", ".yaml"))]
    assert len(documents) > 8
    assert [key for key in documents if canary.encode() in backends.store.read(key)] == []
    quarantined = json.loads(backends.store.read("churn/runs/r1/quarantine.json"))
    assert len(quarantined["rows"]) > 5
    database = Path(backends.tracking.uri.removeprefix("sqlite:///"))
    assert canary.encode() not in database.read_bytes()


def test_a_wrong_declaration_stops_the_first_step(backends: Backends, lake: Path) -> None:
    run = timed(lake, sweep={"candidates": [{"estimator": LOGISTIC, "params": {"CC": 1}}]})
    with pytest.raises(ConfigError, match=r"sweep\.candidates\.0\.params\.CC"):
        pipeline.snapshot(run, backends)
    assert [key for key in backends.store.keys("churn") if "/usage/" not in key] == []
