"""JSON Schemas of the values that ProtoJSON writes the same wherever they stand: scalars and well-known types.

https://protobuf.dev/programming-guides/json/ gives the forms: those that are written, and others that are read too.
"""

import re
from typing import Any, Final

from protobuf import DescFieldValueScalar, DescMessage, ScalarType

from edge.openapi.decimals import natural
from edge.protojson.leaves import WRAPPERS
from edge.protojson.scalars import RANGES
from edge.protojson.well_known import DURATION_SECONDS_MAX, MASK_PATH, MASK_PATH_OF_TEXT

Schema = dict[str, Any]

FLOAT: Final = "float"
FLOAT_MAX: Final = 3.4028234663852886e38

# Base64 in the standard alphabet; its padding may be left out.
_BASE64: Final = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}(==)?|[A-Za-z0-9+/]{3}=?)?$"
# Integers of 64 bits by the number of their digits: a pattern of the exact bounds fills a page of its own.
INT64_DIGITS: Final = (1 - 10**19, 10**19 - 1)
UINT64_DIGITS: Final = (0, 10**20 - 1)
_INT64_TEXT: Final = "^(0|-?[1-9][0-9]{0,18})$"
_UINT64_TEXT: Final = "^(0|[1-9][0-9]{0,19})$"

_INT64: Final = (ScalarType.INT64, ScalarType.SINT64, ScalarType.SFIXED64)
_UINT64: Final = (ScalarType.UINT64, ScalarType.FIXED64)
LONG: Final = frozenset((*_INT64, *_UINT64))
"""The integers that are strings in JSON: a JavaScript number does not hold them."""

_FORMATS: Final = {
    **dict.fromkeys((ScalarType.INT32, ScalarType.SINT32, ScalarType.SFIXED32), "int32"),
    **dict.fromkeys((ScalarType.UINT32, ScalarType.FIXED32), "uint32"),
    **dict.fromkeys(_INT64, "int64"),
    **dict.fromkeys(_UINT64, "uint64"),
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


def scalar_schema(scalar: ScalarType, *, given: bool = False) -> Schema:
    """The schema of a scalar; of one that is `given` in a body, where 64-bit integers may be numbers too."""
    if scalar in _OTHERS:
        return dict(_OTHERS[scalar])
    least, greatest = RANGES[scalar]
    if scalar not in LONG:
        return {"type": "integer", "format": _FORMATS[scalar], "minimum": least, "maximum": greatest}
    schema: Schema = {"type": "string", "format": _FORMATS[scalar], "pattern": _INT64_TEXT if least else _UINT64_TEXT}
    return {**schema, "type": ["string", "integer"], "minimum": least, "maximum": greatest} if given else schema


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
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string", "description": "The URL of the type of this value."}},
        "not": {"minProperties": 1, "not": {"required": ["@type"]}},
        "additionalProperties": True,
    },
}


def well_known_schema(message: DescMessage, *, given: bool = False) -> Schema | None:
    """The schema of a message type whose JSON is not an object of its fields, None for all others."""
    if message.type_name in WRAPPERS:
        wrapped = message.fields[0].value
        assert isinstance(wrapped, DescFieldValueScalar), "google/protobuf/wrappers.proto wraps scalars"
        return scalar_schema(wrapped.scalar, given=given)
    schema = _WELL_KNOWN.get(message.type_name)
    return dict(schema) if schema is not None else None


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
        if "anyOf" in schema:
            schema["anyOf"] = [*schema["anyOf"], {"const": None}]
        return schema
    if "$ref" not in schema and "anyOf" not in schema:
        return schema
    notes: Schema = {key: schema[key] for key in _ANNOTATIONS if key in schema}
    value: Schema = {key: schema[key] for key in schema if key not in notes}
    choices = value["anyOf"] if value.keys() == {"anyOf"} else [value]
    return {"anyOf": [*choices, {"type": "null"}], **notes}


_ANNOTATIONS: Final[tuple[str, ...]] = ("description", "default", "deprecated", "readOnly", "writeOnly", "examples")
