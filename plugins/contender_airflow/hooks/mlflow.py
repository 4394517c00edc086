"""The MLflow connection."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from contender.errors import ConfigError
from contender.patience import patience
from contender.telling import first_line, shown

if TYPE_CHECKING:
    from contender.tracking.runs import Tracking


class MLflowHook(BaseHook):
    """One MLflow server, or the database that an MLflow without a server writes to.

    :param mlflow_conn_id: a connection of type ``mlflow`` with the extra ``tracking_uri`` and, for links, ``ui_url``; login
        and password are those of an account there, if the server wants one.
    """

    conn_name_attr = "mlflow_conn_id"
    default_conn_name = "contender_mlflow"
    conn_type = "mlflow"
    hook_name = "MLflow"

    def __init__(self, mlflow_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.mlflow_conn_id = mlflow_conn_id

    @cached_property
    def _extra(self) -> dict[str, str]:
        return dict(self.get_connection(self.mlflow_conn_id).extra_dejson)

    @property
    def tracking_uri(self) -> str:
        """Where clients connect.

        :raises ConfigError: there is no ``tracking_uri``, or it names nothing that keeps runs (a relative path, memory).
        """
        uri = self._extra.get("tracking_uri") or ""
        if not uri.startswith(("http://", "https://", "sqlite:////", "postgresql+psycopg://")) or ":memory:" in uri:
            msg = (
                f"connection {self.mlflow_conn_id}: tracking_uri must be http(s)://host:port, "
                f"sqlite:////absolute/mlflow.db or postgresql+psycopg://..., got {shown(uri)!r}"
            )
            raise ConfigError(msg)
        if (password := urlsplit(uri).password) is not None:
            mask_secret(password)  # Airflow knows only the field for it
            mask_secret(unquote(password))
        return uri

    @property
    def ui_url(self) -> str | None:
        """Where people open it; None for a database without a page."""
        uri = self._extra.get("ui_url") or self.tracking_uri
        # A link must not show the workers' password.
        return re.sub("//[^/]*@", "//", uri) if uri.startswith("http") else None

    def get_conn(self) -> Tracking:
        """The core's view of MLflow."""
        from contender.tracking.runs import Tracking

        connection = self.get_connection(self.mlflow_conn_id)
        return Tracking(self.tracking_uri, self.ui_url, login=connection.login, password=connection.password)

    def test_connection(self) -> tuple[bool, str]:
        """Ask MLflow for one experiment; the *Test* button of the connection form calls this."""
        try:
            with patience(0):
                self.get_conn().client.search_experiments(max_results=1)
        except Exception as error:  # noqa: BLE001 - the form shows any error
            return False, first_line(error)
        return True, "MLflow answers"
