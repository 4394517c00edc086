"""Pydantic's errors as located sentences: which setting, what was expected, what was there."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel

from contender.errors import did_you_mean, one_line
from contender.spec.pipeline import PipelineSpec

MAX_DEPTH = 40  # levels of nesting of a document
MAX_SHOWN = 8  # errors in one message


def located(error: Any, document: Any) -> tuple[tuple[str | int, ...], str]:
    """The place of one pydantic error in the document, and a bounded message ``config.path: what, got. hint``."""
    place = _place(error["loc"], document)
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    named = re.match(r"([a-z_]+(?:\.[a-z_]+)*): ", message)
    if not place and named:  # the message of a rule about several settings begins with the one to change
        place, message = tuple(named[1].split(".")), message[named.end() :]
    path = ".".join(map(one_line, place))
    if error["type"] == "json_invalid":
        return place, f"expected plain text, nested at most {MAX_DEPTH} levels ({message[:200]})"
    if error["type"] == "extra_forbidden":
        known = {name for model in _models_at(error["loc"][:-1]) for name in model.model_fields} - {"name"}
        return place, f"{path}: unknown setting." + did_you_mean(str(error["loc"][-1]), known)
    if error["type"] == "missing":
        return place, f"{path}: required, but not there"
    if error["type"] == "union_tag_not_found":
        kinds = sorted(filter(None, map(_tag, _models_at(error["loc"]))))
        return place, f"{path}.kind: required, but not there." + did_you_mean("", kinds)
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        allowed = [tag.strip(" '") for tag in str(context["expected_tags"]).split(",")]
        tag = str(context["tag"])[:60]
        return place, f"{path}.kind: unknown kind {tag!r}." + did_you_mean(tag, allowed)
    if error["type"] == "string_pattern_mismatch":
        fields = [model.model_fields.get(str(error["loc"][-1])) for model in _models_at(error["loc"][:-1])]
        example = next((field.examples[0] for field in fields if field is not None and field.examples), None)
        message = message if example is None else f"should be text such as {example}"
    got = ", got an object" if isinstance(error["input"], dict) else f", got {_without_secrets(error['input'])[:60]!r}"
    if "got" in message or (error["type"] == "value_error" and isinstance(error["input"], dict)):
        got = ""
    return place, f"{path}{': ' if path else ''}{message[:400]}{got}{_HINTS.get(error['type'], '')}"


def _without_secrets(value: object) -> str:
    """A given value as text; of URLs only scheme and host, because the rest may hold passwords and tokens."""
    return re.sub(r"(://)(?:[^/@\s]*@)?([^/\s]*)\S*", r"\1\2/...", str(value)[:1_000])


_HINTS = {
    "string_type": "; quote it to make it text",
    "bool_type": "; write true or false",
}


def _place(location: tuple[str | int, ...], document: Any) -> tuple[str | int, ...]:
    """Pydantic's location without the steps that are not in the document: the tags and alternatives of unions."""
    place: list[str | int] = []
    for number, step in enumerate(location, start=1):
        inside = document if isinstance(document, dict) else {}
        if isinstance(document, list):
            inside = dict(enumerate(document))
        if step in inside:
            place.append(step)
            document = inside[step]
        elif isinstance(document, dict) and number == len(location) and document.get("kind") != step:
            place.append(step)  # a missing setting, or an error in a default
    return tuple(place)


def _models_at(location: tuple[str | int, ...]) -> list[type[BaseModel]]:
    """The models that may be at a location: several where it is a union."""
    model: Any = PipelineSpec
    for step in location:
        models = [m for m in _models(model) if isinstance(step, int) or step in m.model_fields or _tag(m) == step]
        if not models:
            return []
        if isinstance(step, int) or _tag(models[0]) == step:
            model = models[0] if len(models) == 1 else model
        else:
            model = models[0].model_fields[step].annotation
    return _models(model)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]


def _tag(model: type[BaseModel]) -> Any:
    field = model.model_fields.get("kind")
    return getattr(field.annotation, "__args__", (None,))[0] if field else None
