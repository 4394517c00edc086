"""The trigger form: what it offers, in which words, and that leaving it as it is changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from airflow.sdk.exceptions import ParamValidationError

from builders import make_spec
from contender.run.freeze import resolve
from contender.spec.pipeline import PipelineSpec
from contender_airflow.form import trigger_form

if TYPE_CHECKING:
    from airflow.sdk import Param

OVERRIDABLE = ["as_of", "sweep.strategy.trials", "gates.0.min", "data.window", "seed"]


@pytest.fixture
def small() -> PipelineSpec:
    return make_spec(
        data={"time": "at", "window": "60d"},
        sweep={"strategy": {"kind": "random", "trials": 4}},
        gates=[{"kind": "threshold", "metric": "roc_auc", "min": 0.6}],
        overridable=OVERRIDABLE,
    )


@pytest.fixture
def form(small: PipelineSpec) -> dict[str, Param]:
    return trigger_form(small)


def test_it_offers_what_the_spec_allows_and_promote_and_reason(form: dict[str, Param]) -> None:
    assert {name: param.value for name, param in form.items()} == {
        "as_of": None,
        "data.window": "60d",
        "sweep.strategy.trials": 4,
        "seed": 0,
        "gates.0.min": 0.6,
        "promote": True,
        "reason": None,
    }
    assert list(trigger_form(make_spec(overridable=[]))) == ["promote", "reason"]


def test_it_knows_the_limits_of_a_setting(form: dict[str, Param]) -> None:
    schema = form["sweep.strategy.trials"].schema
    assert (schema["type"], schema["minimum"], schema["maximum"]) == ("integer", 1, 1000)


def test_it_has_sections_in_the_order_of_a_run(form: dict[str, Param]) -> None:
    assert [(name, param.schema["section"]) for name, param in form.items()] == [
        ("as_of", "What to look at"),
        ("data.window", "What to look at"),
        ("sweep.strategy.trials", "The sweep"),
        ("seed", "The sweep"),
        ("gates.0.min", "The gates (only stricter)"),
        ("promote", "What may happen"),
        ("reason", "What may happen"),
    ]


def test_every_setting_has_a_title_and_a_description_that_ends_with_its_key(form: dict[str, Param]) -> None:
    for name, param in form.items():
        assert param.schema["title"]
        assert param.description.endswith(f"({name})")
        assert param.resolve() == param.value


def test_a_gate_only_gets_stricter(form: dict[str, Param]) -> None:
    assert form["gates.0.min"].description.endswith("At least 0.6. (gates.0.min)")
    with pytest.raises(ParamValidationError, match=r"0\.5 is less than the minimum of 0\.6"):
        form["gates.0.min"].resolve(0.5)


def test_left_as_it_is_it_changes_nothing(small: PipelineSpec, form: dict[str, Param]) -> None:
    asked = datetime(2026, 3, 2, 3, tzinfo=UTC)
    untouched = {name: param.value for name, param in form.items()}
    assert resolve(small, untouched, requested=asked) == resolve(small, {}, requested=asked)
