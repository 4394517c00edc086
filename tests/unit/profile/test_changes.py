"""Changes: silent about chance, loud about corruption, the same backwards, and without a value of a row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import AS_OF, make_snapshot
from contender.documents.change import Change
from contender.documents.columns import Column
from contender.documents.data import Snapshot, Uncoerced
from contender.profile.changes import MOST, changes

MIRRORED = {
    "new_column": "lost_column",
    "lost_column": "new_column",
    "new_category": "lost_category",
    "lost_category": "new_category",
}


def customers(rows: int = 3_000, *, seed: int = 0, **columns: Any) -> pa.Table:
    """A telecom's table; ``columns`` replace some of it."""
    random = np.random.default_rng(seed)
    contract = random.choice(["month", "year", "two years"], size=rows, p=[0.55, 0.25, 0.2])
    made = {
        "charges": np.round(random.gamma(4, 16, size=rows), 2),
        "calls": random.poisson(3, size=rows),
        "usage": pa.array(random.lognormal(2, 1, size=rows), mask=random.random(rows) < 0.05),
        "debt": np.where(random.random(rows) < 0.7, 0.0, random.pareto(1, size=rows)),
        "contract": pa.array(contract, pa.large_string()),
        "paperless": random.random(rows) < 0.6,
        "churned": pa.array(np.where(random.random(rows) < 0.26, "yes", "no"), pa.large_string()),
    }
    return pa.table(made | columns)


def told(before: Snapshot, after: Snapshot, **kwargs: Any) -> list[Change]:
    return list(changes(before, after, target="churned", positive="yes", **kwargs))


def kinds(found: list[Change]) -> list[tuple[str, str | None]]:
    return sorted((change.kind, change.column) for change in found)


BEFORE = make_snapshot(customers())


def changed(**columns: Any) -> Snapshot:
    return make_snapshot(customers(seed=1, **columns))


def test_a_snapshot_has_not_changed_since_itself() -> None:
    assert told(BEFORE, BEFORE) == []
    assert told(BEFORE, BEFORE.model_copy(update={"id": "the same rows under another name"})) == []


def test_a_hundred_pairs_of_samples_of_one_world_say_nothing() -> None:
    sizes = [60, 300, 3_000]
    pairs = [
        (make_snapshot(customers(n, seed=s)), make_snapshot(customers(n, seed=s + 1_000)))
        for n in sizes
        for s in range(34)
    ]
    said = [change.sentence for one, other in pairs for change in told(one, other)]
    assert said == []


def test_one_more_row_with_everything_missing_says_nothing() -> None:
    table = customers()
    row = pa.table({name: pa.nulls(1, table[name].type) for name in table.column_names})
    assert told(BEFORE, make_snapshot(pa.concat_tables([table, row]))) == []


def test_columns_and_types_are_told_before_anything_that_is_not_broken() -> None:
    table = customers(calls=pa.array(["3"] * 3_000, pa.large_string())).drop_columns(["usage"])
    found = told(BEFORE, make_snapshot(table.append_column("tariff", table["contract"])))
    assert [(change.kind, change.column, change.loud) for change in found] == [
        ("lost_column", "usage", True),
        ("type", "calls", True),
        ("new_column", "tariff", False),
    ]
    assert found[0].sentence == "usage: gone; it held numbers"
    assert found[1].words == "holds text, whole numbers before"


def test_whole_numbers_that_became_numbers_are_no_alarm_and_still_compared() -> None:
    as_numbers = customers()["calls"].cast("double")
    assert kinds(told(BEFORE, changed(calls=as_numbers))) == [("type", "calls")]
    assert kinds(told(BEFORE, changed(calls=pa.array(np.full(3_000, 4.5))))) == [
        ("distribution", "calls"),
        ("precision", "calls"),
        ("type", "calls"),
    ]


def test_another_type_in_the_files_is_told_although_the_column_is_read_as_before() -> None:
    before = changed().model_copy(update={"types": {"charges": "double", "plan": "string"}})
    after = before.model_copy(update={"id": "other", "types": {"charges": "double and int64", "plan": "string"}})
    [one] = told(before, after)
    assert ("type", "charges") == (one.kind, one.column)
    assert "the source has double and int64, double before; read as numbers all the same" == one.words
    assert not told(before, after.model_copy(update={"types": {}}))


def test_what_only_the_source_has_is_told_once_it_is_new() -> None:
    after = BEFORE.model_copy(update={"id": "after", "ignored": ("segment",)})
    [found] = told(BEFORE, after)
    assert found.sentence == "segment: new in the source, and not used"
    assert kinds(told(after, BEFORE.model_copy(update={"id": "again"}))) == [("lost_column", "segment")]


def test_a_column_that_the_contract_dropped_is_not_called_gone() -> None:
    columns = tuple(column for column in BEFORE.columns if column.name != "usage")
    statistics = tuple(one for one in BEFORE.statistics if one.name != "usage")
    after = BEFORE.model_copy(
        update={"id": "after", "columns": columns, "statistics": statistics, "ignored": ("usage",)}
    )
    [found] = told(BEFORE, after)
    assert (found.kind, found.words) == ("lost_column", "still in the source, not used any more")


def test_half_the_rows_late_labels_and_another_window_are_told() -> None:
    window = (AS_OF - timedelta(days=60), AS_OF)
    before = BEFORE.model_copy(update={"window": window})
    after = make_snapshot(customers(1_500), unlabelled=700, window=(AS_OF - timedelta(days=30), AS_OF))
    assert [change.sentence for change in told(before, after)] == [
        "1,500 rows, 3,000 before",
        "the window is 30 days, 0:00:00 long, 60 days, 0:00:00 before",
        "31.8 % of the rows have no label yet, 0 % before",
    ]


def test_cells_that_do_not_fit_their_column_are_told() -> None:
    unread = (Uncoerced(column="charges", expected="number", rows=900),)
    [found] = told(BEFORE, BEFORE.model_copy(update={"id": "after", "uncoerced": unread}))
    assert found.sentence == "charges: 30 % of the cells are not what the column holds, 0 % before"


def test_more_missing_cells_are_told_and_a_column_that_is_empty_now_is_loud() -> None:
    rows = np.arange(3_000)
    charges = customers(seed=1)["charges"].to_numpy()
    [found] = told(BEFORE, changed(charges=pa.array(charges, mask=rows % 10 == 0)))
    assert (found.sentence, found.loud) == ("charges: 10 % of the rows have no value, 0 % before", False)
    half_empty = make_snapshot(customers(usage=pa.array(customers()["usage"].to_pylist()[:1_500] + [None] * 1_500)))
    assert [change.loud for change in told(half_empty, changed(usage=pa.nulls(3_000, pa.float64())))] == [True]
    [empty] = told(BEFORE, changed(charges=pa.nulls(3_000, pa.float64())))
    assert (empty.words, empty.loud) == ("100 % of the rows have no value, 0 % before", True)


def test_the_first_infinite_value_is_told() -> None:
    charges = customers(seed=1)["charges"].to_numpy().copy()
    charges[0] = np.inf
    [found] = told(BEFORE, changed(charges=charges))
    assert found.sentence == "charges: 1 rows are infinite, 0 before"


def test_another_label_rate_ranks_above_other_shifts() -> None:
    churned = pa.array(np.where(np.arange(3_000) % 100 < 35, "yes", "no"), pa.large_string())
    usage = np.random.default_rng(1).lognormal(2.5, 1, size=3_000)
    found = told(BEFORE, changed(churned=churned, usage=usage))
    assert found[0].kind == "target"
    assert found[0].words.startswith("35 % of the labels are 'yes', 2")
    assert {change.column for change in found[1:]} == {"usage"}


def test_another_mean_of_a_numeric_target_is_told() -> None:
    before, after = (
        make_snapshot(pa.table({"rentals": np.random.default_rng(seed).normal(mean, 50, size=2_000)}))
        for seed, mean in ((0, 190), (1, 230))
    )
    [found] = changes(before, after, target="rentals")
    assert found.kind == "target"
    assert found.words == "the target's mean is 229.3, 188.6 before"
    assert (
        changes(before, make_snapshot(pa.table({"rentals": np.random.default_rng(2).normal(190, 50, size=2_000)})))
        == ()
    )


def test_moments_are_compared_as_seen_from_each_snapshots_own_day() -> None:
    def at(days: int, *, moved: int = 0) -> Snapshot:
        ages = np.random.default_rng(days).integers(0, 60 * 86_400, size=3_000).astype("timedelta64[s]")
        looking = np.datetime64(AS_OF.replace(tzinfo=None), "us") + np.timedelta64(days, "D")
        return make_snapshot(pa.table({"at": looking - ages}), as_of=AS_OF + timedelta(days=days + moved))

    assert changes(at(0), at(7)) == ()
    [stale] = changes(at(0), at(7, moved=30))
    assert (stale.kind, stale.column, stale.loud) == ("distribution", "at", False)
    assert stale.words.startswith("half are older than 6")


def test_very_many_differences_are_bounded_and_counted() -> None:
    names = [f"c{number:03}" for number in range(MOST + 20)]
    before = make_snapshot(pa.table({name: [1.0] for name in names}))
    found = changes(before, make_snapshot(pa.table({"other": [1.0]})))
    assert len(found) == MOST + 1
    assert found[-1].sentence == "and 21 smaller changes"


def test_a_snapshot_from_before_there_were_statistics_is_compared_by_its_columns_and_rows() -> None:
    bare = BEFORE.model_copy(update={"id": "bare", "statistics": ()})
    assert told(bare, changed(charges=pa.nulls(3_000, pa.float64()))) == []
    assert kinds(told(bare, make_snapshot(customers(900).drop_columns(["calls"])))) == [
        ("lost_column", "calls"),
        ("volume", None),
    ]


def test_names_of_columns_cannot_break_a_line_or_fill_a_page() -> None:
    after = make_snapshot(customers().append_column("evil\nname" + "x" * 500, customers()["usage"]))
    [found] = told(BEFORE, after)
    assert "\n" not in found.sentence
    assert len(found.sentence) < 120


_COLUMN = st.sampled_from(["charges", "usage", "debt", "calls", "contract", "paperless", "churned"])


@given(
    st.integers(0, 50),
    st.sets(_COLUMN, max_size=4),
    st.sampled_from(["times", "shift", "missing", "one", "drop", "swap"]),
    st.integers(1_000, 4_000),
)
def test_changes_mirror_each_other_and_do_not_depend_on_order(
    seed: int, columns: set[str], how: str, rows: int
) -> None:
    table = customers(rows, seed=seed)
    for name in sorted(columns):
        table = _distorted(table, name, how)
    before, after = BEFORE, make_snapshot(table)
    forwards, backwards = told(before, after), told(after, before)
    assert kinds(backwards) == sorted((MIRRORED.get(kind, kind), column) for kind, column in kinds(forwards))
    assert [change.weight for change in forwards] == sorted((change.weight for change in forwards), reverse=True)
    assert all(0 < change.weight <= 1 and len(change.sentence) < 300 for change in forwards)
    shuffled = make_snapshot(table.select(table.column_names[::-1]).take(np.random.default_rng(0).permutation(rows)))
    assert kinds(told(before, shuffled)) == kinds(forwards)


def _distorted(table: pa.Table, name: str, how: str) -> pa.Table:
    column = table[name].combine_chunks()
    numeric = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    place = table.column_names.index(name)
    if how == "drop":
        return table.drop_columns([name])
    if how == "missing":
        return table.set_column(place, name, pa.nulls(len(table), column.type))
    if how == "one":
        return table.set_column(place, name, pa.repeat(column[0], len(table)))
    if not numeric or how == "swap":
        return table.set_column(place, name, pa.array(["swapped"] * len(table), pa.large_string()))
    values = column.to_numpy(zero_copy_only=False).astype("float64")
    return table.set_column(place, name, pa.array(values * 100 if how == "times" else values + 50, from_pandas=True))


def test_a_column_without_statistics_is_still_a_column() -> None:
    after = BEFORE.model_copy(update={"id": "after", "columns": (*BEFORE.columns, Column(name="z", type="text"))})
    assert kinds(told(BEFORE, after)) == [("new_column", "z")]


@pytest.mark.parametrize("rows", [1, 2, 10])
def test_a_handful_of_rows_is_compared_without_fuss(rows: int) -> None:
    assert told(make_snapshot(customers(rows)), make_snapshot(customers(rows, seed=5))) == []
