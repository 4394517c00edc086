"""The receiver family: who is told that a run failed, is late, or decided.

Contract: ``send`` delivers one notice within its timeout or raises BackendError; it never carries a decision.
"""

from __future__ import annotations

import json
import os
import urllib.request
from http.client import HTTPException
from typing import Literal
from urllib.error import HTTPError

from pydantic import Field

from contender.errors import BackendError, ConfigError
from contender.frozen import Frozen


class Notice(Frozen):
    """One thing worth telling: about which run, what happened, in one sentence."""

    kind: Literal["failed", "late", "decided"]
    pipeline: str
    run_id: str
    sentence: str


class WebhookReceiver(Frozen):
    """POSTs the notice as JSON (with a ``text`` field, as Slack-compatible receivers expect)."""

    kind: Literal["webhook"]
    url_env: str = Field(
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="The environment variable that holds the URL",
        examples=["SLACK_WEBHOOK_URL"],
    )
    timeout: int = Field(10, ge=1, le=60, description="Seconds")

    def send(self, notice: Notice) -> None:
        """Deliver one notice.

        Raises:
            ConfigError: the variable is not set or holds no http(s) URL.
            BackendError: the receiver did not answer with success.
        """
        url = os.environ.get(self.url_env, "")
        if not url.startswith(("https://", "http://")):
            msg = f"notify: the environment variable {self.url_env} must hold an http(s) URL"
            raise ConfigError(msg)
        text = f"[{notice.pipeline}] {notice.sentence}"
        body = json.dumps({**notice.model_dump(), "text": text}).encode()
        try:
            request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310
            with urllib.request.urlopen(request, timeout=self.timeout):  # noqa: S310
                return
        except HTTPError as error:
            error.close()
            why = f"HTTP {error.code}"
        except (OSError, HTTPException, ValueError) as error:
            why = type(error).__name__
        # The URL may carry a token, so only its variable is named.
        msg = f"notify: the receiver behind {self.url_env} did not take the notice ({why})"
        raise BackendError(msg) from None


AnyReceiver = WebhookReceiver
