"""Loading a PipelineSpec from a YAML file, and overriding it with trigger conf. Every error is located."""

from __future__ import annotations

import errno
import json
import math
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from contender.errors import ConfigError, did_you_mean, one_line
from contender.spec.errors import MAX_DEPTH, MAX_SHOWN, located
from contender.spec.pipeline import NAME_PATTERN, PipelineSpec

MAX_BYTES = 256 * 1024  # of a YAML file; the scheduler parses every file again and again
ALWAYS_OVERRIDABLE = ("promote", "reason")  # what a trigger may set in every pipeline, though no setting has this name


class _Loader(yaml.CSafeLoader):
    """Safe YAML with the scalars of YAML 1.2 and finite numbers; keys are text and unique."""

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

    def construct_yaml_int(self, node: Any) -> int:
        value = int(node.value[:21])  # Python refuses to read thousands of digits; 20 are too many already
        if not -(2**63) <= value < 2**63:
            problem = f"got {node.value[:60]}, expected a whole number of at most 64 bits; quote it if it is a name"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return value

    def construct_yaml_float(self, node: Any) -> float:
        value = float(super().construct_yaml_float(node))
        if not math.isfinite(value):
            problem = f"got {node.value[:60]}, expected a finite number"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return value


# PyYAML reads YAML 1.1, in which `on`, `NO`, `1:30`, `012` and `1_000` are truth values and numbers, but `1e3` is text.
_Loader.yaml_implicit_resolvers = {}
for _tag_name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag_name}", re.compile(rf"(?:{_pattern})\Z"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def _check_shape(text: str) -> None:
    """Refuse deep nesting, aliases and tags. It reads the flat stream of events, before anything recurses."""
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


def load_spec(path: Path | str) -> PipelineSpec:
    """Load one pipeline; its name is the file's stem.

    Raises:
        ConfigError: a line ``file:line: config.path: what, got, expected`` for each error, bounded.
    """
    path = Path(path)
    try:
        with _regular_file(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ConfigError(msg) from None
    return parse_spec(content, path)


def parse_spec(content: bytes, path: Path) -> PipelineSpec:
    """Parse a pipeline from the content of the file at ``path``.

    Raises:
        ConfigError: see ``load_spec``.
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
        raise ConfigError(f"{path}{_located_problem(error)}") from None
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
        problems = [located(found, value) for found in error.errors()[: 4 * MAX_SHOWN]]
        lines = dict.fromkeys(f"{path}{_line(node, place)}: {problem}" for place, problem in problems)
        raise ConfigError("\n".join([*lines][:MAX_SHOWN])) from None


def locate(message: str, path: Path) -> str:
    """``file:line: message`` for a message that begins with the dotted path of a setting in the pipeline's file."""
    place = re.match(r"[a-z_]+(?:\.\w+)*", message)
    steps = [int(step) if step.isdecimal() else step for step in (place[0] if place else "").split(".")]
    return f"{path}{_line(yaml.compose(path.read_bytes(), Loader=_Loader), tuple(steps))}: {message}"


def override(spec: PipelineSpec, conf: dict[str, Any]) -> PipelineSpec:
    """The spec with the conf's settings (dotted paths) put in.

    Null, which a form sends for an emptied field, leaves a setting as it is, unless null is one of its values.

    Raises:
        ConfigError: the pipeline does not allow a key, a value is invalid, or the setting's owner refuses it (a weaker
            gate, a data path outside the roots).
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
        problems = [located(found, document) for found in error.errors()[: 4 * MAX_SHOWN]]
        lines = dict.fromkeys(f"conf.{problem}" if place else f"conf: {problem}" for place, problem in problems)
        raise ConfigError("\n".join([*lines][:MAX_SHOWN])) from None
    for path in conf:
        try:
            spec.check_override(path, overridden)
        except ValueError as error:
            raise ConfigError(f"conf.{path}: {error}") from None
    return overridden


def _validate(document: dict[str, Any]) -> PipelineSpec:
    """Validate strictly, by way of JSON: an array becomes a tuple, but text no number and a number no boolean."""
    return PipelineSpec.model_validate_json(json.dumps(document), strict=True)


def _regular_file(path: Path) -> Path:
    """The path, unless it is a pipe or a device, reading which may never end."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file")
    return path


def _located_problem(error: yaml.YAMLError) -> str:
    """``:line:column: problem`` of an error of the YAML parser."""
    mark = getattr(error, "problem_mark", None)
    words = (getattr(error, name, None) for name in ("context", "problem", "reason"))
    problem = " ".join(word for word in words if word)[:300] or "not readable as YAML"
    return f":1: {problem}" if mark is None else f":{mark.line + 1}:{mark.column + 1}: {problem}"


def _line(node: yaml.Node | None, place: tuple[str | int, ...]) -> str:
    """``:line`` of the deepest part of the place that is in the file."""
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
