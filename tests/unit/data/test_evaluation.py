"""The rows that judge say what a model knows: their choice sees no label, and one entity is one entity in any spelling."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from builders import make_run, make_spec, write_parquet
from contender.data.reading.connections import Connect
from contender.data.reading.request import ReadRequest, Unread
from contender.data.rows import Rows, as_frame, kept_rows
from contender.data.snapshot import canonical, read_snapshot, take_snapshot
from contender.data.split import folds, returning, split
from contender.documents.data import Quarantine
from contender.dtypes import TEXT
from contender.errors import DataRejected
from contender.store.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from contender.spec.pipeline import PipelineSpec


N = 1_500
SPLIT = {"folds": 2, "gate": 0.4}
WORLDS = pytest.mark.parametrize("levels", [(3, 3, 2), (3, 3, 3, 3), (6, 6, 6, 10)], ids=[18, 81, 2_160])


def world(levels: tuple[int, ...], *, null: bool, seed: int = 0) -> pd.DataFrame:
    """Rows of a few columns with a few levels each, and classes that follow from them or from nothing."""
    random = np.random.default_rng([seed, *levels])
    cells = np.column_stack([random.integers(0, count, N) for count in levels])
    weights = [random.normal(size=count) for count in levels]
    logit = sum(weight[column] for weight, column in zip(weights, cells.T, strict=True))
    share = np.full(N, 0.4) if null else 1 / (1 + np.exp(-logit))
    columns = {f"c{place}": cells[:, place] * 1.0 for place in range(len(levels))}
    return pd.DataFrame(columns | {"y": np.where(random.random(N) < share, "yes", "no")}).astype({"y": TEXT})


def score(rows: pd.DataFrame, gate: np.ndarray) -> float:
    """ROC AUC on the gate rows of a tree that was grown on the others."""
    target = (rows["y"] == "yes").to_numpy().astype(int)
    features = rows.drop(columns="y").to_numpy()
    tree = DecisionTreeClassifier(min_samples_leaf=5, random_state=0).fit(features[~gate], target[~gate])
    return float(roc_auc_score(target[gate], tree.predict_proba(features[gate])[:, 1]))


def by_rule(rows: pd.DataFrame, salt: int) -> np.ndarray:
    gate = np.zeros(len(rows), dtype=bool)
    gate[split(make_run(data={"id": None}, split={"salt": str(salt)}), rows).gate] = True
    return gate


def shuffled(rows: pd.DataFrame, seed: int) -> np.ndarray:
    """A fifth of the different rows, all equal ones together."""
    group = rows.groupby([name for name in rows if name != "y"]).ngroup().to_numpy()
    return np.random.default_rng(seed).random(group.max() + 1)[group] < 0.2


def many(rows: pd.DataFrame, choose: Callable[[pd.DataFrame, int], np.ndarray], times: int = 40) -> tuple[float, float]:
    """The mean score over choices of the gate rows, and its standard error."""
    scores = [score(rows, choose(rows, seed)) for seed in range(times)]
    return float(np.mean(scores)), float(np.std(scores) / np.sqrt(times))


@WORLDS
def test_of_features_that_say_nothing_an_evaluation_is_centred_on_chance(levels: tuple[int, ...]) -> None:
    means = [many(world(levels, null=True, seed=seed), by_rule, 8)[0] for seed in range(12)]
    assert abs(np.mean(means) - 0.5) <= 2 * np.std(means) / np.sqrt(len(means))


@WORLDS
def test_an_evaluation_is_that_of_a_shuffled_split_that_keeps_equal_rows_together(levels: tuple[int, ...]) -> None:
    rows = world(levels, null=False)
    (ours, error), (theirs, other) = many(rows, by_rule), many(rows, shuffled)
    assert abs(ours - theirs) <= 2 * np.hypot(error, other)
    assert ours > 0.55


TABLES = st.builds(
    lambda levels, seed, null: world(tuple(levels), null=null, seed=seed),
    st.lists(st.integers(2, 9), min_size=2, max_size=4),
    st.integers(0, 99),
    st.booleans(),
)


@given(rows=TABLES, seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_neither_gate_nor_folds_see_the_target_and_equal_rows_share_both(rows: pd.DataFrame, seed: int) -> None:
    run = make_run(data={"id": None}, split={"folds": 2})
    other = rows.assign(y=np.random.default_rng(seed).permutation(rows["y"].to_numpy())).astype({"y": TEXT})

    def roles(frame: pd.DataFrame) -> np.ndarray | None:
        try:
            found = split(run, frame)
            target = (frame["y"].iloc[found.sweep] == "yes").to_numpy().astype(int)
            tested = [test for _, test in folds(run, frame.iloc[found.sweep], target)]
        except DataRejected:  # a part without rows or of one class
            return None
        role = np.full(len(frame), -1)
        for number, test in enumerate(tested):
            role[found.sweep[test]] = number
        return role

    one, two = roles(rows), roles(other)
    if one is None or two is None:
        return
    assert one.tolist() == two.tolist()
    assert pd.Series(one).groupby([rows[name] for name in rows if name != "y"]).nunique().max() == 1


def test_rows_do_not_train_in_the_order_of_their_target() -> None:
    """Its name comes first, so the snapshot is sorted by it; an estimator that folds rows as they come would see that."""
    random = np.random.default_rng(0)
    x, z = random.normal(size=(2, 400))
    run = make_run(data={"id": None, "target": "amount", "positive": None})
    order = []
    for amount in (x + random.normal(size=400), random.normal(size=400)):
        frame = as_frame(canonical(pa.table({"amount": amount, "x": x, "z": z}), run.spec.data), None)
        assert frame["amount"].is_monotonic_increasing
        order.append(frame["x"].iloc[split(run, frame).sweep].tolist())
    assert order[0] == order[1]


def kept(store: LocalStore, folder: Path, table: pa.Table, **data: Any) -> Rows:
    run = make_run(write_parquet(folder / "lake" / "a.parquet", table), data=data)
    snapshot = take_snapshot(run, store)
    quarantine = Quarantine(id="q", snapshot=snapshot.id, rows={}, checks=())
    return kept_rows(run, snapshot, quarantine, read_snapshot(snapshot, run.pipeline, store))


def decided(ids: pa.Array, **data: Any) -> dict[str, Any]:
    """See ``roles``, for a table with these ids."""
    count = len(ids)
    table = pa.table({"id": ids, "x": np.arange(count) * 1.0, "y": ["yes", "no"] * (count // 2)})
    return roles(make_run(data=data, split=SPLIT).spec, table)


def roles(spec: PipelineSpec, table: pa.Table, unread: Mapping[str, Unread] | None = None) -> dict[str, Any]:
    """Who shares a group, a role and a fold, and who comes back, by row."""
    spelt = canonical(table, spec.data, unread=unread)
    run = make_run().model_copy(update={"spec": spec})
    rows = Rows(run=run, frame=as_frame(spelt, "id"), columns=(), target=np.zeros(len(table)), labels=None)
    back = np.argsort(rows.frame["x"].to_numpy())
    found = split(run, rows.frame)
    sweep = rows.frame.iloc[found.sweep]
    try:
        tested = [sweep["x"].iloc[test].tolist() for _, test in folds(run, sweep, np.arange(len(sweep)) % 2)]
    except DataRejected:  # few ids, all in one fold
        tested = []
    return {
        "groups": pd.factorize(rows.groups[back])[0].tolist(),
        "gate": sorted(rows.frame["x"].iloc[found.gate].tolist()),
        "folds": [sorted(test) for test in tested],
        "returning": not returning(run, rows.frame, found.sweep, found.gate).any(),  # type: ignore[union-attr]
    }


WHOLE = st.one_of(
    st.integers(0, 40),
    st.integers(2**53 - 3, 2**53 + 40),
    st.integers(2**62, 2**62 + 40),
    st.integers(-(2**63), -(2**62)),
)


@given(ids=st.lists(WHOLE | st.none(), min_size=30, max_size=60).filter(lambda ids: len(set(ids)) > 20))
@settings(max_examples=20, deadline=None)
def test_an_id_of_any_type_gives_the_same_groups_and_the_same_split(ids: list[int | None]) -> None:
    ids = ids[: len(ids) // 2 * 2]
    there = [one for one in ids if one is not None]

    def spelt(form: Callable[[int], Any]) -> list[Any]:
        return [None if one is None else form(one) for one in ids]

    as_text = pa.array(spelt(str), pa.string())
    expected = decided(as_text, columns={"id": "text"})
    assert expected["groups"] == pd.factorize(np.array(ids, dtype=object), use_na_sentinel=False)[0].tolist()
    assert expected["returning"]
    decimals = [pa.decimal128(38, 0), pa.decimal256(76, 0), pa.decimal128(38, 10)]
    answers = [
        decided(pa.array(ids, pa.int64())),
        *(decided(pa.array(spelt(Decimal), kind)) for kind in decimals),
        decided(pa.array(spelt(Decimal), decimals[2]), columns={"id": "text"}),
        decided(pa.array(spelt(Decimal), decimals[2]), columns={"id": "integer"}),
        decided(pa.array(spelt("{}.0000000000".format), pa.string()), columns={"id": "integer"}),
        decided(as_text, columns={"id": "integer"}),
        decided(pa.array(ids, pa.int64()), columns={"id": "text"}),
        decided(pa.array(ids, pa.int64()).dictionary_encode()),
    ]
    if min(there) >= 0:
        answers.append(decided(pa.array(ids, pa.uint64())))
    if max(map(abs, there)) < 2**53:
        for declared in ({}, {"id": "text"}, {"id": "integer"}, {"id": "number"}):
            answers += [decided(pa.array(ids, pa.float64()), columns=declared)]
            answers += [decided(pa.array(ids, pa.float64()).fill_null(float("nan")),
                                columns=declared)]  # fmt: skip
    assert [answer == expected for answer in answers] == [True] * len(answers)


SMALL = [7 * n % 410 for n in range(40)] * 2
LARGE = [10 ** (n % 18) + n if n % 3 else 2 ** (53 + n % 10) + n for n in range(40)] * 2
AS_PARQUET: dict[str, Callable[[list[int]], pa.Array]] = {
    "integers": lambda ids: pa.array(ids, pa.int64()),
    "unsigned": lambda ids: pa.array(ids, pa.uint64()),
    "text": lambda ids: pa.array(map(str, ids)),
    "names": lambda ids: pa.array(map(str, ids)).dictionary_encode(),
    "decimals": lambda ids: pa.array(map(Decimal, ids), pa.decimal128(38, 0)),
    "decimals with a scale": lambda ids: pa.array(map(Decimal, ids), pa.decimal128(38, 10)),
    "floats": lambda ids: pa.array(map(float, ids)),
    "narrow floats": lambda ids: pa.array(ids, pa.float32()),
}
AS_CSV = {"plain": "{}", "with a point": "{}.0", "with zeros": "{}.0000000000"}


@pytest.mark.parametrize("declared", [None, "integer", "text", "number"])
@pytest.mark.parametrize("ids", [SMALL, LARGE], ids=["small", "large"])
def test_an_id_is_one_entity_whatever_source_and_type_it_comes_from(
    tmp_path_factory: pytest.TempPathFactory, ids: list[int], declared: str | None
) -> None:
    columns = {} if declared is None else {"id": declared}
    folder = tmp_path_factory.mktemp("lake")
    shop = folder / "shop.db"
    x, y = np.arange(len(ids)) * 1.0, ["yes", "no"] * (len(ids) // 2)
    expected = decided(pa.array(map(str, ids)), columns={"id": "text"})
    assert expected["groups"] == pd.factorize(np.array(ids, dtype=object))[0].tolist()

    def found(source: dict[str, Any]) -> dict[str, Any] | None:
        """None where ids are refused or told apart."""
        spec = make_spec(data={"source": source, "columns": columns}, split=SPLIT)
        connect: Connect = lambda _: {"conn_type": "sqlite", "host": str(shop)}  # noqa: E731
        try:
            read = spec.data.source.read(ReadRequest(types=spec.data.columns, connect=connect, identity="id"))
            return None if "id" in read.unread else roles(spec, read.table, read.unread)
        except DataRejected as refused:
            assert "data.id: column 'id' is read as floats" in str(refused)  # noqa: PT017 - what may be refused
            return None

    answers: dict[str, dict[str, Any] | None] = {}
    for name, make in AS_PARQUET.items():
        if not (ids is LARGE and name == "narrow floats"):  # they have lost the ids already
            place = folder / f"{name}.parquet"
            write_parquet(place, pa.table({"id": make(ids), "x": x, "y": y}))
            answers[name] = found({"kind": "parquet", "uri": str(place)})
    for name, form in AS_CSV.items() if declared != "text" else [("plain", "{}")]:  # text is what is written
        place = folder / f"{name}.csv"
        lines = [f"{form.format(one)},{n:.1f},{label}" for n, (one, label) in enumerate(zip(ids, y, strict=True))]
        place.write_text("\n".join(["id,x,y", *lines]))
        answers[f"csv {name}"] = found({"kind": "csv", "uri": str(place)})
    for kind in ("INTEGER", "REAL", "NUMERIC(38, 10)", "TEXT"):
        with sqlite3.connect(shop) as connection:
            connection.executescript(f"DROP TABLE IF EXISTS t; CREATE TABLE t (id {kind}, x REAL, y TEXT)")
            connection.executemany("INSERT INTO t VALUES (?, ?, ?)", zip(ids, x.tolist(), y, strict=True))
        connection.close()
        for asked in ({"table": "t"}, {"query": "SELECT * FROM t"}):
            answers[f"sqlite {kind} {[*asked]}"] = found({"kind": "sql", "conn_id": "shop", **asked})
    assert {name for name, answer in answers.items() if answer not in (expected, None)} == set()
    exact = set(answers) - {name for name in answers if "float" in name or "REAL" in name}
    refused = {name for name in exact if answers[name] is None}
    assert ids is LARGE or not {name for name, answer in answers.items() if answer is None}
    assert declared == "number" or declared is None or not refused


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([2**60 + n for n in range(400)]),
        pa.array([2**63 + n for n in range(400)], pa.uint64()),
        pa.array([Decimal(10**30 + n) for n in range(400)], pa.decimal128(38, 0)),
        pa.array([str(10**30 + n) for n in range(400)]),
    ],
    ids=["snowflake", "uint64", "decimal", "text"],
)
def test_large_ids_name_as_many_entities_as_there_are(store: LocalStore, tmp_path: Path, ids: pa.Array) -> None:
    table = pa.table({"id": pa.concat_arrays([ids, ids]), "x": np.arange(800.0), "y": ["yes", "no"] * 400})
    rows = kept(store, tmp_path, table)
    assert len(set(rows.groups)) == 400
    assert np.bincount(rows.groups).tolist() == [2] * 400
    sides = [set(rows.groups[side]) for side in (rows.split.gate, rows.split.sweep)]
    assert not sides[0] & sides[1]
    assert len(sides[0]) == pytest.approx(80, abs=30)


def test_an_id_in_floats_that_stand_for_several_is_refused_with_what_to_declare() -> None:
    data = make_spec().data
    table = pa.table({"id": [2.0**53, 1.0], "x": [1.0, 2.0], "y": ["yes", "no"]})
    with pytest.raises(
        DataRejected, match=r"data\.id: column 'id' is read as floats.*data\.columns: \{id: text\}"
    ) as told:
        canonical(table, data)
    with pytest.raises(DataRejected, match=r"Have it written as integers or text"):  # what is lost stays lost as text
        canonical(table, make_spec(data={"columns": {"id": "text"}}).data)
    assert "9007199254740992" not in str(told.value)
    assert canonical(table.set_column(0, "id", pa.array([2.0**53 - 1, 1.0])), data).num_rows == 2


@pytest.mark.parametrize(
    "values", [[2**53 + 1, 2**62, 5], [-(2**63), 2**63 - 1, None]], ids=["beyond 2**53", "the ends"]
)
def test_integers_that_a_float_cannot_hold_are_features_and_targets(
    store: LocalStore, tmp_path: Path, values: list[int | None]
) -> None:
    table = pa.table({"id": [1, 2, 3], "n": pa.array(values, pa.int64()), "y": pa.array([2**60, 2**60 + 1, 1])})
    rows = kept(store, tmp_path, table, positive=None)
    expected = [np.nan if value is None else float(value) for value in values]
    assert rows.features["n"].tolist() == pytest.approx(expected, nan_ok=True)
    assert rows.target.tolist() == [2.0**60, 2.0**60, 1.0]
