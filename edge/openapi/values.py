"""JSON Schemas of the values that ProtoJSON writes the same wherever they stand: scalars and well-known types.

https://protobuf.dev/programming-guides/json/ gives the forms: those that are written, and others that are read too.
"""

import re
from typing import Any, Final

from protobuf import DescFieldValueScalar, DescMessage, ScalarType

from edge.openapi.decimals import between, natural
from edge.protojson.leaves import WRAPPERS
from edge.protojson.scalars import LONG, RANGES
from edge.protojson.well_known import DURATION_SECONDS_MAX, MASK_PATH, MASK_PATH_OF_TEXT

Schema = dict[str, Any]

RAW: Final[Schema] = {"type": "string", "format": "binary"}
"""A body that is no JSON. JSON Schema can't say more of it; generators know it by the format of OpenAPI 3.0."""

PATTERN_LENGTH_MAX: Final = 100

FLOAT: Final = "float"
FLOAT_MAX: Final = 3.4028234663852886e38

# Base64 in the standard alphabet; its padding may be left out.
_BASE64: Final = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}(==)?|[A-Za-z0-9+/]{3}=?)?$"
_INT64: Final = (ScalarType.INT64, ScalarType.SINT64, ScalarType.SFIXED64)
_FORMATS: Final = {
    **dict.fromkeys((ScalarType.INT32, ScalarType.SINT32, ScalarType.SFIXED32), "int32"),
    **dict.fromkeys((ScalarType.UINT32, ScalarType.FIXED32), "uint32"),
    **dict.fromkeys(_INT64, "int64"),
    **dict.fromkeys((ScalarType.UINT64, ScalarType.FIXED64), "uint64"),
}
BOUNDED: Final = frozenset((*_FORMATS.values(), FLOAT))
"""The formats of numbers whose bounds are so far away that they make no good examples."""

_OTHERS: Final[dict[ScalarType, Schema]] = {
    ScalarType.DOUBLE: {"type": "number", "format": "double"},
    ScalarType.FLOAT: {"type": "number", "format": FLOAT, "minimum": -FLOAT_MAX, "maximum": FLOAT_MAX},
    ScalarType.BOOL: {"type": "boolean"},
    ScalarType.STRING: {"type": "string"},
    ScalarType.BYTES: {"type": "string", "contentEncoding": "base64", "pattern": _BASE64},
}


_NOT_FINITE: Final = ("NaN", "Infinity", "-Infinity")


def scalar_schema(scalar: ScalarType) -> Schema:
    """The schema of a scalar as a path or a query gives it, and as JSON has most of them."""
    if scalar in _OTHERS:
        return dict(_OTHERS[scalar])
    least, greatest = RANGES[scalar]
    if scalar not in LONG:
        return {"type": "integer", "format": _FORMATS[scalar], "minimum": least, "maximum": greatest}
    return digits({"type": "string", "format": _FORMATS[scalar]}, least, greatest)


def digits(schema: Schema, least: int, greatest: int) -> Schema:
    """Limits the digits of an integer in a string to a range. Generators copy a pattern to each of its uses: one that
    fills lines is for validators only.
    """
    pattern = between(least, greatest)
    if len(pattern) <= PATTERN_LENGTH_MAX:
        schema["pattern"] = pattern
    else:
        aside(schema, {"pattern": pattern})
    return schema


def json_schema(scalar: ScalarType, *, given: bool) -> Schema:
    """The schema of a scalar in JSON; of one that is `given` in a body, where 64-bit integers may be numbers too."""
    schema = scalar_schema(scalar)
    if schema.get("type") == "number":
        return {"anyOf": [schema, {"type": "string", "enum": list(_NOT_FINITE)}]}
    if given and scalar in LONG:
        least, greatest = RANGES[scalar]
        bounds = {"pattern": between(least, greatest), "minimum": least, "maximum": greatest}
        return {"type": ["string", "integer"], "format": schema["format"], **bounds}
    return schema


def shared_name(scalar: ScalarType, *, given: bool) -> str | None:
    """The name under which documents keep the schema of a scalar in JSON, None if it is short enough to stand where it
    is used.
    """
    if scalar in LONG:
        return ("Int64" if scalar in _INT64 else "UInt64") + ("-Input" if given else "")
    return {ScalarType.DOUBLE: "Double", ScalarType.FLOAT: "Float"}.get(scalar)


def aside(schema: Schema, more: Schema) -> None:
    """Adds to a schema what only validators read; it holds for all but null. Generators make a type of their own of
    each `anyOf`, `allOf` and `not`, also where those say nothing about the type, or fail; `else` they leave alone.
    (A nullable reference to a schema with `then` has any type for openapi-generator.)
    """
    schema.setdefault("if", {"type": "null"})
    schema["else"] = {"allOf": [schema["else"], more]} if "else" in schema else more


def note(schema: Schema, *texts: str) -> None:
    """Adds a paragraph to a schema's description, each text a sentence of it."""
    sentences = " ".join(f"{text[:1].upper()}{text[1:].rstrip('.')}." for text in texts)
    schema["description"] = "\n\n".join(filter(None, (schema.get("description"), sentences)))


def _mask(path: re.Pattern[str]) -> str:
    each = path.pattern.replace("(?:", "(")
    return f"^({each}(,{each})*)?$"


_WELL_KNOWN: Final[dict[str, Schema]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {
        "type": "string",
        "pattern": f"^-?({'|'.join(natural(0, DURATION_SECONDS_MAX))})(\\.[0-9]{{1,9}})?s$",
        "examples": ["1.5s"],
    },
    "google.protobuf.FieldMask": {
        "type": "string",
        "pattern": _mask(MASK_PATH),
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
SHARED_MESSAGES: Final = frozenset(f"google.protobuf.{name}" for name in ("Any", "Struct"))
"""The well-known types whose schemas documents keep under their names."""


def well_known_schema(message: DescMessage) -> Schema | None:
    """The schema of a message type whose JSON is not an object of its fields, None for all others, and for those of
    google/protobuf/wrappers.proto, which have the schema of the scalar that is wrapped().
    """
    schema = _WELL_KNOWN.get(message.type_name)
    return dict(schema) if schema is not None else None


def is_scalar(message: DescMessage) -> bool:
    """Whether a message is a string, a number or a boolean in JSON."""
    return message.type_name in WRAPPERS or _WELL_KNOWN.get(message.type_name, {}).get("type") == "string"


def wrapped(message: DescMessage) -> ScalarType:
    """The scalar in a message of google/protobuf/wrappers.proto."""
    value = message.fields[0].value
    assert isinstance(value, DescFieldValueScalar), "google/protobuf/wrappers.proto wraps scalars"
    return value.scalar


def text_schema(message: DescMessage) -> Schema:
    """The schema of a well-known type as the text of a path or query gives it."""
    schema = well_known_schema(message)
    assert schema is not None, "only well-known types are leaves of text"
    is_mask = message.type_name == "google.protobuf.FieldMask"
    return {**schema, "pattern": _mask(MASK_PATH_OF_TEXT)} if is_mask else schema


def nullable(schema: Schema) -> Schema:
    """The schema of an optional value in a request, where null is the same as its absence."""
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


_ANNOTATIONS: Final[tuple[str, ...]] = ("description", "default", "deprecated", "readOnly", "writeOnly", "examples")
