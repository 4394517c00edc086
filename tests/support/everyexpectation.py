"""Every expectation that a frame can be asked, with arguments that fit ``frame()``, and values that nobody may see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

CANARY = "canary@example.com"
# Asked of a database.
NOT_OF_FRAMES = {
    "expect_query_results_to_match_comparison",
    "expect_table_row_count_to_equal_other_table",
    "unexpected_rows_expectation",
}

TEXT: dict[str, Any] = {"column": "text"}
NUMBER: dict[str, Any] = {"column": "number"}
EVERY: dict[str, dict[str, Any]] = {
    "expect_column_distinct_values_to_be_in_set": {**TEXT, "value_set": ["a"]},
    "expect_column_distinct_values_to_contain_set": {**TEXT, "value_set": ["z"]},
    "expect_column_distinct_values_to_equal_set": {**TEXT, "value_set": ["a"]},
    "expect_column_kl_divergence_to_be_less_than": {
        **TEXT,
        "partition_object": {"values": ["a", "b"], "weights": [0.5, 0.5]},
        "threshold": 0.1,
    },
    "expect_column_max_to_be_between": {**NUMBER, "max_value": 1},
    "expect_column_mean_to_be_between": {**NUMBER, "max_value": 1},
    "expect_column_median_to_be_between": {**NUMBER, "max_value": 1},
    "expect_column_min_to_be_between": {**NUMBER, "min_value": 700},
    "expect_column_most_common_value_to_be_in_set": {**TEXT, "value_set": ["z"]},
    "expect_column_pair_values_a_to_be_greater_than_b": {"column_A": "number", "column_B": "other"},
    "expect_column_pair_values_to_be_equal": {"column_A": "number", "column_B": "other"},
    "expect_column_pair_values_to_be_in_set": {
        "column_A": "number",
        "column_B": "other",
        "value_pairs_set": [[616.25, 5.0]],
    },
    "expect_column_proportion_of_non_null_values_to_be_between": {**TEXT, "min_value": 0.99},
    "expect_column_proportion_of_unique_values_to_be_between": {**TEXT, "min_value": 0.99},
    "expect_column_quantile_values_to_be_between": {
        **NUMBER,
        "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 1]]},
    },
    "expect_column_stdev_to_be_between": {**NUMBER, "max_value": 1},
    "expect_column_sum_to_be_between": {**NUMBER, "max_value": 1},
    "expect_column_to_exist": {"column": "texts"},
    "expect_column_type_to_be": {**TEXT, "type_": "int"},
    "expect_column_unique_value_count_to_be_between": {**TEXT, "min_value": 10},
    "expect_column_value_lengths_to_be_between": {**TEXT, "max_value": 3},
    "expect_column_value_lengths_to_equal": {**TEXT, "value": 1},
    "expect_column_value_z_scores_to_be_less_than": {**NUMBER, "threshold": 1.0, "double_sided": True},
    "expect_column_values_to_be_between": {**NUMBER, "max_value": 10},
    "expect_column_values_to_be_dateutil_parseable": TEXT,
    "expect_column_values_to_be_decreasing": NUMBER,
    "expect_column_values_to_be_in_set": {**TEXT, "value_set": ["a", "b"]},
    "expect_column_values_to_be_in_type_list": {**TEXT, "type_list": ["int"]},
    "expect_column_values_to_be_increasing": NUMBER,
    "expect_column_values_to_be_json_parseable": TEXT,
    "expect_column_values_to_be_null": TEXT,
    "expect_column_values_to_be_of_type": {**TEXT, "type_": "int"},
    "expect_column_values_to_be_unique": TEXT,
    "expect_column_values_to_match_json_schema": {**TEXT, "json_schema": {"type": "integer"}},
    "expect_column_values_to_match_like_pattern": {**TEXT, "like_pattern": "a%"},
    "expect_column_values_to_match_like_pattern_list": {**TEXT, "like_pattern_list": ["a%"]},
    "expect_column_values_to_match_regex": {**TEXT, "regex": "^.$"},
    "expect_column_values_to_match_regex_list": {**TEXT, "regex_list": ["^.$"]},
    "expect_column_values_to_match_strftime_format": {**TEXT, "strftime_format": "%Y-%m-%d"},
    "expect_column_values_to_not_be_in_set": {**TEXT, "value_set": ["a"]},
    "expect_column_values_to_not_be_null": TEXT,
    "expect_column_values_to_not_be_outliers": {**NUMBER, "method": "iqr", "multiplier": 1.5},
    "expect_column_values_to_not_match_like_pattern": {**TEXT, "like_pattern": "a%"},
    "expect_column_values_to_not_match_like_pattern_list": {**TEXT, "like_pattern_list": ["a%"]},
    "expect_column_values_to_not_match_regex": {**TEXT, "regex": "canary"},
    "expect_column_values_to_not_match_regex_list": {**TEXT, "regex_list": ["canary"]},
    "expect_compound_columns_to_be_unique": {"column_list": ["text", "other"]},
    "expect_multicolumn_sum_to_equal": {"column_list": ["number", "other"], "sum_total": 1},
    "expect_multicolumn_values_to_be_equal": {"column_list": ["number", "other"]},
    "expect_select_column_values_to_be_unique_within_record": {"column_list": ["other", "third"]},
    "expect_table_column_count_to_be_between": {"max_value": 2},
    "expect_table_column_count_to_equal": {"value": 2},
    "expect_table_columns_to_match_ordered_list": {"column_list": ["number", "other"]},
    "expect_table_columns_to_match_set": {"column_set": ["text", "number"]},
    "expect_table_row_count_to_be_between": {"max_value": 2},
    "expect_table_row_count_to_equal": {"value": 2},
}


def frame() -> pd.DataFrame:
    """Eight rows as a snapshot gives them: a text and a number that miss in a row each, 616.25 and the text's canary."""
    return pd.DataFrame(
        {
            "number": [1.0, 2.0, None, 616.25, 3.0, 2.5, 1.5, 2.25],
            "other": [1.0, 5.0, 5.0, 5.0, 5.0, 2.5, 9.0, 5.0],
            "text": pd.Series(
                ["a", "b", CANARY, None, "a", CANARY, CANARY, "b"], dtype=pd.StringDtype(na_value=np.nan)
            ),
            "third": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
        }
    )
