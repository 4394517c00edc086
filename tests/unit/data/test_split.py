"""Who judges: a row's role is fixed by what it is, and no row that a model was trained on ever judges that model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import AS_OF, make_run
from contender.data.split import check_gate, folds, gate_start, returning, split, trained_on, was_held_out
from contender.documents.release import TrainedOn
from contender.dtypes import TEXT
from contender.errors import DataRejected

if TYPE_CHECKING:
    from contender.documents.run import Run

DAY = timedelta(days=1)


def frame(rows: int, *, first: int = 0, seed: int = 0) -> pd.DataFrame:
    """Customers, three rows each, over the 60 days before AS_OF."""
    random = np.random.default_rng([seed, first])
    return pd.DataFrame(
        {
            "at": pd.Timestamp(AS_OF).tz_localize(None)
            - pd.to_timedelta(random.integers(1, 60 * 24 * 60, rows), unit="min"),
            "id": np.arange(first, first + rows) // 3 * 1.0,
            "x": random.normal(size=rows),
        }
    ).astype({"at": "datetime64[us]"})


def by_hash(**parts: Any) -> Run:
    return make_run(**parts)


def by_time(as_of: datetime = AS_OF, **parts: Any) -> Run:
    parts = {"split": {"gate": "14d", "folds": 3}, **parts}
    return make_run(as_of=as_of, data={"time": "at", "window": "60d", **parts.pop("data", {})}, **parts)


def ids(rows: pd.DataFrame, positions: np.ndarray) -> set[float]:
    return set(rows["id"].iloc[positions])


@pytest.mark.parametrize("run", [by_hash(), by_hash(data={"id": None}), by_time()], ids=["id", "content", "time"])
def test_every_row_has_one_role(run: Run) -> None:
    rows = frame(200)
    found = split(run, rows)
    assert sorted([*found.sweep, *found.gate]) == list(range(200))


def test_the_gates_share_is_about_what_was_asked() -> None:
    rows = frame(9_000)
    share = len(split(by_hash(split={"gate": 0.3}), rows).gate) / 9_000
    assert share == pytest.approx(0.3, abs=0.03)


def test_all_rows_of_an_id_have_one_role() -> None:
    rows = frame(600)
    found = split(by_hash(), rows)
    assert not ids(rows, found.sweep) & ids(rows, found.gate)


@given(first=st.integers(0, 300), more=st.integers(1, 300))
@settings(max_examples=25)
def test_a_row_keeps_its_role_when_others_come_and_go(first: int, more: int) -> None:
    run, now, later = by_hash(), frame(300), frame(more, first=first)
    gate = ids(now, split(run, now).gate)
    together = pd.concat([later, now.iloc[::2]], ignore_index=True)
    common = ids(now, np.arange(300)) & ids(together, np.arange(len(together)))
    assert ids(together, split(run, together).gate) & common == gate & common


def test_without_an_id_a_row_keeps_its_role_by_its_content() -> None:
    run, rows = by_hash(data={"id": None}), frame(300)
    shuffled = rows.sample(frac=1, random_state=1).reset_index(drop=True)
    assert set(rows["x"].iloc[split(run, rows).gate]) == set(shuffled["x"].iloc[split(run, shuffled).gate])


def test_the_roles_are_the_same_in_every_version_of_this_code() -> None:
    by_id = [*range(3, 6), *range(12, 18), *range(24, 30), *range(45, 48), *range(54, 57)]
    assert split(by_hash(), frame(60)).gate.tolist() == by_id
    by_features = [5, 8, 11, 17, 18, 26, 27, 28, 29, 31, 47, 56, 58]
    assert split(by_hash(data={"id": None}), frame(60)).gate.tolist() == by_features


def test_the_roles_of_version_0_1_0_are_known_of_its_champions() -> None:
    """It hashed an id as a float, and the target with the other columns."""
    rows = frame(60).astype({"id": "Int64"})
    seen = TrainedOn(columns={"id": "float64"}, salt="churn", gate=0.2)
    expected = [0, 1, 2, 6, 7, 8, 15, 16, 17, 18, 19, 20, 36, 37, 38]
    assert np.flatnonzero(was_held_out(rows, seen)).tolist() == expected
    assert np.flatnonzero(was_held_out(rows.astype({"id": TEXT}), seen)).tolist() == expected
    assert np.flatnonzero(was_held_out(rows.astype({"id": "float64"}), seen)).tolist() == expected


def test_another_salt_is_another_choice() -> None:
    rows = frame(600)
    one, other = (set(split(by_hash(split={"salt": salt}), rows).gate) for salt in ("a", "b"))
    assert 0 < len(one & other) < len(one) / 2


def test_the_name_is_the_salt_unless_one_is_given() -> None:
    rows = frame(300)
    assert split(by_hash(), rows).gate.tolist() == split(by_hash(split={"salt": "churn"}), rows).gate.tolist()


def test_a_gate_in_time_begins_at_as_of_whatever_the_data_holds() -> None:
    run = by_time(data={"label_delay": "5d"})
    start = datetime(2026, 2, 11, tzinfo=UTC)
    assert gate_start(run) == start
    at = [start - timedelta(microseconds=1), start, start - 6 * DAY]
    rows = pd.DataFrame({"at": pd.to_datetime(at).tz_localize(None), "id": [1.0, 2.0, 3.0]})
    assert split(run, rows).gate.tolist() == [1]


@pytest.mark.parametrize(("embargo", "trained"), [(None, [3]), ("0d", [0, 2, 3]), ("2d", [2, 3])])
def test_rows_whose_labels_were_open_when_the_gate_began_are_not_trained_on(
    embargo: str | None, trained: list[int]
) -> None:
    run = by_time(data={"label_delay": "5d"}, split={"gate": "14d", "folds": 3, "embargo": embargo})
    at = [
        gate_start(run) - timedelta(microseconds=1),
        gate_start(run),
        gate_start(run) - 3 * DAY,
        gate_start(run) - 6 * DAY,
    ]
    rows = pd.DataFrame({"at": pd.to_datetime(at).tz_localize(None)})
    found = split(run, rows)
    assert (trained, [1]) == (found.sweep.tolist(), found.gate.tolist())


def test_a_gate_that_cannot_judge_says_what_is_needed() -> None:
    run = by_time()
    with pytest.raises(
        DataRejected, match=r"split\.gate: the part that judges has 40 rows, all of one class; at least"
    ):
        check_gate(run, np.zeros(40))
    with pytest.raises(DataRejected, match=r"split\.gate: the part that judges has 1 rows"):
        check_gate(make_run(data={"positive": None}), np.ones(1))
    check_gate(run, np.array([0, 1]))
    check_gate(make_run(data={"positive": None}), np.ones(2))


def test_a_class_that_is_too_rare_for_the_folds_is_counted() -> None:
    target = np.zeros(200)
    target[:2] = 1
    with pytest.raises(
        DataRejected, match=r"split\.folds: the rarer class of 'y' has 2 of the 200 rows .* 5 folds need at least 5"
    ):
        list(folds(by_hash(split={"folds": 5}), frame(200), target))


def sides(run: Run, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    found = split(run, rows)
    return found.sweep, found.gate


def test_returning_entities_are_those_that_were_trained_on() -> None:
    run = by_time()
    start = pd.Timestamp(gate_start(run)).tz_localize(None)
    rows = pd.DataFrame({"at": [start - DAY, start - DAY, start, start, start + DAY], "id": [1.0, 2.0, 1.0, 3.0, 3.0]})
    assert [True, False, False] == returning(run, rows, *sides(run, rows)).tolist()
    assert returning(by_time(data={"id": None}), rows, *sides(run, rows)) is None


def test_entities_return_by_their_exact_ids_and_rows_without_one_never_do() -> None:
    """pandas makes floats of large integers that stand beside a missing one, so that 2**53 and 2**53 + 1 were one."""
    run = by_time()
    start = pd.Timestamp(gate_start(run)).tz_localize(None)
    ids = pd.array([2**53, 7, None, 2**53 + 1, 7, None], dtype="Int64")
    rows = pd.DataFrame({"at": [start - DAY] * 3 + [start] * 3, "id": ids})
    assert [False, True, False] == returning(run, rows, *sides(run, rows)).tolist()
    text = rows.assign(id=pd.Series(["a", "b", None, "c", "b", None], dtype=TEXT))
    assert [False, True, False] == returning(run, text, *sides(run, text)).tolist()


@pytest.mark.parametrize("run", [by_time(), by_time(split={"gate": "59d", "folds": 3})], ids=["no gate", "no sweep"])
def test_an_empty_side_says_how_many_rows_each_has(run: Run) -> None:
    boundary = pd.Timestamp(gate_start(run)).tz_localize(None)
    rows = frame(300)
    rows = rows[rows["at"] < boundary] if run.spec.gate_span == 14 * DAY else rows[rows["at"] >= boundary]
    counts = (
        f"{len(rows)} rows to train on and 0"
        if run.spec.gate_span == 14 * DAY
        else f"0 rows to train on and {len(rows)}"
    )
    with pytest.raises(DataRejected, match=f"split: {counts} to judge with; both are needed"):
        split(run, rows.reset_index(drop=True))


RUNS = st.one_of(
    st.builds(
        lambda salt, share, named: by_hash(split={"salt": salt, "gate": share}, data={"id": "id" if named else None}),
        st.sampled_from(["a", "b", "c"]),
        st.floats(0.05, 0.9),
        st.booleans(),
    ),
    st.builds(
        lambda as_of, gate, delay, refit: by_time(
            AS_OF - as_of * DAY, split={"gate": f"{gate}d"}, data={"label_delay": f"{delay}d"}, refit=refit
        ),
        st.integers(0, 20),
        st.integers(2, 20),
        st.integers(0, 9),
        st.sampled_from(["all_rows", "train_rows"]),
    ),
)


def seen_by(run: Run, rows: pd.DataFrame) -> pd.Series:
    """Which rows of today the model of an earlier run was fitted on, as the steps do it."""
    data = run.spec.data
    there = np.ones(len(rows), dtype=bool)
    if data.time is not None:
        end = pd.Timestamp(run.as_of - data.label_delay).tz_localize(None)
        there = ((rows["at"] >= end - data.window + data.label_delay) & (rows["at"] < end)).to_numpy()
    window = rows[there].reset_index(drop=True)
    roles = split(run, window)
    fitted = np.zeros(len(window), dtype=bool)
    fitted[roles.sweep] = True
    if run.spec.refit_rows == "all_rows":
        fitted[roles.gate] = True
    result = np.zeros(len(rows), dtype=bool)
    result[np.flatnonzero(there)[fitted]] = True
    return pd.Series(result)


@given(before=RUNS, more=st.integers(0, 200))
@settings(max_examples=150)
def test_no_row_that_a_model_was_trained_on_is_ever_held_out_from_it(before: Run, more: int) -> None:
    then = frame(300)
    today = pd.concat([then, frame(more, first=300)], ignore_index=True)
    held_out = was_held_out(today, trained_on(before, then))
    assert not (held_out & seen_by(before, today).to_numpy()).any()


def test_the_gate_of_a_hash_split_is_held_out_also_under_a_new_salt() -> None:
    rows = frame(300)
    then = by_hash()
    assert np.flatnonzero(was_held_out(rows, trained_on(then, rows))).tolist() == split(then, rows).gate.tolist()


@pytest.mark.parametrize("refit", ["all_rows", "train_rows"])
def test_newer_rows_are_held_out_from_a_champion_in_time(refit: str) -> None:
    rows = frame(300)
    then = by_time(AS_OF - 7 * DAY, refit=refit)
    border = AS_OF - (7 if refit == "all_rows" else 21) * DAY
    moment = pd.Timestamp(border).tz_localize(None)
    rows.loc[:1, "at"] = [moment, moment - timedelta(microseconds=1)]
    expected = (rows["at"] >= moment).to_numpy()
    assert expected[:2].tolist() == [True, False]
    assert was_held_out(rows, trained_on(then, rows)).tolist() == expected.tolist()


def test_when_rows_get_another_id_none_is_held_out_that_was_trained_on() -> None:
    """Hashing today's id with yesterday's salt would say nothing about yesterday's roles."""
    then = frame(300)
    seen = trained_on(by_hash(), then)
    trained = split(by_hash(), then).sweep
    assert not was_held_out(then.rename(columns={"id": "account"}), seen).any()
    assert not was_held_out(then.assign(id=then["at"]), seen).any()
    assert not was_held_out(then.assign(account=1.0), seen)[trained].any()


def test_an_id_that_is_spelt_otherwise_is_the_same_entity() -> None:
    then = frame(300)
    gate = split(by_hash(), then).gate.tolist()
    for kind in ("float64", "Int64", TEXT):
        today = then.astype({"id": "int64"}).astype({"id": kind})
        assert split(by_hash(), today).gate.tolist() == gate
        for before in (then, then.astype({"id": "Int64"}), today):
            held_out = was_held_out(today, trained_on(by_hash(), before))
            assert np.flatnonzero(held_out).tolist() == gate


def test_an_id_that_was_text_and_is_a_number_may_have_been_spelt_otherwise() -> None:
    rows = frame(300).astype({"id": "Int64"})
    seen = trained_on(by_hash(), rows.assign(id=pd.Series([f"{one:03}" for one in rows["id"]], dtype=TEXT)))
    assert not was_held_out(rows, seen).any()


@pytest.mark.parametrize("kind", ["Int64", TEXT, "float64"], ids=str)
def test_large_ids_are_known_of_a_champion_that_spelt_them(kind: Any) -> None:
    rows = frame(300).astype({"id": "Int64"})
    rows["id"] += 2**60
    seen = trained_on(by_hash(), rows)
    held_out = np.flatnonzero(was_held_out(rows.astype({"id": kind}), seen)).tolist()
    assert held_out == ([] if kind == "float64" else split(by_hash(), rows).gate.tolist())


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9), min_size=2, max_size=40))
@settings(max_examples=50)
def test_whatever_an_id_becomes_no_row_of_a_trained_entity_judges(ids: list[int | None]) -> None:
    rows = pd.DataFrame({"id": pd.Series(ids, dtype="Int64"), "x": 1.0})
    seen = trained_on(by_hash(split={"gate": 0.5}), rows)
    roles = was_held_out(rows, seen)
    for kind in (TEXT, "float64"):
        held_out = was_held_out(rows.astype({"id": kind}), seen)
        assert not (held_out & ~roles).any()
    old = TrainedOn(columns={"id": "float64"}, salt="churn", gate=0.5)
    known = was_held_out(rows.astype({"id": "float64"}), old)
    for kind in (TEXT, "Int64"):
        assert not (was_held_out(rows.astype({"id": kind}), old) & ~known).any()


@pytest.mark.parametrize("spelling", ["{:03}", "+{}", "{}.0", "c{}"])
def test_of_an_id_in_another_spelling_than_that_of_its_number_nothing_is_certain(spelling: str) -> None:
    rows = frame(300)
    rows["id"] = pd.Series([spelling.format(int(one)) for one in rows["id"]], dtype=TEXT)
    assert not was_held_out(rows, TrainedOn(columns={"id": "float64"}, salt="churn", gate=0.9)).any()


def test_of_an_id_beyond_the_floats_nothing_is_certain_of_a_champion_that_knew_floats() -> None:
    rows = frame(300)
    rows["id"] = pd.Series([2**60 + n for n in range(300)], dtype="Int64")
    assert not was_held_out(rows, TrainedOn(columns={"id": "float64"}, salt="churn", gate=0.9)).any()


def test_without_an_id_a_new_column_makes_no_trained_row_look_new() -> None:
    then = frame(300)
    run = by_hash(data={"id": None})
    today = then.assign(new=np.arange(300.0))
    held_out = was_held_out(today, trained_on(run, then))
    assert np.flatnonzero(held_out).tolist() == split(run, then).gate.tolist()


def test_with_another_time_column_the_champions_own_still_decides() -> None:
    rows = frame(300)
    seen = trained_on(by_time(AS_OF - 7 * DAY), rows)
    renamed = rows.assign(signed_up=pd.Timestamp("2030-01-01").as_unit("us"))
    assert was_held_out(renamed, seen).tolist() == was_held_out(rows, seen).tolist()
    assert not was_held_out(renamed.drop(columns="at"), seen).any()


def target_of(rows: pd.DataFrame) -> np.ndarray:
    return (rows["x"] > 0).to_numpy().astype(int)


@given(st.integers(80, 300), st.integers(2, 5), st.integers(0, 5))  # of 61 rows one fold has a single class
@settings(max_examples=40)
def test_no_id_is_on_both_sides_of_a_fold(count: int, number: int, seed: int) -> None:
    rows = frame(count, seed=seed)
    parts = list(folds(by_hash(split={"folds": number}), rows, target_of(rows)))
    assert len(parts) == number
    for train, test in parts:
        assert not ids(rows, train) & ids(rows, test)
    assert sorted(position for _, test in parts for position in test) == list(range(count))


@given(st.integers(60, 300), st.integers(2, 5), st.integers(0, 5))
@settings(max_examples=40)
def test_a_fold_in_time_is_tested_on_what_comes_after_what_it_learnt(count: int, number: int, seed: int) -> None:
    rows = frame(count, seed=seed)
    rows["at"] = rows["at"].dt.floor("2D")  # many rows share a moment
    parts = list(folds(by_time(split={"gate": "14d", "folds": number}), rows, target_of(rows)))
    assert len(parts) == number
    for train, test in parts:
        assert rows["at"].iloc[train].max() < rows["at"].iloc[test].min()


def test_folds_do_not_depend_on_the_order_of_rows() -> None:
    rows = frame(300)
    shuffled = rows.sample(frac=1, random_state=1).reset_index(drop=True)
    for run in (by_hash(split={"folds": 3}), by_time()):
        for one, other in zip(
            folds(run, rows, target_of(rows)), folds(run, shuffled, target_of(shuffled)), strict=True
        ):
            for side in (0, 1):
                assert set(rows["x"].iloc[one[side]]) == set(shuffled["x"].iloc[other[side]])


def test_too_few_moments_say_how_many_are_needed() -> None:
    rows = frame(90)
    rows["at"] = rows["at"].dt.floor("30D")
    got = rows["at"].nunique()
    with pytest.raises(
        DataRejected, match=f"split.folds: 5 time-ordered folds need at least 6 distinct times, got {got}"
    ):
        list(folds(by_time(split={"gate": "14d", "folds": 5}), rows, target_of(rows)))


def test_a_fold_of_one_class_says_which_and_what_to_do() -> None:
    rows = frame(90)
    with pytest.raises(
        DataRejected,
        match=r"split\.folds: the (train|test) part of fold 1 of 2 has 1 classes \(90 rows in all\), at least 2 are needed",
    ):
        list(folds(by_hash(), rows, (rows["id"] == 0).to_numpy(dtype=int)))


def test_a_fold_without_rows_says_so_for_a_regression_too() -> None:
    rows = frame(3)
    with pytest.raises(DataRejected, match=r"part of fold . of 2 has 0 rows \(3 rows in all\), at least 2 are needed"):
        list(folds(by_hash(data={"positive": None}), rows, np.arange(3.0)))
