"""JSON Schemas of scalars: https://protobuf.dev/programming-guides/json/."""

from typing import Final

from protobuf import ScalarType

from edge.openapi.decimal_patterns import add_range_pattern, range_pattern
from edge.openapi.json_schema import Schema
from edge.protojson.scalars import FLOAT_MAX, INT64_TYPES, RANGES

FLOAT: Final = "float"

# Base64 in the standard alphabet; its padding may be left out.
_BASE64: Final = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}(==)?|[A-Za-z0-9+/]{3}=?)?$"
_INT64: Final = (ScalarType.INT64, ScalarType.SINT64, ScalarType.SFIXED64)
_INTEGER_FORMATS: Final = {
    **dict.fromkeys((ScalarType.INT32, ScalarType.SINT32, ScalarType.SFIXED32), "int32"),
    **dict.fromkeys((ScalarType.UINT32, ScalarType.FIXED32), "uint32"),
    **dict.fromkeys(_INT64, "int64"),
    **dict.fromkeys((ScalarType.UINT64, ScalarType.FIXED64), "uint64"),
}
BOUNDED_FORMATS: Final = frozenset((*_INTEGER_FORMATS.values(), FLOAT))
"""The formats of numbers whose bounds are so far away that they make no good examples."""

_NON_INTEGERS: Final[dict[ScalarType, Schema]] = {
    ScalarType.DOUBLE: {"type": "number", "format": "double"},
    ScalarType.FLOAT: {"type": "number", "format": FLOAT, "minimum": -FLOAT_MAX, "maximum": FLOAT_MAX},
    ScalarType.BOOL: {"type": "boolean"},
    ScalarType.STRING: {"type": "string"},
    ScalarType.BYTES: {"type": "string", "contentEncoding": "base64", "pattern": _BASE64},
}
_NOT_FINITE: Final = ("NaN", "Infinity", "-Infinity")


def scalar_in_text(scalar: ScalarType) -> Schema:
    """Returns the schema of a scalar in a path or a query, which for most of them is the one in JSON too."""
    if scalar in _NON_INTEGERS:
        return dict(_NON_INTEGERS[scalar])
    least, greatest = RANGES[scalar]
    if scalar not in INT64_TYPES:
        return {"type": "integer", "format": _INTEGER_FORMATS[scalar], "minimum": least, "maximum": greatest}
    return add_range_pattern({"type": "string", "format": _INTEGER_FORMATS[scalar]}, least, greatest)


def scalar_in_json(scalar: ScalarType, *, in_request: bool) -> Schema:
    """Returns the schema of a scalar in JSON. In a request 64-bit integers may be numbers too."""
    schema = scalar_in_text(scalar)
    if schema.get("type") == "number":
        return {"anyOf": [schema, {"type": "string", "enum": list(_NOT_FINITE)}]}
    if in_request and scalar in INT64_TYPES:
        least, greatest = RANGES[scalar]
        bounds = {"pattern": range_pattern(least, greatest), "minimum": least, "maximum": greatest}
        return {"type": ["string", "integer"], "format": schema["format"], **bounds}
    return schema


def component_name(scalar: ScalarType, *, in_request: bool) -> str | None:
    """Returns the name of the component that holds the schema of a scalar in JSON, None if the schema is short enough
    to stand where it is used.
    """
    if scalar in INT64_TYPES:
        return ("Int64" if scalar in _INT64 else "UInt64") + ("-Input" if in_request else "")
    return {ScalarType.DOUBLE: "Double", ScalarType.FLOAT: "Float"}.get(scalar)
