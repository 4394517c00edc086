"""The YAML's JSON schema, for editors: made from the models, put into the form that stands in the file."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from contender.spec import PipelineSpec

#: Where a pipeline's YAML looks for it, from its own folder; see ``MODELINE``.
FILE = ".pipeline.schema.json"
#: The first line of a YAML with which an editor finds the schema.
MODELINE = f"# yaml-language-server: $schema={FILE}"


def yaml_schema() -> dict[str, Any]:
    """The schema (draft 7) of a pipeline's YAML, with scikit-learn's metrics and Great Expectations' expectations.

    It is for completion and first aid: what the loader refuses beyond it (settings that do not go together) it accepts.
    """
    from contender.data.checks.expectations import expectation_schemas
    from contender.judge.metrics import metric_names

    made = PipelineSpec.model_json_schema(schema_generator=_Untitled)
    models: dict[str, Any] = made["$defs"]
    del made["properties"]["name"]  # the file's stem
    made["required"].remove("name")
    models["Expectation"] = {
        "description": "One Great Expectations check: its name and its arguments",
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {name: _expectation(schema) for name, schema in expectation_schemas().items()},
    }
    for model in (made, *models.values()):
        _as_written(model, metric_names())
    return made | {"$schema": "http://json-schema.org/draft-07/schema#", "title": "A pipeline of Contender"}


class _Untitled(GenerateJsonSchema):
    """Without a title that repeats the name of each setting."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


def _as_written(model: dict[str, Any], metrics: list[str]) -> None:
    """Put one model's schema right where YAML and editors differ from pydantic."""
    model["description"] = model.get("description", "").replace("``", "`")
    properties = model.get("properties", {})
    if "kind" in properties:  # a default is for groups that are not written at all
        model["required"] = sorted({"kind", *model.get("required", ())})
        properties["kind"] = {"const": properties["kind"]["const"], "description": model["description"]}
    for name, schema in properties.items():
        if "prefixItems" in schema:  # newer than what editors read
            schema["items"] = schema.pop("prefixItems")[0]
        if len(properties) == 1:
            schema.setdefault("description", model["description"])
        if name == "metric":
            null = [{"type": "null"}] if "anyOf" in schema else []
            for keyword in ("type", "minLength"):
                schema.pop(keyword, None)
            schema["anyOf"] = [{"enum": metrics}, {"type": "string", "pattern": r"\w\.\w"}, *null]  # or the user's own


def _expectation(arguments: dict[str, Any]) -> dict[str, Any]:
    severity = {"enum": ["critical", "warning"], "description": "Whether a failure stops the run or is only told"}
    return arguments | {"properties": arguments["properties"] | {"severity": severity}}
