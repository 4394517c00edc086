"""Where a uri leads, before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contender.data.reading.places import Place, checked, hidden, matches, place_of
from contender.errors import ConfigError

NAMES = st.sampled_from(["a", "ab", "b.csv", "c.csv", "day=1"])


def test_a_local_path_and_a_bucket_are_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE", "s3://lake")
    monkeypatch.setenv("HOME", "/home/ann")
    assert str(place_of("${LAKE}/sales/*.csv")) == "s3://lake/sales/*.csv"
    assert str(place_of("s3://lake")) == str(place_of("s3://lake/")) == "s3://lake/"
    assert str(place_of("~/sales")) == "/home/ann/sales"


@pytest.mark.parametrize("uri", ["gs://lake/x", "http://169.254.169.254/", "file:///etc", "abfs://x@y/z"])
def test_another_address_is_refused_by_its_scheme(uri: str) -> None:
    with pytest.raises(ValueError, match=r"got an address \(\w+://\.\.\.\), expected a local path or s3://") as caught:
        checked(uri)
    assert uri not in str(caught.value)


@pytest.mark.parametrize("uri", ["s3://", "s3:///x", "s3://key:hunter2@lake/x", "s3://a b/x"])
def test_a_bucket_needs_a_name_and_no_password(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="got s3:// without a bucket's name") as caught:
        checked(uri)
    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("LAKE", uri)
    with pytest.raises(ConfigError, match=r"^data\.source\.uri: got s3:// without"):
        place_of("${LAKE}")


def test_a_bucket_may_be_a_variable() -> None:
    assert checked("s3://${BUCKET}/x") == "s3://${BUCKET}/x"


@pytest.mark.parametrize(
    ("uri", "base", "pattern"),
    [("/lake/*/x.csv", "/lake", "*/x.csv"), ("/lake", "/lake", ""), ("s3://b/x/[ab]/**/c", "s3://b/x", "[ab]/**/c"), ("*.csv", ".", "*.csv")],
)  # fmt: skip
def test_a_glob_starts_from_a_folder(uri: str, base: str, pattern: str) -> None:
    place = place_of(uri)
    assert (base, pattern) == (str(place.split()[0]), place.split()[1])
    assert place.wild == bool(pattern)


@pytest.mark.parametrize(
    ("uri", "root", "inside"),
    [
        ("s3://b/x/y", "s3://b/x", True),
        ("s3://b/x", "s3://b/x/", True),
        ("s3://b/x", "s3://b", True),
        ("s3://b/xy", "s3://b/x", False),
        ("s3://c/x", "s3://b/x", False),
        ("s3://b/*/y", "s3://b/x", False),
        ("/x/y", "s3://b/x", False),
        ("s3://b/x", "/x", False),
    ],
)
def test_a_prefix_lies_in_its_root_or_does_not(uri: str, root: str, inside: bool) -> None:
    assert inside == place_of(uri).inside(place_of(root))


def test_a_link_out_of_the_root_is_followed(tmp_path: Path) -> None:
    for name in ("lake", "secret"):
        (tmp_path / name).mkdir()
    (tmp_path / "lake" / "out").symlink_to(tmp_path / "secret")
    root = Place(tmp_path / "lake")
    assert Place(tmp_path / "lake" / "x").inside(root)
    assert not Place(tmp_path / "lake" / "out" / "x").inside(root)
    assert not Place(tmp_path / "lake" / "*" / ".." / ".." / "x").inside(root)


@pytest.mark.parametrize("name", ["a[1]", "a*", "a?", "[", "x[!y]", "**"])
@pytest.mark.parametrize("leaf", ["", "x.csv", "*.csv"])
def test_a_link_out_of_the_root_is_followed_though_its_name_looks_like_a_glob(
    tmp_path: Path, name: str, leaf: str
) -> None:
    for folder in ("lake/real", "secret"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "lake" / name).symlink_to(tmp_path / "secret")
    root = Place(tmp_path / "lake")
    assert not Place(tmp_path / "lake" / name / leaf).inside(root)
    assert Place(tmp_path / "lake" / "real" / name).inside(root)
    assert not Place(tmp_path / name).inside(root)


def test_what_is_not_finished_is_hidden() -> None:
    assert [hidden((name, "x")) for name in ("_temporary", ".git", "a_b", "a.b")] == [True, True, False, False]


@given(
    parts=st.lists(NAMES, min_size=1, max_size=4).map(tuple),
    pattern=st.lists(st.sampled_from(["**", "*", "*.csv", "a*", "?.csv", "[ab]*"]), min_size=1, max_size=4).map(tuple),
)
def test_keys_match_as_paths_do(
    parts: tuple[str, ...], pattern: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    if pattern[-1] == "**":
        pattern = (*pattern, "*")  # a glob of folders only
    folder = tmp_path_factory.mktemp("glob")
    (folder.joinpath(*parts)).parent.mkdir(parents=True, exist_ok=True)
    folder.joinpath(*parts).write_text("")
    assert matches(parts, pattern) == any(path.is_file() for path in folder.glob("/".join(pattern)))
