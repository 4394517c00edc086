"""Great Expectations as we run it: nothing declared is left out, nothing unknown is let through, no value gets out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import great_expectations as gx
import numpy as np
import pandas as pd
import pytest
from great_expectations.validator.validator import Validator

from contender.data.checks.expectations import Checked, build, check, known_expectations
from contender.dtypes import TEXT
from contender.errors import ConfigError, DataRejected
from contender.spec.data import Expectation
from everyexpectation import EVERY, NOT_OF_FRAMES
from everyexpectation import frame as everything

CANARY = "canary@example.com"
AGE_IN_RANGE = "expect_column_values_to_be_between(age)"


def expect(name: str, severity: str = "critical", **arguments: Any) -> Expectation:
    return Expectation(name=f"expect_{name}", severity=severity, arguments=arguments)


def between(column: str = "age", **arguments: Any) -> Expectation:
    return expect("column_values_to_be_between", column=column, **{"min_value": 18, "max_value": 100} | arguments)


def rows(checked: Checked) -> dict[str, list[int]]:
    return {label: positions.tolist() for label, positions in checked.positions}


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": [17.0, 30.0, None, 101.0],
            "plan": pd.Series(["basic", CANARY, None, "plus"], dtype=TEXT),
            "seen": pd.to_datetime(["2026-01-01"] * 4).as_unit("us"),
            "same": [1.0] * 4,
        }
    )


def test_a_passed_check_says_how_many_rows_it_looked_at(frame: pd.DataFrame) -> None:
    checked = check(frame, [between(min_value=0, max_value=200)])
    assert rows(checked) == {}
    [result] = checked.results
    assert (result.success, result.checked, result.unexpected, result.column) == (True, 4, 0, "age")


def test_a_failed_check_names_its_rows_by_position(frame: pd.DataFrame) -> None:
    checked = check(frame, [between(), expect("column_values_to_not_be_null", column="age")])
    assert rows(checked) == {AGE_IN_RANGE: [0, 3], "expect_column_values_to_not_be_null(age)": [2]}
    assert [(result.unexpected, result.missing) for result in checked.results] == [(2, 1), (1, 0)]


def test_a_row_may_fail_several_checks(frame: pd.DataFrame) -> None:
    checked = check(frame, [between(), expect("column_values_to_be_in_set", column="plan", value_set=["plus"])])
    assert rows(checked) == {AGE_IN_RANGE: [0, 3], "expect_column_values_to_be_in_set(plan)": [0, 1]}


def test_results_stand_in_the_order_of_the_declaration(frame: pd.DataFrame) -> None:
    """Great Expectations answers column by column, in an order of its own."""
    asked = [
        expect("column_values_to_not_be_null", column="plan"),
        between(),
        expect("table_row_count_to_be_between", min_value=1),
        expect("column_values_to_be_unique", column="same"),
        expect("column_values_to_not_be_null", column="age"),
        between("same"),
    ]
    results = check(frame, asked).results
    assert [(r.name, r.column) for r in results] == [(e.name, e.arguments.get("column")) for e in asked]
    assert [r.success for r in results] == [False, False, True, False, False, False]


def test_a_warning_sets_no_row_aside(frame: pd.DataFrame) -> None:
    checked = check(frame, [between(severity="warning")])
    assert rows(checked) == {}
    assert (checked.results[0].success, checked.results[0].unexpected) == (False, 2)


def test_what_mostly_allows_sets_no_row_aside(frame: pd.DataFrame) -> None:
    assert rows(check(frame, [between(mostly=0.3)])) == {}
    assert rows(check(frame, [between(mostly=0.5)])) == {AGE_IN_RANGE: [0, 3]}


def test_a_check_over_several_columns_names_rows_too(frame: pd.DataFrame) -> None:
    pair = expect("column_pair_values_a_to_be_greater_than_b", column_A="same", column_B="age")
    compound = expect("compound_columns_to_be_unique", column_list=["seen", "same"])
    checked = check(frame, [pair, compound])
    assert {label: 1 in found for label, found in rows(checked).items()} == {pair.name: True, compound.name: True}


def test_a_check_of_the_whole_table_names_no_row(frame: pd.DataFrame) -> None:
    checked = check(frame, [expect("table_row_count_to_be_between", min_value=100)])
    assert rows(checked) == {}
    assert (checked.results[0].success, checked.results[0].detail) == (False, "observed 4")


@pytest.mark.parametrize(
    "asked",
    [
        expect("column_quantile_values_to_be_between", column="age", quantile_ranges={"quantiles": [0.5], "value_ranges": [[0, 1]]}),
        expect("column_distinct_values_to_be_in_set", column="plan", value_set=["x"]),
        expect("column_values_to_be_of_type", column="plan", type_="int"),
        expect("table_columns_to_match_set", column_set=["x"]),
        expect("column_to_exist", column="agee"),
    ],
    ids=lambda asked: asked.name,
)  # fmt: skip
def test_an_answer_that_is_no_number_is_an_answer(frame: pd.DataFrame, asked: Expectation) -> None:
    [result] = check(frame, [asked]).results
    assert not result.success


def test_no_expectations_need_no_answer(frame: pd.DataFrame) -> None:
    assert check(frame, []).results == ()


@pytest.mark.parametrize("asked", [[], [between()]], ids=["nothing asked", "something asked"])
def test_an_empty_frame_is_refused_though_every_check_would_pass(asked: list[Expectation]) -> None:
    with pytest.raises(DataRejected, match="there are no rows to check"):
        check(pd.DataFrame({"age": pd.Series([], dtype=float)}), asked)


def test_an_unknown_expectation_gets_a_suggestion() -> None:
    """The library would log it and check nothing."""
    asked = [between(), expect("column_values_to_be_in_sett", column="plan", value_set=["plus"])]
    message = r"expectations\.1: unknown expectation 'expect_column_values_to_be_in_sett'\. Did you mean '.*_in_set'\?"
    with pytest.raises(ConfigError, match=message):
        build(asked)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (expect("column_values_to_be_in_set", column="plan", valueset=["plus"]), "valueset"),
        (expect("column_values_to_be_in_set", column="plan"), "value_set"),
        (expect("column_values_to_be_between", column="age"), "min_value and max_value cannot both be None"),
        (expect("column_values_to_be_between", column="age", min_value=0, mostly=2), "mostly"),
    ],
    ids=["misspelt", "missing", "contradiction", "out of range"],
)
def test_an_argument_that_does_not_fit_is_named(asked: Expectation, named: str) -> None:
    with pytest.raises(ConfigError, match=rf"expectations\.0: {asked.name} does not take these arguments: .*{named}"):
        build([asked])


def test_the_same_check_may_warn_early_and_stop_late(frame: pd.DataFrame) -> None:
    """The library's own way to add an expectation would keep one of the two."""
    checked = check(frame, [between(severity="warning"), between(max_value=200), between(max_value=200)])
    assert [result.unexpected for result in checked.results] == [2, 1, 1]
    assert rows(checked) == {AGE_IN_RANGE: [0]}


@pytest.mark.parametrize(
    "asked",
    [
        between("agee"),
        expect("column_pair_values_a_to_be_greater_than_b", column_A="same", column_B="agee"),
        expect("compound_columns_to_be_unique", column_list=["same", "agee"]),
        expect("column_mean_to_be_between", column="agee", min_value=0, severity="warning"),
    ],
    ids=lambda asked: asked.name,
)
def test_a_column_that_is_not_there_gets_a_suggestion(frame: pd.DataFrame, asked: Expectation) -> None:
    message = rf"expectations\.0: {asked.name} needs the column 'agee', which the data has not\. Did you mean 'age'\?"
    with pytest.raises(DataRejected, match=message):
        check(frame, [asked])


@pytest.mark.parametrize(
    "asked",
    [
        between("plan"),
        between("seen", min_value="2025-01-01", max_value="2027-01-01"),
        expect("column_mean_to_be_between", column="plan", min_value=0),
        expect("column_values_to_match_regex", column="plan", regex="("),
        expect("column_kl_divergence_to_be_less_than", column="plan"),
    ],
    ids=lambda asked: f"{asked.name} {asked.arguments['column']}",
)
def test_a_check_that_cannot_be_computed_stops_the_run(frame: pd.DataFrame, asked: Expectation) -> None:
    with pytest.raises(DataRejected, match=r"^expectations.{0,400}$") as caught:
        check(frame, [asked])
    assert CANARY not in str(caught.value)


def test_no_value_of_the_data_is_in_an_answer(frame: pd.DataFrame) -> None:
    asked = [
        expect("column_values_to_be_in_set", column="plan", value_set=["x"]),
        expect("column_values_to_match_regex", column="plan", regex="^x"),
        expect("column_distinct_values_to_be_in_set", column="plan", value_set=["x"]),
        expect("column_distinct_values_to_contain_set", column="plan", value_set=["x"]),
        expect("column_most_common_value_to_be_in_set", column="plan", value_set=["x"]),
        expect("column_value_lengths_to_equal", column="plan", value=1),
        expect("column_pair_values_to_be_equal", column_A="plan", column_B="seen"),
        expect("column_values_to_be_in_set", column="plan", value_set=["y"], severity="warning"),
    ]
    checked = check(frame, asked)
    assert not any(result.success for result in checked.results)
    assert CANARY not in repr(checked)


def test_a_check_leaves_the_frame_as_it_is(frame: pd.DataFrame) -> None:
    before = frame.copy(deep=True)
    check(frame, [between(), expect("column_values_to_be_unique", column="plan")])
    pd.testing.assert_frame_equal(frame, before)


def test_one_frame_after_another_gets_its_own_answers(frame: pd.DataFrame) -> None:
    good = frame.assign(age=40.0)
    assert [check(one, [between()]).results[0].success for one in (good, frame, good)] == [True, False, True]


def test_the_known_expectations_are_those_of_the_library() -> None:
    names = known_expectations()
    assert "expect_column_values_to_be_between" in names
    assert len(names) > 40


def plainly(frame: pd.DataFrame, asked: Expectation) -> dict[str, Any] | None:
    """What Great Expectations says of the whole frame, in its own way."""
    context = gx.get_context(mode="ephemeral")
    rows = context.data_sources.add_pandas("frames").add_dataframe_asset("rows")
    batch = rows.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="plain", expectations=[build([asked])[0].to_domain_obj()])
    [answer] = batch.validate(suite, result_format="COMPLETE").results
    if not {"raised_exception": False}.items() <= answer.exception_info.items():
        return None
    return {"success": answer.success, **answer.result}


def test_every_expectation_of_a_frame_is_among_those_that_are_tried() -> None:
    assert set(EVERY) == set(known_expectations()) - NOT_OF_FRAMES


@pytest.mark.parametrize("name", EVERY)
def test_an_expectation_is_answered_as_great_expectations_does_of_the_whole_frame(name: str) -> None:
    asked = Expectation(name=name, arguments=EVERY[name])
    said = plainly(everything(), asked)
    if said is None:
        with pytest.raises(DataRejected, match=r"^expectations\.0: ") as caught:
            check(everything(), [asked])
        assert CANARY not in str(caught.value)
        return
    checked = check(everything(), [asked])
    [result] = checked.results
    assert not result.success
    assert result.success == said["success"]
    assert CANARY not in repr(checked)
    assert "616.25" not in repr(checked)
    if "unexpected_index_list" in said:
        assert rows(checked) == {result.label: said["unexpected_index_list"]}
        assert (result.unexpected, result.checked) == (said["unexpected_count"], said["element_count"])
        assert result.missing == said.get("missing_count", 0)
    else:
        assert rows(checked) == {}


def test_rows_by_a_condition_are_found_in_the_whole_frame() -> None:
    five = {"type": "comparison", "column": {"name": "other"}, "operator": "==", "parameter": 5}
    condition = {"row_condition": five}
    checked = check(everything(), [between("number", min_value=0, max_value=2.4, **condition)])
    assert rows(checked) == {"expect_column_values_to_be_between(number)": [3, 4]}
    assert checked.results[0].checked == 5


def test_columns_of_the_table_are_all_its_columns() -> None:
    ordered = expect("table_columns_to_match_ordered_list", column_list=["number", "other", "text", "third"])
    counted = expect("table_column_count_to_equal", value=4)
    placed = expect("column_to_exist", column="text", column_index=2)
    few = expect("table_columns_to_match_ordered_list", column_list=["number", "other"])
    gone = expect("table_columns_to_match_ordered_list", column_list=["number", "others"])
    results = check(everything(), [ordered, counted, placed, few, gone]).results
    assert [one.success for one in results] == [True, True, True, False, False]


def test_a_result_that_gets_lost_is_missed(frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    validate = Validator.graph_validate
    monkeypatch.setattr(Validator, "graph_validate", lambda *given: validate(*given)[1:])
    with pytest.raises(DataRejected, match="2 were asked, 1 were answered"):
        check(frame, [between(), between(max_value=200)])


def test_eight_validations_at_once_each_get_their_own_answers() -> None:
    """Its context is a global of the process unless one is given."""

    def one(number: int) -> list[int]:
        frame = pd.DataFrame({"age": np.arange(100.0)})
        asked = [between(min_value=0, max_value=99 - number), between(min_value=number, max_value=200)]
        return sorted(int(row) for _, positions in check(frame, asked).positions for row in positions)

    numbers = [*range(1, 9)] * 10
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, numbers))
    assert found == [[*range(number), *range(100 - number, 100)] for number in numbers]


@pytest.mark.parametrize("name", [name for name, given in EVERY.items() if "number" in str(given)])
def test_numbers_asked_of_a_text_get_no_value_of_it_into_an_error(name: str) -> None:
    arguments = {key: ["text", "other"] if key == "column_list" else given for key, given in EVERY[name].items()}
    arguments |= {key: "text" for key in ("column", "column_A") if key in arguments}
    try:
        said = repr(check(everything(), [Expectation(name=name, arguments=arguments)]))
    except DataRejected as error:
        said = str(error)
    assert CANARY not in said
    assert "'a'" not in said


def test_rows_of_a_condition_are_counted_as_such() -> None:
    five = {"type": "comparison", "column": {"name": "other"}, "operator": "==", "parameter": 5}
    [result] = check(everything(), [expect("table_row_count_to_equal", value=5, row_condition=five)]).results
    assert (result.success, result.observed) == (True, 5)


COMPARED: dict[str, dict[str, Any]] = {
    "column_pair_values_a_to_be_greater_than_b": {"column_A": "id", "column_B": "other", "or_equal": True},
    "column_pair_values_to_be_equal": {"column_A": "other", "column_B": "id"},
    "column_pair_values_to_be_in_set": {"column_A": "id", "column_B": "other", "value_pairs_set": [[1, 1], [4, 3]]},
    "compound_columns_to_be_unique": {"column_list": ["id", "other"]},
    "select_column_values_to_be_unique_within_record": {"column_list": ["id", "other"]},
    "multicolumn_sum_to_equal": {"column_list": ["id", "other"], "sum_total": 2},
}


@pytest.mark.parametrize(
    ("other", "failing"),
    [
        pytest.param([1.0, 2.0, 3.0, None, None], [{1, 3}, {1, 2, 3}, {1, 3}, set(), {0}, {1, 2, 3}], id="float"),
        pytest.param([1, 2, 3, None, None], [{1, 3}, {1, 2, 3}, {1, 3}, set(), {0}, {1, 2, 3}], id="integer"),
    ],
)
def test_an_id_that_is_missing_in_places_is_compared_with_another_column(
    other: list[float | None], failing: list[set[int]]
) -> None:
    """pandas cannot say whether its missing integer is more than another, which ended the run."""
    frame = pd.DataFrame(
        {
            "id": pd.array([1, None, 4, 2**60 + 1, None], dtype="Int64"),
            "other": pd.array(other, dtype="float64" if isinstance(other[0], float) else "Int64"),
        }
    )
    checked = check(frame, [expect(name, **arguments) for name, arguments in COMPARED.items()])
    found = {label: set(positions.tolist()) for label, positions in checked.positions}
    assert [found.get(f"expect_{name}", set()) for name in COMPARED] == failing


def test_large_ids_are_compared_exactly() -> None:
    ids = pd.array([2**60 + 1, None, 2**60], dtype="Int64")
    frame = pd.DataFrame({"id": ids, "before": pd.array([2**60, 5, 2**60], dtype="Int64")})
    arguments: dict[str, Any] = {"column_A": "id", "column_B": "before", "ignore_row_if": "either_value_is_missing"}
    checked = check(frame, [expect("column_pair_values_to_be_equal", **arguments)])
    assert [positions.tolist() for _, positions in checked.positions] == [[0]]


def test_a_condition_on_an_id_leaves_out_the_rows_without_one() -> None:
    frame = pd.DataFrame({"id": pd.array([1, None, 2**60 + 1], dtype="Int64"), "n": [1.0, 2.0, 3.0]})
    large = {"type": "comparison", "column": {"name": "id"}, "operator": ">", "parameter": 2**60}
    checked = check(frame, [expect("column_values_to_be_null", column="n", row_condition=large)])
    assert [positions.tolist() for _, positions in checked.positions] == [[2]]
