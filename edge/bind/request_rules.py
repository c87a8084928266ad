"""The contract's validation rules (protovalidate), which the edge checks before it calls a service."""

from protobuf import DescMessage, Message

from edge.protojson.client_paths import ClientPaths
from edge.protojson.violations import Violations
from mesh.contract.rules import has_rules
from mesh.errors import FieldViolation
from mesh.validation import Validator


class RequestRules:
    """The rules of one type of request."""

    def __init__(self, request: DescMessage, validator: Validator, paths: ClientPaths | None = None) -> None:
        """Raises CompilationError if a rule is invalid. `paths` are those of a route; by default they begin at the
        request.
        """
        self._paths = paths or ClientPaths(request)
        self._validator = validator if has_rules(request) else None
        if self._validator is not None:
            self._validator.violations(request.type())

    def violations(self, message: Message) -> tuple[FieldViolation, ...]:
        """Returns the violations of a message, with paths of proto names."""
        return () if self._validator is None else self._validator.violations(message)

    def check(self, message: Message, violations: Violations) -> None:
        """Adds the violations of a message to `violations`, except those of fields that are already in it."""
        broken = self.violations(message)
        if not broken:
            return
        known, names = list(violations.paths), violations.proto_names_used
        for each in broken:
            path = self._paths.spelled(each, names).field
            if not any(_overlap(path, other) for other in known):
                violations.record(self._paths.shown(each, names), path)


def _overlap(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return longer == shorter or (longer.startswith(shorter) and longer[len(shorter)] in ".[")
