"""Which files there are, and whether they stayed what they were while somebody read them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pytest

from builders import write_parquet
from contender.data.reading import delimited, parquet
from contender.data.reading.connections import from_environment
from contender.data.reading.files import Files, LocalFiles, open_files
from contender.data.reading.places import Place, hive_keys
from contender.data.reading.request import ReadRequest
from contender.data.sources import CsvSource, ParquetSource
from contender.errors import ConfigError, DataRejected, DataUnavailable


def files(place: Path | str, suffix: str = "csv", roots: tuple[Path, ...] = ()) -> Files:
    return open_files(Place(Path(place)), suffix, [Place(root) for root in roots], None, from_environment)


def write(path: Path, content: str = "a,b\n1,2\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("place", "names"),
    [
        (".", ["a.csv", "x/b.csv", "x/y/c.csv"]),
        ("a.csv", ["a.csv"]),
        ("*.csv", ["a.csv"]),
        ("x/*.csv", ["b.csv"]),
        ("*/*.csv", ["x/b.csv"]),
        ("**/*.csv", ["a.csv", "x/b.csv", "x/y/c.csv"]),
        ("x/**/c.csv", ["y/c.csv"]),
        ("**/x/**/*.csv", ["x/b.csv", "x/y/c.csv"]),
        ("?.csv", ["a.csv"]),
        ("*/*.txt", ["x/d.txt"]),
    ],
)
def test_a_file_a_folder_or_a_glob_is_its_files_in_order(tmp_path: Path, place: str, names: list[str]) -> None:
    for name in ("a.csv", "x/b.csv", "x/y/c.csv", "x/d.txt", ".h/e.csv", "x/_tmp/f.csv", "x/.g.csv"):
        write(tmp_path / name)
    assert names == [file.name for file in files(tmp_path / place).listed()]


def test_a_name_with_the_signs_of_a_glob_is_that_file(tmp_path: Path) -> None:
    write(tmp_path / "[a] x.csv" / "b.csv")
    assert ["b.csv"] == [file.name for file in files(tmp_path / "[a] x.csv").listed()]


def test_a_link_that_leads_round_is_not_followed_for_ever(tmp_path: Path) -> None:
    write(tmp_path / "x" / "a.csv")
    (tmp_path / "x" / "round").symlink_to(tmp_path)
    assert ["x/a.csv"] == [file.name for file in files(tmp_path).listed()]


def test_a_file_is_recorded_with_its_hash_and_size(tmp_path: Path) -> None:
    write(tmp_path / "b.csv", "a,b\n3,4\n")
    write(tmp_path / "a.csv")
    found = CsvSource(kind="csv", uri=str(tmp_path)).read(ReadRequest())
    assert [
        (str(path), path.stat().st_size, "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest())
        for path in (tmp_path / "a.csv", tmp_path / "b.csv")
    ] == [(file.uri, file.bytes, file.digest) for file in found.files]


def test_text_in_another_encoding_is_hashed_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("a,b\n1,ü\n".encode("utf-16"))
    [file] = CsvSource(kind="csv", uri=str(tmp_path), encoding="utf-16").read(ReadRequest()).files
    assert file.digest == "sha256:" + hashlib.sha256((tmp_path / "a.csv").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("day=2026-01-01/region=a%2Fb/x.csv", {"day": "2026-01-01", "region": "a/b"}),
        ("day=__HIVE_DEFAULT_PARTITION__/x.csv", {"day": None}),
        ("plain/x=1.csv", {}),
        ("k=/x.csv", {"k": ""}),
        ("a=b=c/x.csv", {"a": "b=c"}),
    ],
)
def test_folders_name_columns_as_hive_writes_them(name: str, keys: dict[str, str | None]) -> None:
    assert keys == hive_keys(PurePath(name))


def test_a_place_outside_the_roots_is_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    with pytest.raises(ConfigError, match=r"data\.source\.uri: .* leads to files outside the roots"):
        files(tmp_path / "nothing", roots=(tmp_path / "lake",))


def grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"3,4\n")


def rewrite(path: Path) -> None:
    content, stat = path.read_bytes(), path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as somebody does who wants not to be noticed


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.rename(path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("change", "said"), [(grow, "changed"), (rewrite, "changed"), (replace, "changed"), (Path.unlink, "was removed")]
)
def test_a_file_that_changes_while_it_is_read_is_named(
    tmp_path: Path, kind: str, change: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        write(path)
    else:
        write_parquet(path, pa.table({"n": [1]}))
    module = {"csv": delimited, "parquet": parquet}[kind]
    batches = module.Batches

    class Meanwhile(batches):  # type: ignore[misc,valid-type]
        """As fast as the writer can be: after the listing, before the end."""

        def add(self, *arguments: Any, **named: Any) -> Any:
            if path.exists() and not hasattr(self, "done"):
                self.done = True
                change(path)
            return super().add(*arguments, **named)

    monkeypatch.setattr(module, "Batches", Meanwhile)
    source = (CsvSource if kind == "csv" else ParquetSource).model_validate({"kind": kind, "uri": str(tmp_path)})
    with pytest.raises(DataRejected, match=rf"{path} {said} while it was read"):
        source.read(ReadRequest())


def test_a_file_that_is_only_looked_at_has_not_changed(tmp_path: Path) -> None:
    found = LocalFiles(Place(write(tmp_path / "a.csv")), "csv")
    listed = found.listed()
    Path(listed[0].path).read_bytes()
    assert found.sources(listed, {listed[0].uri: "sha256:x"})[0].digest == "sha256:x"


def names_of(place: Path, suffix: str = "csv", roots: tuple[Path, ...] = ()) -> list[str]:
    return [file.name for file in files(place, suffix, roots).listed()]


def test_a_linked_folder_is_read_like_any_other(tmp_path: Path) -> None:
    write(tmp_path / "mount" / "b.csv")
    write(tmp_path / "lake" / "a.csv")
    (tmp_path / "lake" / "2026-02").symlink_to(tmp_path / "mount")
    assert ["2026-02/b.csv", "a.csv"] == names_of(tmp_path / "lake")
    assert ["2026-02/b.csv", "a.csv"] == names_of(tmp_path / "lake" / "**" / "*.csv")


def test_a_file_that_links_lead_to_twice_is_read_once(tmp_path: Path) -> None:
    write(tmp_path / "2026-03" / "a.csv")
    (tmp_path / "2026-03" / "0.csv").symlink_to(tmp_path / "2026-03" / "a.csv")
    (tmp_path / "0-latest").symlink_to(tmp_path / "2026-03")
    assert ["2026-03/a.csv"] == names_of(tmp_path)
    assert ["2026-03/a.csv"] == names_of(tmp_path / "*" / "*.csv")
    found = CsvSource(kind="csv", uri=str(tmp_path)).read(ReadRequest())
    assert (found.table.num_rows, found.files_found) == (1, 1)


def test_a_file_that_two_partitions_link_to_has_rows_in_both(tmp_path: Path) -> None:
    write(tmp_path / "store" / "a.csv")
    for day in ("k=1", "k=2"):
        (tmp_path / "lake" / day).mkdir(parents=True)
        (tmp_path / "lake" / day / "a.csv").symlink_to(tmp_path / "store" / "a.csv")
    assert ["k=1/a.csv", "k=2/a.csv"] == names_of(tmp_path / "lake")


@pytest.mark.parametrize("many", [2, 7])
def test_folders_that_link_to_one_another_end(tmp_path: Path, many: int) -> None:
    for one in range(many):
        write(tmp_path / f"f{one}" / f"{one}.csv")
        for other in range(many):
            (tmp_path / f"f{one}" / f"to{other}").symlink_to(tmp_path / f"f{other}")
    assert many == len(names_of(tmp_path))


@pytest.mark.parametrize("place", [".", "*.csv", "**/*.csv"])
@pytest.mark.parametrize("name", ["2026-02", "2026-02.csv"])
def test_a_link_whose_mount_is_away_is_named(tmp_path: Path, place: str, name: str) -> None:
    write(tmp_path / "a.csv")
    (tmp_path / name).symlink_to("/mnt/away/2026-02")
    (tmp_path / ".hidden").symlink_to("/mnt/away")
    if place == "*.csv" and name == "2026-02":  # the glob does not ask for it
        assert ["a.csv"] == names_of(tmp_path / place)
        return
    with pytest.raises(
        DataUnavailable, match=rf"the link {tmp_path}/{name} leads to /mnt/away/2026-02, which cannot be"
    ):
        names_of(tmp_path / place)


@pytest.mark.parametrize("place", ["lake", "lake/a.csv", "lake/*.csv", "lake/x/**/*.csv"])
def test_a_place_behind_a_link_whose_mount_is_away_names_the_link(tmp_path: Path, place: str) -> None:
    (tmp_path / "lake").symlink_to("/mnt/away")
    with pytest.raises(DataUnavailable, match=rf"the link {tmp_path}/lake leads to /mnt/away, which cannot be reached"):
        names_of(tmp_path / place)


def test_a_link_to_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to(tmp_path / "x")
    with pytest.raises(DataUnavailable, match=rf"the link {tmp_path}/x leads to .*, which cannot be reached"):
        names_of(tmp_path)


def test_links_out_of_the_roots_are_refused_before_anything_is_looked_into(tmp_path: Path) -> None:
    write(tmp_path / "lake" / "a.csv")
    write(tmp_path / "other" / "b.csv")
    assert ["a.csv"] == names_of(tmp_path / "lake", roots=(tmp_path / "lake",))
    (tmp_path / "lake" / "x").symlink_to(tmp_path / "other")
    with pytest.raises(ConfigError, match="leads to files outside the roots"):
        names_of(tmp_path / "lake", roots=(tmp_path / "lake",))
    assert ["a.csv", "x/b.csv"] == names_of(tmp_path / "lake", roots=(tmp_path,))


def test_an_ending_in_capitals_is_the_same_ending(tmp_path: Path) -> None:
    write(tmp_path / "2026-01.csv")
    write(tmp_path / "2026-02.CSV")
    assert ["2026-01.csv", "2026-02.CSV"] == names_of(tmp_path)


def test_files_of_another_kind_are_counted_and_hidden_ones_are_not_there(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv.gz", "c.TXT", "x/d.txt", "README", "_SUCCESS", ".crc", "x/_tmp/e.csv"):
        write(tmp_path / name)
    found = CsvSource(kind="csv", uri=str(tmp_path)).read(ReadRequest())
    assert (found.files_found, found.files_other) == (5, {".gz": 1, ".txt": 2, "": 1})
    assert CsvSource(kind="csv", uri=str(tmp_path / "*.csv")).read(ReadRequest()).files_found == 1


def test_what_is_no_file_is_no_data(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataRejected, match=rf"{tmp_path}/a\.csv is no regular file; leave only files of data there"):
        names_of(tmp_path)


def test_a_name_that_is_no_text_is_refused_without_a_traceback(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv")).write_text("a,b\n1,2\n")
    with pytest.raises(DataRejected, match=r"the name of .*\?\.csv is not UTF-8; rename it"):
        names_of(tmp_path)


@pytest.mark.parametrize(
    ("log", "kind"),
    [
        ("_delta_log/00000000000000000000.json", "Delta Lake"),
        ("metadata/00001-9d.metadata.json", "Iceberg"),
        (".hoodie/hoodie.properties", "Hudi"),
    ],
)
@pytest.mark.parametrize("place", [".", "table", "table/data", "table/data/a.parquet", "table/*/*.parquet"])
def test_the_folder_of_a_table_with_a_log_is_refused_because_its_files_hold_deleted_rows(
    tmp_path: Path, log: str, kind: str, place: str
) -> None:
    write(tmp_path / "table" / log, "{}")
    write_parquet(tmp_path / "table" / "data" / "a.parquet", pa.table({"n": [1]}))
    with pytest.raises(DataRejected, match=rf"{tmp_path}/table is a table of {kind}, .* kind: sql"):
        names_of(tmp_path / place, "parquet")


def test_a_folder_beside_a_table_with_a_log_is_read(tmp_path: Path) -> None:
    write(tmp_path / "table" / "_delta_log" / "0.json", "{}")
    write_parquet(tmp_path / "export" / "a.parquet", pa.table({"n": [1]}))
    write(tmp_path / "export" / "metadata" / "notes.json", "{}")
    assert ["a.parquet"] == names_of(tmp_path / "export", "parquet")
