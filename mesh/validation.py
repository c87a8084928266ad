"""Validation of a message by the rules of its own contract (protovalidate)."""

import protovalidate
from protobuf import DescMessage, Message

from mesh.errors import FieldViolation, InvalidArgument
from mesh.validation_twin import as_twin, twin_of


class Validator:
    """Checks messages by their protovalidate rules, compiled once a type."""

    def __init__(self) -> None:
        self._validator = protovalidate.Validator()
        self._twins: dict[str, DescMessage] = {}

    def violations(self, message: Message) -> tuple[FieldViolation, ...]:
        """Every rule that the message breaks; none if it is right."""
        return tuple(_field_violation(violation.proto) for violation in self._collect(message))

    def _collect(self, message: Message) -> list[protovalidate.Violation]:
        twin = self._twins.get(message.desc().type_name)
        if twin is not None:
            return self._validator.collect_violations(as_twin(message, twin))
        try:
            return self._validator.collect_violations(message)
        except ValueError:
            # The descriptor is not to protovalidate's taste, whatever the message holds.
            twin = twin_of(message.desc())
            found = self._validator.collect_violations(as_twin(message, twin))
            self._twins[twin.type_name] = twin
            return found

    def check(self, message: Message) -> None:
        """Raises InvalidArgument that lists every violation."""
        if violations := self.violations(message):
            raise invalid(violations)


def invalid(violations: tuple[FieldViolation, ...]) -> InvalidArgument:
    """The error of a request with these violations; its message is the first of them and how many more there are."""
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return InvalidArgument(f"{first.field}: {first.description}{more}", reason="INVALID_FIELD", violations=violations)


def _field_violation(violation: protovalidate.ViolationPb) -> FieldViolation:
    path = ""
    for element in violation.field.elements if violation.field else ():
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            value = element.subscript.value
            path += f'["{value}"]' if isinstance(value, str) else f"[{value}]"
    reason = violation.rule_id.replace(".", "_").upper()
    return FieldViolation(path or "(request)", violation.message, reason)
