"""The JSON Schema of maps."""

from typing import Final

from protobuf import ScalarType

from edge.openapi.decimal_patterns import range_pattern
from edge.openapi.json_schema import Schema
from edge.protojson.scalars import RANGES

_KEYS: Final = {
    ScalarType.BOOL: "^(true|false)$",
    **dict.fromkeys((ScalarType.UINT32, ScalarType.FIXED32), "^(0|[1-9][0-9]{0,9})$"),
    **dict.fromkeys((ScalarType.INT32, ScalarType.SINT32, ScalarType.SFIXED32), "^(0|-?[1-9][0-9]{0,9})$"),
}


def map_schema(key: ScalarType, values: Schema) -> Schema:
    """Returns the schema of a map with keys of this type and values of this schema."""
    schema: Schema = {"type": "object", "additionalProperties": values}
    if key is not ScalarType.STRING:
        schema["propertyNames"] = {"pattern": _KEYS.get(key) or range_pattern(*RANGES[key])}
    return schema
