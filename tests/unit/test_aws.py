"""A client is made of exactly the connection's fields, and errors of the server are told without the secret."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from urllib3 import HTTPResponse

from contender.aws import arrow_s3, s3_client, s3_errors
from contender.errors import BackendError, ConfigError

if TYPE_CHECKING:
    from s3servers import S3Server

EXTRA = {"endpoint_url": "http://127.0.0.1:1", "region_name": "eu-west-1"}
LAKE = {"login": "AK", "password": "SE/CRET", "extra": EXTRA}


def credentials(client: Any) -> tuple[str, str, str | None]:
    found = client._request_signer._credentials
    return found.access_key, found.secret_key, found.token


@pytest.mark.parametrize("extra", [EXTRA, json.dumps(EXTRA)])
def test_a_connections_fields_make_a_client(extra: Any) -> None:
    client = s3_client({"conn_type": "aws", **LAKE, "extra": extra})
    assert credentials(client) == ("AK", "SE/CRET", None)
    assert (client.meta.endpoint_url, client.meta.region_name) == ("http://127.0.0.1:1", "eu-west-1")


def test_keys_may_stand_in_the_extra_with_a_session_token() -> None:
    extra = {"aws_access_key_id": "AK", "aws_secret_access_key": "SK", "aws_session_token": "TOKEN"}
    assert credentials(s3_client({"extra": extra})) == ("AK", "SK", "TOKEN")


@pytest.mark.parametrize("as_text", [False, True])
def test_a_client_has_what_the_extras_of_the_amazon_provider_say(as_text: bool) -> None:
    config = {
        "signature_version": "s3v4",
        "read_timeout": 7,
        "s3": {"addressing_style": "virtual"},
        "retries": {"mode": "legacy"},
    }
    own = {"s3": {"endpoint_url": "http://127.0.0.1:2"}}
    session = {"region_name": "eu-central-1"}
    extra = {"config_kwargs": config, "service_config": own, "session_kwargs": session, "verify": False} | {
        "endpoint_url": "http://127.0.0.1:1"
    }
    given: Any = {name: json.dumps(value) for name, value in extra.items()} if as_text else extra
    client = s3_client(LAKE | {"extra": given | {"verify": False, "endpoint_url": extra["endpoint_url"]}})
    assert (client.meta.endpoint_url, client.meta.region_name) == ("http://127.0.0.1:2", "eu-central-1")
    made = client.meta.config
    assert (made.read_timeout, made.connect_timeout, made.retries["mode"]) == (7, 5, "legacy")
    assert made.s3["addressing_style"] == "virtual"
    assert (
        s3_client({"extra": {"config_kwargs": {"signature_version": "unsigned"}}}).meta.config.signature_version
        is UNSIGNED
    )


def test_a_role_is_assumed_with_the_connections_keys_by_client_and_arrow_alike(moto: S3Server) -> None:
    """The server's own STS; the role's keys are asked for when they are needed."""
    bucket = moto.bucket()
    moto.client.put_object(Bucket=bucket, Key="a", Body=b"content")
    extra = {
        "endpoint_url": moto.endpoint,
        "region_name": "us-east-1",
        "role_arn": "arn:aws:iam::123456789012:role/reader",
        "external_id": "ours",
        "assume_role_kwargs": {"DurationSeconds": 900},
        "service_config": {"sts": {"endpoint_url": moto.endpoint}},
    }
    fields = moto.fields(extra=extra)
    client = s3_client(fields)
    assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == b"content"
    key, _, token = credentials(client)
    assert key.startswith("ASIA")
    assert token
    assert key != fields["login"]
    with arrow_s3(client, fields).open_input_stream(f"{bucket}/a") as stream:
        assert stream.read() == b"content"


def test_arrow_reads_no_https_whose_certificate_nobody_checks() -> None:
    fields = LAKE | {"extra": EXTRA | {"endpoint_url": "https://127.0.0.1:1", "verify": False}}
    with pytest.raises(ConfigError, match="let it be the path of a CA bundle"):
        arrow_s3(s3_client(fields), fields)


def test_without_keys_they_are_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "EK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ES")
    assert credentials(s3_client({})) == ("EK", "ES", None)


def test_a_client_retries_times_out_and_asks_a_custom_endpoint_by_path() -> None:
    config = s3_client(LAKE).meta.config
    assert config.retries == {"mode": "standard", "total_max_attempts": 5}
    assert (config.connect_timeout, config.read_timeout) == (5, 60)
    assert config.s3["addressing_style"] == "path"
    assert config.request_checksum_calculation == config.response_checksum_validation == "when_required"
    assert s3_client({"extra": {"region_name": "eu-west-1"}}).meta.config.s3["addressing_style"] == "auto"


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "https://s3.example"])
def test_what_is_put_is_signed_with_its_hash_so_that_a_server_sees_what_was_changed_on_the_way(endpoint: str) -> None:
    client, sent = s3_client({**LAKE, "extra": {"endpoint_url": endpoint, "region_name": "eu-west-1"}}), []

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append(request.headers)
        return AWSResponse(request.url, 200, {"ETag": '"x"'}, HTTPResponse(io.BytesIO(), preload_content=False))

    client.meta.events.register("before-send.s3", answer)
    client.put_object(Bucket="b", Key="k", Body=b"content")
    client.upload_part(Bucket="b", Key="k", UploadId="u", PartNumber=1, Body=b"content")
    expected = hashlib.sha256(b"content").hexdigest().encode()
    assert [headers["X-Amz-Content-SHA256"] for headers in sent] == [expected, expected]
    assert not [name for headers in sent for name in headers if "checksum" in name.lower() or "trailer" in name.lower()]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"login": "AK"}, "login (the key) and password (its secret) go together"),
        ({"password": "SE/CRET"}, "login (the key) and password (its secret) go together"),
        ({"extra": {"config_kwargs": {"nothing": 1}}}, "no S3 client can be made of it: "),
        ({"extra": {"config_kwargs": "x=1"}}, "its extra is not a JSON object"),
        ({"extra": {"config_kwargs": [1]}}, "extra 'config_kwargs' must be a JSON object, got a list"),
        ({"extra": {"role_arn": {"a": 1}}}, "extra 'role_arn' must be a text, got a dict"),
        ({"extra": {"assume_role_method": "assume_role_with_saml"}}, "is not done here, expected assume_role"),
        (
            {"extra": {"service_config": {"ec2": {}}}},
            "service_config.ec2 is not understood, expected endpoint_url of s3",
        ),
        (
            {"extra": {"service_config": {"sts": {"endpoint_url": "http://u:SE/CRET@x"}}}},
            "endpoint_url must be http(s)",
        ),
        (
            {"extra": {"aws_account_id": "1"}},
            "extra 'aws_account_id' is not understood, expected some of assume_role_kwargs, ",
        ),
        ({"extra": {"endpoint": "http://x"}}, "extra 'endpoint' is not understood, expected some of"),
        ({"extra": "{"}, "its extra is not a JSON object"),
        ({"extra": "[1]"}, "its extra is not a JSON object"),
        (
            {"extra": {"endpoint_url": "ftp://x"}},
            "endpoint_url must be http(s)://host:port without a login, got ftp://",
        ),
        ({"extra": {"endpoint_url": "http://u:SE/CRET@x"}}, "endpoint_url must be http(s)"),
        ({"extra": {"endpoint_url": "minio:9000"}}, "endpoint_url must be http(s)"),
        ({"extra": {"profile_name": "nobody"}}, "no S3 client can be made of it: The config profile (nobody)"),
        ({"extra": {"region_name": "no where"}}, "no S3 client can be made of it: "),
    ],
)
def test_a_connection_that_makes_no_client_is_named_without_its_secret(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        s3_client(fields, "connection lake")
    assert str(caught.value).startswith("connection lake: ")
    assert message in str(caught.value)
    assert "SE/CRET" not in str(caught.value)


def test_no_credentials_at_all_is_the_users_to_mend(monkeypatch: pytest.MonkeyPatch, moto: S3Server) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    client = s3_client({"extra": {"endpoint_url": moto.endpoint, "region_name": "us-east-1"}})
    with pytest.raises(ConfigError, match=r"^lake: no credentials for S3; set login and password"), s3_errors("lake"):
        client.list_buckets()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"password": "another-secret-of-some-length"}, "lake: the server refused: SignatureDoesNotMatch: .*; check the connection's password"),
        ({"login": "AKIAANOTHER"}, "lake: the server refused: InvalidAccessKeyId: .*; check the connection's login"),
    ],
)  # fmt: skip
def test_a_wrong_secret_is_refused_and_not_repeated(rclone: S3Server, changes: dict[str, Any], message: str) -> None:
    fields = rclone.fields(**changes)
    with pytest.raises(BackendError, match=message) as caught, s3_errors("lake"):
        s3_client(fields).list_buckets()
    assert fields["password"] not in str(caught.value)


def test_a_bucket_that_is_not_there_is_said_with_what_to_do(moto: S3Server) -> None:
    with pytest.raises(BackendError, match=r"the server refused: NoSuchBucket: .*; create the bucket"), s3_errors("x"):
        s3_client(moto.fields()).list_objects_v2(Bucket="nobodys")


def test_a_server_that_is_away_is_said_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contender.aws.ATTEMPTS", 1)
    with (
        pytest.raises(BackendError, match=r'^x: Could not connect to the endpoint URL: "http://127.0.0.1:1'),
        s3_errors("x"),
    ):
        s3_client(LAKE).list_buckets()
