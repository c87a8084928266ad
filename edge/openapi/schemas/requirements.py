"""The fields that a message must have, by the contract and by its rules."""

from collections.abc import Collection

from googleapis.google.api.field_behavior_pb import FieldBehavior
from protobuf import DescField, DescFieldValueMessage, DescMessage
from protovalidate import CompilationError

from edge.openapi.schemas.field_behavior import behaviors
from edge.openapi.schemas.field_paths import FieldPath, paths_inside
from edge.openapi.schemas.oneofs import excluded_by, is_required
from edge.openapi.schemas.schema_variant import SchemaVariant
from mesh.contract.rules import field_rules, message_rules
from mesh.validation import Validator


class Requirements:
    """Decides which fields are required. The paths `elsewhere` are those of fields that another part of the request
    holds, such as the URL.
    """

    def __init__(self) -> None:
        self.validator = Validator()
        self._by_rules: dict[str, frozenset[str]] = {}

    def by_rules(self, message: DescMessage) -> frozenset[str]:
        """Returns the names of the fields, and oneofs, whose absence breaks a rule of the contract."""
        found = self._by_rules.get(message.type_name)
        if found is None:
            found = self._by_rules[message.type_name] = self._missing_in_empty(message)
        return found

    def _missing_in_empty(self, message: DescMessage) -> frozenset[str]:
        if not _has_rules(message):
            return frozenset()
        try:
            return frozenset(violation.field for violation in self.validator.violations(message.type()))
        except CompilationError:
            return frozenset()  # A rule that can't be compiled requires nothing that could be shown here.

    def are_left(self, message: DescMessage, variant: SchemaVariant, elsewhere: Collection[FieldPath]) -> bool:
        """Returns whether a message in a request must have more fields than those that are given elsewhere."""
        given = {path[0] for path in elsewhere}
        left = [field for field in message.fields if (field,) not in elsewhere and field not in excluded_by(given)]
        oneofs = [oneof.fields for oneof in message.oneofs if is_required(oneof)]
        rules = message_rules(message)
        for rule in rules.oneof if rules is not None else ():
            oneofs += [[field for field in message.fields if field.name in rule.fields]] if rule.required else []
        return any(self.include(field, variant, elsewhere) for field in left) or any(
            given.isdisjoint(members) for members in oneofs
        )

    def include(self, field: DescField, variant: SchemaVariant, elsewhere: Collection[FieldPath]) -> bool:
        """Returns whether a message must have this field. A field of which a part is given elsewhere is required only
        if another part of it is.
        """
        if variant is SchemaVariant.RESPONSE:
            return _is_declared_required(field, variant)
        inside = paths_inside(field, elsewhere)
        if inside and isinstance(field.value, DescFieldValueMessage):
            return self.are_left(field.value.message, variant, inside)
        return field.name in self.by_rules(field.parent) or _is_declared_required(field, variant)

    def differ(self, message: DescMessage, variant: SchemaVariant, elsewhere: Collection[FieldPath]) -> bool:
        """Returns whether parts of a message that are given elsewhere change which fields it requires or excludes."""
        first = [path[0] for path in elsewhere if path]
        if excluded_by(first):
            return True
        for field in dict.fromkeys(first):
            inside = paths_inside(field, elsewhere)
            if self.include(field, variant, ()) or (
                isinstance(field.value, DescFieldValueMessage) and self.differ(field.value.message, variant, inside)
            ):
                return True
        return False


def _is_declared_required(field: DescField, variant: SchemaVariant) -> bool:
    if field.presence.name == "LEGACY_REQUIRED":
        return True
    declared = behaviors(field)
    return (
        variant is SchemaVariant.REQUEST
        and FieldBehavior.REQUIRED in declared
        and FieldBehavior.OUTPUT_ONLY not in declared
    )


def _has_rules(message: DescMessage) -> bool:
    return any(field_rules(field) is not None for field in message.fields) or any(map(is_required, message.oneofs))
