"""The campaign can fail: each thing that a missing guard would do to store, ledger or MLflow is seen and said."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from contender import pipeline
from contender.backends import Backends
from contender.documents.data import Snapshot
from contender.documents.release import release_key
from contender.documents.run import Run
from contender.documents.sweep import TrialResult
from contender.release.signing import create_key
from contender.run.freeze import freeze_run
from contender.spec.loading import load_spec
from contender.store.base import require_document, write_document
from contender.store.runs import release_place, require_decision
from contender.sweep.results import result_key
from contender.tracking import trials
from contender.tracking.models import CHAMPION
from contender.tracking.runs import RUN
from faults.lab import AS_OF, PIPELINE, ROUNDS, write_dags
from faults.promises import broken, tried_again
from faults.reference import Reference, outcome_of
from ownpkg import importable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration


class Ended(NamedTuple):
    """A run that ended well, and what is known of it."""

    root: Path
    run: Run
    backends: Backends
    fits: list[list[str]]
    reference: Reference

    def wrong(self, **known: set[str]) -> list[str]:
        return broken(self.run, self.backends, self.reference, self.fits, most_repeated=0, **known)

    @property
    def record(self) -> TrialResult:
        return next(iter(self.reference.results.values()))

    def child(self) -> str:
        """The MLflow run of that trial."""
        experiment = self.backends.tracking.experiment(PIPELINE)
        query = f"tags.`{trials.TRIAL}` = '{self.record.trial.key}'"
        [found] = self.backends.tracking.client.search_runs([experiment], query)
        return str(found.info.run_id)


def _backends(root: Path) -> Backends:
    return Backends.connect(
        store=str(root / "store"), tracking_uri=f"sqlite:///{root}/mlflow.db", signing_key=str(root / "signing.pem")
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    root = tmp_path_factory.mktemp("promises")
    write_dags(root / "dags")
    create_key(root / "signing.pem")
    backends = _backends(root)
    settings = {
        "CONTENDER_HOME": str(root),
        "FAULTS_FITS": str(root / "fits.log"),
        "FAULTS_FIT_SECONDS": "0",
        "AIRFLOW_CTX_DAG_RUN_ID": "r1",
    }
    with importable(root / "dags"), pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        spec = load_spec(root / "dags" / "pipelines" / f"{PIPELINE}.yaml")
        run = freeze_run(
            backends.store, spec, run_id="r1", conf={"as_of": AS_OF, "seed": 7}, requested=datetime.now(UTC), by="tests"
        )
        pipeline.snapshot(run, backends)
        pipeline.validate(run, backends)
        for number in range(1, ROUNDS + 1):
            patch.setenv("AIRFLOW_CTX_TASK_ID", f"round_{number}.plan")  # a plan's probes are no trials
            planned = pipeline.plan(run, backends, cores=1, number=number)
            patch.setenv("AIRFLOW_CTX_TASK_ID", f"round_{number}.train")
            for task in range(planned.tasks):
                pipeline.train(run, backends, task=task, number=number)
        pipeline.challenge(run, backends)
        pipeline.promote(run, backends)
        assert pipeline.announce(run, backends).promoted == "1"
        fits = [line.split(" ") for line in (root / "fits.log").read_text().splitlines()]
        yield Ended(root, run, backends, fits, outcome_of(run, backends))


@pytest.fixture
def ended(undisturbed: Ended, tmp_path: Path) -> Ended:
    """A copy to doctor."""
    shutil.copytree(undisturbed.root, tmp_path, dirs_exist_ok=True)
    return undisturbed._replace(root=tmp_path, backends=_backends(tmp_path))


def test_a_run_that_nobody_disturbed_keeps_every_promise(ended: Ended) -> None:
    assert ended.wrong() == []


def _another_writer(ended: Ended) -> None:
    write_document(
        ended.backends.store,
        result_key(ended.run, ended.record.trial.key),
        ended.record.model_copy(update={"started": ended.record.started + timedelta(seconds=1)}),
    )


def _another_score(ended: Ended) -> None:
    assert ended.record.mean is not None
    changed = ended.record.model_copy(update={"mean": ended.record.mean + 1e-16 + 2**-53})
    assert changed.mean != ended.record.mean
    write_document(ended.backends.store, result_key(ended.run, ended.record.trial.key), changed)


def _no_record(ended: Ended) -> None:
    (ended.root / "store" / result_key(ended.run, ended.record.trial.key)).unlink()


def _unplanned(ended: Ended) -> None:
    trial = ended.record.trial.model_copy(update={"key": "f" * 64})
    record = ended.record.model_copy(update={"trial": trial})
    write_document(ended.backends.store, result_key(ended.run, trial.key), record)


def _unclaimed(ended: Ended) -> None:
    shutil.rmtree(ended.root / "store" / ended.run.round_key(1, "claims"))


def _never_shown(ended: Ended) -> None:
    ended.backends.tracking.client.delete_run(ended.child())


def _shown_twice(ended: Ended) -> None:
    tracking = ended.backends.tracking
    tracking.record_trial(ended.run, tracking.run_id(ended.run), ended.record)


def _left_open(ended: Ended) -> None:
    ended.backends.tracking.client.update_run(ended.child(), status="RUNNING")


def _another_parent(ended: Ended) -> None:
    tracking = ended.backends.tracking
    tracking.client.create_run(tracking.experiment(PIPELINE), tags={RUN: ended.run.id})


def _another_version(ended: Ended) -> None:
    client = ended.backends.tracking.client
    [version] = client.search_model_versions(f"name = '{PIPELINE}'")
    client.create_model_version(PIPELINE, source=version.source, tags=version.tags)


def _no_alias(ended: Ended) -> None:
    ended.backends.tracking.client.delete_registered_model_alias(PIPELINE, CHAMPION)


def _alias_elsewhere(ended: Ended) -> None:
    client = ended.backends.tracking.client
    other = client.create_model_version(PIPELINE, source=client.get_model_version(PIPELINE, "1").source)
    client.set_registered_model_alias(PIPELINE, CHAMPION, other.version)


def _no_version(ended: Ended) -> None:
    ended.backends.tracking.client.delete_model_version(PIPELINE, "1")


def _rewritten_ledger(ended: Ended) -> None:
    [entry] = (ended.root / "store" / PIPELINE / "ledger").glob("0*.json")
    entry.write_text(entry.read_text().replace('"by":"tests"', '"by":"nobody"'))


def _another_plan(ended: Ended) -> None:
    plan = ended.reference.plans[0]
    other = plan.model_copy(update={"points": tuple(reversed(plan.points))})
    write_document(ended.backends.store, ended.run.round_key(1, "plan.json"), other)


def _another_snapshot(ended: Ended) -> None:
    key = ended.run.key("snapshot.json")
    taken = require_document(ended.backends.store, key, Snapshot)
    write_document(ended.backends.store, key, taken.model_copy(update={"id": "0" * 64}))


def _another_decision(ended: Ended) -> None:
    standing = require_decision(ended.run, ended.backends.store)
    write_document(ended.backends.store, standing.key, standing.decision.model_copy(update={"sentence": "woken"}))


def _another_release(ended: Ended) -> None:
    place = release_place(ended.backends.store, PIPELINE, ended.run.id)
    key = release_key(PIPELINE, place, "manifest.json")
    ended.backends.store.write(key, ended.backends.store.read(key) + b" ")


def _begun_again(ended: Ended) -> None:
    ended.fits.extend([fit for fit in ended.fits if fit == ended.fits[-1]])


@pytest.mark.parametrize(
    ("doctor", "said"),
    [
        (_another_writer, "does not show what is on record of trial"),
        (_another_score, "has other scores"),
        (_no_record, "KeyError"),
        (_unplanned, "was recorded, but not planned"),
        (_unclaimed, "0 trials were claimed, 12 planned"),
        (_never_shown, "0 times complete, expected 1"),
        (_shown_twice, "2 times complete, expected 1"),
        (_left_open, "is still RUNNING"),
        (_another_parent, "MLflow has 2 runs of this run"),
        (_another_version, "MLflow has the versions ['2', '1'] of this run, the store shows ['1']"),
        (_another_version, "MLflow has 2 versions of run r1 and the ledger 1 promotions of it"),
        (_no_version, "MLflow has 0 versions of run r1 and the ledger 1 promotions of it"),
        (_no_alias, "the alias is at None, the ledger's champion is ('1', "),
        (_alias_elsewhere, "the alias is at ('2', None), the ledger's champion is ('1', "),
        (_rewritten_ledger, "this ledger entry was changed"),
        (_another_plan, "round 1 is planned differently"),
        (_another_snapshot, "its snapshot 000000000000 is not the one that was validated"),
        (_another_decision, "ledger entry 1 rests on another decision"),
        (_another_release, "ledger entry 1 names another release"),
        (_begun_again, "1 trials were begun again, expected at most 0"),
    ],
)
def test_what_a_missing_guard_would_do_is_said(ended: Ended, doctor: Callable[[Ended], None], said: str) -> None:
    ended = ended._replace(fits=[*ended.fits])
    doctor(ended)
    assert any(said in one for one in ended.wrong()), ended.wrong()


def test_the_version_of_a_model_that_somebody_deleted_must_be_there_again_and_serve(ended: Ended) -> None:
    ended.backends.tracking.client.delete_registered_model(PIPELINE)
    wrong = ended.wrong(deleted={"r1"})
    assert [one.partition(",")[0] for one in wrong] == [
        "MLflow has the versions [] of this run",
        "the alias is at None",
    ]
    pipeline.announce(ended.run, ended.backends)  # as the next run ends
    assert ended.wrong(deleted={"r1"}) == []


def test_a_task_that_did_not_wait_for_the_store_is_said() -> None:
    tries = {"snapshot": 1, "promote": 2}
    tasks = [{"task_id": name, "try_number": count} for name, count in tries.items()]
    assert tried_again(tasks) == ["promote was tried 2 times; it should have waited"]
