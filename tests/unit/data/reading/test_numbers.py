"""Numbers as people write them become the numbers that they mean, and other text stays as it is."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contender.data.reading.dialect import Dialect
from contender.data.reading.fitting import Spelling, fit
from contender.data.reading.numbers import GROUPS


@given(
    number=st.integers(-(10**14), 10**14),
    decimal=st.sampled_from(".,"),
    thousands=st.sampled_from([None, *GROUPS]),
    unit=st.sampled_from(["", "$", "kg", "%", "m\xb2", "+"]),
    before=st.booleans(),
    behind=st.booleans(),
)
def test_a_number_written_in_any_way_is_the_same_number(
    number: int, decimal: str, thousands: str | None, unit: str, before: bool, behind: bool
) -> None:
    if thousands == decimal or unit == "+":
        return
    digits = f"{abs(number) // 100:,}".replace(",", thousands or "") + f"{decimal}{abs(number) % 100:02d}"
    minus = "-" if number < 0 else ""
    amount = f"{unit}{digits}" if before else f"{digits} {unit}".strip()
    cell = f"{amount}{minus}" if behind and not unit else f"{minus}{amount}"
    spelling = Spelling(decimal=decimal, thousands=thousands, units=(unit,) if unit else ())

    values, misfits = fit(pa.array([cell]), "number", spelling)

    assert misfits is None
    assert values.to_pylist() == [pytest.approx(number / 100)]


@pytest.mark.parametrize(
    "cell", ["1,23", "12,34,567", "1,2345", "kg", "5 g", "kg kg 5", "--5", "5--", "1,234 apples", "-5-"]
)
def test_a_cell_that_is_written_in_no_such_way_does_not_fit(cell: str) -> None:
    values, misfits = fit(pa.array([cell]), "number", Spelling(thousands=",", units=("kg",)))

    assert values.to_pylist() == [None]
    assert misfits is not None
    assert misfits.to_pylist() == [cell]


def test_without_a_word_in_the_yaml_a_comma_is_no_sign_between_thousands() -> None:
    assert fit(pa.array(["1,234"]), "number")[0].to_pylist() == [None]


def test_one_sign_is_not_both_for_decimals_and_between_thousands() -> None:
    with pytest.raises(ValidationError, match="decimal and thousands must differ"):
        Dialect(decimal=",", thousands=",")
