"""Planted leaks are found and named, and columns that are merely good are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from contender.data.leaks import sample
from contender.data.leaks.target import find_leaks
from contender.dtypes import TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

N = 2_000


@pytest.fixture
def table() -> tuple[pd.DataFrame, np.ndarray]:
    """A table whose target is hard to tell, but not impossible."""
    random = np.random.default_rng(0)
    x = random.normal(size=N)
    frame = pd.DataFrame(
        {
            "good": x,
            "noise": random.normal(size=N),
            "region": random.choice(["north", "south", "east"], N),
            "income": np.where(random.random(N) < 0.1, np.nan, random.lognormal(size=N)),
        }
    ).astype({"region": TEXT})
    return frame, (x + random.normal(size=N) > 0).astype(float)


def named(features: pd.DataFrame, target: np.ndarray, *, classification: bool = True) -> dict[str, tuple[str, ...]]:
    return {leak.kind: leak.columns for leak in find_leaks(features, target, classification=classification)}


def test_an_honest_table_has_no_leak(table: tuple[pd.DataFrame, np.ndarray]) -> None:
    features, target = table
    assert named(features, target) == {}
    assert named(features, (features["good"] * 2 + features["noise"] ** 2).to_numpy(), classification=False) == {}


def test_one_number_alone_is_looked_at_too() -> None:
    x = np.random.default_rng(0).normal(size=N)
    frame = pd.DataFrame({"x": x})
    assert find_leaks(frame, np.sin(x) + np.random.default_rng(1).normal(size=N), classification=False) == []
    assert [leak.columns for leak in find_leaks(frame, 3 * x, classification=False)] == [("x",)]


def test_parts_that_add_up_to_the_target_are_one_finding(table: tuple[pd.DataFrame, np.ndarray]) -> None:
    random = np.random.default_rng(1)
    features = table[0].assign(
        casual=random.poisson(30, N).astype(float), registered=random.poisson(90, N).astype(float)
    )
    [leak] = find_leaks(features, (features["casual"] + features["registered"]).to_numpy(), classification=False)
    assert set(leak.columns) == {"casual", "registered"}
    assert leak.evidence in ("casual + registered is the target, exactly", "registered + casual is the target, exactly")


def fares(wrong: float, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Parts of a bill of which a share does not add up to the total, by far."""
    random = np.random.default_rng(seed)
    parts = pd.DataFrame(
        {
            "fare": random.gamma(2.2, 7, N).round(2) + 3,
            "extra": random.choice([0, 0.5, 1, 2.5], N),
            "tax": np.where(random.random(N) < 0.97, 0.5, 0.0),
            "tip": np.where(random.random(N) < 0.4, 0, random.gamma(2, 1.4, N)).round(2),
            "distance": random.lognormal(0.7, 0.8, N).round(2),
        }
    )
    total = parts[["fare", "extra", "tax", "tip"]].sum(axis=1).to_numpy()
    odd = random.random(N) < wrong
    return parts, np.where(odd, total + random.choice([-40, 2.75, 6, 900], N), total)


@pytest.mark.parametrize("wrong", [0.001, 0.003, 0.01])
@pytest.mark.parametrize("seed", range(3))
def test_a_sum_that_a_few_rows_do_not_meet_is_found(wrong: float, seed: int) -> None:
    parts, total = fares(wrong, seed)
    [leak] = find_leaks(parts, total, classification=False)
    assert set(leak.columns) >= {"fare", "extra", "tip"}
    assert "distance" not in leak.columns
    assert leak.evidence.endswith("% of the rows")


def test_a_sum_that_many_rows_do_not_meet_is_no_exact_one() -> None:
    assert named(*fares(0.1), classification=False) == {}


def test_a_target_that_is_nearly_always_the_same_is_no_sum_of_columns_that_are_too() -> None:
    random = np.random.default_rng(6)
    frame = pd.DataFrame({"rare": (random.random(N) < 0.01) * 1.0, "x": random.normal(size=N)})
    target = np.where(random.random(N) < 0.01, random.integers(1, 9, N), 0).astype(float)
    assert named(frame, target, classification=False) == {}


def test_weights_of_a_sum_are_in_its_evidence(table: tuple[pd.DataFrame, np.ndarray]) -> None:
    features = table[0]
    [leak] = find_leaks(features, (features["good"] - 2.5 * features["noise"]).to_numpy(), classification=False)
    assert leak.evidence == "good + -2.5 * noise is the target, exactly"


def test_the_target_in_another_unit_is_a_leak_and_so_is_each_further_copy(
    table: tuple[pd.DataFrame, np.ndarray],
) -> None:
    features, _ = table
    target = np.random.default_rng(2).normal(size=N)
    found = find_leaks(features.assign(a=target * 1_000, b=target + 5), target, classification=False)
    assert {leak.columns for leak in found} == {("a",), ("b",)}


@pytest.mark.parametrize("name", ["number", "text", "several texts", "beyond a limit"])
def test_the_target_under_another_name_determines_it(table: tuple[pd.DataFrame, np.ndarray], name: str) -> None:
    features, target = table
    random = np.random.default_rng(3)
    copies = {
        "number": target,
        "text": pd.Series(np.where(target == 1, "left", "stays"), dtype=TEXT),
        "several texts": pd.Series(np.where(target == 1, "left", random.choice(["a", "b"], N)), dtype=TEXT),
        "beyond a limit": target * 10 + random.random(N),
    }
    assert named(features.assign(status=copies[name]), target) == {"determines": ("status",)}


def test_what_is_nearly_the_target_is_near_perfect(table: tuple[pd.DataFrame, np.ndarray]) -> None:
    features, target = table
    wrong = np.random.default_rng(3).random(N) < 0.01
    assert named(features.assign(status=np.where(wrong, 1 - target, target)), target) == {"near_perfect": ("status",)}


@pytest.mark.parametrize("kind", ["one parts", "a limit"])
def test_numbers_whose_sum_tells_the_classes_apart_determine_them(
    table: tuple[pd.DataFrame, np.ndarray], kind: str
) -> None:
    features, target = table
    random = np.random.default_rng(4)
    cost = random.gamma(2, 50, N)
    margin = target if kind == "one parts" else (2 * target - 1) * random.gamma(2, 10, N)
    features = features.assign(revenue=cost + margin, cost=cost)
    assert {kind: sorted(columns) for kind, columns in named(features, target).items()} == {
        "determines": ["cost", "revenue"]
    }


def test_few_rows_that_a_few_columns_tell_apart_accuse_nobody(table: tuple[pd.DataFrame, np.ndarray]) -> None:
    features, target = table
    random = np.random.default_rng(4)
    cost = random.gamma(2, 50, N)
    features = features.assign(cost=cost, revenue=cost + (2 * target - 1) * random.gamma(2, 10, N))
    assert named(features.head(400), target[:400]) == {}
    assert named(features, target) == {"determines": ("cost", "revenue")}


def test_a_target_of_one_value_is_given_away_by_nothing(table: tuple[pd.DataFrame, np.ndarray]) -> None:
    assert named(table[0], np.ones(N), classification=False) == {}


@pytest.mark.parametrize("copy", [lambda y: 7 * np.log(y) + 3, lambda y: -(y**3), lambda y: y + 0.001 * np.sin(y)])
def test_a_copy_on_another_scale_is_the_targets_order_however_long_its_tail(copy: Callable[..., np.ndarray]) -> None:
    random = np.random.default_rng(5)
    target = random.lognormal(0, 2, N)
    features = pd.DataFrame({"copy": copy(target), "good": target * random.lognormal(0, 0.8, N)})
    assert named(features, target, classification=False) == {"determines": ("copy",)}


def test_a_good_feature_of_a_number_is_no_leak_and_neither_is_the_target_of_another_row() -> None:
    random = np.random.default_rng(5)
    target = random.lognormal(0, 2, N)
    features = pd.DataFrame({"good": target * random.lognormal(0, 0.5, N), "before": np.roll(target, 1)})
    assert named(features, target, classification=False) == {}


def test_a_row_is_looked_at_at_no_regular_distance() -> None:
    rows = np.arange(20 * sample.ROWS)
    chosen = sample.sample_positions(len(rows))
    assert len(set(chosen)) == sample.ROWS
    assert len(set(np.diff(chosen))) > 20
    assert np.bincount(chosen % 24, minlength=24).min() > 0.8 * sample.ROWS / 24
    assert sample.sample_positions(len(rows)).tolist() == chosen.tolist()


def test_few_positives_among_many_rows_accuse_nobody(table: tuple[pd.DataFrame, np.ndarray]) -> None:
    features, _ = table
    assert named(features.assign(x=np.arange(N) < 5.0), (np.arange(N) < 5).astype(float)) == {}


def test_a_reason_that_only_leavers_have_is_a_leak_by_being_there(table: tuple[pd.DataFrame, np.ndarray]) -> None:
    features, target = table
    reasons = pd.Series(np.where(target == 1, "price", None), dtype=TEXT)
    assert named(features.assign(reason=reasons), target) == {"missingness": ("reason",)}


def test_a_moment_after_the_observation_is_known_only_afterwards(table: tuple[pd.DataFrame, np.ndarray]) -> None:
    features, target = table
    at = pd.Series(pd.date_range("2026-01-01", periods=N, freq="h"), name="at")
    features = features.assign(closed=at + pd.Timedelta("3D"), opened=at - pd.Timedelta("3D"))
    features["touched"] = at.where(at.index % 5 > 0, at + pd.Timedelta("3D"))
    first, second = find_leaks(features, target, classification=True, time=at)
    assert (first.kind, first.columns) == ("afterwards", ("closed",))
    assert second.columns == ("touched",)
    assert second.evidence == "is later than at in 20% of the rows: known only afterwards"


def test_of_a_time_that_is_a_day_the_hours_of_that_day_are_not_afterwards(
    table: tuple[pd.DataFrame, np.ndarray],
) -> None:
    features, target = table
    day = pd.Series(pd.date_range("2026-01-01", periods=N, freq="h"), name="day").dt.normalize()
    features = features.assign(at=day + pd.Timedelta("13h"), closed=day + pd.Timedelta("1D"))
    [found] = find_leaks(features, target, classification=True, time=day)
    assert found.columns == ("closed",)


def test_too_few_rows_accuse_nobody() -> None:
    frame = pd.DataFrame({"x": [0.0, 1.0, 0.0, 1.0]})
    assert find_leaks(frame, np.array([0.0, 1.0, 0.0, 1.0]), classification=True) == []


def test_numbers_whose_square_is_none_and_infinite_ones_are_no_obstacle(table: tuple[pd.DataFrame, np.ndarray]) -> None:
    features, target = table
    huge = np.where(np.arange(N) % 3, 1e308, -np.inf)
    assert named(features.assign(huge=huge), target) == {}
    assert named(features.assign(huge=huge, copy=target), target) == {"determines": ("copy",)}
