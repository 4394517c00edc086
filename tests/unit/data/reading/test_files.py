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
from contender.data.reading.files import Files, LocalFiles, hive_keys, open_files
from contender.data.reading.places import Place
from contender.data.reading.request import ReadRequest
from contender.data.sources import CsvSource, ParquetSource
from contender.errors import ConfigError, DataRejected


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

        def add(self, *arguments: Any) -> Any:
            if path.exists() and not hasattr(self, "done"):
                self.done = True
                change(path)
            return super().add(*arguments)

    monkeypatch.setattr(module, "Batches", Meanwhile)
    source = (CsvSource if kind == "csv" else ParquetSource).model_validate({"kind": kind, "uri": str(tmp_path)})
    with pytest.raises(DataRejected, match=rf"{path} {said} while it was read"):
        source.read(ReadRequest())


def test_a_file_that_is_only_looked_at_has_not_changed(tmp_path: Path) -> None:
    found = LocalFiles(Place(write(tmp_path / "a.csv")), "csv")
    listed = found.listed()
    Path(listed[0].path).read_bytes()
    assert found.sources(listed, {listed[0].uri: "sha256:x"})[0].digest == "sha256:x"
