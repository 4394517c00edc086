"""From a YAML file to a PipelineSpec, and from trigger conf to an overridden one. Every error says where it is."""

from __future__ import annotations

import errno
import json
import math
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from contender.errors import ConfigError, did_you_mean, one_line
from contender.spec import NAME_PATTERN, PipelineSpec

MAX_BYTES = 256 * 1024
MAX_DEPTH = 40
MAX_SHOWN = 8
ALWAYS_OVERRIDABLE = ("promote", "reason")


class _Loader(yaml.CSafeLoader):
    """Safe YAML with YAML 1.2's scalars and finite numbers; every key is text and stands once."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                problem = f"the key {key!r} is not text; quote it"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if key in seen:
                problem = f"the key {key!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_yaml_float(self, node: Any) -> float:
        value = float(super().construct_yaml_float(node))
        if not math.isfinite(value):
            problem = f"got {node.value[:60]}, expected a finite number"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return value


# YAML 1.1, PyYAML's own, reads `on`, `NO`, `1:30`, `012` and `1_000` as truth values and numbers, but `1e3` as text.
_Loader.yaml_implicit_resolvers = {}
for _tag_name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]{0,17})", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag_name}", re.compile(rf"(?:{_pattern})\Z"), _first)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def _check_shape(text: str) -> None:
    """Refuse depth, aliases and tags from the flat stream of events, before anything recurses over them."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            problem = "aliases (*name) are not supported; write the value out"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type] # the C parser has its own Mark
        tag: str | None = getattr(event, "tag", None)
        if tag is not None:
            problem = f"tags ({tag[:60]}) are not supported; write a plain value"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type] # the C parser has its own Mark
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            problem = f"nested deeper than {MAX_DEPTH} levels"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type] # the C parser has its own Mark


def load(path: Path | str) -> PipelineSpec:
    """Read one pipeline; its name is the file's stem.

    Raises:
        ConfigError: with ``file:line: config.path: what, got, expected`` for everything that is wrong.
    """
    path = Path(path)
    try:
        with _regular(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ConfigError(msg) from None
    return loads(content, path)


def loads(content: bytes, path: Path) -> PipelineSpec:
    """A pipeline from the content of the file at ``path``.

    Raises:
        ConfigError: see ``load``.
    """
    if len(content) > MAX_BYTES:
        msg = f"{path}:1: got more than {MAX_BYTES} bytes; a pipeline is a page of text, keep data out of it"
        raise ConfigError(msg)
    if not re.fullmatch(NAME_PATTERN, path.stem):
        msg = (
            f"{path}:1: the file's stem is the pipeline's name: got {path.stem!r}, expected a lower-case letter, then "
            "lower-case letters, digits and _ (at most 63); rename the file"
        )
        raise ConfigError(msg)
    try:
        text = content.decode("utf-8")
        _check_shape(text)
        loader = _Loader(text)
        node = loader.get_single_node()
        value = None if node is None else loader.construct_document(node)
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        msg = f"{path}:{number}: not UTF-8 text (byte {error.start}); save the file as UTF-8"
        raise ConfigError(msg) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}{_yaml_place(error)}") from None
    if not isinstance(value, dict):
        got = "an empty file" if value is None else f"a {type(value).__name__}"
        msg = f"{path}:1: expected a mapping with data, sweep and gates, got {got}"
        raise ConfigError(msg)
    if "name" in value:
        line = _line(node, ("name",))
        msg = f"{path}{line}: name: the pipeline's name is the file's stem ({path.stem}); remove this key"
        raise ConfigError(msg)
    try:
        return _validate({**value, "name": path.stem})
    except ValidationError as error:
        problems = [_explain(found, value) for found in error.errors()[: 4 * MAX_SHOWN]]
        lines = dict.fromkeys(f"{path}{_line(node, place)}: {problem}" for place, problem in problems)
        raise ConfigError("\n".join([*lines][:MAX_SHOWN])) from None


def locate(message: str, path: Path) -> str:
    """``file:line: message`` of a message that begins with the place of a setting in the pipeline's file."""
    place = re.match(r"[a-z_]+(?:\.\w+)*", message)
    steps = [int(step) if step.isdecimal() else step for step in (place[0] if place else "").split(".")]
    return f"{path}{_line(yaml.compose(path.read_bytes(), Loader=_Loader), tuple(steps))}: {message}"


def override(spec: PipelineSpec, conf: dict[str, Any]) -> PipelineSpec:
    """The spec with the conf's overridable settings (dotted paths) put in. Null leaves a setting as it is, unless it is
    one of its values: so does a form whose field was emptied.

    Raises:
        ConfigError: a key that the pipeline does not allow, or a value that does not fit, or that the setting's owner
            refuses: a weaker gate, a data path outside the roots.
    """
    document = spec.model_dump(mode="json")
    for path, new in conf.items():
        if path not in spec.overridable:
            hint = did_you_mean(path, {*spec.overridable, *ALWAYS_OVERRIDABLE})
            msg = f"conf.{one_line(path)}: this pipeline does not allow it.{hint}"
            raise ConfigError(msg)
        if new is None and not spec.nullable(path):
            continue
        *parents, name = path.split(".")
        place: Any = document
        for parent in parents:
            place = place[int(parent) if isinstance(place, list) else parent]
        place[name] = new
    try:
        overridden = _validate(document)
    except ValidationError as error:
        problems = [_explain(found, document) for found in error.errors()[: 4 * MAX_SHOWN]]
        lines = dict.fromkeys(f"conf.{problem}" if place else f"conf: {problem}" for place, problem in problems)
        raise ConfigError("\n".join([*lines][:MAX_SHOWN])) from None
    for path in conf:
        try:
            spec.check_override(path, overridden)
        except ValueError as error:
            raise ConfigError(f"conf.{path}: {error}") from None
    return overridden


def _validate(document: dict[str, Any]) -> PipelineSpec:
    """Strict, by way of JSON: a list is a tuple, but text is never a number and a number never a truth value."""
    return PipelineSpec.model_validate_json(json.dumps(document), strict=True)


def _regular(path: Path) -> Path:
    """The path of a file that ends: a pipe or a device would be read for ever."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file")
    return path


def _yaml_place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    words = (getattr(error, name, None) for name in ("context", "problem", "reason"))
    problem = " ".join(word for word in words if word)[:300] or "not readable as YAML"
    return f":1: {problem}" if mark is None else f":{mark.line + 1}:{mark.column + 1}: {problem}"


def _line(node: yaml.Node | None, place: tuple[str | int, ...]) -> str:
    """``:line`` of the deepest part of the place that stands in the file."""
    line = 1
    for step in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(step)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
    return f":{line}"


def _explain(error: Any, document: Any) -> tuple[tuple[str | int, ...], str]:
    """One pydantic error: its place in the document, and ``config.path: what, got. hint``, bounded."""
    place = _place(error["loc"], document)
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    located = re.match(r"([a-z_]+(?:\.[a-z_]+)*): ", message)
    if not place and located:  # a rule about several settings says itself which one to change
        place, message = tuple(located[1].split(".")), message[located.end() :]
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
    got = ", got an object" if isinstance(error["input"], dict) else f", got {_unsecret(error['input'])[:60]!r}"
    if "got" in message or (error["type"] == "value_error" and isinstance(error["input"], dict)):
        got = ""
    return place, f"{path}{': ' if path else ''}{message[:400]}{got}{_HINTS.get(error['type'], '')}"


def _unsecret(value: object) -> str:
    """What somebody gave, without what an address may hold of passwords and tokens."""
    return re.sub(r"(://)(?:[^/@\s]*@)?([^/\s]*)\S*", r"\1\2/...", str(value)[:1_000])


_HINTS = {
    "string_type": "; quote it to make it text",
    "bool_type": "; write true or false",
}


def _place(location: tuple[str | int, ...], document: Any) -> tuple[str | int, ...]:
    """Pydantic's location without what does not stand in the document: the tags and alternatives of unions."""
    place: list[str | int] = []
    for number, step in enumerate(location, start=1):
        inside = document if isinstance(document, dict) else {}
        if isinstance(document, list):
            inside = dict(enumerate(document))
        if step in inside:
            place.append(step)
            document = inside[step]
        elif isinstance(document, dict) and number == len(location) and document.get("kind") != step:
            place.append(step)  # what is missing, or what is wrong in a default
    return tuple(place)


def _models_at(location: tuple[str | int, ...]) -> list[type[BaseModel]]:
    """The models that could stand at a location."""
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
