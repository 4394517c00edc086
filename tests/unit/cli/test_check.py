"""``contender check``: errors with their line, a single pipeline in words, several in a line each."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from contender.errors import ConfigError
from contender_airflow.cli.show import check


def checked(*files: Path) -> tuple[bool, str]:
    told = StringIO()
    return check(list(files), Console(file=told, width=200)), told.getvalue()


@pytest.fixture
def pipelines(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "dags" / "pipelines"
    folder.mkdir(parents=True)
    (folder / "churn.yaml").write_text(shipped.read_text())
    monkeypatch.setenv("CONTENDER_DAGS", str(tmp_path / "dags"))
    return folder


def edit(folder: Path, old: str, new: str) -> Path:
    path = folder / "churn.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    return path


def test_a_single_pipeline_is_explained(pipelines: Path) -> None:
    right, told = checked()
    assert right
    assert told.startswith(f"{pipelines}/churn.yaml: ok\n  reads     demo ")
    assert "\n  asks      is roc_auc at least 0.7?\n" in told


def test_several_are_a_line_each_and_a_broken_one_hides_none(pipelines: Path) -> None:
    (pipelines / "broken.yaml").write_text("data: 1\n")
    (pipelines / "other.yaml").write_text((pipelines / "churn.yaml").read_text())
    right, told = checked()
    assert not right
    assert "churn.yaml: ok\n" in told
    assert "other.yaml: ok\n" in told
    assert "broken.yaml:1: " in told
    assert "reads" not in told


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("metric: roc_auc", "metric: roc_acu", ":22: sweep.metric: scikit-learn has no scorer 'roc_acu'"),
        ("max_iter: 1000", "max_itre: 1000", ":27: sweep.candidates.0.params.max_itre: "),
        ("linear_model.LogisticRegression", "linear_model.Logistic", ":26: sweep.candidates.0: "),
        ("roc_auc, min: 0.7", "roc_auc, min: 7", ":35: gates.0: min 7 can never be met"),
        ("expect_column_values_to_not_be_null: {column: region", "expect_not_null: {column: region", ":15: expectations.1: "),
        ("{column: age, min_value", "{colunm: age, min_value", ":16: expectations.2: "),
    ],
)  # fmt: skip
def test_what_the_libraries_do_not_know_is_named_with_its_line(
    pipelines: Path, old: str, new: str, message: str
) -> None:
    path = edit(pipelines, old, new)
    right, told = checked(path)
    assert not right
    assert told.startswith(f"{path}{message}")
    assert "Traceback" not in told


def test_a_gate_that_asks_nothing_is_a_warning_with_its_line(pipelines: Path) -> None:
    path = edit(pipelines, "min: 0.7", "min: 0")
    right, told = checked(path)
    assert right
    assert f"warning: {path}:35: gates.0: every model passes roc_auc >= 0; it asks nothing" in told


def test_no_pipeline_at_all_is_not_right(pipelines: Path) -> None:
    (pipelines / "churn.yaml").unlink()
    with pytest.raises(ConfigError, match=r"no pipeline in .*pipelines; name the files to check"):
        checked()
