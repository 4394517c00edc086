"""Clients for S3 and servers with its API, and the translation of their errors. The only module that imports boto3.

A client is configured by one Airflow ``aws`` connection; boto3 finds what that leaves open in its usual places
(environment, profile, the machine's role).
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from contender.errors import BackendError, ConfigError, one_line
from contender.telling import first_line, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONNECT_SECONDS = 5
READ_SECONDS = 60
ATTEMPTS = 5  # of one request, the first included

# Supported keys of a connection's extra. Others are refused, because ignoring role_arn, say, would use another
# identity.
_EXTRAS = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "endpoint_url",
    "profile_name",
    "region_name",
)
_ADVICE = {
    "AccessDenied": "allow s3:GetObject, s3:PutObject and s3:ListBucket there",
    "403": "check its keys, and allow s3:GetObject, s3:PutObject and s3:ListBucket there",
    "ExpiredToken": "renew the session's keys",
    "InvalidAccessKeyId": "check the connection's login and endpoint_url",
    "NoSuchBucket": "create the bucket, or correct its name",
    "RequestTimeTooSkewed": "set this machine's clock",
    "SignatureDoesNotMatch": "check the connection's password and region_name",
}
_AWAY = (429, 500, 502, 503, 504)
_BUSY = ("InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException")

_NO_CREDENTIALS = "no credentials for S3; set login and password in the connection, or AWS_ACCESS_KEY_ID and its kin"


def s3_client(fields: Mapping[str, Any], place: str = "connection") -> Any:
    """A boto3 client with retries and timeouts, without the checksums and host names that only AWS understands.

    Args:
        fields: of an Airflow connection: ``login`` and ``password`` are the access key and its secret, ``extra`` (a
            dict or its JSON) may have endpoint_url, region_name, aws_session_token, profile_name. boto3 finds the rest.
        place: where the fields come from, for messages.

    Raises:
        ConfigError: the fields are invalid; the message contains no secret.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    given = _client_arguments(fields, place)
    endpoint = given.get("endpoint_url")
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        s3={"addressing_style": "path" if endpoint else "auto"},
        # Without a checksum the request's signature covers the body's SHA-256, which every server compares. boto3's
        # default instead sends checksums as trailers, which some servers refuse and some store as part of the object.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    profile = given.pop("profile_name", None)
    try:
        return boto3.Session(profile_name=profile).client("s3", config=config, **given)
    except (BotoCoreError, ValueError) as error:
        msg = f"{place}: no S3 client can be made of it: {first_line(error)[:200]}"
        raise ConfigError(msg) from None


def arrow_s3(client: Any, fields: Mapping[str, Any], place: str = "connection") -> Any:
    """Arrow's S3 file system for the same server and the same user as a client.

    Args:
        client: from ``s3_client`` with the same fields; it has resolved the endpoint and the region.

    Raises:
        ConfigError: as ``s3_client``, or there are no credentials.
    """
    import boto3
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    given = _client_arguments(fields, place)
    session = boto3.Session(
        **{name: value for name, value in given.items() if name not in ("endpoint_url", "region_name")}
    )
    credentials = session.get_credentials()
    if credentials is None:
        raise ConfigError(f"{place}: {_NO_CREDENTIALS}")
    keys = credentials.get_frozen_credentials()
    address = urlsplit(client.meta.endpoint_url)
    # For AWS itself Arrow makes the host from region and bucket; only other servers need an override.
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
    """Translate the errors that a client raises in the block: the request, the server's words, and what to do.

    Raises:
        ConfigError: there are no credentials.
        BackendError: the server refused, did not answer, or broke off.
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
        words = without_secrets(" ".join(str(said.get("Message", "")).split()))[:200]
        msg = f"{what}: the server refused: {one_line(code)}: {words}"
        raise BackendError(msg + (f"; {_ADVICE[code]}" if code in _ADVICE else "")) from None
    except (BotoCoreError, Boto3Error, S3DownloadFailedError, RetriesExceededError) as error:
        msg = f"{what}: {first_line(getattr(error, 'last_exception', None) or error)}"
        raise BackendError(msg) from None


def is_away(error: BaseException) -> bool:
    """Whether a client's error says that the server does not answer, or broke off, or asks to wait."""
    from boto3.exceptions import Boto3Error
    from botocore import exceptions as known

    if isinstance(error, Boto3Error):  # of an upload or a download in parts, which hides what went wrong
        error = getattr(error, "last_exception", None) or error.__context__ or error
    if isinstance(error, known.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status in _AWAY or error.response.get("Error", {}).get("Code") in _BUSY
    return isinstance(error, known.HTTPClientError | known.ConnectionError | known.IncompleteReadError)


def read_object(client: Any, bucket: str, name: str) -> bytes:
    """The content of an object. boto3 repeats a failed request, but not the reading of its response.

    Raises:
        botocore's errors, see ``s3_errors``; of one that breaks off, ``is_away``.
    """
    return bytes(client.get_object(Bucket=bucket, Key=name)["Body"].read())


def _client_arguments(fields: Mapping[str, Any], place: str) -> dict[str, str]:
    """The arguments of a boto3 client, from a connection's fields.

    Raises:
        ConfigError: a field is unknown, incomplete or invalid.
    """
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
