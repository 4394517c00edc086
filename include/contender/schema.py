"""The JSON schema of the YAML, for editors and the reference: pydantic's schema, adapted to how the YAML is written."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from contender.spec.pipeline import PipelineSpec

#: The schema's file, in the folder of the YAML files; see ``MODELINE``.
FILE = ".pipeline.schema.json"
#: The first line of a YAML file, from which an editor finds the schema.
MODELINE = f"# yaml-language-server: $schema={FILE}"


def yaml_schema() -> dict[str, Any]:
    """The schema (draft 7) of a pipeline's YAML, with scikit-learn's metrics and Great Expectations' expectations.

    It serves completion and first checks: it accepts combinations of settings that the loader refuses.
    """
    from contender.data.checks.expectations import expectation_schemas
    from contender.metrics.scorers import metric_names

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
    """Pydantic's schema without titles, which would repeat the name of each setting."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


def _as_written(model: dict[str, Any], metrics: list[str]) -> None:
    """Adapt one model's schema where the YAML or an editor needs another form than pydantic's. It changes ``model``."""
    model["description"] = model.get("description", "").replace("``", "`")
    properties = model.get("properties", {})
    if "kind" in properties:  # its default counts only when the whole group is absent, so in a YAML it is required
        model["required"] = sorted({"kind", *model.get("required", ())})
        properties["kind"] = {"const": properties["kind"]["const"], "description": model["description"]}
    for name, schema in properties.items():
        if "prefixItems" in schema:  # draft 2020-12, which editors do not read
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
