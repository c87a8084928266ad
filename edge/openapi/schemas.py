"""Messages as JSON Schema, in the shape that ProtoJSON gives them (https://protobuf.dev/programming-guides/json/)."""

from collections.abc import Collection, Iterable
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
from edge.openapi.constraints import Schema, constraints, is_required

_INT32: Final = {"type": "integer", "format": "int32"}
_UINT32: Final = {"type": "integer", "format": "uint32", "minimum": 0}
_INT64: Final = {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}
_UINT64: Final = {"type": "string", "format": "uint64", "pattern": "^[0-9]+$"}

_SCALARS: Final[dict[ScalarType, Schema]] = {
    ScalarType.DOUBLE: {"type": "number", "format": "double"},
    ScalarType.FLOAT: {"type": "number", "format": "float"},
    ScalarType.INT64: _INT64,
    ScalarType.SINT64: _INT64,
    ScalarType.SFIXED64: _INT64,
    ScalarType.UINT64: _UINT64,
    ScalarType.FIXED64: _UINT64,
    ScalarType.INT32: _INT32,
    ScalarType.SINT32: _INT32,
    ScalarType.SFIXED32: _INT32,
    ScalarType.UINT32: _UINT32,
    ScalarType.FIXED32: _UINT32,
    ScalarType.BOOL: {"type": "boolean"},
    ScalarType.STRING: {"type": "string"},
    ScalarType.BYTES: {"type": "string", "format": "byte", "contentEncoding": "base64"},
}

_WELL_KNOWN: Final[dict[str, Schema]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$", "examples": ["1.5s"]},
    "google.protobuf.FieldMask": {"type": "string", "examples": ["title,price"]},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string", "description": "The URL of the type."}},
        "required": ["@type"],
        "additionalProperties": True,
    },
    "google.protobuf.DoubleValue": {"type": ["number", "null"], "format": "double"},
    "google.protobuf.FloatValue": {"type": ["number", "null"], "format": "float"},
    "google.protobuf.Int64Value": {"type": ["string", "null"], "format": "int64"},
    "google.protobuf.UInt64Value": {"type": ["string", "null"], "format": "uint64"},
    "google.protobuf.Int32Value": {"type": ["integer", "null"], "format": "int32"},
    "google.protobuf.UInt32Value": {"type": ["integer", "null"], "format": "uint32"},
    "google.protobuf.BoolValue": {"type": ["boolean", "null"]},
    "google.protobuf.StringValue": {"type": ["string", "null"]},
    "google.protobuf.BytesValue": {"type": ["string", "null"], "format": "byte"},
}

_NULL_VALUE: Final = "google.protobuf.NullValue"

Element = DescMessage | DescEnum | ScalarType


class Schemas:
    """The schemas that a document uses: each type once, by its full name, made when it is first referred to."""

    def __init__(self, comments: Comments) -> None:
        self._comments = comments
        self._made: dict[str, Schema] = {}
        self._waiting: list[DescMessage | DescEnum] = []

    def components(self) -> dict[str, Schema]:
        """All that were referred to, and what they refer to, without recursion: messages may contain themselves."""
        while self._waiting:
            desc = self._waiting.pop()
            if isinstance(desc, DescEnum):
                self._made[desc.type_name].update(self._enum(desc))
            else:
                self._made[desc.type_name].update(self.message(desc, desc.fields))
        return dict(sorted(self._made.items()))

    def of(self, element: Element) -> Schema:
        """The schema of a type: a reference, or the thing itself where it is small."""
        if isinstance(element, ScalarType):
            return dict(_SCALARS[element])
        if element.type_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[element.type_name])
        if element.type_name == _NULL_VALUE:
            return {"type": "null"}
        if element.type_name not in self._made:
            self._made[element.type_name] = {}
            self._waiting.append(element)
        return {"$ref": f"#/components/schemas/{element.type_name}"}

    def field(self, field: DescField) -> Schema:
        """The schema of a field, with its comment and its rules."""
        schema = self._value(field)
        rules = constraints(field)
        if "items" in rules:
            rules["items"] = {**schema["items"], **rules["items"]}
        schema |= rules
        if comment := self._comments.of(f"{field.parent.type_name}.{field.name}"):
            schema["description"] = comment
        if FieldBehavior.OUTPUT_ONLY in behaviors(field):
            schema["readOnly"] = True
        if field.deprecated:
            schema["deprecated"] = True
        return schema

    def message(self, desc: DescMessage, fields: Iterable[DescField], without: Collection[DescField] = ()) -> Schema:
        """The object of a message, of these of its fields only."""
        shown = [field for field in fields if field not in without]
        schema: Schema = {"type": "object", "properties": {field.json_name: self.field(field) for field in shown}}
        if required := [field.json_name for field in shown if must_be_given(field)]:
            schema["required"] = required
        notes = [self._comments.of(desc.type_name)]
        notes += [f"At most one of {_names(oneof.fields)} can be given." for oneof in desc.oneofs]
        if text := "\n\n".join(filter(None, notes)):
            schema["description"] = text
        if desc.deprecated:
            schema["deprecated"] = True
        return schema

    def _value(self, field: DescField) -> Schema:
        match field.value:
            case (
                DescFieldValueScalar(scalar=element)
                | DescFieldValueEnum(enum=element)
                | DescFieldValueMessage(message=element)
            ):
                return self.of(element)
            case DescFieldValueList(element=element):
                return {"type": "array", "items": self.of(element)}
            case DescFieldValueMap(value=element):
                return {"type": "object", "additionalProperties": self.of(element)}

    def _enum(self, desc: DescEnum) -> Schema:
        lines = [self._comments.of(desc.type_name)]
        for value in desc.values:
            comment = self._comments.of(f"{desc.type_name}.{value.name}")
            lines.append(f"- `{value.name}`: {comment}" if comment else "")
        schema: Schema = {"type": "string", "enum": [value.name for value in desc.values]}
        return {**schema, "description": "\n".join(filter(None, lines))}


def behaviors(field: DescField) -> Collection[Any]:
    """What google.api.field_behavior says of a field."""
    options = field.proto.options
    if options is None or ext_field_behavior not in options:
        return ()
    declared: list[FieldBehavior] = options[ext_field_behavior]
    return declared


def must_be_given(field: DescField) -> bool:
    """Whether a client has to give the field."""
    return FieldBehavior.REQUIRED in behaviors(field) or is_required(field)


def _names(fields: Iterable[DescField]) -> str:
    return ", ".join(f"`{field.json_name}`" for field in fields)
