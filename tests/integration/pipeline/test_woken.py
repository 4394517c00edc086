"""Tasks that were believed dead and wake up, at whatever point: what their successors left is not touched. And what a person
mends before validation has passed, or trains after it, is read and judged.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pytest

from builders import AS_OF, LOGISTIC, make_table, write_parquet
from contender import pipeline
from contender.backends import Backends
from contender.canonical import sha256
from contender.data.rows import load_rows
from contender.documents.sweep import Plan, TaskReport
from contender.errors import ConfigError, Conflict, DataRejected
from contender.release import verify
from contender.release.bundle import manifest_hash
from contender.run.freeze import freeze_run
from contender.store.base import require_document, write_document
from contender.store.ledger import Ledger
from contender.store.runs import (
    attempts,
    counted_run,
    require_decision,
    run_to_validate,
    snapshots_of,
    standing_end,
)
from contender.sweep.results import result_key
from steps import customers, entries, results, runs, step, through, timed, versions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contender.documents.outcome import Outcome
    from contender.documents.run import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here", "no_report")]

SPLIT = {"gate": "14d", "folds": 2}


class Asleep:
    """Something whose every use is counted; before the n-th, others do their work."""

    def __init__(self, number: int, others: Callable[[], None]) -> None:
        self.number, self.others, self.uses = number, others, 0

    def use(self) -> None:
        self.uses += 1
        if self.uses == self.number:
            self.others()

    def backends(self, backends: Backends) -> Backends:
        return replace(backends, store=Watched(backends.store, self), tracking=Watched(backends.tracking, self))  # type: ignore[arg-type]


class Watched:
    def __init__(self, of: Any, asleep: Asleep) -> None:
        self._of, self._asleep = of, asleep

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._of, name)
        if callable(found) and name not in ("exists", "url"):
            self._asleep.use()
        return found


def spread(uses: int, points: int) -> list[int]:
    """So many points of so many uses, the first and the last among them."""
    return sorted({1 + (uses - 1) * n // (points - 1) for n in range(points)})


def copy_of(folder: Path, name: int) -> Backends:
    """A copy of what ``backends`` has there: store and MLflow of its own."""
    copy = folder / f"copy{name}"
    shutil.copytree(folder / "store", copy / "store")
    for file in folder.glob("mlflow.db*"):
        shutil.copyfile(file, copy / file.name)
    return Backends.connect(
        store=str(copy / "store"),
        tracking_uri=f"sqlite:///{copy}/mlflow.db",
        signing_key=str(folder / "keys" / "signing.pem"),
    )


def frozen(lake: Path, backends: Backends, run_id: str = "r1", **parts: Any) -> Run:
    """What Airflow's first task does: each execution of it freezes the YAML as it is now."""
    spec = timed(lake, **parts).spec
    return freeze_run(backends.store, spec, run_id=run_id, conf={}, requested=AS_OF, by="tests")


def documents(run: Run, backends: Backends) -> dict[str, bytes]:
    """All that a run left and that counts, but for what its tries cost."""
    counted = run.key("")
    keys = [key for key in backends.store.keys("churn/runs") if "/usage/" not in key]
    return {key: backends.store.read(key) for key in keys if key.startswith(counted) or "/attempts/" not in key}


def test_a_snapshot_and_a_validation_that_wake_up_at_any_point_change_nothing_of_the_attempt_that_counts(
    backends: Backends, lake: Path, tmp_path: Path
) -> None:
    """The first attempt reads rows that nobody validates; while it sleeps, the source is mended and read again."""
    mended = tmp_path / "mended"
    write_parquet(mended / "a.parquet", make_table(300, seed=1, until=AS_OF, days=60))
    whole, slept = Asleep(0, lambda: None), []
    attempt = frozen(lake, backends, "r0")
    pipeline.snapshot(attempt, whole.backends(backends))
    pipeline.validate(attempt, whole.backends(backends))
    for number in spread(whole.uses, 8):
        run_id = f"r{number}"
        left: dict[str, bytes] = {}

        def successor(run_id: str = run_id, left: dict[str, bytes] = left) -> None:
            again = frozen(mended, backends, run_id)
            pipeline.snapshot(again, backends)
            pipeline.validate(run_to_validate(backends.store, "churn", run_id), backends)
            left.update(documents(again, backends))

        asleep = Asleep(number, successor)
        first = frozen(lake, backends, run_id)
        woken = asleep.backends(backends)
        pipeline.snapshot(first, woken)
        quarantine = pipeline.validate(first, woken)
        run = counted_run(backends.store, "churn", run_id)
        assert run is not None
        slept.append(run.attempt)
        assert documents(run, backends).items() >= left.items()
        if run.attempt == 2:  # else the first had counted before it slept
            assert len(load_rows(run, backends.store).frame) == 300
            assert run.spec.data.source.uri == str(mended)  # type: ignore[union-attr]
        taken = pipeline.snapshot(frozen(lake, backends, run_id), backends)
        assert quarantine == pipeline.validate(first, backends)
        assert quarantine.snapshot == taken.id
        assert [one.attempt for one in attempts(backends.store, "churn", run_id)] == [*range(1, run.attempt + 1)]
        parent = backends.tracking.client.get_run(backends.tracking.run_id(run))
        assert [one.dataset.digest for one in parent.inputs.dataset_inputs] == [taken.id[:36]]
    assert set(slept) == {1, 2}


def _wakes_up(run: Run, backends: Backends, number: int) -> None:
    left: dict[str, Any] = {}

    def successor() -> None:
        left["decision"] = pipeline.challenge(run, backends)
        pipeline.promote(run, backends)
        left.update(documents(run, backends))
        left.update({key: backends.store.read(key) for key in backends.store.keys("churn/releases")})

    asleep = Asleep(number, successor)
    decision = pipeline.challenge(run, asleep.backends(backends))
    assert decision == left.pop("decision")
    assert {key: backends.store.read(key) for key in left} == left
    [entry] = Ledger(backends.store, "churn").entries()
    standing = require_decision(run, backends.store)
    assert entry.evidence.decision == sha256(backends.store.read(standing.key))
    assert entry.release == manifest_hash(backends, "churn", "r1")
    verify.check_version(backends, "churn", "r1", "1")
    [tags] = [one.data.tags for one in runs(backends) if "contender.decision" in one.data.tags]
    assert tags["contender.decision"] == "promote"
    assert pipeline.promote(run, backends) == entry


def test_a_challenge_that_wakes_up_at_any_point_changes_nothing_of_what_was_promoted(
    backends: Backends, lake: Path, tmp_path: Path
) -> None:
    """While it sleeps another one decides, and the decision is promoted; it would decide otherwise, against that champion."""
    run = timed(lake)
    through(run, backends, "train")
    copies = (copy_of(tmp_path, name) for name in count())
    whole = Asleep(0, lambda: None)
    pipeline.challenge(run, whole.backends(next(copies)))
    for number, copy in zip(spread(whole.uses, 6), copies, strict=False):
        _wakes_up(run, copy, number)


def test_a_close_that_wakes_up_at_any_point_writes_over_nothing_of_a_run_that_was_repaired(
    backends: Backends, lake: Path, tmp_path: Path
) -> None:
    """It was told that announce had failed; while it sleeps, announce is cleared and succeeds."""
    run = timed(lake)
    through(run, backends, "promote")
    copies = (copy_of(tmp_path, name) for name in count())

    def closed(asleep: Asleep, copy: Backends) -> Outcome:
        seen = standing_end(copy.store, "churn", "r1")
        return pipeline.close(asleep.backends(copy), "churn", "r1", failed=["announce"], seen=seen)

    whole = Asleep(0, lambda: None)
    assert closed(whole, next(copies)).state == "failed"
    for number, copy in zip(spread(whole.uses, 5), copies, strict=False):
        left = []

        def successor(copy: Backends = copy, left: list[Outcome] = left) -> None:
            left.append(pipeline.announce(run, copy))
            assert pipeline.close(copy, "churn", "r1") == left[0]

        closed(Asleep(number, successor), copy)
        assert standing_end(copy.store, "churn", "r1").outcome == left[0]
        assert left[0].state == "success"
        [parent] = [one for one in runs(copy) if "contender.run" in one.data.tags]
        assert parent.info.status == "FINISHED"


def test_a_mended_yaml_is_read_when_the_first_task_is_cleared_and_the_record_keeps_both(
    backends: Backends, lake: Path
) -> None:
    wrong = [{"estimator": LOGISTIC, "params": {"c": 1.0}, "baseline": True}]
    broken = frozen(lake, backends, sweep={"candidates": wrong})
    with pytest.raises(ConfigError, match="LogisticRegression has no such parameter"):
        pipeline.snapshot(broken, backends)
    pipeline.close(backends, "churn", "r1", failed=["snapshot"])
    mended = frozen(lake, backends)
    outcome = through(mended, backends)
    assert (outcome.state, outcome.decision) == ("success", "promote")
    assert attempts(backends.store, "churn", "r1") == [broken, mended]
    [parent] = [one for one in runs(backends) if "contender.run" in one.data.tags]
    assert parent.info.status == "FINISHED"  # it had failed


def test_a_mended_source_is_read_until_validation_has_passed_and_then_nothing_changes(
    backends: Backends, lake: Path
) -> None:
    asked: dict[str, Any] = {
        "expectations": [{"expect_column_values_to_be_between": {"column": "x", "max_value": 100}}]
    }
    good = customers()
    bad = good.set_column(good.column_names.index("x"), "x", pc.multiply(good["x"], 1e6))
    write_parquet(lake / "a.parquet", bad)
    first = frozen(lake, backends, **asked)
    pipeline.snapshot(first, backends)
    for _ in range(2):  # clearing validate alone reads nothing anew, and says what does
        with pytest.raises(
            DataRejected, match=r"Mend the source or the YAML and clear snapshot, which reads both anew$"
        ):
            pipeline.validate(run_to_validate(backends.store, "churn", "r1"), backends)
    write_parquet(lake / "a.parquet", good)
    second = frozen(lake, backends, **asked)
    taken = pipeline.snapshot(second, backends)
    quarantine = pipeline.validate(run_to_validate(backends.store, "churn", "r1"), backends)
    assert quarantine.snapshot == taken.id
    assert [one.id == taken.id for one in snapshots_of(backends.store, "churn", "r1")] == [False, True]
    write_parquet(lake / "a.parquet", bad)
    cleared = frozen(lake, backends, **asked)
    assert (cleared, pipeline.snapshot(cleared, backends), pipeline.validate(cleared, backends)) == (
        second, taken, quarantine,
    )  # fmt: skip
    with pytest.raises(Conflict, match="attempt 1 does not count; validate passed attempt 2"):
        pipeline.plan(first, backends, cores=1)


def test_a_step_refuses_what_was_made_of_other_rows(backends: Backends, lake: Path) -> None:
    """Whoever put it there."""
    run = timed(lake)
    through(run, backends, "challenge")
    standing = require_decision(run, backends.store)
    recipe = standing.decision.recipe.model_copy(update={"snapshot": "f" * 64})
    write_document(backends.store, standing.key, standing.decision.model_copy(update={"recipe": recipe}))
    for name in ("promote", "announce"):
        with pytest.raises(
            Conflict, match=r"its decision was made from other rows \(snapshot f{12}, .*\. Trigger a new run"
        ):
            step(name, run, backends)
    made = require_document(backends.store, run.round_key(1, "plan.json"), Plan)
    write_document(backends.store, run.round_key(1, "plan.json"), made.model_copy(update={"quarantine": "e" * 64}))
    with pytest.raises(Conflict, match="its plan of round 1 was made from other rows"):
        step("train", run, backends)
    taken = pipeline.snapshot(run, backends)
    write_document(backends.store, run.key("snapshot.json"), taken.model_copy(update={"id": "d" * 64}))
    for name in ("train", "promote"):
        with pytest.raises(Conflict, match=r"its snapshot d{12} is not the one that was validated"):
            step(name, run, backends)
    assert (entries(backends), versions(backends)) == ([], [])


def test_a_run_is_judged_anew_when_there_are_results_that_it_did_not_judge_and_a_promotion_stands(
    backends: Backends, lake: Path
) -> None:
    """The budget cut a trial; when train is cleared it is fitted, and challenge judges all."""
    guess = {"estimator": "sklearn.dummy.DummyClassifier", "baseline": True}
    gates = [{"kind": "threshold", "metric": "roc_auc", "min": 0.8}]
    run = timed(lake, gates=gates, sweep={"candidates": [guess, {"estimator": LOGISTIC}]})
    through(run, backends, "train")
    [cut] = [one.trial.key for one in results(run, backends) if not one.trial.baseline]
    backends.store.local(result_key(run, cut)).unlink()
    report = TaskReport(index=0, done=1, failed=0, untried=(cut,))
    write_document(backends.store, run.round_key(1, "shards/0.json"), report)
    for name in ("challenge", "promote", "announce"):
        outcome = step(name, run, backends)
    assert (outcome.decision, outcome.trials["untried"]) == ("keep", 1)
    first = require_decision(run, backends.store)
    assert pipeline.challenge(run, backends) == first.decision  # of the same results

    def successor() -> None:
        ended.extend(step(name, run, backends) for name in ("train", "challenge", "promote", "announce"))

    ended: list[Any] = []
    sleeping = replace(backends, tracking=Watched(backends.tracking, Asleep(1, successor)))  # type: ignore[arg-type]
    woken = pipeline.challenge(run, sleeping)  # it has read the first decision, and then shows it
    outcome = ended[-1]
    assert (outcome.decision, outcome.promoted, outcome.trials["untried"]) == ("promote", "1", 0)
    second = require_decision(run, backends.store)
    assert woken == second.decision
    assert (first.number, second.number) == (1, 2)
    assert [(entry.kind, entry.evidence.decision) for entry in Ledger(backends.store, "churn").entries()] == [
        (kind, sha256(backends.store.read(kept.key))) for kind, kept in (("keep", first), ("promotion", second))
    ]
    [shown] = [one.data for one in runs(backends) if "contender.run" in one.data.tags]
    card = second.decision.board.card("candidate")
    assert card is not None
    assert shown.tags["contender.decision"] == "promote"
    assert shown.metrics["candidate_roc_auc"] == card.metrics["roc_auc"]
    assert {"estimator", "decision 2/estimator"} <= set(shown.params)

    backends.store.local(result_key(run, cut)).unlink()
    assert pipeline.challenge(run, backends) == second.decision
