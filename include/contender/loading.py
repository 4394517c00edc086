"""From a YAML file to a PipelineSpec, and from trigger conf to an overridden one. Every error says where it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from contender.errors import ConfigError, did_you_mean
from contender.spec import PipelineSpec

MAX_BYTES = 256 * 1024
MAX_DEPTH = 40
MAX_SHOWN = 8


class _Loader(yaml.CSafeLoader):
    """Safe YAML without duplicate keys or dates: one key, one value, and ``2026-03-02`` is text."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                problem = f"the key {key!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _check_shape(text: str) -> None:
    """Refuse depth and aliases from the flat stream of events, before anything recurses over them."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            problem = "aliases (*name) are not supported; write the value out"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            problem = f"nested deeper than {MAX_DEPTH} levels"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def load(path: Path | str) -> PipelineSpec:
    """Read one pipeline; its name is the file's stem.

    Raises:
        ConfigError: with ``file:line: config.path: what, got, expected`` for everything that is wrong.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ConfigError(msg) from None
    if len(content) > MAX_BYTES:
        msg = f"{path}: {len(content)} bytes, a pipeline has at most {MAX_BYTES}"
        raise ConfigError(msg)
    try:
        text = content.decode("utf-8")
        _check_shape(text)
        loader = _Loader(text)
        node = loader.get_single_node()
        value = None if node is None else loader.construct_document(node)
    except UnicodeDecodeError as error:
        msg = f"{path}: not UTF-8 text (byte {error.start})"
        raise ConfigError(msg) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path}{_yaml_place(error)}") from None
    if not isinstance(value, dict):
        got = "an empty file" if value is None else f"a {type(value).__name__}"
        msg = f"{path}: expected a mapping with data, sweep and gates, got {got}"
        raise ConfigError(msg)
    if "name" in value:
        msg = f"{path}: name: the pipeline's name is the file's stem ({path.stem}); remove this key"
        raise ConfigError(msg)
    try:
        return _validate({**value, "name": path.stem})
    except ValidationError as error:
        lines = [f"{path}{_line(node, e['loc'])}: {_explain(e)}" for e in error.errors()[:MAX_SHOWN]]
        raise ConfigError("\n".join(lines)) from None


def override(spec: PipelineSpec, conf: dict[str, Any]) -> PipelineSpec:
    """The spec with the conf's overridable settings (dotted paths) put in.

    Raises:
        ConfigError: a key that the pipeline does not allow, or a value that does not fit.
    """
    document = spec.model_dump(mode="json")
    for path, new in conf.items():
        if path not in spec.overridable:
            msg = f"conf.{path}: this pipeline does not allow it." + did_you_mean(path, spec.overridable)
            raise ConfigError(msg)
        *parents, name = path.split(".")
        place = document
        for parent in parents:
            place = place[parent]
        place[name] = new
    try:
        return _validate(document)
    except ValidationError as error:
        lines = [f"conf.{_explain(e)}" for e in error.errors()[:MAX_SHOWN]]
        raise ConfigError("\n".join(lines)) from None


def _validate(document: dict[str, Any]) -> PipelineSpec:
    """Strict, by way of JSON: a list is a tuple, but text is never a number and a number never a truth value."""
    return PipelineSpec.model_validate_json(json.dumps(document), strict=True)


def _yaml_place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "not readable as YAML"
    return f": {problem}" if mark is None else f":{mark.line + 1}:{mark.column + 1}: {problem}"


def _line(node: yaml.Node | None, location: tuple[str | int, ...]) -> str:
    """``:line`` of the deepest part of the location that stands in the file."""
    line = 1
    for step in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(step)), None)
            if found is None:
                continue  # a union's tag: pydantic's location has it, the file has not
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
    return f":{line}"


def _explain(error: Any) -> str:
    """One pydantic error as ``config.path: what. hint``, bounded."""
    location = ".".join(str(step) for step in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    if error["type"] == "extra_forbidden":
        known = _siblings(error["loc"])
        return f"{location}: unknown setting." + did_you_mean(str(error["loc"][-1]), known)
    if error["type"] == "missing":
        return f"{location}: required, but not there"
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        allowed = [tag.strip(" '") for tag in str(context["expected_tags"]).split(",")]
        return f"{location}.kind: unknown kind {context['tag']!r}." + did_you_mean(str(context["tag"]), allowed)
    got = "" if isinstance(error["input"], dict) or "got" in message else f", got {str(error['input'])[:60]!r}"
    hint = ""
    if isinstance(error["input"], bool) and error["type"] == "string_type":
        hint = " (in YAML yes, no, on and off are truth values: quote the text)"
    return f"{location}: {message[:400]}{got}{hint}"


def _siblings(location: tuple[str | int, ...]) -> set[str]:
    """The settings that exist where an unknown one was found."""
    model: Any = PipelineSpec
    for step in location[:-1]:
        models = [m for m in _models(model) if isinstance(step, int) or step in m.model_fields or _tag(m) == step]
        if not models:
            return set()
        if isinstance(step, int) or _tag(models[0]) == step:
            model = models[0] if len(models) == 1 else model
        else:
            model = models[0].model_fields[step].annotation
    return {name for found in _models(model) for name in found.model_fields} - {"name"}


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]


def _tag(model: type[BaseModel]) -> Any:
    field = model.model_fields.get("kind")
    return getattr(field.annotation, "__args__", (None,))[0] if field else None
