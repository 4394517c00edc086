"""Files in a bucket: read with a connection's keys from servers on loopback, as they are from a folder."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contender.aws import s3_client
from contender.data.reading.request import ReadRequest, ReadResult, Window
from contender.data.sources import CsvSource, ParquetSource
from contender.errors import BackendError, ConfigError, DataRejected, DataUnavailable
from faultproxy import Fault, proxy_to

if TYPE_CHECKING:
    from s3servers import S3Server

pytestmark = pytest.mark.integration
START, END = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 4, tzinfo=UTC)


@pytest.fixture(params=["moto", "rclone"])
def server(request: pytest.FixtureRequest) -> S3Server:
    return request.getfixturevalue(request.param)


@pytest.fixture
def bucket(server: S3Server) -> str:
    return server.bucket()


@lru_cache
def client(server: S3Server) -> Any:
    """One for all tests: making it takes longer than most of them."""
    return s3_client(server.fields())


def put(server: S3Server, bucket: str, key: str, content: bytes | pa.Table) -> str:
    """Put an object; returns its ETag."""
    if isinstance(content, pa.Table):
        sink = pa.BufferOutputStream()
        pq.write_table(content, sink)
        content = sink.getvalue().to_pybytes()
    answer = client(server).put_object(Bucket=bucket, Key=key, Body=content)
    return str(answer["ETag"]).strip('"')


def read(
    server: S3Server, uri: str, window: Window | None = None, kind: Any = ParquetSource, **settings: Any
) -> ReadResult:
    source = kind(kind=kind.suffix, uri=uri, conn_id="lake", **settings)
    found: ReadResult = source.read(ReadRequest(window, connect=lambda _: server.fields()))
    return found


@pytest.mark.parametrize(
    ("uri", "rows"),
    [
        ("s3://{0}/lake/a.parquet", [1]),
        ("s3://{0}/lake", [1, 2, 3]),
        ("s3://{0}/lake/", [1, 2, 3]),
        ("s3://{0}/lake/*.parquet", [1]),
        ("s3://{0}/lake/*/*.parquet", [2, 3]),
        ("s3://{0}/lake/**/b.parquet", [2]),
        ("s3://{0}", [1, 2, 3, 9]),
    ],
)
def test_an_object_a_prefix_or_a_glob_is_all_its_files(
    server: S3Server, bucket: str, uri: str, rows: list[int]
) -> None:
    files = {"lake/a.parquet": 1, "lake/x/b.parquet": 2, "lake/x/c.parquet": 3, "lake2/a.parquet": 9}
    etags = {f"s3://{bucket}/{key}": put(server, bucket, key, pa.table({"row": [row]})) for key, row in files.items()}
    for hidden in ("lake/_temporary/d.parquet", "lake/.e.parquet", "lake/x/readme.txt"):
        put(server, bucket, hidden, b"no")

    found = read(server, uri.format(bucket))

    assert sorted(found.table["row"].to_pylist()) == rows
    assert len(found.files) == len(rows)
    assert all(file.digest == f"etag:{etags[file.uri]}" and file.bytes > 100 for file in found.files)


def test_folders_of_days_are_opened_only_where_the_window_is(server: S3Server, bucket: str) -> None:
    for day in range(1, 6):
        put(server, bucket, f"lake/day=2026-01-0{day}/part.parquet", pa.table({"row": [day]}))

    found = read(server, f"s3://{bucket}/lake", Window("day", START, END, END))

    assert sorted(found.table["row"].to_pylist()) == [2, 3]
    assert [file.uri[-25:] for file in found.files] == [
        "day=2026-01-02/part.parquet"[-25:],
        "day=2026-01-03/part.parquet"[-25:],
    ]


def test_delimited_text_is_read_and_located(server: S3Server, bucket: str) -> None:
    put(server, bucket, "lake/a.csv", b"row,n\n1,1\n2,x\n")

    found = read(server, f"s3://{bucket}/lake", kind=CsvSource, types={"n": "number"})

    assert found.table.to_pydict() == {"row": [1, 2], "n": [1.0, None]}
    assert found.unread["n"].first == "a.csv:3"


def test_an_object_may_be_called_what_it_likes(server: S3Server, bucket: str) -> None:
    put(server, bucket, "lake/orders.txt", b"row\n1\n")
    assert [1] == read(server, f"s3://{bucket}/lake/orders.txt", kind=CsvSource).table["row"].to_pylist()


def test_no_object_means_the_data_may_still_come(server: S3Server, bucket: str) -> None:
    put(server, bucket, "lake/a.csv", b"row\n1\n")
    with pytest.raises(
        DataUnavailable, match=rf"no parquet file at s3://{bucket}/lake \(it has \.csv\); check the path"
    ):
        read(server, f"s3://{bucket}/lake/")


def test_an_object_that_is_no_parquet_is_named(server: S3Server, bucket: str) -> None:
    put(server, bucket, "lake/a.parquet", b"nothing of the kind")
    with pytest.raises(DataRejected, match=rf"s3://{bucket}/lake/a\.parquet cannot be read as parquet"):
        read(server, f"s3://{bucket}/lake/")


def test_a_bucket_that_is_not_there_is_said_in_the_servers_words(server: S3Server) -> None:
    with pytest.raises(BackendError, match=r"data\.source\.uri: s3://no-such-bucket/lake: .*NoSuchBucket"):
        read(server, "s3://no-such-bucket/lake/")


def test_an_object_that_changes_while_it_is_read_is_named(
    server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(server, bucket, "lake/a.parquet", pa.table({"row": [1]}))
    source = ParquetSource(kind="parquet", uri=f"s3://{bucket}/lake", conn_id="lake")
    files = source.files(lambda _: server.fields())
    listed = files.listed()
    put(server, bucket, "lake/a.parquet", pa.table({"row": [2]}))
    with pytest.raises(DataRejected, match=rf"s3://{bucket}/lake/a\.parquet changed while it was read"):
        files.sources(listed, {listed[0].uri: "etag:x"})


def test_without_a_connection_the_environments_keys_are_used(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = moto.bucket()
    put(moto, bucket, "lake/a.parquet", pa.table({"row": [1]}))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.fields()["login"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.fields()["password"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    found = ParquetSource(kind="parquet", uri=f"s3://{bucket}/lake").read(ReadRequest())
    assert found.table["row"].to_pylist() == [1]


def test_wrong_keys_are_refused_without_showing_them(rclone: S3Server) -> None:
    bucket = rclone.bucket()
    fields = rclone.fields(password="hunter2hunter2")  # noqa: S106 - a wrong one
    source = ParquetSource(kind="parquet", uri=f"s3://{bucket}/lake", conn_id="lake")
    with pytest.raises(BackendError, match="SignatureDoesNotMatch") as caught:
        source.read(ReadRequest(connect=lambda _: fields))
    assert "hunter2" not in str(caught.value)


def test_a_connection_of_another_type_is_refused(moto: S3Server) -> None:
    source = ParquetSource(kind="parquet", uri="s3://bucket/lake", conn_id="shop")
    with pytest.raises(
        ConfigError, match=r"data\.source\.conn_id: connection 'shop' is of type 'postgres', expected aws"
    ):
        source.read(ReadRequest(connect=lambda _: moto.fields(conn_type="postgres")))


def test_no_keys_at_all_is_said(moto: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fields = {"conn_type": "aws", "extra": json.dumps({"endpoint_url": moto.endpoint, "region_name": "us-east-1"})}
    source = ParquetSource(kind="parquet", uri="s3://bucket/lake", conn_id="lake")
    with pytest.raises(ConfigError, match=r"data\.source\.uri: s3://bucket/lake: no credentials for S3; set login"):
        source.read(ReadRequest(connect=lambda _: fields))


def test_endings_in_capitals_are_read_and_other_kinds_are_counted(server: S3Server, bucket: str) -> None:
    for key in ("a.parquet", "b.PARQUET"):
        put(server, bucket, f"lake/{key}", pa.table({"n": [1]}))
    for key in ("notes.txt", "_SUCCESS", "x/README"):
        put(server, bucket, f"lake/{key}", b"x")
    found = read(server, f"s3://{bucket}/lake")
    assert (found.table.num_rows, found.files_found, found.files_other) == (2, 4, {".txt": 1, "": 1})


@pytest.mark.parametrize(
    ("server", "log", "kind"),
    [
        ("moto", "_delta_log/0.json", "Delta Lake"),
        ("moto", "metadata/1.metadata.json", "Iceberg"),
        ("rclone", "metadata/v1.metadata.json", "Iceberg"),
        ("rclone", ".hoodie/x", "Hudi"),
    ],
    indirect=["server"],
)
def test_the_prefix_of_a_table_with_a_log_is_refused_above_it_and_in_it(
    server: S3Server, bucket: str, log: str, kind: str
) -> None:
    put(server, bucket, f"lake/table/{log}", b"{}")
    put(server, bucket, "lake/table/data/day=1/a.parquet", pa.table({"n": [1]}))
    put(server, bucket, "lake/export/a.parquet", pa.table({"n": [1]}))
    put(server, bucket, "lake/metadata/notes.json", b"{}")
    for place in ("lake/*/data/*/*.parquet", "lake/table/data/day=1/", "lake/table/data/day=1/a.parquet"):
        with pytest.raises(DataRejected, match=rf"s3://{bucket}/lake/table is a table of {kind}, .* kind: sql"):
            read(server, f"s3://{bucket}/{place}")
    for place in ("lake/export", "lake/export/a.parquet"):
        assert read(server, f"s3://{bucket}/{place}").table.num_rows == 1


@pytest.mark.parametrize(("answer", "read_"), [((403, "AccessDenied"), True), ((403, "SignatureDoesNotMatch"), False)])
def test_folders_above_the_uri_that_may_not_be_listed_are_no_tables(
    moto: S3Server, answer: tuple[int, str], read_: bool
) -> None:
    bucket = moto.bucket()
    put(moto, bucket, "lake/shop/orders/a.parquet", pa.table({"n": [1]}))
    with proxy_to(moto.endpoint) as between:
        between.fault = lambda asked: None if "orders" in asked.path or "list-type" not in asked.path else Fault(answer)
        source = ParquetSource(kind="parquet", uri=f"s3://{bucket}/lake/shop/orders", conn_id="lake")
        extra = {"endpoint_url": between.endpoint, "region_name": "us-east-1"}
        request = ReadRequest(connect=lambda _: moto.fields(extra=extra))
        if read_:
            assert source.read(request).table.num_rows == 1
        else:
            with pytest.raises(BackendError, match=f"the server refused: {answer[1]}"):
                source.read(request)
    above = [one for one in between.seen if "list-type" in one.path and "orders" not in one.path]
    assert len(above) == (12 if read_ else 1)  # four for each of lake/shop, lake and the bucket
