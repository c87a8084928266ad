"""JSON Schemas of messages as ProtoJSON writes them, each message type once, under its full name."""

from collections.abc import Iterable
from typing import Any, Final

from googleapis.google.api.field_behavior_pb import FieldBehavior, ext_field_behavior
from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueEnum,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    ScalarType,
)

from edge.openapi.comments import Comments
from edge.openapi.constraints import Schema, constrain
from edge.rules import field_rules

_INT32: Final = {"type": "integer", "format": "int32"}
_UINT32: Final = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
_INT64: Final = {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}
_UINT64: Final = {"type": "string", "format": "uint64", "pattern": "^[0-9]+$"}

_SCALARS: Final[dict[ScalarType, Schema]] = {
    ScalarType.DOUBLE: {"type": "number", "format": "double"},
    ScalarType.FLOAT: {"type": "number", "format": "float"},
    ScalarType.BOOL: {"type": "boolean"},
    ScalarType.STRING: {"type": "string"},
    ScalarType.BYTES: {"type": "string", "contentEncoding": "base64"},
    **dict.fromkeys((ScalarType.INT32, ScalarType.SINT32, ScalarType.SFIXED32), _INT32),
    **dict.fromkeys((ScalarType.UINT32, ScalarType.FIXED32), _UINT32),
    **dict.fromkeys((ScalarType.INT64, ScalarType.SINT64, ScalarType.SFIXED64), _INT64),
    **dict.fromkeys((ScalarType.UINT64, ScalarType.FIXED64), _UINT64),
}

_WELL_KNOWN: Final[dict[str, Schema]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$", "examples": ["1.5s"]},
    "google.protobuf.FieldMask": {"type": "string", "examples": ["title,price.units"]},
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string", "description": "The URL of the type of this value."}},
        "additionalProperties": True,
    },
    "google.protobuf.DoubleValue": {"type": ["number", "null"], "format": "double"},
    "google.protobuf.FloatValue": {"type": ["number", "null"], "format": "float"},
    "google.protobuf.Int64Value": {"type": ["string", "null"], "format": "int64"},
    "google.protobuf.UInt64Value": {"type": ["string", "null"], "format": "uint64"},
    "google.protobuf.Int32Value": {"type": ["integer", "null"], "format": "int32"},
    "google.protobuf.UInt32Value": {"type": ["integer", "null"], "minimum": 0, "maximum": 2**32 - 1},
    "google.protobuf.BoolValue": {"type": ["boolean", "null"]},
    "google.protobuf.StringValue": {"type": ["string", "null"]},
    "google.protobuf.BytesValue": {"type": ["string", "null"], "contentEncoding": "base64"},
}


def behaviors(field: DescField) -> frozenset[FieldBehavior]:
    """What google.api.field_behavior says about a field (AIP-203)."""
    options = field.proto.options
    if options is None or ext_field_behavior not in options:
        return frozenset()
    given: list[FieldBehavior] = options[ext_field_behavior]
    return frozenset(given)


class Schemas:
    """The schemas that were asked for, and all that those refer to."""

    def __init__(self, comments: Comments) -> None:
        self.components: dict[str, Schema] = {}
        self._comments = comments

    def message(self, message: DescMessage) -> Schema:
        """The schema of a message: a reference, or what a well-known type is."""
        if message.type_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[message.type_name])
        return self._component(message.type_name, lambda: self.object(message))

    def update(self, message: DescMessage) -> Schema:
        """The schema of a message of which an update gives some fields: none is required."""
        if message.type_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[message.type_name])
        return self._component(f"{message.type_name}.update", lambda: self.object(message, partial=True))

    def object(self, message: DescMessage, *, without: Iterable[DescField] = (), partial: bool = False) -> Schema:
        """The schema of a message written out. Fields `without` are not in it; in a `partial` one none is required."""
        left_out = set(without)
        fields = [field for field in message.fields if field not in left_out]
        schema: Schema = {
            "type": "object",
            "properties": {field.json_name: self.field(field) for field in fields},
        }
        if comment := self._comments.of(message.type_name):
            schema["description"] = comment
        if required := [field.json_name for field in fields if not partial and _is_required(field)]:
            schema["required"] = required
        if choices := [_at_most_one(oneof.fields) for oneof in message.oneofs if len(oneof.fields) > 1]:
            schema["allOf"] = choices
        if message.deprecated:
            schema["deprecated"] = True
        return schema

    def field(self, field: DescField) -> Schema:
        """The schema of a field."""
        schema = self._value(field)
        if comment := self._comments.of(f"{field.parent.type_name}.{field.name}"):
            schema["description"] = comment
        if (rules := field_rules(field)) is not None:
            constrain(schema, rules)
        said = behaviors(field)
        if FieldBehavior.OUTPUT_ONLY in said:
            schema["readOnly"] = True
        if FieldBehavior.INPUT_ONLY in said:
            schema["writeOnly"] = True
        if field.deprecated:
            schema["deprecated"] = True
        return schema

    def _value(self, field: DescField) -> Schema:
        match field.value:
            case DescFieldValueScalar(scalar=scalar):
                return dict(_SCALARS[scalar])
            case DescFieldValueEnum(enum=enum):
                return self._enum(enum)
            case DescFieldValueMessage(message=message):
                return self.message(message)
            case DescFieldValueList(element=element):
                return {"type": "array", "items": self._element(element)}
            case DescFieldValueMap(value=element):
                return {"type": "object", "additionalProperties": self._element(element)}

    def _element(self, element: DescMessage | DescEnum | ScalarType) -> Schema:
        if isinstance(element, DescMessage):
            return self.message(element)
        return self._enum(element) if isinstance(element, DescEnum) else dict(_SCALARS[element])

    def _enum(self, enum: DescEnum) -> Schema:
        if enum.type_name == "google.protobuf.NullValue":
            return {"type": "null"}
        return self._component(enum.type_name, lambda: self._enum_object(enum))

    def _enum_object(self, enum: DescEnum) -> Schema:
        on_values = {value.name: self._comments.of(f"{enum.type_name}.{value.name}") for value in enum.values}
        lines = [self._comments.of(enum.type_name)]
        lines += [f"- `{name}`: {' '.join(comment.split())}" for name, comment in on_values.items() if comment]
        schema: Schema = {"type": "string", "enum": [value.json_name or value.name for value in enum.values]}
        if description := "\n".join(filter(None, lines)):
            schema["description"] = description
        return schema

    def _component(self, name: str, make: Any) -> Schema:
        if name not in self.components:
            self.components[name] = {}  # Types refer to themselves: the reference is there before what it refers to.
            self.components[name] = make()
        return {"$ref": f"#/components/schemas/{name}"}


def _is_required(field: DescField) -> bool:
    rules = field_rules(field)
    demanded = rules is not None and rules.required
    return demanded or FieldBehavior.REQUIRED in behaviors(field) or field.presence.name == "LEGACY_REQUIRED"


def _at_most_one(fields: Iterable[DescField]) -> Schema:
    """That no two members of a oneof are given."""
    members: list[Schema] = [{"required": [field.json_name]} for field in fields]
    return {"oneOf": [*members, {"not": {"anyOf": members}}]}
