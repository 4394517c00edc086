"""What the simulated world promises to the tests and demos that are built on it."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from skrub import tabular_pipeline
from threadpoolctl import threadpool_limits

from contender.demo import LABEL_DELAY, Scenario, drop, true_probability
from contender.dtypes import TEXT

DAY = date(2026, 3, 1)
FIXED = ["region", "plan", "payment_method", "autopay", "acquisition_channel"]
INPUTS = [*FIXED, "age", "tenure_months", "monthly_charge", "data_used_gb", "support_calls", "days_since_login"]

days = st.dates(date(2024, 1, 1), date(2026, 12, 31))
seeds = st.sampled_from([0, 7, 2**40])
scenarios = st.sampled_from(get_args(Scenario))
few = settings(max_examples=10, deadline=None)


def period(start: date, length: int, **options: Any) -> pd.DataFrame:
    frames = [drop(start + timedelta(days=ahead), seed=7, **options) for ahead in range(length)]
    return pd.concat(frames, ignore_index=True)


def left(frame: pd.DataFrame) -> pd.Series:
    return frame["churned"] == "yes"


@pytest.fixture(scope="module")
def year() -> pd.DataFrame:
    return period(date(2025, 1, 1), 365)


@few
@given(day=days, seed=seeds, scenario=scenarios, rows=st.integers(0, 50))
def test_the_same_arguments_give_the_same_frame(day: date, seed: int, scenario: Scenario, rows: int) -> None:
    once = drop(day, seed=seed, scenario=scenario, rows=rows)
    pd.testing.assert_frame_equal(once, drop(day, seed=seed, scenario=scenario, rows=rows), check_exact=True)


def test_the_world_is_the_same_on_every_machine() -> None:
    """A new digest means a new world: every number that was ever measured on the old one is void."""
    text = drop(DAY, seed=7).to_csv(index=False, lineterminator="\n")
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "531db237e4833c37"


@few
@given(day=days, seed=seeds, rows=st.integers(0, 50), labelled=st.booleans())
def test_the_columns_and_their_types_never_vary(day: date, seed: int, rows: int, labelled: bool) -> None:
    frame = drop(day, seed=seed, rows=rows, labels_as_of=None if labelled else day)
    assert frame.dtypes.astype(str).to_dict() == {
        "customer_id": "str",
        "observed_on": "datetime64[us]",
        "age": "float64",
        "region": "str",
        "plan": "str",
        "payment_method": "str",
        "tenure_months": "int64",
        "monthly_charge": "float64",
        "data_used_gb": "float64",
        "support_calls": "int64",
        "days_since_login": "int64",
        "autopay": "bool",
        "acquisition_channel": "str",
        "churned": "str",
    }
    assert len(frame) == rows
    assert (frame["observed_on"] == pd.Timestamp(day)).all()


@few
@given(day=days, seed=seeds, late=st.integers(-5, 5))
def test_labels_arrive_after_thirty_days_and_all_at_once(day: date, seed: int, late: int) -> None:
    seen = drop(day, seed=seed, rows=20, labels_as_of=day + LABEL_DELAY + timedelta(days=late))
    known = drop(day, seed=seed, rows=20)
    if late < 0:
        known["churned"] = pd.Series([None] * 20, dtype=TEXT)
    pd.testing.assert_frame_equal(seen, known)


@few
@given(day=days, seed=seeds, scenario=scenarios, late=st.integers(-3, 3))
def test_a_scenario_starts_at_its_onset(day: date, seed: int, scenario: Scenario, late: int) -> None:
    seen = drop(day, seed=seed, rows=20, scenario=scenario, onset=day - timedelta(days=late))
    pd.testing.assert_frame_equal(seen, drop(day, seed=seed, rows=20, scenario=scenario if late >= 0 else "none"))


def test_more_rows_than_the_usual_customers_make_a_larger_world() -> None:
    frame = drop(DAY, seed=7, rows=20_000)
    assert frame["customer_id"].nunique() == 20_000


@pytest.mark.parametrize("wrong", [{"rows": -1}, {"seed": -1}])
def test_a_negative_number_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"rows must be 0 or more|non-negative"):
        drop(DAY, **{"seed": 7} | wrong)


def test_customers_return_with_what_is_fixed_about_them(year: pd.DataFrame) -> None:
    seen = year.groupby("customer_id")
    assert seen.size().mean() > 4
    assert (seen[FIXED].nunique(dropna=False) == 1).all(axis=None)
    assert not year.duplicated(["customer_id", "observed_on"]).any()


def test_a_customer_grows_older_and_moves_slowly(year: pd.DataFrame) -> None:
    seen = year.sort_values("observed_on", kind="stable").groupby("customer_id")
    assert seen["tenure_months"].diff().min() == 0
    assert seen["age"].diff().dropna().isin([0, 1]).all()
    assert (seen["monthly_charge"].max() / seen["monthly_charge"].min()).max() < 1.1


def test_inputs_are_plausible_and_some_are_missing(year: pd.DataFrame) -> None:
    assert year["age"].dropna().between(18, 100).all()
    assert year["data_used_gb"].dropna().between(0.1, 500).all()
    assert (year[["tenure_months", "support_calls", "days_since_login", "monthly_charge"]] >= 0).all(axis=None)
    assert year[INPUTS].nunique()[["region", "plan", "payment_method"]].to_list() == [6, 3, 4]
    assert year["acquisition_channel"].nunique() == 30
    missing = year.isna().mean()
    assert set(missing.index[missing > 0]) == {"age", "payment_method", "data_used_gb"}
    assert missing[missing > 0].between(0.02, 0.1).all()


def test_a_fifth_to_a_quarter_leaves_and_more_in_winter(year: pd.DataFrame) -> None:
    truth = pd.Series(true_probability(year)).groupby(year["observed_on"].dt.month).mean()
    assert truth.between(0.185, 0.265).all()
    assert truth[1] > truth[7] + 0.04
    assert 0.2 < left(year).mean() < 0.25


def test_without_a_scenario_inputs_stay_as_they_are(year: pd.DataFrame) -> None:
    later = period(date(2030, 6, 1), 100)
    numbers = year[INPUTS].select_dtypes("number").columns
    shift = (later[numbers].mean() - year[numbers].mean()) / year[numbers].std()
    assert shift.abs().max() < 0.08
    shares = [frame["plan"].value_counts(normalize=True) for frame in (year, later)]
    assert (shares[0] - shares[1]).abs().max() < 0.04


@few
@given(day=days, seed=seeds, scenario=st.sampled_from(["none", "covariate", "concept"]), shuffle=st.randoms())
def test_the_truth_is_a_probability_told_row_by_row(day: date, seed: int, scenario: Scenario, shuffle: Any) -> None:
    frame = drop(day, seed=seed, rows=30, scenario=scenario)
    order = shuffle.sample(range(30), 30)
    truth = true_probability(frame, scenario=scenario)
    assert ((truth > 0) & (truth < 1)).all()
    np.testing.assert_allclose(true_probability(frame.iloc[order], scenario=scenario), truth[order], rtol=1e-12)


@pytest.mark.parametrize("scenario", ["none", "covariate", "concept"])
def test_labels_are_drawn_from_the_truth(scenario: Scenario) -> None:
    frame = period(DAY, 60, scenario=scenario)
    truth = true_probability(frame, scenario=scenario)
    table = pd.DataFrame({"hit": left(frame) - truth, "noise": truth * (1 - truth)})
    sums = table.groupby(pd.qcut(truth, 10), observed=True).sum()
    assert (sums["hit"] / np.sqrt(sums["noise"])).abs().max() < 4  # standard errors, in each tenth


def test_a_forest_of_trees_beats_a_straight_line_and_the_truth_beats_both() -> None:
    history, later = period(DAY - timedelta(days=120), 120), period(DAY, 28)
    auc = {"truth": roc_auc_score(left(later), true_probability(later))}
    for name, model in {"trees": HistGradientBoostingClassifier(random_state=0), "line": LogisticRegression()}.items():
        with threadpool_limits(1):  # OpenMP's threads fight over a busy machine
            fitted = tabular_pipeline(model).fit(history[INPUTS], left(history))
            auc[name] = roc_auc_score(left(later), fitted.predict_proba(later[INPUTS])[:, 1])
    assert 0.8 < auc["trees"] < 0.86
    assert auc["trees"] > auc["line"] + 0.04
    assert auc["truth"] > auc["trees"] + 0.01


def test_covariate_drift_moves_the_inputs_only() -> None:
    usual, drifted = period(DAY, 14), period(DAY, 14, scenario="covariate")
    assert drifted["data_used_gb"].median() > 1.5 * usual["data_used_gb"].median()
    assert drifted["age"].mean() < usual["age"].mean() - 3
    assert drifted["tenure_months"].mean() < usual["tenure_months"].mean() - 3
    np.testing.assert_array_equal(true_probability(drifted, scenario="covariate"), true_probability(drifted))


@few
@given(day=days, seed=seeds)
def test_concept_drift_leaves_the_inputs_alone(day: date, seed: int) -> None:
    usual, drifted = (drop(day, seed=seed, scenario=scenario, rows=30) for scenario in ("none", "concept"))
    pd.testing.assert_frame_equal(usual.drop(columns="churned"), drifted.drop(columns="churned"), check_exact=True)


def test_concept_drift_makes_what_was_known_useless_and_can_be_learnt_anew() -> None:
    drifted = period(DAY, 28, scenario="concept")
    assert roc_auc_score(left(drifted), true_probability(drifted)) < 0.65
    assert roc_auc_score(left(drifted), true_probability(drifted, scenario="concept")) > 0.8


def test_the_truth_knows_the_onset_of_a_concept_drift() -> None:
    onset = DAY + timedelta(days=3)
    frame = period(DAY, 6, scenario="concept", onset=onset)
    old = (frame["observed_on"] < pd.Timestamp(onset)).to_numpy()
    expected = np.where(old, true_probability(frame), true_probability(frame, scenario="concept"))
    np.testing.assert_array_equal(true_probability(frame, scenario="concept", onset=onset), expected)


def test_a_schema_change_renames_one_column_and_turns_another_into_text() -> None:
    usual, changed = drop(DAY, seed=7), drop(DAY, seed=7, scenario="schema")
    assert set(usual) ^ set(changed) == {"data_used_gb", "data_gb"}
    assert changed["monthly_charge"].dtype == "str"
    assert changed["monthly_charge"].str.removeprefix("$").astype(float).equals(usual["monthly_charge"])


def test_a_broken_upstream_loses_a_column_repeats_rows_and_invents_ages() -> None:
    usual, broken = drop(DAY, seed=7), drop(DAY, seed=7, scenario="broken")
    assert broken["data_used_gb"].isna().all()
    assert (broken["age"] == 999).mean() > 0.3
    assert broken.iloc[100:].reset_index(drop=True).equals(broken.iloc[:50])
    intact = usual.columns.drop(["age", "data_used_gb"])
    assert broken.iloc[:100][intact].equals(usual[intact])
