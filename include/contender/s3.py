"""Clients for S3 and whatever speaks its API, and what they say when it fails. The only module that imports boto3.

A client speaks to one server as one Airflow ``aws`` connection says; what that leaves open, boto3 finds as everywhere
(environment, profile, the machine's role).
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from contender.errors import BackendError, ConfigError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONNECT_SECONDS = 5
READ_SECONDS = 60
ATTEMPTS = 5

# What an extra may say, by boto3's names. Another one (role_arn, say) would mean another identity than is asked: refused.
_EXTRAS = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "endpoint_url",
    "profile_name",
    "region_name",
)
_NEXT = {
    "AccessDenied": "allow s3:GetObject, s3:PutObject and s3:ListBucket there",
    "403": "check its keys, and allow s3:GetObject, s3:PutObject and s3:ListBucket there",
    "ExpiredToken": "renew the session's keys",
    "InvalidAccessKeyId": "check the connection's login and endpoint_url",
    "NoSuchBucket": "create the bucket, or correct its name",
    "RequestTimeTooSkewed": "set this machine's clock",
    "SignatureDoesNotMatch": "check the connection's password and region_name",
}

_NO_CREDENTIALS = "no credentials for S3; set login and password in the connection, or AWS_ACCESS_KEY_ID and its kin"


def s3_client(fields: Mapping[str, Any], place: str = "connection") -> Any:
    """A boto3 client with retries, timeouts, and neither checksums nor host names that only AWS understands.

    Args:
        fields: an Airflow connection's: ``login`` and ``password`` are the key and its secret, ``extra`` (a dict or its
            JSON) may have endpoint_url, region_name, aws_session_token, profile_name. None of them: boto3's own chain.
        place: where the fields come from, for messages.

    Raises:
        ConfigError: the fields do not make a client; no secret is in the message.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    given = _given(fields, place)
    endpoint = given.get("endpoint_url")
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        s3={"addressing_style": "path" if endpoint else "auto"},
        # Without a checksum the body is signed with its SHA-256, which every server that checks signatures compares.
        # The other default sends trailers that some servers refuse, and some store as part of the object.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    profile = given.pop("profile_name", None)
    try:
        return boto3.Session(profile_name=profile).client("s3", config=config, **given)
    except (BotoCoreError, ValueError) as error:
        msg = f"{place}: no S3 client can be made of it: {' '.join(str(error).split())[:200]}"
        raise ConfigError(msg) from None


def arrow_s3(client: Any, fields: Mapping[str, Any], place: str = "connection") -> Any:
    """Arrow's S3 file system, which speaks to the server that the client speaks to, as the same user.

    Args:
        client: of ``s3_client``, made of the same fields: it has looked up what they leave open.

    Raises:
        ConfigError: as ``s3_client``, or there are no credentials.
    """
    import boto3
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    given = _given(fields, place)
    session = boto3.Session(
        **{name: value for name, value in given.items() if name not in ("endpoint_url", "region_name")}
    )
    credentials = session.get_credentials()
    if credentials is None:
        raise ConfigError(f"{place}: {_NO_CREDENTIALS}")
    keys = credentials.get_frozen_credentials()
    address = urlsplit(client.meta.endpoint_url)
    other = not str(address.hostname).endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return S3FileSystem(
        access_key=keys.access_key,
        secret_key=keys.secret_key,
        session_token=keys.token,
        region=None if client.meta.region_name == "aws-global" else client.meta.region_name,
        scheme=address.scheme,
        endpoint_override=address.netloc if other else None,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=READ_SECONDS,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )


@contextmanager
def s3_errors(what: str) -> Iterator[None]:
    """What a client raises inside, as one of ours: what was asked, what the server said, what to do.

    Raises:
        ConfigError: there are no credentials.
        BackendError: the server refused, did not answer, or stopped in the middle.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
    from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError

    try:
        yield
    except (NoCredentialsError, PartialCredentialsError):
        raise ConfigError(f"{what}: {_NO_CREDENTIALS}") from None
    except ClientError as error:
        said = error.response.get("Error", {})
        code = str(said.get("Code", "?"))
        msg = f"{what}: the server refused: {one_line(code)}: {' '.join(str(said.get('Message', '')).split())[:200]}"
        raise BackendError(msg + (f"; {_NEXT[code]}" if code in _NEXT else "")) from None
    except (BotoCoreError, Boto3Error, S3DownloadFailedError, RetriesExceededError) as error:
        msg = f"{what}: {' '.join(str(getattr(error, 'last_exception', error)).split())[:300]}"
        raise BackendError(msg) from None


def read_object(client: Any, bucket: str, name: str) -> bytes:
    """The whole object; one that stops in the middle is asked for again.

    Raises:
        botocore's errors, see ``s3_errors``.
    """
    from botocore.exceptions import BotoCoreError

    for left in reversed(range(ATTEMPTS)):
        body = client.get_object(Bucket=bucket, Key=name)["Body"]  # boto3 itself retries up to here
        try:
            return bytes(body.read())
        except BotoCoreError:
            if not left:
                raise
    raise AssertionError


def _given(fields: Mapping[str, Any], place: str) -> dict[str, str]:
    """boto3's arguments from a connection's fields."""
    extra = fields.get("extra") or {}
    try:
        extra = dict(json.loads(extra) if isinstance(extra, str) else extra)
    except (ValueError, TypeError):
        raise ConfigError(f"{place}: its extra is not a JSON object") from None
    for name in extra:
        if name not in _EXTRAS:
            msg = (
                f"{place}: extra {one_line(name)!r} is not understood, expected some of {', '.join(_EXTRAS)}; "
                "a role is assumed by the profile of profile_name"
            )
            raise ConfigError(msg)
    extra |= {
        name: fields[field]
        for name, field in (("aws_access_key_id", "login"), ("aws_secret_access_key", "password"))
        if fields.get(field)
    }
    given = {name: str(value) for name, value in extra.items() if value}
    if ("aws_access_key_id" in given) != ("aws_secret_access_key" in given):
        raise ConfigError(f"{place}: login (the key) and password (its secret) go together; one of them is missing")
    if "endpoint_url" in given:
        address = urlsplit(given["endpoint_url"])
        if address.scheme not in ("http", "https") or not address.hostname or "@" in given["endpoint_url"]:
            msg = f"{place}: endpoint_url must be http(s)://host:port without a login, got {address.scheme}://..."
            raise ConfigError(msg)
    return given
