"""The contract's own validation rules (protovalidate), applied before a request travels on."""

from protobuf import DescMessage, Message

from edge.protojson.client_paths import as_client_writes
from edge.protojson.problems import Problems
from mesh.contract.rules import has_rules
from mesh.errors import FieldViolation
from mesh.validation import Validator


class Rules:
    """The rules of one type of request. Raises CompilationError if one of them is wrong."""

    def __init__(self, request: DescMessage, validator: Validator) -> None:
        self._request = request
        self._validator = validator if has_rules(request) else None
        if self._validator is not None:
            self._validator.violations(request.type())

    def broken(self, message: Message) -> tuple[FieldViolation, ...]:
        """Returns the rules that the message breaks, with the paths of the contract."""
        return () if self._validator is None else self._validator.violations(message)

    def check(self, message: Message, problems: Problems) -> None:
        """Notes every rule that the message breaks, but nothing about fields that are known to be wrong."""
        broken = self.broken(message)
        if not broken:
            return
        wrong = [violation.field for violation in problems.violations]
        for violation in (as_client_writes(each, self._request, problems.own_names) for each in broken):
            if not any(_overlap(violation.field, field) for field in wrong):
                problems.note(violation)


def _overlap(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return longer == shorter or (longer.startswith(shorter) and longer[len(shorter)] in ".[")
