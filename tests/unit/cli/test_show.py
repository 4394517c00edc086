"""``contender check`` finds the user's own code where Airflow's tasks find it."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from rich.console import Console

from contender_airflow.cli.show import check
from ownpkg import FILES, write_package

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

YAML = """
data: {source: {kind: parquet, uri: /lake}, target: y, positive: "yes"}
sweep:
  metric: mymetrics.profit
  candidates:
    - pipeline: mypkg.models.build
gates:
  - {kind: threshold, metric: mymetrics.profit, min: 0}
"""


def test_own_code_may_lie_in_the_dag_folder_and_in_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("CONTENDER_DAGS", str(tmp_path / "dags"))
    write_package(tmp_path / "dags")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "mymetrics.py").write_text(FILES["metrics.py"].replace("\n        ", "\n"))
    (tmp_path / "dags" / "pipelines").mkdir()
    (tmp_path / "dags" / "pipelines" / "churn.yaml").write_text(YAML)
    said = io.StringIO()
    try:
        assert check([], Console(file=said)), said.getvalue()
        (tmp_path / "dags" / "pipelines" / "churn.yaml").write_text(YAML.replace("models.build", "models.biuld"))
        assert not check([], Console(file=said))
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] in ("mypkg", "mymetrics")]:
            del sys.modules[name]
    assert "churn.yaml:6: sweep.candidates.0.pipeline: mypkg.models has no function 'biuld'" in said.getvalue()
