"""What only numbers or names the rows is told from amounts, prose and categories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from builders import make_table
from contender.data.leaks import sample
from contender.data.leaks.ids import id_like

N = 2_000
RANDOM = np.random.default_rng(0)
ORDER = RANDOM.permutation(N)


def accused(keep: Any, **columns: Any) -> list[str]:
    table = make_table(N)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return [name for leak in id_like(keep(table, data={"exclude": ["at"]})) for name in leak.columns]


@pytest.mark.parametrize(
    "values",
    [
        ORDER,
        ORDER.astype(float) + 7_000_000,
        RANDOM.integers(10**9, 10**10, N),
        [f"c-{n}" for n in ORDER],
        [f"c-{n}" if n % 3 else None for n in ORDER],
        ORDER + 2**62,
        [int(n) + 2**62 if n % 3 else None for n in ORDER],
    ],
    ids=[
        *("numbers in any order", "numbers stored as floats", "numbers from a wide range", "names", "names of most"),
        *("numbers of which a float merges a thousand", "such numbers of most"),
    ],
)
def test_what_is_different_in_every_row_is_like_an_id(keep: Any, values: Any) -> None:
    assert accused(keep, code2=values) == ["code2"]


@pytest.mark.parametrize(
    "values",
    [
        RANDOM.lognormal(10, 1, N).astype(int) * N + ORDER,
        RANDOM.random(N),
        RANDOM.integers(0, N, N),
        [f"wrote in ticket {n} that the line was down again" for n in ORDER],
        [f"c-{n % 700}" for n in ORDER],
        ["a"] * (N - 50) + [None] * 50,
        [None] * N,
    ],
    ids=["amounts", "fractions", "numbers that return", "prose", "names that return", "one value", "nothing"],
)
def test_what_can_say_something_is_not(keep: Any, values: Any) -> None:
    assert accused(keep, x2=values) == []


def test_a_number_that_is_named_like_an_id_need_not_be_spread_evenly(keep: Any) -> None:
    amounts = RANDOM.lognormal(10, 1, N).astype(int) * N + ORDER
    assert accused(keep, account_no=amounts) == ["account_no"]


def test_different_in_the_sample_is_not_different_in_all_rows(keep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample.sample_positions, "__defaults__", (150,))
    assert accused(keep, code2=ORDER // 2) == []
    [leak] = id_like(keep(make_table(N).append_column("code2", pa.array(ORDER)), data={"exclude": ["at"]}))
    assert leak.evidence == (
        "is different in nearly every row: 150 of its values are in 150 of 2,000 rows; off an even spread by "
        + leak.evidence.rsplit(" by ")[1]
    )


def test_set_aside_rows_are_not_asked(keep: Any) -> None:
    table = make_table(N).append_column("code2", pa.array([*range(N - 1, 0, -1), 10**15]))
    where = keep(table, data={"exclude": ["at"]}).frame["code2"].tolist().index(10**15)
    assert list(id_like(keep(table, data={"exclude": ["at"]}))) == []
    [leak] = id_like(keep(table, bad=(where,), data={"exclude": ["at"]}))
    assert leak.columns == ("code2",)
