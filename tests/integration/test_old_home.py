"""Homes that version 0.1.0 left behind (see tests/fixtures/README.md) are opened, verified, and lived in further."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import life
from contender import pipeline
from contender.adopt import Request, adopt_model
from contender.canonical import sha256
from contender.data.content import content_id
from contender.data.snapshot import unread_rows
from contender.documents.cost import Usage
from contender.documents.data import Contract, Quarantine, Snapshot
from contender.documents.decision import Decision
from contender.documents.outcome import Failure, Outcome
from contender.documents.release import Adopted
from contender.documents.run import Run, run_key
from contender.documents.sweep import Claim, Plan, TaskReport, TrialResult
from contender.profile.history import changes_between, snapshots
from contender.release import bundle as releases
from contender.release import verify
from contender.release.title import rollback
from contender.run.freeze import freeze_run
from contender.run.slots import SlotHolder, take_slot
from contender.run.status import status
from contender.spec.loading import load_spec
from contender.store.base import require_document
from contender.store.ledger import Ledger
from contender.sweep.results import complete_results
from contender.tracking import models
from contender_airflow.cli import app
from contender_airflow.embedded.home import Home
from oldhome import PIPELINE, OldHome, open_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contender.backends import Backends
    from contender.documents.release import Release
    from contender.frozen import Frozen
    from contender.store.ledger import LedgerEntry

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:Found unknown categories"),  # the west, which is new to the champions
]

FIXTURES = Path(__file__).parents[1] / "fixtures"
FIRST, KEPT, FAILED, SECOND = DAYS = [datetime(2026, 3, day, tzinfo=UTC) for day in (2, 9, 16, 23)]
HISTORY = [("promotion", "1"), ("keep", "1"), ("promotion", "2"), ("rollback", "1"), ("adoption", "3")]
WEEK = timedelta(days=7)


@pytest.fixture(scope="module", params=["home_0_1_0", "home_0_1_0_s3"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], OldHome]:
    """Opens a copy of the home, whose store is in a folder or in a bucket."""
    server = request.getfixturevalue("moto") if request.param.endswith("_s3") else None
    return lambda: open_home(FIXTURES / f"{request.param}.tar.xz", tmp_path_factory.mktemp("home"), server)


@pytest.fixture(scope="module")
def found(opened: Callable[[], OldHome]) -> OldHome:
    """The home as it was left; nothing may change it."""
    return opened()


@pytest.fixture
def backends(found: OldHome) -> Backends:
    return found.connect()


def the_run(backends: Backends, as_of: datetime) -> Run:
    """The one that looked from this day."""
    found = [
        require_document(backends.store, run_key(PIPELINE, run_id, "run.json"), Run)
        for run_id in backends.store.children(f"{PIPELINE}/runs")
    ]
    [run] = [one for one in found if one.as_of == as_of]
    return run


def document(model: type[Frozen]) -> Callable[[Backends, str], object]:
    return lambda backends, key: require_document(backends.store, key, model)


def read_entry(backends: Backends, key: str) -> None:
    number = int(Path(key).stem)
    assert Ledger(backends.store, PIPELINE).entries()[number - 1].number == number


def read_rows(backends: Backends, key: str) -> None:
    taken = require_document(backends.store, key.replace("data.parquet", "snapshot.json"), Snapshot)
    assert content_id(pq.read_table(backends.store.local(key, sha256=taken.sha256))) == taken.id
    unread = unread_rows(taken, PIPELINE, backends.store)
    assert [len(positions) for _, positions in unread] == [odd.rows for odd in taken.uncoerced]


def read_released(backends: Backends, key: str) -> None:
    """The manifest with its signature, and whatever it has the hash of."""
    _, _, run_id, name = key.split("/", 3)
    release = releases.read_release(backends, PIPELINE, run_id)
    hashes = {f"model/{file}": digest for file, digest in release.files.items()} | {"golden.parquet": release.golden}
    if not name.startswith("manifest."):
        assert sha256(backends.store.read(key)) == hashes[name]


def read_page(backends: Backends, key: str) -> None:
    assert backends.store.read(key).decode().startswith("<!doctype html>")


READERS: dict[str, Callable[[Backends, str], object]] = {
    r"churn/contract\.json": document(Contract),
    r"churn/ledger/\d{8}\.json": read_entry,
    r"churn/trials/[0-9a-f]{64}\.json": document(TrialResult),
    r"churn/snapshots/[0-9a-f]{64}/snapshot\.json": document(Snapshot),
    r"churn/snapshots/[0-9a-f]{64}/data\.parquet": read_rows,
    r"churn/releases/[^/]+/(manifest\.json|manifest\.sig|golden\.parquet|model/.+)": read_released,
    r"churn/runs/[^/]+/run\.json": document(Run),
    r"churn/runs/[^/]+/snapshot\.json": document(Snapshot),
    r"churn/runs/[^/]+/(checks|quarantine)\.json": document(Quarantine),
    r"churn/runs/[^/]+/rounds/\d+/plan\.json": document(Plan),
    r"churn/runs/[^/]+/rounds/\d+/claims/[0-9a-f]{64}\.json": document(Claim),
    r"churn/runs/[^/]+/rounds/\d+/shards/\d+\.json": document(TaskReport),
    r"churn/runs/[^/]+/decision\.json": document(Decision),
    r"churn/runs/[^/]+/outcome\.json": document(Outcome),
    r"churn/runs/[^/]+/failures/[a-z]+\.json": document(Failure),
    r"churn/runs/[^/]+/usage/[^/]+\.json": document(Usage),
    r"churn/runs/[^/]+/(checks|report)\.html": read_page,
    r"turns/\d+/\d{8}\.json": document(SlotHolder),
}
IN_A_BUCKET: dict[str, Callable[[Backends, str], object]] = {
    r"preflight/probe": lambda backends, key: backends.store.read(key)
}


def test_every_value_in_the_store_is_read_by_its_model(backends: Backends, found: OldHome) -> None:
    readers = READERS | (IN_A_BUCKET if found.store["uri"].startswith("s3://") else {})
    keys = [key for folder in backends.store.children("") for key in backends.store.keys(folder)]
    used = set()
    for key in keys:
        pattern = next((one for one in readers if re.fullmatch(one, key)), None)
        assert pattern is not None, f"{key}: nothing reads this"
        readers[pattern](backends, key)
        used.add(pattern)
    assert used == set(readers)


def test_the_ledger_verifies_and_names_the_same_champion_as_mlflow(backends: Backends) -> None:
    ledger = Ledger(backends.store, PIPELINE)
    assert ledger.verify() == len(HISTORY)
    assert [(entry.kind, entry.version) for entry in ledger.entries()] == HISTORY
    champion = ledger.champion()
    assert champion is not None
    assert (champion.kind, champion.version, champion.as_of, champion.by) == ("adoption", "3", SECOND, "ada")
    assert champion.reason.startswith(
        "it has served well elsewhere; adopted models:/churn_prod/1 in place of version 1"
    )
    assert models.champion_alias(backends.tracking, PIPELINE) == "3"


def test_status_shows_the_pipeline(backends: Backends) -> None:
    [state] = status(backends.store)["pipelines"]
    assert (state["name"], state["champion"]["version"]) == (PIPELINE, "3")
    last = state["last_run"]
    assert (last["run_id"], last["state"], last["decision"]) == (the_run(backends, SECOND).id, "success", "promote")
    assert last["trials"] == {"planned": 11, "completed": 10, "failed": 1, "untried": 0, "reused": 0}
    assert last["cost"]["run"]["currency"] == "EUR"
    assert state["next_run"] is not None


def test_how_the_runs_ended_is_known(backends: Backends) -> None:
    ended = [require_document(backends.store, the_run(backends, day).key("outcome.json"), Outcome) for day in DAYS]
    assert [(one.state, one.decision, one.promoted) for one in ended] == [
        ("success", "promote", "1"), ("success", "keep", None), ("failed", None, None), ("success", "promote", "2"),
    ]  # fmt: skip
    assert ended[2].failure is not None
    assert (ended[2].failure.step, ended[2].failure.error) == ("validate", "DataRejected")
    assert "1 of 592 rows are set aside (charges is not a number: 1" in ended[3].attention[0]


def test_a_run_that_is_cleared_is_the_one_that_was_frozen_and_its_steps_have_happened(
    backends: Backends, found: OldHome
) -> None:
    before = {key: backends.store.read(key) for key in backends.store.keys(PIPELINE)}
    frozen = the_run(backends, FIRST)
    run = freeze_run(
        backends.store,
        load_spec(found.spec_file),  # edited since
        run_id="scheduled__2026-03-02T03:00:00+00:00",
        conf={"as_of": "2026-03-09"},
        requested=datetime.now(UTC),
        by="ada",
    )
    assert run == frozen
    assert pipeline.snapshot(run, backends).rows == 606
    assert pipeline.validate(run, backends).rows == {200: ("expect_column_values_to_be_between(age)",)}
    plan = pipeline.plan(run, backends, cores=4, number=2)
    assert [len(one) for one in plan.history.rounds] == [5]
    assert pipeline.challenge(run, backends).outcome == "promote"
    entry = pipeline.promote(run, backends)
    assert entry is not None
    assert (entry.number, entry.version) == (1, "1")
    assert {key: backends.store.read(key) for key in backends.store.keys(PIPELINE)} == before


def test_mlflow_shows_every_trial_once_and_nothing_has_to_be_mended(backends: Backends) -> None:
    for day in (FIRST, KEPT, SECOND):
        run = the_run(backends, day)
        sweep = complete_results(run, backends.store)
        assert backends.tracking.show_trials(run, [*sweep.results, *sweep.rungs]) == 0
    shown = backends.tracking.client.search_runs([backends.tracking.experiment(PIPELINE)])
    assert len(shown) == len(DAYS) + len(backends.store.children(f"{PIPELINE}/trials"))


def test_the_champions_release_verifies_in_a_fresh_process(backends: Backends) -> None:
    verify.verify_version(backends, PIPELINE, run_of(backends, "3"), "3")


@pytest.mark.parametrize("version", ["1", "2"])
def test_the_releases_of_those_that_served_before_verify(backends: Backends, version: str) -> None:
    verify.check_version(backends, PIPELINE, run_of(backends, version), version)


def run_of(backends: Backends, version: str) -> str:
    entries = Ledger(backends.store, PIPELINE).entries()
    return next(str(entry.run_id) for entry in entries if entry.version == version and entry.kind != "keep")


def test_a_model_that_was_adopted_is_the_champion_already(backends: Backends, found: OldHome) -> None:
    release: Release = releases.read_release(backends, PIPELINE, run_of(backends, "3"))
    assert isinstance(release.recipe, Adopted)
    assert release.recipe.trained_on.through == KEPT
    again = adopt_model(
        backends, load_spec(found.spec_file), Request(as_of=SECOND, by="ada", model="models:/churn_prod/1")
    )
    assert again.already


def test_what_changed_between_two_snapshots_is_told(backends: Backends) -> None:
    kept = snapshots(backends.store, PIPELINE)
    assert [one.snapshot.as_of for one in kept] == list(DAYS)
    assert "age" in {change.column for change in changes_between(backends.store, kept[0], kept[2])}  # the broken drop


@dataclass(frozen=True)
class Further:
    """What came after the home was opened: a rollback, and a run that may promote."""

    backends: Backends
    entry: LedgerEntry
    alias: str | None
    run: Run
    outcome: Outcome

    @property
    def decision(self) -> Decision:
        return life.decided(self.run, self.backends)


@pytest.fixture(scope="module")
def further(opened: Callable[[], OldHome]) -> Iterator[Further]:
    home = opened()
    backends = home.connect()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CONTENDER_HOME", str(home.root))
        entry = rollback(backends, PIPELINE, version="2", reason="theirs was a stopgap", by="ada")
        alias = models.champion_alias(backends.tracking, PIPELINE)
        run = next_run(home, backends, SECOND + 2 * WEEK)
        yield Further(backends, entry, alias, run, life.live(run, backends))


def next_run(home: OldHome, backends: Backends, day: datetime, **conf: Any) -> Run:
    """One that has its turn: those before it are over."""
    at, spec = day + timedelta(hours=3), load_spec(home.spec_file)
    run = freeze_run(
        backends.store, spec, run_id=f"scheduled__{at.isoformat()}", conf=conf, requested=at, by="scheduled"
    )
    assert take_slot(backends.store, SlotHolder(pipeline=PIPELINE, run_id=run.id, at=at, deadline="6h"), slots=1) == 0
    return run


def test_the_adopted_champion_is_compared_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the home in a folder alone: what is read does not depend on where the store is."""
    home = open_home(FIXTURES / "home_0_1_0.tar.xz", tmp_path / "home")
    monkeypatch.setenv("CONTENDER_HOME", str(home.root))
    backends = home.connect()
    run = next_run(home, backends, SECOND + WEEK, promote=False)
    for step in (pipeline.snapshot, pipeline.validate):
        step(run, backends)
    life.sweep(run, backends)
    board = pipeline.challenge(run, backends).board
    card = board.card("champion")
    assert card is not None
    assert (card.version, card.estimator) == ("3", "LogisticRegression (adopted)")
    assert board.comparison("champion", "roc_auc") is not None


def test_a_rollback_gives_the_title_back_and_moves_the_alias(further: Further) -> None:
    assert (further.entry.kind, further.entry.version, further.entry.number) == ("rollback", "2", len(HISTORY) + 1)
    assert further.alias == "2"


def test_a_new_run_starts_where_the_last_one_left_off(further: Further) -> None:
    plan = require_document(further.backends.store, further.run.round_key(1, "plan.json"), Plan)
    before = the_run(further.backends, SECOND)
    assert plan.seconds_from == f"run {before.id}"
    winner = life.decided(before, further.backends).recipe.trial
    assert winner.params in [point.params for point in plan.history.warm]


def test_a_new_run_takes_the_title_from_the_champion_that_it_was_compared_with(further: Further) -> None:
    comparison = further.decision.board.comparison("champion", "roc_auc")
    assert comparison is not None
    assert comparison.rows > 100
    card = further.decision.board.card("champion")
    assert card is not None
    assert card.version == "2"
    assert (further.decision.champion, further.outcome.decision, further.outcome.promoted) == (
        further.entry.number, "promote", "4",
    )  # fmt: skip
    told = [(entry.kind, entry.version) for entry in Ledger(further.backends.store, PIPELINE).entries()]
    assert told == [*HISTORY, ("rollback", "2"), ("promotion", "4")]
    assert models.champion_alias(further.backends.tracking, PIPELINE) == "4"


def test_what_changed_since_the_champions_data_is_told(further: Further) -> None:
    before = require_document(further.backends.store, the_run(further.backends, SECOND).key("snapshot.json"), Snapshot)
    assert further.decision.champion_snapshot == before.id
    told = {(change.kind, change.column) for change in further.decision.changes}
    assert ("new_category", "region") in told
    assert "charges" in {column for _, column in told}


def test_a_report_is_rendered(further: Further) -> None:
    page = life.report_page(further.run, further.backends)
    assert "What changed since" in page
    assert "west" in page


def test_the_command_line_opens_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_home(FIXTURES / "home_0_1_0.tar.xz", tmp_path / "home")
    home = Home(opened.root, opened.root / "dags")
    assert (home.signing_key, home.tracking_uri) == (opened.signing_key, f"sqlite:///{opened.database}")
    monkeypatch.setenv("CONTENDER_HOME", str(home.root))
    monkeypatch.setenv("CONTENDER_DAGS", str(home.dags))
    asked = CliRunner().invoke(app.app, ["status", "--json"])
    assert json.loads(asked.stdout)["pipelines"][0]["champion"]["version"] == "3"
    asked = CliRunner().invoke(app.app, ["ledger", PIPELINE, "--verify"])
    assert "every entry is as it was written" in asked.stdout
