"""Great Expectations, run on a frame and answered in our own words. The only module that imports it.

What its library leaves open is closed here: an unknown expectation is an error (it drops them), results are matched by
id (they come in any order), a check that raised is an error, and no value of the data gets into a result.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contender.documents import CheckResult
from contender.errors import ConfigError, DataRejected, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from contender.spec import Expectation


# It tells 700 times that it documents itself, as it is imported: in the log of every task that asks it.
logging.getLogger("great_expectations._docs_decorators").setLevel(logging.WARNING)


# What every expectation takes and a YAML has no use for; severity is a field of ours.
_NOT_ARGUMENTS = frozenset(
    [
        "id",
        "meta",
        "notes",
        "result_format",
        "description",
        "catch_exceptions",
        "rendered_content",
        "severity",
        "windows",
        "batch_id",
        "metadata",
    ]
)


@dataclass(frozen=True)
class Checked:
    """All results in the order of the YAML, and per row position the critical checks it failed."""

    results: tuple[CheckResult, ...]
    rows: dict[int, tuple[str, ...]]


def known_expectations() -> list[str]:
    """The names Great Expectations knows."""
    import great_expectations.expectations as _  # noqa: F401 - registers them
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    return sorted(list_registered_expectation_implementations())


def expectation_schemas() -> dict[str, dict[str, Any]]:
    """Per name the JSON schema of its arguments, as a YAML may give them."""
    from great_expectations.expectations.registry import get_expectation_impl

    schemas = {}
    for name in known_expectations():
        told = get_expectation_impl(name).schema()
        arguments: dict[str, Any] = {argument: {} for argument in told["properties"] if argument not in _NOT_ARGUMENTS}
        schemas[name] = {
            "description": told["description"].partition("\n")[0],
            "type": "object" if told.get("required") else ["object", "null"],
            "properties": arguments,
            "required": [argument for argument in told.get("required", ()) if argument in arguments],
            "additionalProperties": False,
        }
    return schemas


def build_suite(expectations: Sequence[Expectation]) -> Any:
    """The Great Expectations suite, every expectation in it and carrying its place in the YAML.

    Raises:
        ConfigError: a name or an argument that Great Expectations does not know.
    """
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    names = known_expectations()
    built = []
    for place, expectation in enumerate(expectations):
        if expectation.name not in names:
            msg = f"expectations.{place}: unknown expectation {expectation.name!r}."
            raise ConfigError(msg + did_you_mean(expectation.name, names))
        configuration = ExpectationConfiguration(
            type=expectation.name,
            kwargs=expectation.arguments,
            meta={"place": place},
            severity=expectation.severity,
        )
        try:
            built.append(configuration.to_domain_obj())
        except Exception as error:  # the library raises its own, pydantic's and TypeErrors alike
            first = " ".join(str(error).split())[:300]
            msg = f"expectations.{place}: {expectation.name} does not take these arguments: {first}"
            raise ConfigError(msg) from error
    return ExpectationSuite(name="contender", expectations=built)  # its add methods would replace a like one


def check(frame: pd.DataFrame, expectations: Sequence[Expectation]) -> Checked:
    """Run all expectations on a frame with a RangeIndex.

    Raises:
        ConfigError: see ``build_suite``.
        DataRejected: the frame is empty, or a check could not be computed (a column that is not there).
    """
    if frame.empty:
        msg = "expectations: there are no rows to check"
        raise DataRejected(msg)
    if not expectations:
        return Checked((), {})
    suite = build_suite(expectations)
    for place, expectation in enumerate(expectations):
        _refuse_missing_column(place, expectation, list(frame.columns))
    try:
        answer = _batch(frame).validate(
            suite, result_format={"result_format": "COMPLETE", "include_unexpected_rows": False}
        )
    except Exception as error:
        msg = f"expectations: Great Expectations could not run them: {type(error).__name__}: {str(error)[:300]}"
        raise DataRejected(msg) from error
    by_place = {item.expectation_config.meta["place"]: item for item in answer.results}
    if sorted(by_place) != list(range(len(expectations))):
        msg = f"expectations: {len(expectations)} were asked, {len(by_place)} were answered"
        raise DataRejected(msg)
    rows: dict[int, list[str]] = defaultdict(list)
    results = []
    for place, expectation in enumerate(expectations):
        item = by_place[place]
        _refuse_exception(place, expectation, item.exception_info)
        found = item.result or {}
        column = expectation.arguments.get("column")
        positions = found.get("unexpected_index_list") or []
        result = CheckResult(
            name=expectation.name,
            column=column if isinstance(column, str) else None,
            severity=expectation.severity,
            success=bool(item.success),
            unexpected=int(found.get("unexpected_count") or 0),
            checked=int(found.get("element_count") or len(frame)),
            detail="" if item.success or positions else _observed(expectation.name, found),
        )
        results.append(result)
        if not item.success and expectation.severity == "critical":
            for position in positions:
                rows[int(position)].append(result.label)
    return Checked(tuple(results), {position: tuple(dict.fromkeys(rows[position])) for position in sorted(rows)})


def _batch(frame: pd.DataFrame) -> Any:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    rows = context.data_sources.add_pandas("snapshot").add_dataframe_asset("rows")
    return rows.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})


def _refuse_missing_column(place: int, expectation: Expectation, found: list[str]) -> None:
    if expectation.name == "expect_column_to_exist":
        return
    arguments = expectation.arguments
    asked = [arguments.get(key) for key in ("column", "column_A", "column_B")]
    several = arguments.get("column_list")
    for name in [*asked, *(several if isinstance(several, list) else [])]:
        if isinstance(name, str) and name not in found:
            msg = f"expectations.{place}: {expectation.name} needs the column {name!r}, which the data has not."
            raise DataRejected(msg + did_you_mean(name, found))


def _observed(name: str, found: dict[str, Any]) -> str:
    if "_max_" in name or "_min_" in name:
        return ""  # that number is one row's value
    value = found.get("observed_value")
    return f"observed {value}" if isinstance(value, int | float) else ""


def _refuse_exception(place: int, expectation: Expectation, info: Any) -> None:
    """``exception_info`` is flat when all went well and keyed by metric when one raised."""
    infos = [info] if "raised_exception" in (info or {}) else list((info or {}).values())
    raised = next((one for one in infos if one.get("raised_exception")), None)
    if raised is not None:
        reason = " ".join(str(raised.get("exception_message")).split())[:300]
        msg = f"expectations.{place}: {expectation.name} could not be computed: {reason}"
        raise DataRejected(msg)
