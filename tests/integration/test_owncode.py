"""The user's own package, from training to a fresh process that has never heard of it, on a real MLflow and store."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import life
from builders import AS_OF, LOGISTIC, TIMED, make_run, make_table, write_parquet
from contender import pipeline
from contender.documents.sweep import Plan
from contender.errors import ConfigError, Conflict
from contender.release.bundle import read_release
from contender.store.ledger import Ledger
from contender.tracking import models
from ownpkg import importable, write_package

if TYPE_CHECKING:
    from pathlib import Path

    from contender.backends import Backends
    from contender.documents.decision import Decision
    from contender.documents.run import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here", "no_report")]

LATER = AS_OF + timedelta(days=21)
OWN = {"pipeline": "mypkg.models.build", "params": {"model__C": {"choice": [0.1, 1.0]}}}
GATE: list[dict[str, Any]] = [{"kind": "threshold", "metric": "roc_auc", "min": 0.5}]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    write_parquet(tmp_path / "lake" / "a.parquet", make_table(900, until=LATER, days=90))
    return tmp_path / "lake"


def own_run(lake: Path, run_id: str = "r1", *, metric: str = "roc_auc", gates: Any = GATE, **parts: Any) -> Run:
    sweep = {"metric": metric, "candidates": [{"estimator": LOGISTIC, "baseline": True}, OWN]}
    split = {"gate": "14d", "folds": 2}
    return make_run(lake, run_id=run_id, data=TIMED, split=split, sweep=sweep, gates=gates, **parts)


def train(run: Run, backends: Backends) -> None:
    life.sweep(run, backends)


def planned(run: Run, backends: Backends) -> Plan:
    pipeline.snapshot(run, backends)
    pipeline.validate(run, backends)
    return pipeline.plan(run, backends, cores=1)


def challenged(run: Run, backends: Backends) -> Decision:
    planned(run, backends)
    train(run, backends)
    return pipeline.challenge(run, backends)


def untouched(backends: Backends) -> bool:
    """Nobody holds the title."""
    return not Ledger(backends.store, "churn").entries() and models.champion_alias(backends.tracking, "churn") is None


PREDICT = """
import json, sys
import pandas as pd
from mlflow.pyfunc import load_model
try:
    import mypkg
except ModuleNotFoundError:
    model = load_model(sys.argv[1])
    rows = pd.DataFrame(json.load(sys.stdin))
    print(json.dumps([model.predict(rows).tolist(), "mypkg" in sys.modules]))
"""


def test_an_own_pipeline_serves_where_its_package_is_not_installed(
    backends: Backends, lake: Path, tmp_path: Path, fresh_process: None, report: None
) -> None:
    gates = [
        {"kind": "threshold", "metric": "mypkg.metrics.profit", "min": 0.1},
        {"kind": "beats", "opponent": "trivial", "metric": "mypkg.metrics.plain", "policy": "superior"},
        {"kind": "custom", "function": "mypkg.gates.enough_rows", "arguments": {"least": 50}},
        {"kind": "custom", "function": "mypkg.gates.sane"},
    ]
    run = own_run(lake, metric="mypkg.metrics.profit", gates=gates)
    rows = {"x": [2.0, -2.0], "noise": [0.0, 0.0], "region": ["north", "south"]}
    with importable(write_package(tmp_path / "code")):
        decision = challenged(run, backends)
        assert [verdict.status for verdict in decision.verdicts] == ["passed"] * 4
        entry = pipeline.promote(run, backends)
        outcome = pipeline.announce(run, backends)
    assert entry
    assert entry.version == "1"
    release = read_release(backends, "churn", "r1")
    assert release.shipped == {"mypkg": (str(tmp_path / "code" / "mypkg"),)}
    assert (release.recipe.trial.pipeline, release.recipe.trial.label) == (True, "models.build")

    assert outcome.sentence.startswith("Promote models.build as the first champion: ")
    assert outcome.metric == "profit"
    assert outcome.candidate
    assert outcome.candidate["value"] == decision.board.cards[0].metrics["mypkg.metrics.profit"]
    logged = backends.tracking.client.get_run(backends.tracking.run_id(run)).data
    assert {"candidate_profit", "candidate_plain", "trivial_profit"} <= set(logged.metrics)
    assert logged.params["pipeline"] == "mypkg.models.build"
    assert "model__C" in logged.params
    page = life.report_page(run, backends)
    assert "enough_rows(least=50)" in page
    assert "mypkg.metrics.profit" not in page

    folder = models.fetch_version(backends.tracking, "churn", "1", tmp_path / "fetched")
    done = subprocess.run(
        [sys.executable, "-I", "-c", PREDICT, str(folder)],
        input=json.dumps(rows), capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    answers, imported = json.loads(done.stdout.splitlines()[-1])
    assert answers[0][1] > 0.6
    assert answers[1][1] < 0.4
    assert not imported


def test_the_champion_keeps_its_code_beside_a_candidate_of_new_code(
    backends: Backends, lake: Path, tmp_path: Path
) -> None:
    code = write_package(tmp_path / "code")
    run = own_run(lake)
    with importable(code):
        before = challenged(run, backends)
        assert pipeline.promote(run, backends)
    with importable(code):
        assert len(planned(own_run(lake, "r2"), backends).reused) == 3
    write_package(code, constants="SCALE = 0.0\n")  # two imports away from the pipeline: every row looks alike
    with importable(code):
        assert len(planned(own_run(lake, "r3"), backends).reused) == 1, "the baseline is none of the package's"
        after = challenged(own_run(lake, "r4", as_of=LATER), backends)
    board = {card.contestant: card.metrics["roc_auc"] for card in after.board.cards}
    assert board["candidate"] == pytest.approx(0.5, abs=0.05), "one answer for all rows of a step"
    assert board["champion"] == pytest.approx(before.board.cards[0].metrics["roc_auc"], abs=0.1)
    assert board["champion"] > 0.75
    assert models.champion_alias(backends.tracking, "churn") == "1"


LAZY = """
    from sklearn.base import BaseEstimator, TransformerMixin

    class Squeezed(TransformerMixin, BaseEstimator):
        def fit(self, x, y=None):
            return self

        def transform(self, x):
            from mypkg.helpers import numbers
            return numbers.squeeze(x[["x"]])
    """
BESIDE = """
    from pathlib import Path
    from sklearn.base import BaseEstimator, TransformerMixin

    TABLE = Path(__file__).parent / "table.txt"
    TABLE.write_text("2.0")

    class Squeezed(TransformerMixin, BaseEstimator):
        def fit(self, x, y=None):
            return self

        def transform(self, x):
            return x[["x"]] * float(TABLE.read_text())
    """


@pytest.mark.parametrize(("features", "complaint"), [(LAZY, r"imports mypkg"), (BESIDE, r"opens .*table\.txt")])
def test_a_model_that_needs_its_package_installed_takes_no_title(
    backends: Backends, lake: Path, tmp_path: Path, features: str, complaint: str, fresh_process: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Even where the package is importable in the verifying process."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    run = own_run(lake)
    with importable(write_package(tmp_path / "code", features=features)):
        assert challenged(run, backends).outcome == "promote"
        with pytest.raises(ConfigError, match=rf"version 1 of churn does not verify: the model {complaint}") as caught:
            pipeline.promote(run, backends)
    assert "import at the top of a module" in str(caught.value)
    assert untouched(backends)


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("raises", r"^gates\.1: mypkg\.gates\.raises raised ZeroDivisionError: no customers \(mypkg/gates\.py:\d+\)$"),
        ("says_nothing", r"^gates\.1: mypkg\.gates\.says_nothing gave no answer \(got a NoneType\); expected a dict"),
    ],
)
def test_a_gate_without_an_answer_fails_the_run(
    backends: Backends, lake: Path, tmp_path: Path, gate: str, message: str
) -> None:
    run = own_run(lake, gates=[*GATE, {"kind": "custom", "function": f"mypkg.gates.{gate}"}])
    with importable(write_package(tmp_path / "code")), pytest.raises(ConfigError, match=message):
        challenged(run, backends)
    assert not backends.store.exists(run.key("decisions/1.json"))
    assert untouched(backends)


def test_a_custom_gate_can_say_no(backends: Backends, lake: Path, tmp_path: Path) -> None:
    gate = {"kind": "custom", "function": "mypkg.gates.enough_rows", "arguments": {"least": 10_000}}
    run = own_run(lake, gates=[*GATE, gate])
    with importable(write_package(tmp_path / "code")):
        decision = challenged(run, backends)
        assert pipeline.promote(run, backends) is None
    assert (
        decision.sentence == f"No champion yet: enough_rows(least=10000): {decision.board.cards[0].rows} rows. "
        "Next: loosen that gate in the YAML if this is good enough, else give the model better features or more rows"
    )
    assert (decision.verdicts[1].observed, decision.verdicts[1].required) == (decision.board.cards[0].rows, 10_000)


def test_code_that_changes_while_a_run_is_under_way_is_not_mixed(
    backends: Backends, lake: Path, tmp_path: Path
) -> None:
    code, run = write_package(tmp_path / "code"), own_run(lake)
    with importable(code):
        planned(run, backends)
    changed = pytest.raises(
        Conflict, match=r"the code behind mypkg\.models\.build .* changed since .*; start a new run"
    )
    write_package(code, constants="SCALE = 2.0\n")
    with importable(code), changed:
        train(run, backends)
    write_package(code)
    with importable(code):
        train(run, backends)
    write_package(code, constants="SCALE = 2.0\n")
    with importable(code), changed:
        pipeline.challenge(run, backends)
