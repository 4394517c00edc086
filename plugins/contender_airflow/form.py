"""The trigger form of a training DAG: Airflow's Params, made from what the pipeline's YAML lets a run override."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

if TYPE_CHECKING:
    from contender.spec.pipeline import PipelineSpec

#: The form's sections, in the order in which it shows them.
_SECTIONS = {
    "data": "What to look at",
    "sweep": "The sweep",
    "gates": "The gates (only stricter)",
    "promote": "What may happen",
}
#: The section of settings outside the groups of these names.
_ELSEWHERE = {"as_of": "data", "split": "data", "quarantine": "data", "seed": "sweep", "refit": "sweep"}


def trigger_form(spec: PipelineSpec) -> dict[str, Param]:
    """What the spec makes overridable, and always promote and reason. A form that is sent unchanged changes nothing.

    A description ends with the setting's key in the conf, which API and command line know it by.
    """
    params: dict[str, Param] = {}
    for path in sorted(spec.overridable, key=lambda path: list(_SECTIONS).index(_section(path))):
        if path == "as_of":
            params[path] = Param(
                None,
                type=["null", "string"],
                format="date",
                title="As of",
                section=_SECTIONS["data"],
                description="The day the run looks from (UTC). Empty: the day it is triggered. "
                "A day before the champion's evaluates only. Airflow's logical date changes nothing. (as_of)",
            )
        else:
            schema = spec.override_schema(path)
            described = f"{_sentence(schema.pop('description'), schema)} ({path})".lstrip()
            params[path] = Param(schema.pop("default"), described, section=_SECTIONS[_section(path)], **schema)
    params["promote"] = Param(
        default=True,
        type="boolean",
        title="Promote",
        section=_SECTIONS["promote"],
        description="Off: evaluate and report only, the champion stays. (promote)",
    )
    params["reason"] = Param(
        None,  # a required text would turn the whole form red
        type=["null", "string"],
        maxLength=2_000,
        title="Reason",
        section=_SECTIONS["promote"],
        description="Why this run; it stays in the ledger. (reason)",
    )
    return params


def _section(path: str) -> str:
    """The section that shows a setting: its own group's, else the last."""
    group = path.split(".", maxsplit=1)[0]
    return group if group in _SECTIONS else _ELSEWHERE.get(group, "promote")


def _sentence(description: str, schema: dict[str, Any]) -> str:
    """What a setting is, and within which limits a number must be."""
    keywords = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    bounds = " and ".join(f"{words} {schema[key]:g}" for key, words in keywords.items() if key in schema).capitalize()
    return "".join(f"{words}. " for words in (description, bounds) if words)[:-1]
