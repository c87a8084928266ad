"""JSON Schemas of the well-known types: https://protobuf.dev/programming-guides/json/."""

import re
from typing import Final

from protobuf import DescFieldValueScalar, DescMessage, ScalarType

from edge.openapi.decimal_patterns import natural_patterns
from edge.openapi.json_schema import Schema
from edge.protojson.leaf_readers import WRAPPERS
from edge.protojson.well_known import DURATION_SECONDS_MAX, MASK_PATH, MASK_PATH_OF_TEXT


def _mask_pattern(path: re.Pattern[str]) -> str:
    each = path.pattern.replace("(?:", "(")
    return f"^({each}(,{each})*)?$"


_SCHEMAS: Final[dict[str, Schema]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {
        "type": "string",
        "pattern": f"^-?({'|'.join(natural_patterns(0, DURATION_SECONDS_MAX))})(\\.[0-9]{{1,9}})?s$",
        "examples": ["1.5s"],
    },
    "google.protobuf.FieldMask": {
        "type": "string",
        "pattern": _mask_pattern(MASK_PATH),
        "examples": ["title,price.units"],
    },
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.Value": {"description": "Any JSON value."},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string", "description": "The URL of the type of this value."}},
        "if": {"maxProperties": 0},
        "else": {"required": ["@type"]},
        "additionalProperties": True,
    },
}
COMPONENT_TYPES: Final = frozenset(f"google.protobuf.{name}" for name in ("Any", "Struct"))
"""The well-known types whose schemas are components, under the types' names."""


def well_known_schema(message: DescMessage) -> Schema | None:
    """Returns the schema of a message type whose JSON is not an object of its fields, None for all others. The types of
    google/protobuf/wrappers.proto are among the others: they have the schema of their wrapped_scalar().
    """
    schema = _SCHEMAS.get(message.type_name)
    return dict(schema) if schema is not None else None


def well_known_schema_in_text(message: DescMessage) -> Schema:
    """Returns the schema of a well-known type in a path or a query."""
    schema = well_known_schema(message)
    assert schema is not None, "only well-known types are leaves of text"
    is_mask = message.type_name == "google.protobuf.FieldMask"
    return {**schema, "pattern": _mask_pattern(MASK_PATH_OF_TEXT)} if is_mask else schema


def is_scalar(message: DescMessage) -> bool:
    """Returns whether the JSON of a message is a string, a number or a boolean."""
    return message.type_name in WRAPPERS or _SCHEMAS.get(message.type_name, {}).get("type") == "string"


def wrapped_scalar(message: DescMessage) -> ScalarType:
    """Returns the type of the scalar in a message of google/protobuf/wrappers.proto."""
    value = message.fields[0].value
    assert isinstance(value, DescFieldValueScalar), "google/protobuf/wrappers.proto wraps scalars"
    return value.scalar
