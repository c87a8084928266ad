"""Lookup of fields by name, and access to nested fields, for messages of any descriptor."""

from typing import Any

from protobuf import (
    DescEnum,
    DescEnumValue,
    DescExtension,
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    Message,
    ScalarType,
)

from edge.protojson.violations import InvalidValue
from edge.protojson.well_known import FIELD_MASK


def fields_by_name(message: DescMessage) -> dict[str, DescField]:
    """Returns the fields by each name that a client may use. Where the JSON name of one field equals the proto name of
    another, the JSON name wins, as in google.protobuf.json_format.
    """
    names: dict[str, DescField] = {}
    for field in message.fields:
        names.setdefault(field.json_name, field)
    for field in message.fields:
        names.setdefault(field.name, field)
    return names


def find_field(message: DescMessage, name: str) -> DescField | None:
    """Returns the field with this JSON name or, if there is none, with this proto name."""
    by_json_name = next((field for field in message.fields if field.json_name == name), None)
    return by_json_name if by_json_name is not None else find_by_proto_name(message, name)


def find_by_proto_name(message: DescMessage, name: str) -> DescField | None:
    """Returns the field with this proto name."""
    return next((field for field in message.fields if field.name == name), None)


def is_update_mask(field: DescField | DescExtension) -> bool:
    """Returns whether a field has the mask of an update (AIP-134)."""
    return field.name == "update_mask" and _is_mask(field)


def is_read_mask(field: DescField | DescExtension) -> bool:
    """Returns whether a field has the mask of a read (AIP-157)."""
    return field.name == "read_mask" and _is_mask(field)


def is_resource_mask(field: DescField | DescExtension) -> bool:
    """Returns whether the paths of a mask name fields of a resource, by its names or those of the contract."""
    return is_update_mask(field) or is_read_mask(field)


def _is_mask(field: DescField | DescExtension) -> bool:
    value = field.value
    return isinstance(value, DescFieldValueMessage) and value.message.type_name == FIELD_MASK


def find_text_field(message: DescMessage, name: str) -> DescField | None:
    """Returns the field with this proto name if it is a string."""
    field = find_by_proto_name(message, name)
    is_text = (
        field is not None and isinstance(field.value, DescFieldValueScalar) and field.value.scalar is ScalarType.STRING
    )
    return field if is_text else None


def values_in_order(enum: DescEnum) -> list[DescEnumValue]:
    """Returns the values of an enum in the order of the contract, which `enum.values` does not keep (see
    edge/contract/types.py). Where several names share a number, writers use the first.
    """
    by_name = {value.name: value for value in enum.values}
    return [by_name[value.name] for value in enum.proto.value]


def descend(message: Message, fields: tuple[DescField, ...]) -> Message:
    """Returns the message that holds the last of these fields, and creates absent messages on the way to it. Raises
    InvalidValue if one of them would replace another member of a oneof.
    """
    for field in fields[:-1]:
        inner = message[field]
        if inner is None:
            assert isinstance(field.value, DescFieldValueMessage), "only messages have fields"
            inner = field.value.message.type()
            assign(message, field, inner)
        message = inner
    return message


def assign(message: Message, field: DescField, value: Any) -> None:
    """Sets a field. Raises InvalidValue if another member of its oneof is set."""
    oneof = None if isinstance(field.value, DescFieldValueList | DescFieldValueMap) else field.value.oneof
    other = getattr(message, oneof.local_name) if oneof is not None else None
    if other is not None and other.field != field.name:
        names = {field.name: field.json_name for field in message.desc().fields}
        raise InvalidValue(f"can't be set together with {names[other.field]}", "ONEOF_GIVEN_TWICE")
    message[field] = value


def value_at(message: Message, fields: tuple[DescField, ...]) -> Any:
    """Returns the value of a nested field, or None if it, or a message on the way to it, is not set."""
    at: Any = message
    for field in fields:
        if at is None or field not in at:
            return None
        at = at[field]
    return at
