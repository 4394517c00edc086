"""Costs: how those of pieces of work add up, and how they are written."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import AS_OF, make_spec
from contender.documents.cost import Cost, Costs, Usage, money
from contender.run.costs import cost_of
from contender.spec.cost import CostSpec
from contender.words import duration, memory

RATE = CostSpec(per_cpu_hour=0.05, currency="EUR")


def usage(start: float = 0.0, seconds: float = 1.0, *, cpu: float = 1.0, peak: int | None = None) -> Usage:
    started = AS_OF + timedelta(seconds=start)
    return Usage(step="train", started=started, seconds=seconds, cpu_seconds=cpu, peak_memory=peak)


pieces = st.builds(
    usage, st.integers(0, 100), st.integers(0, 50), cpu=st.floats(0, 100), peak=st.none() | st.integers(1, 9)
)


def test_cpu_time_adds_up_and_the_greatest_peak_is_the_peak() -> None:
    found = cost_of([usage(cpu=3_600), usage(cpu=1_800, peak=7), usage(cpu=0, peak=5)], RATE)
    assert (found.cpu_seconds, found.peak_memory, found.currency) == (5_400, 7, "EUR")
    assert found.money == pytest.approx(1.5 * 0.05)


def test_wall_time_is_counted_once_while_work_goes_on_side_by_side_and_not_while_it_waits() -> None:
    assert cost_of([usage(0, 10), usage(5, 10), usage(6, 2), usage(100, 1)], None).seconds == 16


def test_nothing_costs_nothing() -> None:
    assert cost_of([], None) == Cost(cpu_seconds=0, seconds=0)
    assert cost_of([], RATE) == Cost(cpu_seconds=0, seconds=0, money=0, currency="EUR")


@given(st.lists(pieces), st.randoms())
def test_the_order_of_the_pieces_makes_no_difference(work: list[Usage], random: object) -> None:
    shuffled = sorted(work, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert cost_of(shuffled, RATE) == cost_of(work, RATE)


@given(st.lists(pieces, min_size=1))
def test_together_they_take_as_long_as_the_longest_and_no_longer_than_one_after_another(work: list[Usage]) -> None:
    took = cost_of(work, None).seconds
    assert max(one.seconds for one in work) <= took + 1e-6
    assert took <= math.fsum(one.seconds for one in work) + 1e-6


def test_a_cost_is_said_in_a_line_with_money_only_where_there_is_a_price() -> None:
    spent = Cost(cpu_seconds=123, seconds=65, peak_memory=410_000_000, money=0.0123, currency="EUR")
    assert spent.words == "2 min 3 s CPU, 1 min 5 s wall, 410 MB peak, 0.01 EUR"
    assert Cost(cpu_seconds=0.42, seconds=12).words == "0.4 s CPU, 12 s wall"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 0 s"), (123.4, "2 min 3 s"), (3_599.7, "1 h 0 min"),
     (90_000, "25 h 0 min")],
)  # fmt: skip
def test_a_duration_is_said_as_exactly_as_it_is_worth(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "\N{EN DASH}"), (409_600_000, "410 MB"), (999_600_000, "1.0 GB"), (2_120_000_000, "2.1 GB")],
)
def test_memory_is_said_in_megabytes_and_gigabytes(size: int | None, text: str) -> None:
    assert memory(size) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0.00 EUR"), (0.0001, "<0.01 EUR"), (0.005, "0.01 EUR"), (1_234.5, "1,234.50 EUR")]
)
def test_what_is_not_free_is_never_shown_as_nothing(amount: float, text: str) -> None:
    assert money(Cost(cpu_seconds=0, seconds=0, money=amount, currency="EUR")) == text


def test_what_is_not_known_is_no_number() -> None:
    some = Cost(cpu_seconds=2, seconds=1, peak_memory=5_000_000, money=0.5, currency="EUR")
    none = Cost(cpu_seconds=0, seconds=0)
    assert Costs(run=some, sweep=none, saved=none).numbers == {
        "run_cpu_seconds": 2, "run_seconds": 1, "run_peak_memory_mb": 5, "run_cost": 0.5,
        "sweep_cpu_seconds": 0, "sweep_seconds": 0, "saved_cpu_seconds": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cost", "says"),
    [
        ({"per_cpu_hour": -1, "currency": "EUR"}, "greater than or equal to 0"),
        ({"per_cpu_hour": 1, "currency": "Euro"}, "should match pattern"),
        ({"per_cpu_hour": 1}, "Field required"),
    ],
)
def test_a_price_is_a_number_with_its_currency(cost: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make_spec(cost=cost)
