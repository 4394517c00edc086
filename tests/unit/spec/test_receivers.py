"""What a notice says, and which receivers a YAML may have."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from contender.spec.receivers import AnyReceiver, Notice

NOTICE = Notice(kind="decided", pipeline="churn", run_id="r1", sentence="keep: it is better")
RECEIVER: TypeAdapter[Any] = TypeAdapter(AnyReceiver)


def test_the_text_is_the_pipeline_the_sentence_and_where_to_look() -> None:
    assert NOTICE.text == "[churn] keep: it is better"
    assert NOTICE.model_copy(update={"url": "http://u"}).text == "[churn] keep: it is better\nhttp://u"


def test_a_promoted_version_has_the_uri_that_mlflow_loads() -> None:
    assert NOTICE.model_uri is None
    assert NOTICE.model_copy(update={"version": "3"}).model_uri == "models:/churn/3"


def test_by_default_a_receiver_is_told_everything_once() -> None:
    """``promoted`` would tell a ``decided`` again."""
    assert RECEIVER.validate_python({"kind": "slack", "conn_id": "chat"}).on == ("failed", "late", "no_data", "decided")


@pytest.mark.parametrize(
    "address", ["ml@example.com", "root@localhost", "a.b+c@mail.example.co.uk", "m\u00fcller@example.com"]
)
def test_a_plausible_address_is_taken(address: str) -> None:
    assert RECEIVER.validate_python({"kind": "email", "to": [address]}).to == (address,)


@pytest.mark.parametrize(
    "address",
    ["", "ml", "@example.com", "ml@", "a@b@c", "a@b.c, d@e.f", "a@b.c;d@e.f", "A <a@b.c>", "a@b.c\nBcc: x@y.z", "a@-b"],
)
def test_what_is_not_one_address_is_refused(address: str) -> None:
    for to in (address, [address]):
        with pytest.raises(ValidationError):
            RECEIVER.validate_python({"kind": "email", "to": to})


@pytest.mark.parametrize("conn_id", ["https://hooks.example/T0K3N", "", "a b", "x" * 201, "a\n"])
def test_what_stands_in_a_connection_ids_place_is_not_repeated(conn_id: str) -> None:
    with pytest.raises(ValidationError, match="got no connection id; expected that of an Airflow connection") as caught:
        RECEIVER.validate_python({"kind": "webhook", "conn_id": conn_id})
    assert "T0K3N" not in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize("on", [[], ["deployed"], "promoted"])
def test_a_receiver_wants_notices_that_there_are(on: Any) -> None:
    with pytest.raises(ValidationError):
        RECEIVER.validate_python({"kind": "slack", "conn_id": "chat", "on": on})
