"""The receiver family: who gets a notice about a run, and by which of Airflow's notifiers.

Contract: ``notifier_for`` is pure; it returns the import path and the arguments of a notifier, which the Airflow layer
creates and calls. No member holds a secret: URLs and passwords are in Airflow connections.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from contender.errors import one_line
from contender.frozen import Frozen, ImportPath

Kind = Literal["failed", "late", "no_data", "decided", "promoted"]
Delivery = tuple[str, dict[str, Any]]  # a notifier's import path and its arguments

_ADDRESS = r'^[^\s@,;:<>"]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$'
_CONNECTION = r"^[A-Za-z0-9_.-]{1,200}$"
_SUBJECT = 150  # characters of an email's subject
# No redirects: requests turns a redirected POST into a GET without a body, which then looks like a success.
_HTTP = {"timeout": 30, "max_redirects": 0}


class Notice(Frozen):
    """A message about a run: what happened, in one sentence. ``version`` is the version that the run promoted."""

    kind: Kind
    pipeline: str
    run_id: str
    sentence: str
    version: str | None = None
    url: str | None = Field(None, description="A page with more")

    @property
    def model_uri(self) -> str | None:
        """The promoted version as a ``models:/`` URI of MLflow."""
        return None if self.version is None else f"models:/{self.pipeline}/{self.version}"

    @property
    def text(self) -> str:
        """The notice as text for people."""
        return f"[{self.pipeline}] {self.sentence}" + ("" if self.url is None else f"\n{self.url}")


def _connection_id(value: str) -> str:
    if not re.fullmatch(_CONNECTION, value):
        # The given value may be a URL with a token in it, so the message does not repeat it.
        msg = "got no connection id; expected that of an Airflow connection that holds the URL, such as slack_ml"
        raise ValueError(msg)
    return value


ConnectionId = Annotated[
    str, AfterValidator(_connection_id), Field(examples=["slack_ml"], json_schema_extra={"pattern": _CONNECTION})
]


def _address(value: str) -> str:
    if not re.fullmatch(_ADDRESS, value):
        msg = f"got {one_line(value)!r}, expected one address such as growth-ml@example.com"
        raise ValueError(msg)
    return value


Address = Annotated[str, AfterValidator(_address), Field(json_schema_extra={"pattern": _ADDRESS})]


def _several(value: Any) -> Any:
    """One text, or a list of them, as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


class _Receiver(Frozen):
    on: tuple[Kind, ...] = Field(
        ("failed", "late", "no_data", "decided"),
        min_length=1,
        description="Kinds of notices to send; `promoted` is a `decided` with a version, for deployments",
    )

    def choose(self, notices: Iterable[Notice]) -> Notice | None:
        """The first of a run's notices that this receiver wants."""
        return next((notice for notice in notices if notice.kind in self.on), None)


class EmailReceiver(_Receiver):
    """Sends the notice by email. The sender is set in the Airflow connection, of type ``smtp``."""

    kind: Literal["email"]
    to: Annotated[tuple[Address, ...], BeforeValidator(_several, json_schema_input_type=Address | list[Address])] = (
        Field(min_length=1, description="One address, or a list of them")
    )
    conn_id: ConnectionId = Field("smtp_default", description="The Airflow connection of the mail server")

    def notifier_for(self, notice: Notice) -> Delivery:
        """The SMTP provider's notifier."""
        subject = " ".join(f"[{notice.pipeline}] {notice.sentence}".split())
        link = "" if notice.url is None else f'<p><a href="{escape(notice.url)}">{escape(notice.url)}</a></p>'
        return "airflow.providers.smtp.notifications.smtp.SmtpNotifier", {
            "to": list(self.to),
            "subject": subject if len(subject) <= _SUBJECT else f"{subject[: _SUBJECT - 3]}...",
            "html_content": f"<p>{escape(notice.sentence)}</p><p>run {escape(notice.run_id)}</p>{link}",
            "smtp_conn_id": self.conn_id,
        }


class SlackReceiver(_Receiver):
    """POSTs ``{"text": ...}``, which Slack and Mattermost expect; the connection's host and password make the URL."""

    kind: Literal["slack"]
    conn_id: ConnectionId = Field(
        description="The Airflow connection; its host is https://host, its password the secret rest of the URL"
    )

    def notifier_for(self, notice: Notice) -> Delivery:
        """The HTTP provider's notifier."""
        return _post(self.conn_id, {"text": escape(notice.text, quote=False)})


class WebhookReceiver(_Receiver):
    """POSTs the notice as JSON; the connection's host and password make the URL, its extras are headers."""

    kind: Literal["webhook"]
    conn_id: ConnectionId = Field(
        description="The Airflow connection; its host is https://host, its password the secret rest of the URL"
    )

    def notifier_for(self, notice: Notice) -> Delivery:
        """The HTTP provider's notifier."""
        return _post(self.conn_id, {**notice.model_dump(), "model_uri": notice.model_uri, "text": notice.text})


class NotifierReceiver(_Receiver):
    """Calls any other notifier of an installed Airflow provider; ``{text}`` in its arguments becomes the notice."""

    kind: Literal["notifier"]
    notifier: ImportPath = Field(
        description="The notifier's import path",
        examples=["airflow.providers.pagerduty.notifications.pagerduty.PagerdutyNotifier"],
    )
    arguments: dict[str, JsonValue] = Field(
        {}, description="The notifier's arguments; {text} in them becomes the notice"
    )

    def notifier_for(self, notice: Notice) -> Delivery:
        """The notifier that the YAML names."""
        return self.notifier, {name: _filled(value, notice.text) for name, value in self.arguments.items()}


AnyReceiver = Annotated[EmailReceiver | SlackReceiver | WebhookReceiver | NotifierReceiver, Field(discriminator="kind")]


def _post(conn_id: str, body: dict[str, Any]) -> Delivery:
    arguments = {"http_conn_id": conn_id, "json": body, "extra_options": _HTTP}
    return "airflow.providers.http.notifications.HttpNotifier", arguments


def _filled(value: Any, text: str) -> Any:
    if isinstance(value, dict):
        return {name: _filled(part, text) for name, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, text) for part in value]
    return value.replace("{text}", text) if isinstance(value, str) else value
