"""The contract's own validation rules (protovalidate), applied before a request travels on."""

import structlog
from protobuf import DescExtension, DescField, DescMessage, Message
from protovalidate import EvaluationError
from protovalidate._gen.buf.validate.validate_pb import FieldRules, MessageRules, ext_field, ext_message, ext_oneof

from edge.fields import inner_message
from edge.protojson.problems import Problems
from edge.spelling import respell
from mesh.errors import FieldViolation
from mesh.validation import Validator

log = structlog.get_logger()


class Rules:
    """The rules of one type of request. Raises CompilationError if one of them is wrong."""

    def __init__(self, request: DescMessage, validator: Validator) -> None:
        self._request = request
        self._validator = validator if has_rules(request) else None
        if self._validator is not None:
            self._validator.violations(request.type())

    def broken(self, message: Message) -> tuple[FieldViolation, ...]:
        """Every rule that the message breaks, with the paths of the contract."""
        if self._validator is None:
            return ()
        try:
            return self._validator.violations(message)
        except EvaluationError as error:
            # The rule can't judge this message. The service, which has the same rules, answers for it.
            log.warning("a rule of the contract failed", message=self._request.type_name, error=str(error))
            return ()

    def check(self, message: Message, problems: Problems) -> None:
        """Notes every rule that the message breaks, but nothing about fields that are known to be wrong."""
        broken = self.broken(message)
        if not broken:
            return
        wrong = [violation.field for violation in problems.violations]
        for violation in (respell(each, self._request, problems.own_names) for each in broken):
            if not any(_overlap(violation.field, field) for field in wrong):
                problems.note(violation)


def _overlap(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return longer == shorter or (longer.startswith(shorter) and longer[len(shorter)] in ".[")


def field_rules(field: DescField | DescExtension) -> FieldRules | None:
    """The rules of a field, None if it has none."""
    options = field.proto.options
    return options[ext_field] if options is not None and ext_field in options else None


def message_rules(message: DescMessage) -> MessageRules | None:
    """The rules of a message as a whole, None if it has none."""
    options = message.proto.options
    return options[ext_message] if options is not None and ext_message in options else None


def has_rules(message: DescMessage) -> bool:
    """Whether a message, or one that it can hold, has any rule."""
    waiting, seen = [message], {message.type_name}
    while waiting:
        at = waiting.pop()
        if message_rules(at) is not None or any(field_rules(field) is not None for field in at.fields):
            return True
        if any(oneof.proto.options is not None and ext_oneof in oneof.proto.options for oneof in at.oneofs):
            return True
        for field in at.fields:
            inner = inner_message(field)
            if inner is not None and inner.type_name not in seen:
                seen.add(inner.type_name)
                waiting.append(inner)
    return False
