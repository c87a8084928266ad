"""The zero values of fields, which rules may leave alone or exclude."""

from typing import Any, Final

from protobuf import DescEnum

from edge.openapi.json_schema import Schema, add_for_validators
from edge.openapi.validation_rules.enum_rules import names_and_numbers


def zero_values(schema: Schema, enum: DescEnum | None = None) -> list[Any]:
    """Returns the forms of the zero value in a schema, none if it has no zero value."""
    if enum is not None and "$ref" in schema:
        is_text = str(schema["$ref"]).endswith("-Text")
        return names_and_numbers(enum, [0], is_text=is_text)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "anyOf" in schema:
        return [0]
    if "string" in kinds and "int64" in schema.get("format", ""):
        return ["0", 0] if "integer" in kinds else ["0"]
    return [_ZEROS[kind] for kind in kinds if kind in _ZEROS]


_ZEROS: Final[dict[str, Any]] = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}


def admit_zero(schema: Schema, before: Schema, allowed: list[Any]) -> None:
    """Makes a schema admit the zero value, which the rules don't concern. `before` is the schema without the rules,
    `allowed` the forms of the zero value.
    """
    if not allowed:
        return
    for choice in [schema, *schema.get("anyOf", [])]:
        if "const" in choice:
            choice["enum"] = [choice.pop("const")]
        if "enum" in choice:
            choice["enum"] = [*choice["enum"], *(zero for zero in allowed if _is_missing_in(zero, choice))]
    added = {key: value for key, value in schema.items() if key in _RULE_KEYWORDS and before.get(key) != value}
    for key in added:
        del schema[key]
    schema |= {key: before[key] for key in added if key in before}
    added.pop("if", None)
    parts = [part for part in (added.pop("else", {}), added) if part]
    if parts:
        add_for_validators(schema, {"anyOf": [parts[0] if len(parts) == 1 else {"allOf": parts}, {"enum": allowed}]})


def _is_missing_in(zero: Any, choice: Schema) -> bool:
    """Returns whether a choice is of the type of the zero value but does not list it."""
    is_text = choice.get("type") == "string"
    return isinstance(zero, str) is is_text and zero not in choice["enum"]


_RULE_KEYWORDS: Final = frozenset(
    (
        *("minLength", "maxLength", "pattern", "format", "if", "else"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
    )
)
"""The keywords that rules add."""
