"""Whatever MLflow was asked to make is there once, although its replies were lost: of a whole run, and of an adoption."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from mlflow.entities import ViewType

from builders import make_table, write_parquet
from contender.adopt import Request, adopt_model
from contender.store.ledger import Ledger
from contender.tracking import models
from contender.tracking.runs import RUN, TRIAL, Tracking
from contender.tracking.sqlite import write_ahead
from faultproxy import Fault, proxy_to
from faultproxy import Request as Asked
from life import live
from mlflowserver import serving
from steps import LATER, timed

if TYPE_CHECKING:
    from pathlib import Path

    from contender.backends import Backends

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("verified_here", "no_report")]

WRITES = ("POST", "PUT", "PATCH")
MADE = {
    "experiments/create", "runs/create", "logged-models", "registered-models/create", "model-versions/create",
    "registered-models/alias", "runs/outputs", "runs/log-inputs", "model-versions/set-tag",
}  # fmt: skip


def kind(asked: Asked) -> str:
    """The call without the ids that are in it."""
    path = asked.path.partition("?")[0].partition("/mlflow/")[2] or asked.path
    return f"{asked.method} " + re.sub(r"m-[0-9a-f]{32}|[0-9a-f]{32}", "ID", path)


def test_of_a_run_and_an_adoption_everything_is_there_once_although_each_kind_of_reply_was_lost(
    backends: Backends, tmp_path: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first reply to each kind of writing call is lost, and that to the second child run."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    lake = tmp_path / "lake"
    write_parquet(lake / "a.parquet", make_table(900, until=LATER, days=90))
    (tmp_path / "served").mkdir()
    shutil.copyfile(empty_mlflow, tmp_path / "served" / "mlflow.db")
    write_ahead(tmp_path / "served" / "mlflow.db")
    lost: dict[str, int] = {}

    def fault(asked: Asked) -> Fault | None:
        if asked.method not in WRITES or "/search" in asked.path:
            return None
        lost[kind(asked)] = lost.get(kind(asked), 0) + 1
        return Fault(lose=True) if lost[kind(asked)] in (1, 3) else None

    with serving(f"sqlite:///{tmp_path / 'served' / 'mlflow.db'}", tmp_path) as server, proxy_to(server.url) as proxy:
        proxy.fault = fault
        through = replace(backends, tracking=Tracking(proxy.endpoint))
        outcome = live(timed(lake), through)
        assert (outcome.decision, outcome.promoted) == ("promote", "1")
        client = through.tracking.client
        theirs = client.get_model_version("churn", "1").source
        request = Request(as_of=LATER, by="ada", model=theirs, through=LATER, reason="to see what comes of it")
        lost.clear()
        adopted = adopt_model(through, timed(lake).spec, request)
        proxy.fault = lambda _: None
        [experiment] = client.search_experiments(filter_string="name = 'churn'", view_type=ViewType.ALL)
        runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)
        assert sorted(one.data.tags.get(RUN, "trial") for one in runs) == ["r1", "trial", "trial", "trial"]
        assert len({one.data.tags[TRIAL] for one in runs if TRIAL in one.data.tags}) == 3
        logged = client.search_logged_models([experiment.experiment_id])
        assert sorted((one.model_type, str(one.status)) for one in logged) == [("sklearn", "READY")] * 2
        [parent] = [one for one in runs if one.data.tags.get(RUN) == "r1"]
        assert len(parent.outputs.model_outputs) == 1
        assert len(parent.inputs.dataset_inputs) == 1
        found = client.search_model_versions("name = 'churn'")
        tagged = {one.tags[models.RELEASE]: str(one.version) for one in found}
        assert tagged == {entry.release: entry.version for entry in Ledger(through.store, "churn").entries()}
        assert len(found) == 2
        assert models.champion_alias(through.tracking, "churn") == adopted.entry.version == "2"
        made = {kind(one).partition(" ")[2] for one in proxy.seen}
        assert made >= MADE - {"model-versions/set-tag"}, "a creating call is asked otherwise; name it here"
