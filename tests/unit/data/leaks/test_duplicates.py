"""Copies and entities on both sides of the split are found; rows that are alike by themselves are not."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from builders import TIMED, make_table
from contender.data.leaks import duplicates
from contender.data.leaks.duplicates import duplicate_rows, shared_entities
from contender.data.leaks.sample import KeptRows
from contender.data.rows import as_features

N = 2_000
RANDOM = {"id": None, "exclude": ["at", "id"]}
BY_TIME = {"data": TIMED | {"id": None, "exclude": ["id"]}, "split": {"gate": "14d", "folds": 2}}


def found(kept: KeptRows) -> list[str]:
    return [leak.evidence for leak in duplicate_rows(kept, [column.name for column in kept.features])]


def noise(rows: int = N, *, seed: int = 0) -> pa.Table:
    """Features that say nothing of the target."""
    table = make_table(rows, seed=seed)
    target = np.random.default_rng([1, seed]).choice(["yes", "no"], rows)
    return table.set_column(table.column_names.index("y"), "y", pa.array(target))


def twice(table: pa.Table, *names: str) -> pa.Table:
    """Every row again, some of its columns shuffled."""
    again = table.to_pandas()
    for name in names:
        again[name] = np.random.default_rng(2).permutation(again[name].to_numpy())
    return pa.concat_tables([table, pa.Table.from_pandas(again, schema=table.schema)])


def test_without_id_and_time_equal_rows_are_on_one_side(keep: Any) -> None:
    kept = keep(twice(noise()), data=RANDOM)
    sides = kept.sample.sides(kept.run)
    keys = pd.util.hash_pandas_object(kept.sample.frame, index=False).to_numpy()
    assert not set(keys[sides.gate]) & set(keys[sides.sweep])
    assert len(set(keys)) == len(keys) / 2
    assert found(kept) == []


def memorised(kept: KeptRows) -> float:
    """How well the gate's targets are known to a model that remembers every row it was trained on."""
    sides = kept.sample.sides(kept.run)
    features = pd.get_dummies(as_features(kept.sample.frame, kept.features))
    model = KNeighborsClassifier(1).fit(features.iloc[sides.sweep], kept.sample.target[sides.sweep])
    return float(roc_auc_score(kept.sample.target[sides.gate], model.predict(features.iloc[sides.gate])))


@pytest.mark.parametrize("seed", range(3))
def test_with_every_row_doubled_a_target_of_noise_stays_at_chance_or_the_copies_are_found(keep: Any, seed: int) -> None:
    assert memorised(keep(twice(noise(seed=seed)), data=RANDOM)) == pytest.approx(0.5, abs=0.07)
    straddling = keep(twice(noise(seed=seed), "at"), **BY_TIME)
    assert memorised(straddling) > 0.8
    assert found(straddling)


@pytest.mark.parametrize(
    ("parts", "shuffled"), [(BY_TIME, "at"), ({"data": {"exclude": ["at"]}}, "id")], ids=["time", "id"]
)
def test_copies_at_another_time_or_under_another_id_are_found(keep: Any, parts: Any, shuffled: str) -> None:
    assert found(keep(noise(), **parts)) == []
    [words] = found(keep(twice(noise(), shuffled), **parts))
    assert re.fullmatch(
        r"\d\d\.\d% of the rows that judge have the features of rows that train; 100\.0% of those have their target, "
        r"too \(by chance: (49|5[01])\.\d%\)",
        words,
    )


def test_a_row_that_comes_again_under_its_own_id_is_no_copy(keep: Any) -> None:
    timed = BY_TIME | {"data": TIMED}
    assert found(keep(twice(noise(), "at"), **timed)) == []
    assert found(keep(twice(noise(), "at", "id"), **timed))


def test_a_few_copies_are_not_worth_a_word(keep: Any) -> None:
    table = twice(noise(), "at")
    assert found(keep(table.slice(0, N + 10), **BY_TIME)) == []
    assert found(keep(table.slice(0, N + 400), **BY_TIME))


def test_rows_that_must_be_alike_are_no_copies_though_their_target_is_the_same(keep: Any) -> None:
    random = np.random.default_rng(3)
    a, b = random.integers(0, 4, (2, N))
    table = pa.table({"id": range(N), "a": a, "b": b, "y": np.where(a > b, "yes", "no")})
    assert found(keep(table)) == []


def test_rows_that_happen_to_be_alike_have_different_targets(keep: Any) -> None:
    table = noise().append_column("code", pa.array(np.random.default_rng(4).integers(0, 10**6, N)))
    few = twice(table, "at", "y")
    assert found(keep(few, **BY_TIME)) == []


def test_of_more_rows_than_are_looked_at_all_copies_of_a_row_are(keep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_ROWS", 500)
    kept = keep(twice(noise(), "at"), **BY_TIME)
    few = kept.sample_groups(["x", "region"], 500)
    assert 300 < len(few.target) < 700
    assert few.frame.groupby(["x", "region"]).size().tolist() == [2] * (len(few.target) // 2)
    [words] = found(kept)
    assert "100.0% of those have their target" in words


def household(rows: int = N, *, text: bool = False, first: int = 0) -> pa.Table:
    """Four rows of each, with features of their own and one target."""
    table = noise(rows)
    codes = np.arange(rows) // 4
    yes = np.random.default_rng(5).random(rows) < 0.4
    names = (
        pa.array([f"h{code}" for code in codes])
        if text
        else pa.array(np.random.default_rng(6).permutation(rows)[codes] + first)
    )
    return table.append_column("household", names).set_column(
        table.column_names.index("y"), "y", pa.array(np.where(yes[codes], "yes", "no"))
    )


@pytest.mark.parametrize("text", [True, False])
def test_an_entity_that_nobody_named_is_found_in_a_random_split(keep: Any, text: bool) -> None:
    [leak] = shared_entities(keep(household(text=text), data=RANDOM))
    assert leak.columns == ("household",)
    assert "of the rows that judge share it with rows that train; 100.0% of those have their target" in leak.evidence


def test_an_entity_whose_numbers_a_float_would_merge_is_found(keep: Any) -> None:
    [leak] = shared_entities(keep(household(first=2**62), data=RANDOM))
    assert leak.columns == ("household",)


def test_an_entity_among_more_rows_than_are_looked_at_is_found(keep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_ROWS", 1_000)
    [leak] = shared_entities(keep(household(8_000), data=RANDOM))
    assert leak.columns == ("household",)


@pytest.mark.parametrize(
    "parts", [{"data": {"id": "household", "exclude": ["at", "id"]}}, BY_TIME], ids=["named", "in time"]
)
def test_an_entity_that_is_named_or_comes_again_later_is_no_leak(keep: Any, parts: Any) -> None:
    assert list(shared_entities(keep(household(), **parts))) == []


def test_a_quantity_or_a_category_is_no_entity(keep: Any) -> None:
    random = np.random.default_rng(7)
    level, town = random.integers(0, 500, N), random.integers(0, 60, N)
    table = noise().append_column("level", pa.array(level)).append_column("town", pa.array([f"t{n}" for n in town]))
    target = np.where(random.random(N) < 0.03, level < 200, level >= 200)
    table = table.set_column(table.column_names.index("y"), "y", pa.array(np.where(target, "yes", "no")))
    assert list(shared_entities(keep(table, data=RANDOM))) == []
