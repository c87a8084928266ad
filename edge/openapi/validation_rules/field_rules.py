"""The rules of a field as JSON Schema."""

from typing import Any, Final

from protobuf import DescExtension, DescField
from protovalidate._gen.buf.validate.validate_pb import (
    EnumRules,
    FieldRules,
    Ignore,
    MapRules,
    RepeatedRules,
    StringRules,
)

from edge.openapi.json_schema import Schema, add_description, add_for_validators
from edge.openapi.validation_rules.enum_rules import constrain_enum, enum_of
from edge.openapi.validation_rules.keywords import add_keywords, given_rules
from edge.openapi.validation_rules.long_rules import constrain_long
from edge.openapi.validation_rules.number_rules import constrain_number
from edge.openapi.validation_rules.sentences import sentences
from edge.openapi.validation_rules.string_rules import constrain_string
from edge.openapi.validation_rules.zero_values import admit_zero, zero_values

_INTEGERS: Final = frozenset({"int32", "uint32", "sint32", "fixed32", "sfixed32"})
_LONG: Final = frozenset({"int64", "uint64", "sint64", "fixed64", "sfixed64"})
_NUMBERS: Final = _INTEGERS | _LONG | {"float", "double"}
_AT_LEAST_ONE: Final = {"string": "minLength", "array": "minItems", "object": "minProperties"}


def constrain(
    schema: Schema, rules: FieldRules, field: DescField | DescExtension | None = None, *, is_text: bool = False
) -> None:
    """Adds the rules of a field to its schema. `field` is None if the rules are those of a map's keys or values.
    `is_text` says that a path or a query holds the value.
    """
    if rules.ignore == Ignore.ALWAYS:
        return
    notes = [rule.message for rule in rules.cel if rule.message]
    before = dict(schema)
    if rules.type is not None:
        notes += _constrain_value(schema, rules.type.field, rules.type.value, field, is_text=is_text)
    if rules.required:
        _exclude_zero(schema, field)
    elif rules.ignore == Ignore.IF_ZERO_VALUE:
        admit_zero(schema, before, zero_values(before, enum_of(field)))
    if notes:
        add_description(schema, *notes)


def _exclude_zero(schema: Schema, field: DescField | DescExtension | None) -> None:
    """Excludes the zero value of a required field. A field with presence may hold it."""
    is_plain = isinstance(field, DescField) and field.presence.name == "IMPLICIT"
    kind = "" if "int64" in schema.get("format", "") else str(schema.get("type"))
    if (keyword := _AT_LEAST_ONE.get(kind)) is not None:
        if is_plain or kind != "string":
            schema[keyword] = max(1, schema.get(keyword, 0))
    elif is_plain and (excluded := zero_values(schema, enum_of(field))):
        add_for_validators(schema, {"not": {"enum": excluded}})


def _constrain_value(
    schema: Schema, kind: str, rules: Any, field: DescField | DescExtension | None, *, is_text: bool
) -> list[str]:
    """Adds the rules of one type. Returns sentences for those that have no keyword."""
    match rules:
        case RepeatedRules():
            if rules.items is not None:
                constrain(schema["items"], rules.items, field, is_text=is_text)
            return add_keywords(schema, kind, rules, without={"items"})
        case MapRules():
            if rules.keys is not None:
                schema["propertyNames"] = {"type": "string", **schema.get("propertyNames", {})}
                constrain(schema["propertyNames"], rules.keys, is_text=True)
            if rules.values is not None:
                constrain(schema["additionalProperties"], rules.values, is_text=is_text)
            return add_keywords(schema, kind, rules, without={"keys", "values"})
        case EnumRules():
            return constrain_enum(schema, kind, rules, field, is_text=is_text)
        case StringRules():
            return constrain_string(schema, kind, rules)
        case _ if kind in _NUMBERS:
            is_digits = kind in _LONG or (kind in _INTEGERS and schema.get("type") == "string")
            return (constrain_long if is_digits else constrain_number)(schema, kind, rules)
    is_boolean = kind == "bool" and schema.get("type") != "string"  # the keys of maps are strings
    return add_keywords(schema, kind, rules) if is_boolean else sentences(kind, given_rules(rules))
