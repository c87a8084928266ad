"""Oneofs, of the contract and of protovalidate's rules, as JSON Schema."""

from collections.abc import Callable, Collection, Iterable

from protobuf import DescField, DescFieldValueList, DescFieldValueMap, DescMessage, DescOneof
from protovalidate._gen.buf.validate.validate_pb import ext_oneof

from edge.openapi.json_schema import Schema, add_description, add_for_validators
from edge.openapi.schemas.schema_variant import SchemaVariant
from edge.protojson.readers import is_nullable
from mesh.contract.rules import message_rules


class Oneofs:
    """Adds oneofs to the schemas of messages."""

    def __init__(self, name_of: Callable[[DescField, SchemaVariant], str]) -> None:
        """`name_of` returns the name of a field in JSON."""
        self._name_of = name_of

    def add(
        self, schema: Schema, message: DescMessage, variant: SchemaVariant, *, without: Collection[DescField] = ()
    ) -> None:
        """Demands that no two members of a oneof are given, and that one is if a rule says so. The schema does not have
        the fields `without`.
        """
        there = {field.name: field for field in message.fields if field not in without}
        for oneof in message.oneofs:
            members = [field for field in oneof.fields if field.name in there]
            exactly = variant is not SchemaVariant.RESPONSE and is_required(oneof) and len(members) == len(oneof.fields)
            if members and (len(members) > 1 or exactly):
                self._add(schema, members, variant, exactly=exactly)
        rules = message_rules(message) if variant is not SchemaVariant.RESPONSE else None
        for rule in rules.oneof if rules is not None else ():
            members = [there[name] for name in rule.fields if name in there]
            if members:
                exactly = rule.required and len(members) == len(rule.fields)
                self._add(schema, members, variant, exactly=exactly)

    def _add(self, schema: Schema, members: list[DescField], variant: SchemaVariant, *, exactly: bool) -> None:
        given = [self._presence(field, variant) for field in members]
        add_for_validators(schema, {"oneOf": given if exactly else [*given, {"not": {"anyOf": given}}]})
        names = ", ".join(f"`{self._name_of(field, variant)}`" for field in members)
        add_description(schema, f"{'Exactly' if exactly else 'At most'} one of {names}.")

    def _presence(self, field: DescField, variant: SchemaVariant) -> Schema:
        """Returns the schema of objects that hold the field. Null in a request is absence, unless the field has null as
        a value.
        """
        name = self._name_of(field, variant)
        schema: Schema = {"required": [name]}
        if variant is not SchemaVariant.RESPONSE and not is_nullable(field):
            schema["properties"] = {name: {"not": {"type": "null"}}}
        return schema


def is_required(oneof: DescOneof) -> bool:
    """Returns whether a rule demands a member of the oneof."""
    options = oneof.proto.options
    return options is not None and ext_oneof in options and bool(options[ext_oneof].required)


def excluded_by(given: Iterable[DescField]) -> frozenset[DescField]:
    """Returns the fields that can't be given beside these, because they are members of the same oneofs."""
    fields = set(given)
    oneofs = [
        field.value.oneof
        for field in fields
        if not isinstance(field.value, DescFieldValueList | DescFieldValueMap) and field.value.oneof is not None
    ]
    return frozenset(member for oneof in oneofs for member in oneof.fields if member not in fields)


def excluded_by_rules(given: Iterable[DescField]) -> frozenset[DescField]:
    """Returns the fields that can't be given beside these because of the rules of their messages."""
    fields = set(given)
    excluded: set[DescField] = set()
    for field in fields:
        rules = message_rules(field.parent)
        for rule in rules.oneof if rules is not None else ():
            if field.name in rule.fields:
                excluded |= {each for each in field.parent.fields if each.name in rule.fields and each not in fields}
    return frozenset(excluded)
