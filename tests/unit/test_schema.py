"""The JSON schema for editors: what runs is valid in it, and what people mistype is not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from typer.testing import CliRunner

from contender.schema import FILE, MODELINE, yaml_schema
from contender.spec.loading import _Loader
from contender_airflow.cli.app import app

ROOT = Path(__file__).parents[2]
PIPELINES = sorted((ROOT / "dags" / "pipelines").glob("*.yaml"))
IN_DOCS = [
    block
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    if "\nsweep:" in block
]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return yaml_schema()


def problems(schema: dict[str, Any], text: str) -> list[str]:
    document = yaml.load(text, _Loader)  # noqa: S506 - YAML 1.2, to which `on` is no truth value
    return [error.json_path for error in Draft7Validator(schema).iter_errors(document)]


def test_it_is_a_schema_that_editors_read(schema: dict[str, Any]) -> None:
    Draft7Validator.check_schema(schema)
    assert "prefixItems" not in json.dumps(schema)


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_a_shipped_pipeline_names_the_schema_beside_it_and_is_valid(schema: dict[str, Any], path: Path) -> None:
    assert path.read_text().splitlines()[0] == MODELINE
    assert problems(schema, path.read_text()) == []


@pytest.mark.parametrize("text", IN_DOCS, ids=range(len(IN_DOCS)))
def test_every_whole_pipeline_in_the_docs_is_valid(schema: dict[str, Any], text: str) -> None:
    assert problems(schema, text) == []


def test_the_schema_in_the_repository_is_what_the_command_prints() -> None:
    told = CliRunner().invoke(app, ["schema"]).output
    file = ROOT / "dags" / "pipelines" / FILE
    assert file.read_text() == told, "run: .venv/bin/contender schema > dags/pipelines/.pipeline.schema.json"


def test_every_setting_is_described(schema: dict[str, Any]) -> None:
    models = {"": schema, **schema["$defs"]}
    silent = [
        f"{model}.{name}"
        for model, told in models.items()
        for name, setting in told.get("properties", {}).items()
        if not setting.get("description") and "$ref" not in setting
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("target: churned", "targte: churned", "$.data"),
        ("target: churned\n", "\n", "$.data"),
        ("owner:", "name: churn\nowner:", "$"),
        ("owner: growth-ml", "owner: 5", "$.owner"),
        ("kind: demo", "kind: dmeo", "$.data.source"),
        ("window: 180d", "window: 180 days", "$.data.window"),
        ("window: 180d", 'window: ""', "$.data.window"),
        ("max_share: 0.02", "max_share: 2", "$.quarantine.max_share"),
        ("folds: 5", "folds: 1", "$.split.folds"),
        ("gate: 28d", "gate: 1.5", "$.split.gate"),
        ("metric: roc_auc", "metric: roc_acu", "$.sweep.metric"),
        ("kind: random, ", "", "$.sweep.strategy"),
        ("trials: 16", "trials: 0", "$.sweep.strategy"),
        ("trials: 16", "trials: many", "$.sweep.strategy"),
        ("baseline: true", "baseline: maybe", "$.sweep.candidates[0].baseline"),
        ("{choice: [7, 15, 31]}", "[7, 15, 31]", "$.sweep.candidates[1].params.max_leaf_nodes"),
        ("[50, 200]", "[50, many]", "$.sweep.candidates[1].params.max_iter"),
        ("[50, 200]", "[50]", "$.sweep.candidates[1].params.max_iter"),
        ("sklearn.linear_model.Log", "Log", "$.sweep.candidates[0].estimator"),
        ("kind: threshold, metric: roc_auc", "kind: threshold, metric: auc", "$.gates[0]"),
        ("opponent: baseline", "opponent: best", "$.gates[1]"),
        ("policy: unless_worse", "policy: not_worse", "$.gates[2]"),
        ("expect_column_values_to_not_be_null: {column: region}", "expect_not_null: {}", "$.expectations[1]"),
        ("{column: region}", "{colunm: region}", "$.expectations[1].expect_column_values_to_not_be_null"),
        ("severity: warning", "severity: low", "$.expectations[4].expect_column_values_to_not_be_null.severity"),
        ("gates:", "gates: []\nwas:", "$.gates"),
        ("overridable:", "notify: [{kind: mail, to: a@b.c}]\noverridable:", "$.notify[0]"),
        ("overridable:", "notify: [{kind: email, to: ml}]\noverridable:", "$.notify[0]"),
        ("overridable:", "notify: [{kind: slack, conn_id: 'https://x'}]\noverridable:", "$.notify[0]"),
    ],
)  # fmt: skip
def test_what_people_mistype_is_marked_where_it_stands(
    schema: dict[str, Any], shipped: Path, old: str, new: str, place: str
) -> None:
    text = shipped.read_text()
    assert old in text
    assert place in problems(schema, text.replace(old, new, 1))


def test_receivers_are_valid(schema: dict[str, Any], shipped: Path) -> None:
    notify = (
        "notify: [{kind: email, to: a@b.c}, {kind: email, to: [a@b.c]}, {kind: webhook, conn_id: x, on: [promoted]}]"
    )
    assert problems(schema, f"{shipped.read_text()}\n{notify}\n") == []


def test_what_completes_comes_from_the_libraries(schema: dict[str, Any]) -> None:
    names, own = schema["$defs"]["SweepSpec"]["properties"]["metric"]["anyOf"]
    assert {"roc_auc", "neg_log_loss", "r2"} <= set(names["enum"])
    assert re.search(own["pattern"], "mypkg.metrics.profit")
    checks = schema["$defs"]["Expectation"]["properties"]
    assert set(checks["expect_column_values_to_be_in_set"]["properties"]) >= {"column", "value_set", "mostly"}
