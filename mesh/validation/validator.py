"""Validation of a message by the rules of its own contract (protovalidate).

It fails closed: a message whose rules can't be evaluated, or would take too long, is invalid.
"""

from dataclasses import replace
from typing import Final

import protovalidate
import structlog
from protobuf import DescMessage, Message

from mesh.errors import VIOLATIONS_MAX, FieldViolation, invalid_fields
from mesh.validation.bounds import Bounds
from mesh.validation.message_cost import TooCostly
from mesh.validation.proto_names import converted, with_proto_names

ELEMENTS_MAX: Final = 1000
"""The most elements of a message whose violations are all reported. With more elements, only the first one is."""

log = structlog.get_logger()


class Validator:
    """The validator of messages. It compiles the protovalidate rules of a type once."""

    def __init__(self) -> None:
        self._validator = protovalidate.Validator()
        self._bounds = Bounds()
        self._renamed: dict[str, DescMessage | None] = {}

    def violations(self, message: Message) -> tuple[FieldViolation, ...]:
        """Returns the violations of a message, at most VIOLATIONS_MAX; empty if it is valid.

        Modifies the message: a field that is longer than its rules allow is cut to one more than that before the rules
        of its elements are evaluated.
        """
        try:
            cost = self._bounds.apply(message)
            found = self._collect(message, fail_fast=cost.elements > ELEMENTS_MAX)
        except TooCostly as error:
            return (replace(_NOT_EVALUATED, field=error.field or _NOT_EVALUATED.field),)
        except protovalidate.EvaluationError as error:
            log.warning("could not evaluate a rule", message=message.desc().type_name, error=str(error))
            return (_NOT_EVALUATED,)
        if not found:
            if not cost.is_cut:
                return ()
            log.error("a field was cut but broke no rule", message=message.desc().type_name)
            return (_NOT_EVALUATED,)
        return tuple(_field_violation(violation.proto) for violation in found[:VIOLATIONS_MAX])

    def check(self, message: Message) -> None:
        """Raises InvalidArgument with the violations, if there are any."""
        if violations := self.violations(message):
            raise invalid_fields(violations)

    def _collect(self, message: Message, *, fail_fast: bool) -> list[protovalidate.Violation]:
        name = message.desc().type_name
        if (renamed := self._renamed.get(name)) is not None:
            return self._validator.collect_violations(converted(message, renamed), fail_fast=fail_fast)
        try:
            return self._validator.collect_violations(message, fail_fast=fail_fast)
        except ValueError:
            if name not in self._renamed:
                self._renamed[name] = with_proto_names(message.desc())
            if (renamed := self._renamed[name]) is None:
                raise
            return self._validator.collect_violations(converted(message, renamed), fail_fast=fail_fast)


_NOT_EVALUATED: Final = FieldViolation(
    "(request)", "is too large for a rule of the contract to be evaluated; send less at once", "RULE_NOT_EVALUATED"
)


def _field_violation(violation: protovalidate.ViolationPb) -> FieldViolation:
    path = ""
    for element in violation.field.elements if violation.field else ():
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            value = element.subscript.value
            path += f'["{value}"]' if isinstance(value, str) else f"[{value}]"
    reason = violation.rule_id.replace(".", "_").upper()
    return FieldViolation(path or "(request)", violation.message, reason)
