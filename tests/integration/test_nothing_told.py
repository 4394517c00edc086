"""Whatever fails in a run, and however it quotes a row, no output of the run holds a value of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from builders import AS_OF, LOGISTIC, TREE, write_parquet
from contender import pipeline
from contender.errors import DataRejected
from contender.run.outcome import notices_of, record_failure
from contender.store.ledger import Ledger
from contender_airflow.errors import translated
from life import decided, live
from ownpkg import importable
from steps import LATER, customers, timed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from contender.backends import Backends
    from contender.documents.run import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here")]

# What a text that hardly repeats holds. (The statistics of a snapshot name the levels of a column that has few.)
PLANTED = ("Elm Row", "Apt 1", "4111-")
CODE = '''
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

def strict():
    """Knows the addresses that it was fitted on, and raises on any other."""
    columns = make_column_transformer((OneHotEncoder(), ["address"]), ("passthrough", ["x"]))
    return make_pipeline(columns, LogisticRegression())

class Quotes(ClassifierMixin, BaseEstimator):
    def __init__(self, how=0):
        self.how = how

    def fit(self, x, y):
        row = x["address"].max()
        card = x["card"].max()
        if self.how == 0:
            raise ValueError(f"this row has a bad address: {row} {card}")
        if self.how == 1:
            raise RuntimeError("this row has a bad address", row, {row: card})
        if self.how == 2:
            return {}[row]
        if self.how == 3:
            raise OSError(5, f"cannot look up {row}", row)
        float(row)

    def predict_proba(self, x): ...
    def predict(self, x): ...

def quoting():
    return make_pipeline(Quotes())

def metric(model, x, y, sample_weight=None):
    return float((model.predict_proba(x)[:, 1] * y).mean())

def gate(evidence):
    raise LookupError(f"no price for {list(evidence.features['address'])}")

def builds(evidence):
    return {"passed": list(evidence.features["address"])}
'''


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Customers with addresses and cards; from AS_OF on each lives where nobody lived before."""
    table = customers()
    new = table["at"].to_numpy() > np.datetime64(AS_OF.replace(tzinfo=None))
    where = [f"{n} Elm Row, Apt 1{n}" if one else "1 Main Street" for n, one in enumerate(new)]
    card = [f"4111-{n}" if one else "none" for n, one in enumerate(new)]
    table = table.append_column("address", [where]).append_column("card", [card])
    write_parquet(tmp_path / "lake" / "a.parquet", table)
    return tmp_path / "lake"


@pytest.fixture
def code(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mypkg.py").write_text(CODE)
    with importable(tmp_path / "code"):
        yield


def fails(run: Run, backends: Backends) -> None:
    """As Airflow runs it: the failure is recorded, and what is raised is what the task's log shows."""
    try:
        with translated():
            try:
                live(run, backends)
            except Exception as error:
                record_failure(backends.store, run.pipeline, run.id, "challenge", error)
                raise
    except Exception as error:  # noqa: BLE001 - any
        shown: BaseException | None = error
        while shown is not None:
            SAID.append(f"{type(shown).__name__}: {shown}")
            shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)
    else:
        pytest.fail(f"{run.id} did not fail")
    outcome = pipeline.close(backends, run.pipeline, run.id, failed=["challenge"])
    SAID.extend(notice.model_dump_json() for notice in notices_of(outcome))


SAID: list[str] = []  # by notices and errors


def test_no_output_of_runs_that_fail_in_every_way_holds_a_value_of_the_data(
    backends: Backends, lake: Path, code: None, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    caplog.set_level("INFO")
    SAID.clear()
    live(timed(lake, sweep={"candidates": [{"pipeline": "mypkg.strict", "baseline": True}]}), backends)
    champion = Ledger(backends.store, "churn").champion()
    assert champion is not None

    quoting = [{"pipeline": "mypkg.quoting", "params": {"quotes__how": {"choice": [0, 1, 2, 3, 4]}}}]
    strict = [{"pipeline": "mypkg.strict"}]
    candidates: list[dict[str, Any]] = [
        {"estimator": LOGISTIC, "baseline": True},
        {"estimator": TREE},
        *quoting,
        *strict,
    ]
    later: dict[str, Any] = {"as_of": LATER, "sweep": {"candidates": candidates}}
    outcome = live(timed(lake, "later", **later), backends)
    SAID.extend(notice.model_dump_json() for notice in notices_of(outcome))
    assert outcome.trials["failed"] >= 5
    absent = decided(timed(lake, "later", **later), backends).board.absent["champion"]
    assert "cannot predict on today's data: ValueError: Found unknown categories ..." in absent

    for name, gate in (("raises", "mypkg.gate"), ("answers", "mypkg.builds")):
        fails(timed(lake, f"gate_{name}", **later, gates=[{"kind": "custom", "function": gate}]), backends)
    fails(timed(lake, "all_fail", **later | {"sweep": {"candidates": [quoting[0] | {"baseline": True}]}}), backends)
    odd = [{"expect_column_values_to_be_between": {"column": "address", "min_value": 0}}]
    with pytest.raises(DataRejected, match="could not be computed: a check raised") as caught:
        live(timed(lake, "expectation", **later, expectations=odd), backends)
    SAID.append(str(caught.value))

    told = "\n".join(SAID) + caplog.text + "".join(capfd.readouterr())
    assert [word for word in PLANTED if word in told] == []
    data = ("data.parquet", "golden.parquet", ".pkl")
    files = [
        path
        for folder in (tmp_path / "store", tmp_path / "artifacts", tmp_path / "mlflow.db", tmp_path / "mlflow.db-wal")
        for path in (folder.rglob("*") if folder.is_dir() else [folder])
        if path.is_file() and not path.name.endswith(data)
    ]
    assert len(files) > 40
    found = [(path.name, word) for path in files for word in PLANTED if word.encode() in path.read_bytes()]
    assert found == []
