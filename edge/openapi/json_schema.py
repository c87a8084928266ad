"""JSON Schemas and the edits that all their makers need: https://json-schema.org/draft/2020-12."""

from typing import Any, Final

Schema = dict[str, Any]

BINARY: Final[Schema] = {"type": "string", "format": "binary"}
"""A body that is not JSON. JSON Schema can't describe it further; generators know it by the format of OpenAPI 3.0."""

_ANNOTATIONS: Final[tuple[str, ...]] = ("description", "default", "deprecated", "readOnly", "writeOnly", "examples")


def media_type(schema: Schema, sample: Any) -> dict[str, Any]:
    """Returns a Media Type Object. A `sample` of None is left out."""
    return {"schema": schema} if sample is None else {"schema": schema, "example": sample}


def add_for_validators(schema: Schema, more: Schema) -> None:
    """Adds keywords to a schema that only validators read; they hold for every value but null. Generators make a type
    of their own of each `anyOf`, `allOf` and `not`, even where those don't constrain the type, or fail; they ignore
    `else`. (openapi-generator gives a nullable reference to a schema with `then` the type "any".)
    """
    schema.setdefault("if", {"type": "null"})
    schema["else"] = {"allOf": [schema["else"], more]} if "else" in schema else more


def add_description(schema: Schema, *texts: str) -> None:
    """Adds a paragraph to the description of a schema, each text as one sentence."""
    sentences = " ".join(f"{text[:1].upper()}{text[1:].rstrip('.')}." for text in texts)
    schema["description"] = "\n\n".join(filter(None, (schema.get("description"), sentences)))


def nullable(schema: Schema) -> Schema:
    """Returns the schema of an optional value in a request, where null means that the value is absent."""
    if "type" in schema:
        types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        schema = {**schema, "type": [*types, "null"]}
        if "const" in schema:
            schema["enum"] = [schema.pop("const")]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
        return schema
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    if "$ref" not in schema:
        return schema
    notes: Schema = {key: schema[key] for key in _ANNOTATIONS if key in schema}
    value: Schema = {key: schema[key] for key in schema if key not in notes}
    return {"anyOf": [value, {"type": "null"}], **notes}
