"""Great Expectations: runs expectations on a frame and returns ``CheckResult``. The only module that imports it.

Stricter than the library: an unknown expectation is an error (it drops them), results are matched by their place in the
YAML (they come in any order), a check that raised is an error, and no value of the data gets into a result.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contender.documents.data import CheckResult
from contender.errors import ConfigError, DataRejected, did_you_mean
from contender.telling import raised

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    import pandas as pd

    from contender.spec.data import Expectation


# It logs some 700 lines at INFO, in every task: on import, and when a context is made.
logging.getLogger("great_expectations").setLevel(logging.WARNING)


# Arguments of every expectation that a YAML may not give; severity is a field of ours.
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
# Private-use characters in place of those that mean something in HTML and in the library's templates, and back.
_STAND_INS = {ord(character): 0xE000 + number for number, character in enumerate("<>&\"'$")}
_AS_TEXT = {stand_in: f"&#{character};" for character, stand_in in _STAND_INS.items()}
# Observed values that many rows contribute to. A minimum, maximum, median, quantile or mode may be one row's own value.
_AGGREGATES = ("_count_", "_mean_", "_stdev_", "_sum_", "_proportion_", "_kl_divergence_")


@dataclass(frozen=True)
class Checked:
    """The results of checks.

    Attributes:
        results: one per check, in the YAML's order.
        positions: the label of each critical check that failed by rows, and those rows, ascending; empty when so many
            rows failed that the run stops whichever they are.
    """

    results: tuple[CheckResult, ...] = ()
    positions: tuple[tuple[str, np.ndarray], ...] = ()


def known_expectations() -> list[str]:
    """The names of all expectations."""
    import great_expectations.expectations as _  # noqa: F401 - the import registers them
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    return sorted(list_registered_expectation_implementations())


def expectation_schemas() -> dict[str, dict[str, Any]]:
    """The JSON schema of each expectation's arguments in a YAML, by name."""
    from great_expectations.expectations.registry import get_expectation_impl

    schemas = {}
    for name in known_expectations():
        schema = get_expectation_impl(name).schema()
        arguments: dict[str, Any] = {one: {} for one in schema["properties"] if one not in _NOT_ARGUMENTS}
        schemas[name] = {
            "description": schema["description"].partition("\n")[0],
            "type": "object" if schema.get("required") else ["object", "null"],
            "properties": arguments,
            "required": [argument for argument in schema.get("required", ()) if argument in arguments],
            "additionalProperties": False,
        }
    return schemas


def build(expectations: Sequence[Expectation]) -> list[Any]:
    """Great Expectations' configurations, each with its place in the YAML as ``meta``.

    Raises:
        ConfigError: Great Expectations does not know a name or an argument.
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
        except Exception as error:  # its own errors, pydantic's and TypeError
            first = " ".join(str(error).split())[:300]
            msg = f"expectations.{place}: {expectation.name} does not take these arguments: {first}"
            raise ConfigError(msg) from error
    return built


def check(frame: pd.DataFrame, expectations: Sequence[Expectation], max_share: float = 1.0) -> Checked:
    """Run all expectations on a frame with a RangeIndex: first to count the rows that fail, then to find them.

    Args:
        max_share: the rows are not looked for when one critical check fails on a greater share of them.

    Raises:
        ConfigError: see ``build``.
        DataRejected: the frame is empty, or a check could not be computed, for example for want of its column.
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
    """The results rendered by Great Expectations: a section of HTML per column, that of the table first.

    Rendered from ``CheckResult``, which holds no value of the data.
    """
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaSectionView

    answers = [_library_result(*one) for one in zip(build(expectations), results, strict=True)]
    whole = ExpectationSuiteValidationResult(
        results=answers, success=all(one.success for one in answers), suite_name="contender", statistics={}, meta={}
    )
    page = ValidationResultsPageRenderer(run_info_at_end=True).render(whole)
    columns = page.sections[1:-1]  # without the overview and the section about the batch
    view = DefaultJinjaSectionView()
    return [
        view.render({"section": section.to_json_dict(), "section_loop": {"index": number}}).translate(_AS_TEXT)
        for number, section in enumerate(columns, start=1)
    ]


def _library_result(configuration: Any, result: CheckResult) -> Any:
    """A result as a Great Expectations object."""
    from great_expectations.core import ExpectationValidationResult

    configuration.kwargs = _without_markup(configuration.kwargs)
    looked_at = result.checked - result.missing
    # Its renderer iterates over the observed columns, of which there are none here.
    ordered = result.name == "expect_table_columns_to_match_ordered_list"
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
    """A value of the YAML with stand-ins for markup. Only some of the library's templates escape, so it is done here."""
    if isinstance(value, str):
        return value.translate(_STAND_INS)
    if isinstance(value, dict):
        return {_without_markup(key): _without_markup(one) for key, one in value.items()}
    return [_without_markup(one) for one in value] if isinstance(value, list | tuple) else value


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _ask(frame: pd.DataFrame, asked: Mapping[int, Any], form: str) -> Iterator[tuple[int, Any]]:
    """Run expectations; each one's place and answer, in the library's order.

    Those of the same columns run together on a frame of these columns alone: the library copies its whole frame for
    each metric of a column with missing cells, and hashes the whole frame twice per batch.
    """
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.validator.validator import Validator

    together: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Any]] = defaultdict(list)
    for configuration in asked.values():
        compared = _named_columns(configuration)
        compared = compared if len(compared) > 1 else ()
        together[_columns(configuration, frame), compared].append(configuration)
    # This logger has a level of its own; it logs a temporary folder that is never used.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    for (columns, compared), configurations in together.items():
        rows = frame[list(columns)]
        rows = rows.assign(**{name: _comparable(rows[name]) for name in compared})
        engine = PandasExecutionEngine(batch_data_dict={"rows": rows})
        try:
            answers = Validator(engine, data_context=context).graph_validate(
                configurations, {"result_format": {"result_format": form, **_NO_VALUES}}
            )
        except Exception as error:  # noqa: BLE001 - told by its type and place
            msg = f"expectations: Great Expectations could not run them: {raised(error)}"
            raise DataRejected(msg) from None
        for answer in answers:
            place = answer.expectation_config.meta["place"]
            _refuse_exception(place, answer)
            yield place, answer


def _comparable(column: pd.Series) -> pd.Series:
    """A column for checks that compare columns: exact integers with a NaN where one is missing, which compares as False.

    The library cannot ask whether a comparison with pandas' own missing integer is true.
    """
    if str(column.dtype) != "Int64" or not column.hasnans:
        return column
    return column.astype("object").where(column.notna(), float("nan"))


def _columns(configuration: Any, frame: pd.DataFrame) -> tuple[str, ...]:
    """The columns that an expectation reads: all for one of the whole table or with a row condition."""
    named = _named_columns(configuration)
    if configuration.kwargs.get("row_condition") or configuration.type == "expect_column_to_exist":
        return tuple(frame.columns)
    if configuration.type.startswith("expect_table_row_count"):
        return (frame.columns[0],)
    return named or tuple(frame.columns)


def _named_columns(configuration: Any) -> tuple[str, ...]:
    """The columns that an expectation's arguments name."""
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
    """Whether an expectation fails by rows. Others may count distinct values instead."""
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
    """The observed number of a check of a whole column or table, unless it could be one row's own value."""
    value = found.get("observed_value")
    return value if isinstance(value, int | float) and any(kind in name for kind in _AGGREGATES) else None


def _refuse_exception(place: int, answer: Any) -> None:
    """Raise if the check raised: then its ``exception_info`` is keyed by metric, else flat.

    Raises:
        DataRejected: the check could not be computed.
    """
    info = answer.exception_info or {}
    infos = [info] if "raised_exception" in info else list(info.values())
    failed = next((one for one in infos if one.get("raised_exception")), None)
    if failed is not None:
        absent = re.search(r"The column \"[^\"]*\" in BatchData does not exist", str(failed.get("exception_message")))
        # The library keeps the exception as text only, and its message may quote a cell.
        kinds = re.findall(r"^([A-Za-z_][\w.]*)(?::|$)", str(failed.get("exception_traceback")), flags=re.MULTILINE)
        reason = absent[0] if absent else f"a check raised {(kinds or ['an error'])[-1].rpartition('.')[2]}"
        msg = f"expectations.{place}: {answer.expectation_config.type} could not be computed: {reason}"
        raise DataRejected(msg)
