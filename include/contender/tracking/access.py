"""Being let in by an MLflow server: who asks, and what is said when it refuses.

MLflow reads login and password from the environment, for its API as for artifacts, so they are put there, where children
of this process find them, and stay out of addresses, which MLflow's own messages repeat.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from mlflow.exceptions import MlflowException, RestException
from requests import HTTPError

from contender.errors import ConfigError
from contender.telling import safe_url
from contender.tracking.retrying import attempts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient

    from contender.tracking.retrying import RetryCounter

_LOGIN, _PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
#: Methods of the client that have the same effect the second time, by how their names begin.
IDEMPOTENT = (
    "get_",
    "search_",
    "set_",
    "finalize_",
    "log_batch",
    "log_inputs",
    "log_text",
    "log_artifact",
    "log_model_",
)
_ours: set[tuple[str, str]] = set()  # what this process put there
_STATUS = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "ENDPOINT_NOT_FOUND": 404, "NOT_FOUND": 404}
_NEXT = {
    401: "it does not know this account; set login and password of the MLflow connection (or MLFLOW_TRACKING_USERNAME and "
    "MLFLOW_TRACKING_PASSWORD where the tasks run)",
    403: "the account may not do that, or what it asks for is not there, which MLflow does not tell apart; let it create "
    "experiments and registered models, or give it MANAGE on those of the pipeline's name",
    404: "nothing there answers as MLflow does; tracking_uri must be the address of an MLflow server of this version, "
    "with its prefix if it has one",
}


class MLflowRefused(ConfigError):
    """MLflow answered 401, 403, or 404 for an address that every MLflow has. A retry does not help.

    Attributes:
        status: which of them.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def bare(uri: str) -> tuple[str, str | None, str | None]:
    """A server's address without the login and password in it, and these two. Any other uri stays as it is.

    Raises:
        ConfigError: the address cannot be read; its password has signs that must be quoted.
    """
    if not uri.startswith(("http://", "https://")):
        return uri, None, None
    parts = urlsplit(uri)
    userinfo, found, host = parts.netloc.rpartition("@")
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        msg = f"MLflow: the tracking URI {safe_url(uri)} cannot be read; let the connection have login and password instead"
        raise ConfigError(msg)
    login, _, password = userinfo.partition(":")
    return parts._replace(netloc=host).geturl(), unquote(login) if found else None, unquote(password) if found else None


def let_in(login: str | None, password: str | None) -> None:
    """Give MLflow's clients of this process these two, or those that the environment had before."""
    if login:
        os.environ[_LOGIN], os.environ[_PASSWORD] = login, password or ""
        _ours.add((login, password or ""))
    elif (os.environ.get(_LOGIN, ""), os.environ.get(_PASSWORD, "")) in _ours:
        del os.environ[_LOGIN], os.environ[_PASSWORD]  # they are for another server


@contextmanager
def refusals(uri: str) -> Iterator[None]:
    """Name what MLflow refuses in the block.

    Raises:
        MLflowRefused: 401, 403 or 404, with the next move.
    """
    try:
        yield
    except MlflowException as error:
        status = _STATUS.get(error.error_code)
        if status is None or (status == 404 and isinstance(error, RestException)):  # MLflow itself says what is absent
            raise
        raise _refused(uri, status) from None
    except HTTPError as error:  # of an artifact
        if error.response is None or error.response.status_code not in (401, 403):
            raise
        raise _refused(uri, error.response.status_code) from None


def _refused(uri: str, status: int) -> MLflowRefused:
    return MLflowRefused(f"MLflow at {safe_url(uri)} answers {status}: {_NEXT[status]}", status)


class PatientClient:
    """An MLflow client that names refusals, and asks again after a transient error what it may ask twice.

    So no caller can forget it. What creates or deletes is asked once; ``asked_once`` asks it again. It stands before the
    client, because MLflow's own code catches its errors.
    """

    def __init__(self, client: MlflowClient, uri: str, caller: RetryCounter) -> None:
        self._client, self._uri, self._caller = client, uri, caller

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        @wraps(found)
        def asked(*args: Any, **kwargs: Any) -> Any:
            with refusals(self._uri):
                if name.startswith(IDEMPOTENT):
                    return attempts(self._caller)(found, *args, **kwargs)
                return found(*args, **kwargs)

        return asked
