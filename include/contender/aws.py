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

# The keys of a connection's extra, as the Amazon provider documents them. Others are refused, because ignoring one could
# use another identity.
_EXTRAS = (
    "assume_role_kwargs",
    "assume_role_method",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "config_kwargs",
    "endpoint_url",
    "external_id",
    "profile_name",
    "region_name",
    "role_arn",
    "service_config",
    "session_kwargs",
    "verify",
)
_TABLES = ("assume_role_kwargs", "config_kwargs", "service_config", "session_kwargs")
_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
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
            dict or its JSON) has what the Amazon provider documents, see ``_EXTRAS``. boto3 finds the rest.
        place: where the fields come from, for messages.

    Raises:
        ConfigError: the fields are invalid; the message contains no secret.
    """
    from botocore.config import Config

    extra = _extra(fields, place)
    endpoint = _endpoint(extra, "s3")
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
    with _made(place):
        config = config.merge(_config(extra))
        return _session(extra, place).client("s3", config=config, endpoint_url=endpoint, verify=extra.get("verify"))


def arrow_s3(client: Any, fields: Mapping[str, Any], place: str = "connection") -> Any:
    """Arrow's S3 file system for the same server and the same user as a client.

    Of an assumed role it has the keys of now, which are valid for an hour or as long as ``assume_role_kwargs`` says.

    Args:
        client: from ``s3_client`` with the same fields; it has resolved the endpoint and the region.

    Raises:
        ConfigError: as ``s3_client``, or there are no credentials.
        BackendError: the role cannot be assumed.
    """
    from botocore import UNSIGNED
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    extra = _extra(fields, place)
    identity: dict[str, Any] = {"anonymous": True}
    if client.meta.config.signature_version is not UNSIGNED:
        credentials = _session(extra, place).get_credentials()
        if credentials is None:
            raise ConfigError(f"{place}: {_NO_CREDENTIALS}")
        with s3_errors(place):
            keys = credentials.get_frozen_credentials()
        identity = {"access_key": keys.access_key, "secret_key": keys.secret_key, "session_token": keys.token}
    address = urlsplit(client.meta.endpoint_url)
    # For AWS itself Arrow makes the host from region and bucket; only other servers need an override.
    other = not str(address.hostname).endswith((".amazonaws.com", ".amazonaws.com.cn"))
    if isinstance(bundle := extra.get("verify"), str):
        identity["tls_ca_file_path"] = bundle
    elif bundle is False and address.scheme == "https":
        msg = f"{place}: extra verify is false, and reading data cannot do without; let it be the path of a CA bundle"
        raise ConfigError(msg)
    return S3FileSystem(
        **identity,
        region=None if client.meta.region_name == "aws-global" else client.meta.region_name,
        scheme=address.scheme,
        endpoint_override=address.netloc if other else None,
        force_virtual_addressing=(client.meta.config.s3 or {}).get("addressing_style") == "virtual",
        connect_timeout=CONNECT_SECONDS,
        request_timeout=READ_SECONDS,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )


def _session(extra: Mapping[str, Any], place: str) -> Any:
    """A boto3 session with the connection's keys or profile, or with the role that these may assume.

    The role's keys are asked for when they are needed, and again before they expire.
    """
    import boto3
    import botocore.session
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

    given = {name: extra[name] for name in (*_KEYS, "profile_name", "region_name") if extra.get(name)}
    with _made(place):
        session = boto3.Session(**{**given, **extra.get("session_kwargs", {})})
        if not extra.get("role_arn"):
            return session
        source = session.get_credentials()
        if source is None:
            raise ConfigError(f"{place}: {_NO_CREDENTIALS}; they are needed to assume role_arn")

        def client(service: str, **keys: Any) -> Any:
            where = {"endpoint_url": _endpoint(extra, "sts"), "verify": extra.get("verify")}
            return session.client(service, config=_config(extra), **where, **keys)

        asked = {"RoleSessionName": "contender", **extra.get("assume_role_kwargs", {})}
        if extra.get("external_id"):
            asked["ExternalId"] = extra["external_id"]
        fetcher = AssumeRoleCredentialFetcher(client, source, extra["role_arn"], extra_args=asked)
        assumed = botocore.session.get_session()
        assumed._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")  # noqa: SLF001 - as the Amazon provider does
        return boto3.Session(botocore_session=assumed, region_name=session.region_name)


def _config(extra: Mapping[str, Any]) -> Any:
    """``config_kwargs`` as botocore takes them; ``unsigned`` stands for no signature, as in the Amazon provider."""
    from botocore import UNSIGNED
    from botocore.config import Config

    given = dict(extra.get("config_kwargs", {}))
    if given.get("signature_version") == "unsigned":
        given["signature_version"] = UNSIGNED
    return Config(**given)


def _endpoint(extra: Mapping[str, Any], service: str) -> str | None:
    """A service's own endpoint, else for S3 that of the connection: one that is no AWS has no roles to assume."""
    own = extra.get("service_config", {}).get(service, {}).get("endpoint_url")
    return own or (extra.get("endpoint_url") if service == "s3" else None)


@contextmanager
def _made(place: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except ConfigError:
        raise
    except (BotoCoreError, ValueError, TypeError) as error:
        raise ConfigError(f"{place}: no S3 client can be made of it: {first_line(error)[:200]}") from None


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


def _extra(fields: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The extra of a connection, with the keys that its login and password are.

    Raises:
        ConfigError: a field is unknown, incomplete or invalid.
    """
    extra = fields.get("extra") or {}
    try:
        extra = dict(json.loads(extra) if isinstance(extra, str) else extra)
        extra |= {name: json.loads(extra[name]) for name in _TABLES if isinstance(extra.get(name), str)}
    except (ValueError, TypeError):
        raise ConfigError(f"{place}: its extra is not a JSON object") from None
    extra = {name: value for name, value in extra.items() if value not in (None, "", {})}
    for name, value in extra.items():
        if name not in _EXTRAS:
            msg = f"{place}: extra {one_line(name)!r} is not understood, expected some of {', '.join(_EXTRAS)}"
            raise ConfigError(msg)
        if (name in _TABLES) != isinstance(value, dict):
            wanted = "a JSON object" if name in _TABLES else "a text"
            raise ConfigError(f"{place}: extra {name!r} must be {wanted}, got a {type(value).__name__}")
    extra |= {
        name: fields[field]
        for name, field in (("aws_access_key_id", "login"), ("aws_secret_access_key", "password"))
        if fields.get(field)
    }
    if ("aws_access_key_id" in extra) != ("aws_secret_access_key" in extra):
        raise ConfigError(f"{place}: login (the key) and password (its secret) go together; one of them is missing")
    _check_services(extra, place)
    return extra


def _check_services(extra: Mapping[str, Any], place: str) -> None:
    if (method := extra.get("assume_role_method", "assume_role")) != "assume_role":
        msg = f"{place}: assume_role_method {one_line(method)!r} is not done here, expected assume_role; a profile can do it"
        raise ConfigError(msg)
    for service, own in extra.get("service_config", {}).items():
        if service not in ("s3", "sts") or not isinstance(own, dict) or not own.keys() <= {"endpoint_url"}:
            msg = f"{place}: service_config.{one_line(service)} is not understood, expected endpoint_url of s3 or sts"
            raise ConfigError(msg)
    for endpoint in (_endpoint(extra, "s3"), _endpoint(extra, "sts")):
        address = urlsplit(endpoint or "http://none")
        if address.scheme not in ("http", "https") or not address.hostname or "@" in str(endpoint):
            msg = f"{place}: endpoint_url must be http(s)://host:port without a login, got {address.scheme}://..."
            raise ConfigError(msg)
