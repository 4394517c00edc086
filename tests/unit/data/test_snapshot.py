"""A snapshot is named by its logical content: what it depends on, what it does not, and which data has no snapshot."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from builders import AS_OF, TIMED, make_run, make_spec, make_table, write_parquet
from contender.canonical import file_sha256
from contender.data.content import content_id
from contender.data.snapshot import canonical, keep_snapshot, read_snapshot, take_snapshot, unread_rows
from contender.errors import BackendError, DataRejected, DataUnavailable
from contender.store.base import write_document

if TYPE_CHECKING:
    from pathlib import Path

    from contender.store.local import LocalStore

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1))
CELLS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int64(): st.integers(-(2**53), 2**53),
    pa.float64(): st.floats(allow_nan=False),
    pa.string(): st.text(max_size=4),
    pa.bool_(): st.booleans(),
    pa.timestamp("us"): MOMENTS,
}


@st.composite
def tables(draw: st.DrawFn, kinds: tuple[pa.DataType, ...] = tuple(CELLS)) -> pa.Table:
    """A few rows of a few columns, any cell missing; ``y`` is the target."""
    rows = draw(st.integers(1, 6))
    columns = draw(st.dictionaries(st.sampled_from("abcd"), st.sampled_from(kinds), min_size=1)) | {"y": pa.string()}
    return pa.table(
        {
            name: pa.array(draw(st.lists(st.none() | CELLS[kind], min_size=rows, max_size=rows)), type=kind)
            for name, kind in columns.items()
        }
    )


def id_of(table: pa.Table, **data: Any) -> str:
    spec = make_spec(data={"id": None, **data})
    return content_id(canonical(table, spec.data))


def recast(table: pa.Table, given: pa.DataType, wanted: pa.DataType) -> pa.Table:
    fields = [pa.field(f.name, wanted if f.type == given else f.type) for f in table.schema]
    return table.cast(pa.schema(fields))


@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_does_not_matter(table: pa.Table, random: Any) -> None:
    rows, columns = list(range(table.num_rows)), list(table.column_names)
    random.shuffle(rows)
    random.shuffle(columns)
    assert id_of(table.take(rows).select(columns)) == id_of(table)


@given(tables(), st.integers(0, 6))
def test_chunks_do_not_matter(table: pa.Table, cut: int) -> None:
    assert id_of(pa.concat_tables([table.slice(cut), table.slice(0, cut)])) == id_of(table)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.string(), pa.large_string()),
        (pa.string(), pa.string_view()),
        (pa.string(), pa.dictionary(pa.int32(), pa.string())),
        (pa.timestamp("us"), pa.timestamp("us", tz="UTC")),
        (pa.timestamp("us"), pa.timestamp("us", tz="Asia/Tokyo")),
        (pa.timestamp("us"), pa.timestamp("ns")),
    ],
    ids=str,
)
@given(table=tables())
@settings(max_examples=25)
def test_how_a_type_is_stored_does_not_matter(table: pa.Table, one: pa.DataType, other: pa.DataType) -> None:
    assert id_of(recast(table, one, other)) == id_of(table)


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.int16(), pa.int32(), pa.uint64()], ids=str)
def test_the_width_of_an_integer_does_not_matter(kind: pa.DataType) -> None:
    def table(of: pa.DataType) -> pa.Table:
        return pa.table({"n": pa.array([3, None, 1], of), "y": ["a", "b", "c"]})

    assert id_of(table(kind)) == id_of(table(pa.int64()))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([0.0, 1.0]), pa.array([-0.0, 1.0])),
        (pa.array([math.nan, 1.0]), pa.array([None, 1.0])),
        (pa.array([0.5, 1.0], pa.float32()), pa.array([0.5, 1.0])),
        (pa.array([Decimal("0.5"), Decimal(1)]), pa.array([0.5, 1.0])),
        (pa.array([None, None]), pa.array([None, None], pa.float64())),
        (
            pa.array([datetime(2026, 1, 2, tzinfo=UTC).date(), None]),
            pa.array([datetime(2026, 1, 2, tzinfo=UTC), None], pa.timestamp("s", tz="UTC")),
        ),
    ],
    ids=["zero", "missing", "float32", "decimal", "nothing at all", "date"],
)
def test_two_spellings_of_a_value_are_one(one: pa.Array, other: pa.Array) -> None:
    assert id_of(pa.table({"n": one, "y": ["a", "b"]})) == id_of(pa.table({"n": other, "y": ["a", "b"]}))


@given(st.data())
def test_any_other_cell_gives_another_id(data: st.DataObject) -> None:
    table = data.draw(tables())
    name = data.draw(st.sampled_from(table.column_names))
    place = data.draw(st.integers(0, table.num_rows - 1))
    kind = table.schema.field(name).type
    values = table[name].to_pylist()
    new = data.draw(st.none() | CELLS[kind])
    assume(new != values[place])
    changed = pa.array([*values[:place], new, *values[place + 1 :]], type=kind)
    assert id_of(table.set_column(table.column_names.index(name), name, changed)) != id_of(table)


@pytest.mark.parametrize(("kind", "empty"), [(pa.string(), ""), (pa.int64(), 0), (pa.float64(), 0.0)], ids=str)
def test_missing_is_not_empty(kind: pa.DataType, empty: Any) -> None:
    missing, there = (pa.table({"n": pa.array([value], kind), "y": ["a"]}) for value in (None, empty))
    assert id_of(missing) != id_of(there)


def test_where_one_text_ends_and_the_next_begins_matters() -> None:
    assert id_of(pa.table({"y": ["ab", "c"]})) != id_of(pa.table({"y": ["a", "bc"]}))


def test_a_repeated_row_matters() -> None:
    assert id_of(pa.table({"y": ["a", "a"]})) != id_of(pa.table({"y": ["a"]}))


def test_a_columns_name_matters() -> None:
    assert id_of(pa.table({"n": [1], "y": ["a"]})) != id_of(pa.table({"m": [1], "y": ["a"]}))


def test_a_columns_type_matters() -> None:
    tables = [pa.table({"n": pa.array([1], kind), "y": ["a"]}) for kind in (pa.int64(), pa.float64())]
    tables += [pa.table({"n": [value], "y": ["a"]}) for value in ("1", True, datetime.fromtimestamp(1, UTC))]
    assert len({id_of(table) for table in tables}) == len(tables)


def test_an_excluded_column_does_not_matter() -> None:
    one, other = (pa.table({"n": [n], "y": ["a"]}) for n in (1, 2))
    assert id_of(one, exclude=["n"]) == id_of(other, exclude=["n"])


def test_an_excluded_column_may_be_of_any_type() -> None:
    assert canonical(pa.table({"n": [[1, 2]], "y": ["a"]}), make_spec(data={"id": None, "exclude": ["n"]}).data).equals(
        canonical(pa.table({"y": ["a"]}), make_spec(data={"id": None}).data)
    )


@pytest.mark.parametrize("name", ["y", "id"])
def test_a_column_with_a_role_cannot_be_excluded(name: str) -> None:
    with pytest.raises(ValidationError, match=r"exclude: \['y', 'id'\] are never features anyway"):
        make_spec(data={"exclude": [name]})


def test_the_id_is_the_same_in_every_version_of_this_code() -> None:
    table = pa.table(
        {
            "at": pa.array([datetime(2026, 1, 2, 3, tzinfo=UTC), None]),
            "n": [1.5, None],
            "ok": [True, None],
            "k": [-1, None],
            "y": ["é", ""],
        }
    )
    assert id_of(table) == "6803006f0f3a371ed432cf389cc855ff940b17e28e070a6c442ce9e996a3fb2c"


def test_rows_are_in_order_of_time_then_id_then_everything_else() -> None:
    day = [datetime(2026, 1, number, tzinfo=UTC) for number in (2, 1, 1, 1)]
    table = pa.table({"a": [1, 2, 4, 3], "at": day, "id": [1, 2, 1, 1], "y": ["w", "x", "z", "z"]})
    spec = make_spec(data=TIMED, split={"gate": "14d"})
    assert canonical(table, spec.data)["a"].to_pylist() == [3, 4, 2, 1]


def test_a_column_that_stands_twice_is_refused() -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array(["a"])], names=["n", "n", "y"])
    with pytest.raises(DataRejected, match=r"data\.source: the source: the column 'n' stands more than once"):
        id_of(table)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"target": "yy"}, r"data\.target: no column 'yy' in the source\. Did you mean 'y'\?"),
        ({"id": "idd"}, r"data\.id: no column 'idd' in the source\. Did you mean 'id'\?"),
        ({"exclude": ["idd"]}, r"data\.exclude: no column 'idd' in the source\. Did you mean 'id'\?"),
    ],
)
def test_a_column_that_is_not_there_gets_a_suggestion(data: dict[str, Any], message: str) -> None:
    with pytest.raises(DataRejected, match=message):
        id_of(pa.table({"id": [1], "n": [1], "y": ["a"]}), **data)


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.binary(), pa.time64("us"), pa.duration("s")], ids=str)
def test_a_type_that_no_model_can_use_is_refused(kind: pa.DataType) -> None:
    with pytest.raises(DataRejected, match=r"data\.source: column 'n' is .*; put it under data\.exclude"):
        id_of(pa.table({"n": pa.array([None], kind), "y": ["a"]}))


def test_a_name_that_is_kept_for_cells_that_do_not_fit_is_refused() -> None:
    table = pa.table({"y": ["a"], "x": [1], "__unread__x": [1]})
    with pytest.raises(DataRejected, match=r"'__unread__x' has a name .*data\.exclude"):
        canonical(table, make_spec(data={"id": None}).data)


def test_an_integer_beyond_64_bits_is_refused_and_not_wrapped() -> None:
    with pytest.raises(DataRejected, match=r"data\.source: column 'n' holds integers beyond 64 bits"):
        id_of(pa.table({"n": pa.array([2**63], pa.uint64()), "y": ["a"]}))


def test_one_file_or_many_make_one_snapshot(tmp_path: Path, store: LocalStore) -> None:
    table = make_table(30)
    write_parquet(tmp_path / "one" / "all.parquet", table)
    write_parquet(tmp_path / "many" / "b.parquet", table.slice(0, 10))
    write_parquet(tmp_path / "many" / "a.parquet", table.slice(10))
    one, many = (take_snapshot(make_run(tmp_path / lake, run_id=lake), store) for lake in ("one", "many"))
    assert one.id == many.id
    assert store.keys("churn/snapshots") == [one.key("churn", "data.parquet"), one.key("churn", "snapshot.json")]


def test_what_was_stored_is_what_was_read(tmp_path: Path, store: LocalStore) -> None:
    table = make_table(30)
    run = make_run(write_parquet(tmp_path / "a.parquet", table))
    snapshot = take_snapshot(run, store)
    stored = read_snapshot(snapshot, "churn", store)
    assert stored.equals(canonical(table, run.spec.data))
    assert content_id(stored) == snapshot.id
    assert snapshot.rows == 30
    assert {column.name: column.type for column in snapshot.columns} == {
        "at": "timestamp",
        "id": "integer",
        "noise": "number",
        "region": "text",
        "x": "number",
        "y": "text",
    }


def test_a_snapshot_taken_again_is_not_written_again(tmp_path: Path, store: LocalStore) -> None:
    run = make_run(write_parquet(tmp_path / "a.parquet", make_table(30)))
    place = store.local(take_snapshot(run, store).key("churn", "data.parquet"))
    before = place.stat()
    take_snapshot(run, store)
    assert (place.stat().st_mtime_ns, place.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def lose(path: Path) -> None:
    path.chmod(0o600)
    path.unlink()


def cut(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize("harm", [lose, cut])
@pytest.mark.parametrize("step", ["another run", "the same run cleared"])
def test_a_snapshot_whose_file_is_gone_or_cut_is_written_again(
    tmp_path: Path, store: LocalStore, harm: Any, step: str
) -> None:
    """It was green without its file, and the same rows could never be taken again."""
    run = make_run(write_parquet(tmp_path / "a.parquet", make_table(30)))
    taken = take_snapshot(run, store)
    place = store.local(taken.key("churn", "data.parquet"))
    rows = place.read_bytes()
    harm(place)
    if step == "another run":
        assert take_snapshot(make_run(tmp_path / "a.parquet", run_id="r2"), store) == taken
    else:
        keep_snapshot(run, taken, store)
    assert place.read_bytes() == rows
    assert read_snapshot(taken, "churn", store).num_rows == 30


OTHER_WRITERS = {
    "another compression": {"compression": "snappy"},
    "without Arrow's schema": {"store_schema": False, "compression": "gzip", "row_group_size": 7},
    "the newest format": {"version": "2.6", "data_page_version": "2.0", "use_dictionary": False},
}


def rewrite(path: Path, table: pa.Table, **options: Any) -> None:
    lose(path)
    pq.write_table(table, path, **options)


@pytest.mark.parametrize("known", [True, False], ids=["beside it", "nowhere"])
@pytest.mark.parametrize("options", OTHER_WRITERS.values(), ids=OTHER_WRITERS)
def test_a_run_reads_the_rows_of_its_snapshot_whoever_wrote_them_again(
    tmp_path: Path, store: LocalStore, options: dict[str, Any], known: bool
) -> None:
    """Another version of pyarrow writes the same rows in other bytes; the older run named the hash of the first ones."""
    (tmp_path / "a.csv").write_text("at,id,n,s,b,y\n" + "".join(
        f"2026-02-{day:02},{day},{day}.5,{'é' * day},{'true' if day % 2 else ''},{'yes' if day % 3 else 'no'}\n" for day in range(1, 20)
    ) + "31/02/2026,20,x,,,yes\n,21,,,,no\n")  # fmt: skip
    types = {"at": "timestamp", "id": "integer", "n": "number", "s": "text", "b": "boolean", "y": "text"}
    source = {"kind": "csv", "uri": str(tmp_path), "types": types}
    run = make_run(data={"source": source, "time": "at", "window": "90d"})
    taken = take_snapshot(run, store)
    before = read_snapshot(taken, "churn", store), unread_rows(taken, "churn", store)
    place = store.local(taken.key("churn", "data.parquet"))
    rewrite(place, pq.read_table(place), **options)
    if known:
        again = taken.model_copy(update={"sha256": file_sha256(place)})
        write_document(store, taken.key("churn", "snapshot.json"), again)

    assert read_snapshot(taken, "churn", store).equals(before[0])
    for (reason, rows), (found, there) in zip(before[1], unread_rows(taken, "churn", store), strict=True):
        assert (reason, rows.tolist()) == (found, there.tolist())
    keep_snapshot(run, taken, store)
    assert (
        take_snapshot(make_run(run_id="r2", data={"source": source, "time": "at", "window": "90d"}), store).id
        == taken.id
    )
    assert read_snapshot(taken, "churn", store).equals(before[0])


CHANGES: dict[str, Any] = {
    "one cell": lambda table: table.set_column(0, "at", pc.add(table["at"], pa.scalar(1, pa.duration("us")))),
    "one row less": lambda table: table.slice(1),
    "another order": lambda table: table.take([1, 0, *range(2, len(table))]),
    "a column less": lambda table: table.drop_columns(["noise"]),
    "another type": lambda table: table.set_column(1, "id", pa.array(["?"] * len(table))),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_rows_that_are_not_those_of_the_snapshot_are_refused(tmp_path: Path, store: LocalStore, change: Any) -> None:
    taken = take_snapshot(make_run(write_parquet(tmp_path / "a.parquet", make_table(30))), store)
    place = store.local(taken.key("churn", "data.parquet"))
    rewrite(place, change(pq.read_table(place)))
    with pytest.raises(BackendError, match=r"data\.parquet: was changed or cut after it was written"):
        read_snapshot(taken, "churn", store, ["x"])


def test_a_cleared_run_whose_rows_are_gone_for_good_says_so(tmp_path: Path, store: LocalStore) -> None:
    run = make_run(write_parquet(tmp_path / "a.parquet", make_table(30)))
    taken = take_snapshot(run, store)
    keep_snapshot(run, taken, store)  # whole: nothing is read
    lose(store.local(taken.key("churn", "data.parquet")))
    write_parquet(tmp_path / "a.parquet", make_table(30, seed=1))
    with pytest.raises(DataRejected, match=r"data\.parquet is gone or cut, .* restore the file, or trigger a new run"):
        keep_snapshot(run, taken, store)


def test_the_window_ends_the_label_delay_before_as_of(tmp_path: Path, store: LocalStore) -> None:
    days = [AS_OF - timedelta(days=days) for days in (31, 30, 10, 5, 1)]
    table = pa.table({"id": [1, 2, 3, 4, 5], "at": days, "y": ["yes", "no", "no", "no", "yes"]})
    data = {"time": "at", "window": "30d", "label_delay": "5d"}
    run = make_run(write_parquet(tmp_path / "a.parquet", table), data=data, split={"gate": "7d"})
    snapshot = take_snapshot(run, store)
    assert read_snapshot(snapshot, "churn", store)["id"].to_pylist() == [2, 3]


def test_rows_without_a_label_are_counted_and_left_out(tmp_path: Path, store: LocalStore) -> None:
    table = pa.table({"id": [1, 2, 3], "y": ["yes", None, "no"]})
    snapshot = take_snapshot(make_run(write_parquet(tmp_path / "a.parquet", table)), store)
    assert (snapshot.rows, snapshot.unlabelled) == (2, 1)
    assert read_snapshot(snapshot, "churn", store)["id"].to_pylist() == [1, 3]


def test_a_window_without_a_labelled_row_means_the_data_may_still_come(tmp_path: Path, store: LocalStore) -> None:
    uri = write_parquet(tmp_path / "a.parquet", make_table(30, until=AS_OF - timedelta(days=100)))
    run = make_run(uri, data=TIMED, split={"gate": "14d"})
    with pytest.raises(
        DataUnavailable, match=r"no row at all from 2026-01-01 up to 2026-03-02 \(30 rows read = .*; check"
    ):
        take_snapshot(run, store)
    assert store.keys("churn") == []


def test_a_source_without_a_label_at_all_says_so(tmp_path: Path, store: LocalStore) -> None:
    uri = write_parquet(tmp_path / "a.parquet", pa.table({"id": [1], "y": pa.array([None], pa.string())}))
    with pytest.raises(DataUnavailable, match=r"no row with a value of 'y' in the source \(1 row read = .*; check"):
        take_snapshot(make_run(uri), store)


def test_a_stored_snapshot_says_in_parquet_what_it_says_in_its_manifest(tmp_path: Path, store: LocalStore) -> None:
    snapshot = take_snapshot(make_run(write_parquet(tmp_path / "a.parquet", make_table(30))), store)
    schema = pq.read_schema(store.local(snapshot.key("churn", "data.parquet")))
    assert schema.names == [column.name for column in snapshot.columns]


def test_minutes_between_two_timestamps_are_a_column() -> None:
    start, end = datetime(2026, 1, 1, 10), datetime(2026, 1, 1, 10, 7, 30)
    rides = pa.table({"start": [start, start], "end": pa.array([end, None], pa.timestamp("ns")), "y": [1, 2]})
    data = make_spec(
        data={"target": "ride", "positive": None, "id": None, "derive": {"ride": {"minutes": ["start", "end"]}}},
        sweep={"metric": "r2", "candidates": [{"estimator": "sklearn.linear_model.Ridge"}]},
        gates=[{"kind": "threshold", "metric": "r2", "min": 0}],
    ).data

    assert [7.5, None] == canonical(rides, data)["ride"].to_pylist()


@pytest.mark.parametrize(
    ("derive", "message"),
    [
        ({"y": {"minutes": ["a", "b"]}}, "data.derive: the source has a column 'y' already"),
        ({"z": {"minutes": ["at", "ende"]}}, "data.derive.z: no column 'ende' in the source. Did you mean 'end'?"),
        ({"z": {"minutes": ["at", "y"]}}, "data.derive.z: column 'y' is string, expected a timestamp"),
    ],
)
def test_a_derivation_that_cannot_be_is_located(derive: dict[str, Any], message: str) -> None:
    moment = datetime(2026, 1, 1)
    table = pa.table({"id": [1], "at": [moment], "end": [moment], "y": ["yes"]})
    with pytest.raises(DataRejected, match=re.escape(message)):
        canonical(table, make_spec(data={"derive": derive}).data)
