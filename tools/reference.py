"""``python tools/reference.py``: print the reference of the YAML as Markdown, made from the JSON schema for editors."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from contender.schema import yaml_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """# Reference of the YAML

One file per pipeline in `dags/pipelines/`; its name is the pipeline's name. Made from the code by
`python tools/reference.py`; `contender schema` gives the same to editors. Durations are written `28d`, `12h`, `20m` or
`1d12h`. A setting without a default is required.
"""
_SHOWN = 8  # values of an enumeration


def reference() -> str:
    """All settings: first those of the file, then each group, in the order in which settings refer to them."""
    schema = yaml_schema()
    groups: dict[str, Any] = schema["$defs"]
    order: list[str] = []
    _collect(schema, groups, order)
    parts = [_HEAD, *_settings(schema)]
    for name in order:
        group = groups[name]
        kind = group.get("properties", {}).get("kind", {}).get("const")
        written = "" if kind is None else f"`kind: {kind}`. "
        parts.append(f"\n## {name}\n\n{written}{group['description'].strip()}\n")
        if name == "Expectation":
            parts.append(
                "Written `- expect_...: {column: ..., severity: critical}`; all are Great Expectations' own.\n"
            )
        else:
            parts += _settings(group)
    return "\n".join(parts).rstrip() + "\n"


def _collect(schema: dict[str, Any], groups: dict[str, Any], order: list[str]) -> None:
    """Append the groups that a schema refers to, each followed by those that it refers to itself."""
    found = []
    for setting in schema.get("properties", {}).values():
        found += [name for name in _references(setting) if name not in order and name not in found]
    for name in found:
        if name not in order:
            order.append(name)
            _collect(groups[name], groups, order)


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for key, value in schema.items():
            if key != "discriminator":
                yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _settings(group: dict[str, Any]) -> list[str]:
    required = group.get("required", ())
    rows = ["| setting | value | default | |", "|---|---|---|---|"]
    for name, setting in group.get("properties", {}).items():
        if name == "kind":
            continue
        default = setting.get("default")
        shown = "" if name in required or default is None or isinstance(default, dict) else _value(default)
        words = " ".join(setting.get("description", "").split())
        rows.append(f"| `{name}` | {_type(setting)} | {shown} | {_cell(words)} |")
    return rows if len(rows) > 2 else ["No settings."]


def _type(schema: dict[str, Any]) -> str:  # noqa: PLR0911 - one return for each form of a schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return _value(schema["const"])
    if "enum" in schema:
        listed = [_value(one) for one in schema["enum"][:_SHOWN]]
        return ", ".join(listed) + (", ..." if len(schema["enum"]) > _SHOWN else "")
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[union] if one != {"type": "null"}))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"name: {_type(inner)}" if isinstance(inner, dict) and inner else "mapping"
    if kind == "string" and "28d" in schema.get("examples", ()):
        return "duration"
    limits = [f"{sign} {schema[key]:g}" for key, sign in _LIMITS if key in schema]
    return " ".join((_WORDS.get(kind, kind), *limits))


_WORDS = {
    "string": "text",
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "object": "mapping",
}
_LIMITS = (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<"))


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"`{_cell(text)}`" if len(text) < 60 else "see there"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference())
