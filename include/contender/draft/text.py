"""Writes a proposal as a commented YAML file. Texts are quoted where YAML could read them as something else."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from contender.draft.proposal import Proposal

_PLAIN = re.compile(r"[A-Za-z_/][\w./@ -]*[\w/]|[A-Za-z_]|[0-9]+[smhdw]")
_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")
_WIDTH = 118


def render(proposal: Proposal, *, schema: str | None = None) -> str:
    """The file's text; it reads back as the proposal's spec.

    Args:
        schema: the path of the JSON schema for editors, relative to the file.
    """
    return "\n".join(_lines(proposal, schema)) + "\n"


def _lines(proposal: Proposal, schema: str | None) -> Iterator[str]:
    document, why = proposal.document, proposal.why
    if schema is not None:
        yield f"# yaml-language-server: $schema={schema}"
    yield "# Written by `contender init` from the data itself; it is yours now. `contender check` says what it means."
    yield f"description: {_flow(document['description'])}"
    yield from _commented(f"schedule: {_flow(document['schedule'])}", "Mondays at 03:00 UTC")
    if "as_of" in document:
        yield from _commented(f"as_of: {_flow(document['as_of'])}", why["as_of"])
    yield "data:"
    yield from _block("source", document["data"]["source"], indent=2)
    for key, value in document["data"].items():
        if key == "exclude":
            yield from _excluded(value, proposal.excluded)
        elif key != "source":
            yield from _commented(f"  {key}: {_flow(value)}", why.get(f"data.{key}"))
    names = "Great Expectations' names; found true today, with some room"
    beyond = f"; {why['expectations']}" if "expectations" in why else ""
    yield from _list("expectations", document["expectations"], names + beyond, why)
    yield from _commented(f"quarantine: {_flow(document['quarantine'])}", why["quarantine"])
    yield from _commented(f"split: {_flow(document['split'])}", why["split"] + why.get("split.folds", ""))
    sweep = document["sweep"]
    yield "sweep:"
    yield f"  metric: {_flow(sweep['metric'])}"
    yield f"  strategy: {_flow(sweep['strategy'])}"
    yield from _commented(f"  budget: {_flow(sweep['budget'])}", why["sweep.budget"])
    yield "  candidates:"
    for candidate in sweep["candidates"]:
        yield f"    - estimator: {_flow(candidate['estimator'])}"
        yield f"      params: {_flow(candidate['params'])}"
        if candidate.get("baseline"):
            yield from _commented("      baseline: true", why["sweep.baseline"])
    yield "gates:"
    for number, gate in enumerate(document["gates"]):
        yield from _commented(f"  - {_flow(gate)}", why[f"gates.{number}"])
    yield from _commented(f"overridable: {_flow(document['overridable'])}", "what the trigger form may change")


def _block(name: str, value: Mapping[str, Any], *, indent: int) -> Iterator[str]:
    """A mapping on one line if it fits, else one line per key."""
    space = " " * indent
    if len(line := f"{space}{name}: {_flow(value)}") <= _WIDTH:
        yield line
        return
    yield f"{space}{name}:"
    for key, inner in value.items():
        if isinstance(inner, dict) and len(f"{space}  {key}: {_flow(inner)}") > _WIDTH:
            yield f"{space}  {_flow(key)}:"
            yield from (f"{space}    {_flow(name)}: {_flow(one)}" for name, one in inner.items())
        else:
            yield f"{space}  {_flow(key)}: {_flow(inner)}"


def _list(name: str, values: Sequence[Any], comment: str, why: Mapping[str, str]) -> Iterator[str]:
    yield from _commented(f"{name}:", comment)
    for value in values:
        [(key, arguments)] = value.items()
        yield from _commented(f"  - {key}: {_flow(arguments)}", why.get(f"{key}.{arguments.get('column')}"))


def _excluded(names: Sequence[str], reasons: Mapping[str, str]) -> Iterator[str]:
    if names:
        yield "  exclude:"
        for name in names:
            yield from _commented(f"    - {_flow(name)}", reasons[name])


def _commented(line: str, comment: str | None) -> Iterator[str]:
    """A line with its comment beside it, or above it where that is too long."""
    if comment is None:
        yield line
        return
    one_line = _shown(" ".join(comment.split()))
    if len(line) + len(one_line) + 4 <= _WIDTH:
        yield f"{line}  # {one_line}"
        return
    space = " " * (len(line) - len(line.lstrip()))
    words, row = one_line.split(" "), ""
    for word in words:
        if row and len(space) + 2 + len(row) + 1 + len(word) > _WIDTH:
            yield f"{space}# {row}"
            row = word
        else:
            row = f"{row} {word}".strip()
    yield f"{space}# {row}"
    yield line


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and (not _PLAIN.fullmatch(value) or value.lower() in _WORDS):
        return _shown(json.dumps(value, ensure_ascii=False))
    return value if isinstance(value, str) else json.dumps(value)


def _shown(text: str) -> str:
    """The text with signs escaped that YAML takes for line ends or does not allow, such as U+0085 and U+2028."""
    return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in text)
