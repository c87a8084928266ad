"""The rules of enums as JSON Schema."""

from collections.abc import Iterable

from protobuf import DescEnum, DescExtension, DescField, DescFieldValueEnum, DescFieldValueList
from protovalidate._gen.buf.validate.validate_pb import EnumRules

from edge.openapi.json_schema import Schema, add_for_validators
from edge.openapi.validation_rules.keywords import given_rules
from edge.openapi.validation_rules.sentences import sentences
from edge.protojson.fields import values_in_order


def constrain_enum(
    schema: Schema, kind: str, rules: EnumRules, field: DescField | DescExtension | None, *, is_text: bool
) -> list[str]:
    """Adds the rules of an enum to its schema. Returns sentences for them if the enum is not known."""
    enum = enum_of(field)
    if enum is None:
        return sentences(kind, given_rules(rules))
    allowed = {value.number for value in enum.values}
    if rules.has_field("const"):
        allowed = {rules.const}
    if rules.in_:
        allowed &= set(rules.in_)
    allowed -= set(rules.not_in)
    if rules.defined_only or rules.has_field("const") or rules.in_:
        values = names_and_numbers(enum, allowed, is_text=is_text)
        if is_text:
            schema.pop("$ref", None)
            schema |= {"type": "string", "enum": values}
        else:
            add_for_validators(schema, {"enum": values})
    elif rules.not_in:
        add_for_validators(schema, {"not": {"enum": names_and_numbers(enum, rules.not_in, is_text=is_text)}})
    return []


def names_and_numbers(enum: DescEnum, numbers: Iterable[int], *, is_text: bool) -> list[str | int]:
    """Returns the names and the numbers of these values of an enum."""
    wanted = sorted(numbers)
    names = [value.json_name or value.name for value in values_in_order(enum) if value.number in wanted]
    return [*names, *(map(str, wanted) if is_text else wanted)]


def enum_of(field: DescField | DescExtension | None) -> DescEnum | None:
    """Returns the enum of a field or of its elements, None if there is none."""
    match field.value if field is not None else None:
        case DescFieldValueEnum(enum=enum) | DescFieldValueList(element=DescEnum() as enum):
            return enum
    return None
