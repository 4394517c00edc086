"""PipelineSpec: defaults, what does not go together, and what the trigger form may change."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from builders import LOGISTIC, TIMED, TREE, make_spec
from contender.spec.data import Expectation
from contender.spec.pipeline import PipelineSpec

if TYPE_CHECKING:
    from pathlib import Path

SPANS = {"data": TIMED, "split": {"gate": "14d", "folds": 2}}


def test_the_shipped_pipeline_reads_back_as_it_was_stored(spec: PipelineSpec) -> None:
    assert PipelineSpec.model_validate_json(spec.model_dump_json(), strict=True) == spec


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"data": TIMED},
        SPANS,
        {"split": {"gate": 0.3}},
        {"expectations": [{"expect_column_values_to_be_in_set": {"column": "x", "value_set": ["a", 1, None]}}]},
        {"sweep": {"strategy": {"kind": "random", "trials": 3}, "budget": "90s"}},
    ],
)
def test_every_spec_reads_back_as_it_was_stored(parts: dict[str, Any]) -> None:
    made = make_spec(**parts)
    assert PipelineSpec.model_validate_json(made.model_dump_json(), strict=True) == made


def test_the_newest_28_days_judge_unless_declared() -> None:
    assert make_spec(data=TIMED).gate_span == timedelta(days=28)
    assert make_spec(**SPANS).gate_span == timedelta(days=14)


def test_without_a_time_column_a_fifth_of_the_rows_judges_unless_declared() -> None:
    assert make_spec().gate_share == 0.2
    assert make_spec(split={"gate": 0.3}).gate_share == 0.3


def test_a_model_is_refitted_on_all_rows_only_with_a_time_column() -> None:
    assert make_spec(data=TIMED).refit_rows == "all_rows"
    assert make_spec().refit_rows == "train_rows"
    assert make_spec(data=TIMED, refit="train_rows").refit_rows == "train_rows"


def test_target_id_time_and_excluded_columns_are_no_features() -> None:
    assert make_spec(data={**TIMED, "exclude": ["note"]}).non_features == {"y", "id", "at", "note"}


def test_the_salt_is_the_pipelines_name_unless_declared() -> None:
    assert make_spec().salt == "churn"
    assert make_spec(split={"salt": "x"}).salt == "x"


def test_an_expectation_is_written_as_great_expectations_names_it() -> None:
    document = {"expect_column_to_exist": {"column": "age", "severity": "warning"}}
    made = Expectation.model_validate(document)
    assert (made.name, made.severity, made.arguments) == ("expect_column_to_exist", "warning", {"column": "age"})
    assert made.model_dump() == document


BEATS_BASELINE = [{"kind": "beats", "opponent": "baseline"}]
TWO_BASELINES = [{"estimator": LOGISTIC, "baseline": True}, {"estimator": TREE, "baseline": True}]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"data": {"window": "10d"}}, "window and label_delay need a time column"),
        ({"data": {"time": "at"}}, "a time column needs a window"),
        ({"data": {**TIMED, "label_delay": "60d"}}, "window must be longer than label_delay"),
        ({"data": {**TIMED, "window": "0d"}}, "window must be longer than label_delay"),
        ({"data": {**TIMED, "columns": {"at": "text"}}}, r"columns\.at: got text, but data\.time is of timestamps"),
        ({"data": {"id": "y"}}, "target, id and time must be different columns"),
        ({"data": TIMED, "split": {"gate": 0.2}}, "with a time column the newest rows judge"),
        ({"split": {"gate": "28d"}}, "without a time column give a share"),
        ({"data": TIMED, "split": {"gate": "60d"}}, "gate and embargo take the whole window"),
        ({"refit": "all_rows"}, "would train on the rows that judge next week"),
        ({"sweep": {"candidates": TWO_BASELINES}}, "at most one candidate can be the baseline"),
        ({"sweep": {"candidates": [{"estimator": TREE}]}, "gates": BEATS_BASELINE}, "needs a candidate marked"),
        ({"gates": []}, "at least 1 item"),
        ({"sweep": {"candidates": []}}, "at least 1 item"),
        ({"sweep": {"metric": ""}}, "at least 1 character"),
        ({"sweep": {"parallelism": 0}}, "greater than or equal to 1"),
        ({"split": {"folds": 1}}, "greater than or equal to 2"),
        ({"quarantine": {"max_share": 1.0}}, "less than 1"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"seed": 2**31}, "less than 2147483648"),
        ({"name": "Churn"}, "should match pattern"),
        ({"name": "x" * 64}, "should match pattern"),
        ({"name": "a/../b"}, "should match pattern"),
    ],
)
def test_what_does_not_go_together_is_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_spec(**parts)


@pytest.mark.parametrize("schedule", ["0 3 * * 1", "@weekly", "*/5 * * * *", "0 0 29 2 *", None])
def test_a_schedule_is_cron_or_nothing(schedule: str | None) -> None:
    assert make_spec(schedule=schedule).schedule == schedule


@pytest.mark.parametrize(
    "schedule", ["", "daily", "0 3 * *", "0 0 3 * * 1", "0 3 * * 9", "61 3 * * 1", "@reboot", "0 3 30 2 *", "H H * * *"]
)
def test_a_schedule_that_names_no_moment_is_refused(schedule: str) -> None:
    with pytest.raises(ValidationError, match=r"schedule\n  Value error, got .* expected .*cron"):
        make_spec(schedule=schedule)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("sweep.budgte", "no such setting 'sweep.budgte' .*Did you mean 'budget'"),
        ("nope", "no such setting 'nope'"),
        ("", "no such setting"),
        ("name", "no such setting 'name'"),
        ("promote", "no such setting 'promote'"),
        ("sweep", "is a group of settings"),
        ("sweep.candidates", "is a group of settings"),
        ("sweep.candidates.0.estimator", "no such setting"),
        ("gates.1.min", "no such setting 'gates.1.min' \\(at '1'\\). Allowed: 0"),
        ("gates.x", "no such setting"),
        ("gates", "is a group of settings"),
        ("gates.0", "is a group of settings"),
        ("gates.0.metric", "only min, max and min_entities of this gate can be made stricter by a trigger, not metric"),
        ("gates.0.kind", "only min, max and min_entities of this gate can be made stricter by a trigger, not kind"),
        ("data.source", "is a group of settings"),
        ("data.source.roots", "is a group of settings"),
        ("data.source.uri", "would let a trigger read from anywhere; a file source can say below which folders: roots"),
        ("overridable", "is a group of settings"),
        ("sweep.strategy.kind", "'sweep.strategy.kind' shapes the DAG, which is built before anybody triggers it"),
        ("sweep.strategy.rounds", "no such setting 'sweep.strategy.rounds' .*"),
    ],
)
def test_only_single_settings_of_the_spec_are_overridable(path: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_spec(overridable=[path])


@pytest.mark.parametrize("kind", ["halving", "tpe"])
def test_a_trigger_changes_how_many_trials_but_never_how_many_rounds(kind: str) -> None:
    sweep = {"strategy": {"kind": kind, "rounds": 2}}
    make_spec(sweep=sweep, overridable=["sweep.strategy.trials"])
    with pytest.raises(ValidationError, match=r"'sweep\.strategy\.rounds' shapes the DAG, .*; trials can be changed"):
        make_spec(sweep=sweep, overridable=["sweep.strategy.rounds"])


def test_a_setting_that_names_code_is_not_overridable() -> None:
    make_spec(overridable=["sweep.metric"])
    with pytest.raises(ValidationError, match=r"sweep\.metric: got 'mypkg\.metrics\.profit', which is imported"):
        make_spec(overridable=["sweep.metric"], sweep={"metric": "mypkg.metrics.profit"})
    with pytest.raises(ValidationError, match=r"'gates\.0\.function': only nothing of this gate can be made stricter"):
        make_spec(overridable=["gates.0.function"], gates=[{"kind": "custom", "function": "mypkg.gates.sane"}])


def test_everything_that_is_imported_is_known() -> None:
    spec = make_spec(
        sweep={"metric": "a.b", "candidates": [{"pipeline": "c.d"}, {"estimator": "e.f"}]},
        gates=[
            {"kind": "custom", "function": "g.h"},
            {"kind": "threshold", "metric": "i.j", "min": 0},
            {"kind": "beats", "opponent": "trivial"},
            {"kind": "threshold", "metric": "roc_auc", "min": 0},
        ],
    )
    assert spec.import_paths == {"a.b", "c.d", "e.f", "g.h", "i.j"}


def test_an_overridable_setting_describes_itself_for_a_form(spec: PipelineSpec) -> None:
    assert spec.override_schema("sweep.strategy.trials") == {
        "type": "integer",
        "minimum": 1,
        "maximum": 1_000,
        "title": "Strategy trials",
        "description": "How many trials in all",
        "default": 16,
    }
    budget = spec.override_schema("sweep.budget")
    assert (budget["type"], budget["default"]) == ("string", "20m")
    assert spec.override_schema("data.source.scenario")["enum"] == ["none", "covariate", "concept", "schema", "broken"]


def test_a_gates_declared_value_is_the_limit_that_a_form_shows() -> None:
    gates = [
        {"kind": "threshold", "metric": "roc_auc", "min": 0.7},
        {"kind": "beats", "opponent": "champion", "margin": 0.1},
        {"kind": "beats", "opponent": "champion", "policy": "unless_worse", "margin": 0.1},
    ]
    spec = make_spec(gates=gates, overridable=["gates.0.min", "gates.0.max", "gates.1.margin", "gates.2.margin"])
    schemas = [spec.override_schema(path) for path in spec.overridable]
    assert schemas[0] == {
        "description": "The lowest value that passes", "type": ["number", "null"], "minimum": 0.7, "title": "roc_auc >= 0.7: min", "default": 0.7
    }  # fmt: skip
    assert (schemas[1]["type"], schemas[1]["default"], "maximum" in schemas[1]) == (["number", "null"], None, False)
    assert [(schema["minimum"], schema.get("maximum")) for schema in schemas[2:]] == [(0.1, None), (0, 0.1)]


def test_a_data_path_can_be_overridable_below_roots(tmp_path: Path) -> None:
    source = {"kind": "parquet", "uri": str(tmp_path), "roots": [str(tmp_path)]}
    spec = make_spec(data={"source": source}, overridable=["data.source.uri"])
    schema = spec.override_schema("data.source.uri")
    assert (schema["type"], schema["default"], schema["title"]) == (["string", "null"], str(tmp_path), "Data path")
    assert str(tmp_path) in schema["description"]


def test_the_demo_cannot_be_told_by_a_trigger_where_to_write() -> None:
    with pytest.raises(ValidationError, match="would let a trigger read from anywhere"):
        make_spec(data={"source": {"kind": "demo"}, "time": "at", "window": "60d"}, overridable=["data.source.uri"])


@pytest.mark.parametrize("name", ["conn_id", "table", "query"])
def test_no_trigger_chooses_what_is_asked_of_a_database(name: str) -> None:
    source = {"kind": "sql", "conn_id": "shop_db", "table": "orders"}
    with pytest.raises(ValidationError, match="would let a trigger read from anywhere"):
        make_spec(data={"source": source}, overridable=[f"data.source.{name}"])


@pytest.mark.timeout(20)
def test_a_grid_of_a_million_is_refused_with_its_size_and_not_built() -> None:
    params = {name: {"choice": [*range(100)]} for name in ("max_depth", "min_samples_leaf", "max_leaf_nodes")}
    with pytest.raises(
        ValidationError, match="the grid has 1000000 combinations, at most 1000 are allowed; use strategy"
    ):
        make_spec(sweep={"candidates": [{"estimator": TREE, "params": params}]})


def test_two_candidates_of_one_class_are_two_candidates() -> None:
    twice = [{"estimator": TREE, "params": {"max_depth": {"choice": [*range(600)]}}}] * 2
    with pytest.raises(ValidationError, match="1200 combinations, at most 1000"):
        make_spec(sweep={"candidates": twice})
    with pytest.raises(ValidationError, match="1 trials cannot cover 2 candidates"):
        make_spec(sweep={"candidates": twice, "strategy": {"kind": "random", "trials": 1}})


def test_the_json_schema_can_be_built() -> None:
    schema = PipelineSpec.model_json_schema()
    assert set(schema["required"]) == {"name", "data", "sweep", "gates"}
