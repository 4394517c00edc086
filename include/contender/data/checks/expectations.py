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
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    import pandas as pd

    from contender.spec import Expectation


# It tells 700 times that it documents itself, as it is imported, and what a context loads: in the log of every task.
logging.getLogger("great_expectations").setLevel(logging.WARNING)


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


_NO_VALUES = {
    "include_unexpected_rows": False,
    "exclude_unexpected_values": True,
    "partial_unexpected_count": 0,
    "return_unexpected_index_query": False,
}
_STAND_INS = {ord(character): 0xE000 + number for number, character in enumerate("<>&\"'$")}
_AS_TEXT = {stand_in: f"&#{character};" for character, stand_in in _STAND_INS.items()}
# Observed numbers that many rows made; a minimum, maximum, median, quantile or mode is one row's value.
_AGGREGATES = ("_count_", "_mean_", "_stdev_", "_sum_", "_proportion_", "_kl_divergence_")


@dataclass(frozen=True)
class Checked:
    """What checks found.

    Attributes:
        results: all of them, in the order in which they were asked for.
        positions: per critical check that failed by rows its label and the rows, in ascending order; empty when the rows
            were too many for it to matter which.
    """

    results: tuple[CheckResult, ...] = ()
    positions: tuple[tuple[str, np.ndarray], ...] = ()


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


def build(expectations: Sequence[Expectation]) -> list[Any]:
    """Great Expectations' own configurations, each carrying its place in the YAML.

    Raises:
        ConfigError: a name or an argument that Great Expectations does not know.
    """
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
            built.append(configuration.to_domain_obj().configuration)
        except Exception as error:  # the library raises its own, pydantic's and TypeErrors alike
            first = " ".join(str(error).split())[:300]
            msg = f"expectations.{place}: {expectation.name} does not take these arguments: {first}"
            raise ConfigError(msg) from error
    return built


def check(frame: pd.DataFrame, expectations: Sequence[Expectation], max_share: float = 1.0) -> Checked:
    """Run all expectations on a frame with a RangeIndex: first how many rows fail, then which.

    Args:
        max_share: which rows fail is not asked when a critical check alone fails more of them than this.

    Raises:
        ConfigError: see ``build``.
        DataRejected: the frame is empty, or a check could not be computed (a column that is not there).
    """
    if frame.empty:
        msg = "expectations: there are no rows to check"
        raise DataRejected(msg)
    asked = dict(enumerate(build(expectations)))
    for place, configuration in asked.items():
        _refuse_missing_column(place, configuration, list(frame.columns))
    counted = {place: _result(expectations[place], item, len(frame)) for place, item in _ask(frame, asked, "BASIC")}
    if len(counted) != len(expectations):
        msg = f"expectations: {len(expectations)} were asked, {len(counted)} were answered"
        raise DataRejected(msg)
    results = tuple(counted[place] for place in asked)
    failed = {place: asked[place] for place in asked if results[place].sets_aside}
    if any(results[place].unexpected / len(frame) > max_share for place in failed):
        return Checked(results)
    found = {place: _positions(results[place], item) for place, item in _ask(frame, failed, "COMPLETE")}
    return Checked(results, tuple((results[place].label, found[place]) for place in failed))


def sections(expectations: Sequence[Expectation], results: Sequence[CheckResult]) -> list[str]:
    """The results as Great Expectations' own pages show them: HTML, a section per column, those of the table first.

    Made of what ``check`` tells, which holds no value of the data.
    """
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaSectionView

    told = [_told(*one) for one in zip(build(expectations), results, strict=True)]
    whole = ExpectationSuiteValidationResult(
        results=told, success=all(one.success for one in told), suite_name="contender", statistics={}, meta={}
    )
    page = ValidationResultsPageRenderer(run_info_at_end=True).render(whole)
    columns = page.sections[1:-1]  # between an overview and an account of the batch
    view = DefaultJinjaSectionView()
    return [
        view.render({"section": section.to_json_dict(), "section_loop": {"index": number}}).translate(_AS_TEXT)
        for number, section in enumerate(columns, start=1)
    ]


def _told(configuration: Any, result: CheckResult) -> Any:
    """A result in Great Expectations' form."""
    from great_expectations.core import ExpectationValidationResult

    configuration.kwargs = _without_markup(configuration.kwargs)
    looked_at = result.checked - result.missing
    ordered = result.name == "expect_table_columns_to_match_ordered_list"  # it is asked for its columns as they were
    found: dict[str, Any] = {"observed_value": "" if ordered else result.observed}
    if _by_rows(result.name):
        found = {
            "element_count": result.checked,
            "missing_count": result.missing,
            "missing_percent": _percent(result.missing, result.checked),
            "unexpected_count": result.unexpected,
            "unexpected_percent": _percent(result.unexpected, looked_at),
            "unexpected_percent_nonmissing": _percent(result.unexpected, looked_at),
            "unexpected_percent_total": _percent(result.unexpected, result.checked),
        }
    nothing = {"raised_exception": False, "exception_message": None, "exception_traceback": None}
    return ExpectationValidationResult(
        success=result.success, expectation_config=configuration, result=found, exception_info=nothing, meta={}
    )


def _without_markup(value: Any) -> Any:
    """What a YAML says, with stand-ins for what means something in HTML and in the library's templates.

    Some of its templates escape what they show and some do not, so this is done before and undone after.
    """
    if isinstance(value, str):
        return value.translate(_STAND_INS)
    if isinstance(value, dict):
        return {_without_markup(key): _without_markup(one) for key, one in value.items()}
    return [_without_markup(one) for one in value] if isinstance(value, list | tuple) else value


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _ask(frame: pd.DataFrame, asked: Mapping[int, Any], form: str) -> Iterator[tuple[int, Any]]:
    """Each expectation's place and answer, in an order of the library's.

    Those of the same columns are asked together, of a frame of these columns only: the library copies all of its frame
    for every metric of a column with missing cells, and its batches hash the whole frame twice.
    """
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.validator.validator import Validator

    together: dict[tuple[str, ...], list[Any]] = defaultdict(list)
    for configuration in asked.values():
        together[_columns(configuration, frame)].append(configuration)
    # Has a level of its own, and tells of a folder that nothing is written to.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    for columns, configurations in together.items():
        engine = PandasExecutionEngine(batch_data_dict={"rows": frame[list(columns)]})
        try:
            answers = Validator(engine, data_context=context).graph_validate(
                configurations, {"result_format": {"result_format": form, **_NO_VALUES}}
            )
        except Exception as error:
            msg = f"expectations: Great Expectations could not run them: {type(error).__name__}: {str(error)[:300]}"
            raise DataRejected(msg) from error
        for answer in answers:
            place = answer.expectation_config.meta["place"]
            _refuse_exception(place, answer)
            yield place, answer


def _columns(configuration: Any, frame: pd.DataFrame) -> tuple[str, ...]:
    """The columns that an expectation looks at; all of them when it asks about the table, or of rows by a condition."""
    named = _named_columns(configuration)
    if configuration.kwargs.get("row_condition") or configuration.type == "expect_column_to_exist":
        return tuple(frame.columns)
    if configuration.type.startswith("expect_table_row_count"):
        return (frame.columns[0],)
    return named or tuple(frame.columns)


def _named_columns(configuration: Any) -> tuple[str, ...]:
    """The columns without which an expectation cannot be computed."""
    if configuration.type.startswith("expect_table_"):
        return ()
    arguments = configuration.kwargs
    named = [*map(arguments.get, ("column", "column_A", "column_B")), *(arguments.get("column_list") or ())]
    return tuple(dict.fromkeys(name for name in named if name is not None))


def _result(expectation: Expectation, answer: Any, rows: int) -> CheckResult:
    found = answer.result or {}
    column = expectation.arguments.get("column")
    observed = _observed(expectation.name, found)
    count = int(found.get("unexpected_count") or 0)
    by_rows = _by_rows(expectation.name)
    seen = f"observed {observed:g}" if observed is not None else f"{count} unexpected values" if count else ""
    return CheckResult(
        name=expectation.name,
        column=column if isinstance(column, str) else None,
        severity=expectation.severity,
        success=bool(answer.success),
        unexpected=count if by_rows else 0,
        missing=int(found.get("missing_count") or 0),
        checked=int(found.get("element_count") or rows),
        observed=observed,
        detail="" if answer.success or by_rows else seen,
    )


def _by_rows(name: str) -> bool:
    """Whether an expectation counts rows; one of a whole column may count distinct values."""
    from great_expectations.expectations import expectation as kinds
    from great_expectations.expectations.registry import get_expectation_impl

    maps = (kinds.ColumnMapExpectation, kinds.ColumnPairMapExpectation, kinds.MulticolumnMapExpectation)
    return issubclass(get_expectation_impl(name), maps)


def _positions(result: CheckResult, answer: Any) -> np.ndarray:
    import numpy as np

    found = np.sort(np.asarray(answer.result.get("unexpected_index_list") or [], dtype=np.int64))
    if len(found) != result.unexpected:
        msg = f"expectations: {result.label} failed on {result.unexpected} rows, but named {len(found)}"
        raise DataRejected(msg)
    return found


def _refuse_missing_column(place: int, configuration: Any, found: list[str]) -> None:
    if configuration.type == "expect_column_to_exist":
        return
    for name in _named_columns(configuration):
        if name not in found:
            msg = f"expectations.{place}: {configuration.type} needs the column {name!r}, which the data has not."
            raise DataRejected(msg + did_you_mean(name, found))


def _observed(name: str, found: Mapping[str, Any]) -> float | None:
    """The number that a check of a whole column or table saw, unless it could be one row's value."""
    value = found.get("observed_value")
    return value if isinstance(value, int | float) and any(kind in name for kind in _AGGREGATES) else None


def _refuse_exception(place: int, answer: Any) -> None:
    """``exception_info`` is flat when all went well and keyed by metric when one raised."""
    info = answer.exception_info or {}
    infos = [info] if "raised_exception" in info else list(info.values())
    raised = next((one for one in infos if one.get("raised_exception")), None)
    if raised is not None:
        reason = " ".join(str(raised.get("exception_message")).split())[:300]
        msg = f"expectations.{place}: {answer.expectation_config.type} could not be computed: {reason}"
        raise DataRejected(msg)
