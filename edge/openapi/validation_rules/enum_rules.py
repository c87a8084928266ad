"""The rules of enums as JSON Schema."""

from collections.abc import Collection, Iterable

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
        if (name := usual_name(enum, allowed)) is not None:
            schema["examples"] = [name]
    elif rules.not_in:
        add_for_validators(schema, {"not": {"enum": names_and_numbers(enum, rules.not_in, is_text=is_text)}})
    return []


def usual_name(enum: DescEnum, numbers: Collection[int]) -> str | None:
    """Returns the name of one of these values for examples: the first that is neither zero nor deprecated, if there is
    one. Zero is the value that is not set, which other rules may exclude.
    """
    values = [value for value in values_in_order(enum) if value.number in numbers]
    named = [value for value in values if value.number and not value.deprecated]
    return next((value.json_name or value.name for value in named or values), None)


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
