"""The expectations of a draft hold on the data they were drawn from, and notice what corrupts them silently."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contender.data.checks.expectations import check
from contender.draft.expected import Expected, expectations_for
from contender.spec.pipeline import PipelineSpec

N = 8_000
ALLOWED = 0.02  # what a draft's quarantine lets pass at least


def columns() -> dict[str, np.ndarray]:
    """Decimal columns as a telecom, a bike rental, taxis and a shop have them."""
    random = np.random.default_rng(7)
    tenure = random.integers(0, 73, N)
    monthly = np.where(random.random(N) < 0.25, random.normal(20, 0.6, N), random.triangular(35, 80, 118, N)).round(2)
    fare = np.where(random.random(N) < 0.003, -8.4, random.gamma(2.2, 7, N) + 3).round(2)
    distance = np.where(np.arange(N) == 17, 259_777.3, random.lognormal(0.7, 0.8, N)).round(2)
    return {
        "monthly_charges": monthly,
        "total_charges": (monthly * tenure).round(2),
        "temperature": (0.02 * random.integers(1, 51, N)).round(2),
        "wind": np.where(random.random(N) < 0.13, 0, random.gamma(3, 0.07, N).clip(0, 0.85)).round(4),
        "fare": fare,
        "distance": distance,
        "tip": np.where(random.random(N) < 0.4, 0, random.gamma(2, 1.4, N)).round(2),
        "revenue": random.lognormal(3, 3, N).round(2),
        "sales": (random.pareto(0.9, N) + 1).round(2),
    }


COLUMNS = columns()


def without_points(values: np.ndarray, share: float) -> np.ndarray:
    """As a file has them after somebody removed the decimal points of some."""
    lost = np.random.default_rng(1).random(len(values)) < share
    return np.where(lost, [float(f"{value:.10g}".replace(".", "")) for value in values], values)


def drawn(columns: dict[str, np.ndarray], labels: np.ndarray | None = None) -> list[dict[str, Any]]:
    return found(columns, labels).expectations[1:]


def found(columns: dict[str, np.ndarray], labels: np.ndarray | None = None) -> Expected:
    rows = len(next(iter(columns.values())))
    labels = np.arange(rows) % 2.0 if labels is None else labels
    frame = pd.DataFrame(columns | {"y": np.where(labels > 0, "yes", "no")})
    return expectations_for(frame, labels, names=list(columns), target="y", unique=None)


def stopping(drawn_from: dict[str, np.ndarray], now: dict[str, np.ndarray]) -> dict[str, float]:
    """Per column the share of the rows that its expectations set aside; 1 when one fails as a whole."""
    document = {
        "name": "shop",
        "data": {"source": {"kind": "parquet", "uri": "/nowhere"}, "target": "y", "positive": "yes"},
        "sweep": {"metric": "roc_auc", "candidates": [{"estimator": "sklearn.linear_model.LogisticRegression"}]},
        "gates": [{"kind": "threshold", "metric": "roc_auc", "min": 0.5}],
        "expectations": drawn(drawn_from),
    }
    spec = PipelineSpec.model_validate_json(json.dumps(document), strict=True)
    shares = dict.fromkeys(now, 0.0)
    rows = len(next(iter(now.values())))
    frame = pd.DataFrame(now | {"y": np.where(np.arange(rows) % 2, "yes", "no")})
    for one in check(frame, spec.expectations).results:
        if not one.success and one.column is not None:
            shares[one.column] = max(shares[one.column], one.unexpected / rows or 1.0)
    return shares


def test_what_a_draft_expects_is_true_of_the_data_it_was_drawn_from() -> None:
    assert max(stopping(COLUMNS, COLUMNS).values()) < 0.005


def test_another_sample_of_the_same_world_passes() -> None:
    half = N // 2
    before, after = ({name: cells[part] for name, cells in COLUMNS.items()} for part in (slice(half), slice(half, N)))
    assert max(stopping(before, after).values()) < ALLOWED / 2


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_decimal_points_lost_in_all_or_half_of_the_rows_stop_the_run(share: float) -> None:
    now = {name: without_points(cells, share) for name, cells in COLUMNS.items()}
    unnoticed = {name: aside for name, aside in stopping(COLUMNS, now).items() if aside <= ALLOWED}
    assert unnoticed == {}


def test_what_stays_within_the_range_is_not_noticed() -> None:
    """The limit of it: a tenfold value of a column that reaches from nothing to ten thousand is often plausible."""
    values = {"x": np.round(np.random.default_rng(0).triangular(0, 0, 9_999, N), 1)}
    few = {"x": without_points(values["x"], 0.02)}
    assert 0 < stopping(values, few)["x"] < 0.02


def median_of(values: np.ndarray) -> dict[str, Any] | None:
    found = [arguments for one in drawn({"x": values}) for name, arguments in one.items() if "median" in name]
    return found[0] if found else None


def test_only_a_long_tail_has_its_median_watched() -> None:
    assert median_of(COLUMNS["fare"]) is None
    watched = median_of(COLUMNS["revenue"])
    assert watched is not None
    assert watched["min_value"] < np.median(COLUMNS["revenue"]) < watched["max_value"]
    below_zero = median_of(-COLUMNS["revenue"])
    assert below_zero is not None
    assert below_zero["min_value"] < -np.median(COLUMNS["revenue"]) < below_zero["max_value"] < 0


def range_of(values: np.ndarray, labels: np.ndarray | None = None) -> tuple[float, float]:
    [arguments] = [
        one for made in drawn({"x": values}, labels) for name, one in made.items() if "values_to_be_bet" in name
    ]
    return arguments["min_value"], arguments["max_value"]


def spikes(rate: float) -> tuple[np.ndarray, np.ndarray]:
    """A column with 25 values far above the others (.3 %, errors by their number), and labels: 2.3 % positive, there ``rate``."""
    random = np.random.default_rng(4)
    labels = (random.random(N) < 0.023).astype(float)
    labels[:25] = np.arange(25) < rate * 25
    values = random.normal(size=N)
    values[:25] = random.uniform(40, 60, 25)
    return values, labels


def test_rare_values_that_carry_the_label_are_not_set_aside() -> None:
    values, labels = spikes(0.28)
    assert range_of(values, labels)[1] > values.max()
    assert found({"x": values}, labels).widened == {
        "x": "25 rows far above the others have other labels, 32.0% positive against 2.5%"
    }


def test_errors_beyond_rare_values_that_carry_the_label_are_set_aside() -> None:
    values, labels = spikes(0.28)
    values[25:29] = 259_777.0
    assert 60 <= range_of(values, labels)[1] < 1_000


def test_rare_values_with_the_labels_of_the_others_are_errors() -> None:
    values, labels = spikes(0.04)
    assert range_of(values, labels)[1] < 40
    assert found({"x": values}, labels).widened == {}


def test_rare_values_that_carry_a_number_are_not_set_aside_at_either_end() -> None:
    values, _ = spikes(0)
    price = np.random.default_rng(5).normal(size=N) + (values > 30) * 5
    assert range_of(-values, price)[0] < -values.max()
    assert "25 rows far below the others have other labels, mean target" in found({"x": -values}, price).widened["x"]


@pytest.mark.parametrize("scale", [3e-14, 1e-16, 5e-324, 1e-300, 1e-9, 1.0, 1e15, 1e300, 1e307])
def test_a_range_holds_the_values_that_it_was_drawn_from_at_any_scale(scale: float) -> None:
    values = np.linspace(0.5, 1, N) * scale
    low, high = range_of(values)
    assert low <= values.min() <= values.max() <= high
    assert np.isfinite([low, high]).all()
    assert json.loads(json.dumps(high)) == high


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=40))
def test_a_range_holds_any_values_that_are_no_rare_errors(values: list[float]) -> None:
    low, high = range_of(np.array([*values, 0.0, 1.0, 2.0]))
    assert low <= min(*values, 0) <= max(*values, 2) <= high
