"""``contender backtest`` on six small weeks: what each way serves, how good it is, and that no week sees the next."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from builders import AS_OF, TIMED, TREE, make_spec, make_table, write_parquet
from contender.backends import Backends
from contender.backtest.replay import backtest
from contender.backtest.table import summary
from contender.release.signing import create_key
from contender_airflow.cli.app import app
from contender_airflow.cli.backtest import document

if TYPE_CHECKING:
    from pathlib import Path

    from contender.backtest.replay import Backtest, Replayed
    from contender.spec.pipeline import PipelineSpec

pytestmark = pytest.mark.integration

WEEK = timedelta(days=7)
WEEKS = 6
TURN = AS_OF + 2 * WEEK  # from here on x says the opposite
GATES: list[dict[str, Any]] = [
    {"kind": "threshold", "metric": "roc_auc", "min": 0.5},
    {"kind": "beats", "opponent": "champion", "policy": "unless_worse", "margin": 0.01, "min_rows": 20},
]
SWEEP = {"candidates": [{"estimator": TREE, "params": {"max_depth": 3}}]}


def turning() -> pa.Table:
    """Customers of twenty weeks, each seen once; in the last ten the world is the other way round."""
    table = make_table(3_000, until=AS_OF + 8 * WEEK, days=140, seed=5)
    late = np.asarray(table["at"]) >= np.datetime64(TURN.replace(tzinfo=None))
    x = np.where(late, -table["x"].to_numpy(), table["x"].to_numpy())
    return table.set_column(table.schema.get_field_index("x"), "x", pa.array(x))


def spec_at(folder: Path, table: pa.Table | None = None) -> PipelineSpec:
    write_parquet(folder / "a.parquet", turning() if table is None else table)
    return make_spec(
        folder, data=TIMED | {"window": "35d"}, split={"gate": "14d", "folds": 2}, gates=GATES, sweep=SWEEP
    )


def replayed(spec: PipelineSpec, backends: Backends, weeks: int = WEEKS) -> tuple[Backtest, list[str]]:
    said: list[str] = []
    last = AS_OF + (weeks - 1) * WEEK
    return backtest(spec, backends, first=AS_OF, last=last, every=WEEK, policies=(), tell=said.append), said


def by_name(found: Backtest) -> dict[str, Replayed]:
    return {one.way.name: one for one in found.ways}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> tuple[Backtest, list[str]]:
    """All weeks, replayed once."""
    folder = tmp_path_factory.mktemp("whole")
    return replayed(spec_at(folder / "lake"), scratch(folder, empty_mlflow))


def scratch(folder: Path, empty_mlflow: Path) -> Backends:
    shutil.copyfile(empty_mlflow, folder / "mlflow.db")
    create_key(folder / "signing.pem")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return Backends.connect(store=str(folder / "store"), tracking_uri=uri, signing_key=str(folder / "signing.pem"))


def test_the_ways_part_when_the_world_turns_round_and_skill_is_that_of_the_rows_that_came_after(
    whole: tuple[Backtest, list[str]],
) -> None:
    found, said = whole
    ways = by_name(found)
    assert len(said) == WEEKS
    assert (found.skipped, found.unscored) == ({}, 0)
    assert ways["never again"].promoted == (0,)
    assert ways["always"].promoted == tuple(range(WEEKS))
    assert {name: one.trained for name, one in ways.items()} == {
        "never again": 1, "always": 6, "when it looks as good": 6, "when it looks 2 % better": 6, "the YAML's gates": 6,
        "the YAML's gates, every 2nd period": 3, "the YAML's gates, every 4th period": 2,
        "the YAML's gates, every 8th period": 1,
    }  # fmt: skip
    never, always = ([period.skill for period in ways[name].periods] for name in ("never again", "always"))
    assert never[0] == always[0] > 0.7
    assert max(never[2:]) < 0.4, "the first model is wrong about the new world"
    assert always[-1] > 0.7

    # The first week's model, fitted here on what there was then, and scored on the week after.
    frame = turning().to_pandas().sort_values("id")
    frame["y"] = (frame["y"] == "yes").astype(int)
    start = np.datetime64(AS_OF.replace(tzinfo=None))
    ahead = frame[(frame["at"] >= start) & (frame["at"] < start + np.timedelta64(7, "D"))]
    assert never[0] == pytest.approx(roc_auc_score(ahead["y"], ahead["x"]), abs=0.1)
    assert ways["always"].periods[1].before == never[1], "what it replaced would have gone on"


def test_what_comes_later_changes_nothing_of_what_was_decided(
    whole: tuple[Backtest, list[str]], tmp_path: Path, empty_mlflow: Path
) -> None:
    shuffled = turning()
    cut = np.asarray(shuffled["at"]) >= np.datetime64((AS_OF + 3 * WEEK).replace(tzinfo=None))
    y = np.where(cut, "no", shuffled["y"].to_numpy(zero_copy_only=False))
    other = shuffled.set_column(shuffled.schema.get_field_index("y"), "y", pa.array(y))
    found, _ = replayed(spec_at(tmp_path / "changed", other), scratch(tmp_path, empty_mlflow), weeks=4)
    for name, one in by_name(found).items():
        assert one.promoted == tuple(n for n in by_name(whole[0])[name].promoted if n < 4), name
        assert [p.skill for p in one.periods][:3] == [p.skill for p in by_name(whole[0])[name].periods][:3], name


def test_for_programs_there_is_json_without_numbers_that_it_lacks(whole: tuple[Backtest, list[str]]) -> None:
    told = json.loads(json.dumps(document(whole[0], summary(whole[0])), allow_nan=False))
    assert (told["pipeline"], told["every"], told["scored"], len(told["periods"])) == ("churn", "7d", WEEKS, WEEKS)
    assert [one["name"] for one in told["ways"]] == [one.way.name for one in whole[0].ways]
    assert told["ways"][0]["low"] is None, "six weeks are too few for an interval"


def test_the_command_prints_the_table_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path / "lake" / "a.parquet", turning())
    document = {
        "data": {
            "source": {"kind": "parquet", "uri": str(tmp_path / "lake")},
            "target": "y",
            "positive": "yes",
            "id": "id",
        }
        | TIMED,
        "split": {"gate": "14d", "folds": 2},
        "sweep": {"metric": "roc_auc", "strategy": {"kind": "grid"}, **SWEEP},
        "gates": GATES,
    }
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setenv("CONTENDER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    asked = [
        "backtest",
        str(tmp_path / "shop.yaml"),
        "--from",
        "2026-03-02",
        "--to",
        "2026-03-09",
        "--policy",
        "superior",
    ]
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 0, told.output
    assert "2026-03-09 (2 of 2): " in told.output
    assert "Recommended: Too few periods (16 are needed) to recommend one." in told.output
    assert "2 periods of 7d, 2 of them scored for every way. Left out: warm starts, approval" in told.output
    assert list((tmp_path / "scratch").glob("contender-backtest-*")) == []
    assert not (tmp_path / "home" / "store" / "shop").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from", "2026-03-02", "--to", "2026-03-04"], "expected two periods of 7d at least"),
        (["--from", "2026-03-02", "--to", "2999-01-01"], "is in the future"),
        (["--from", "2026-03-02", "--to", "2026-04-02", "--every", "weekly"], "--every: got 'weekly'"),
        (["--from", "2026-03-02", "--to", "2026-04-02", "--policy", "superb"], "Did you mean 'superior'"),
        (
            ["--from", "2026-03-02", "--to", "2026-04-02", "--trials", "3"],
            "--trials: the strategy grid tries its whole grid",
        ),
    ],
)
def test_what_cannot_be_replayed_is_said_before_anything_runs(words: list[str], message: str, tmp_path: Path) -> None:
    from contender.errors import ConfigError

    (tmp_path / "shop.yaml").write_text(
        yaml.safe_dump(
            {
                "data": {"source": {"kind": "parquet", "uri": "/nowhere"}, "target": "y", "positive": "yes"} | TIMED,
                "sweep": {"metric": "roc_auc", "strategy": {"kind": "grid"}, **SWEEP},
                "gates": GATES,
            }
        )
    )
    told = CliRunner().invoke(app, ["backtest", str(tmp_path / "shop.yaml"), *words])
    assert isinstance(told.exception, ConfigError)
    assert message in str(told.exception)
