"""The check of samples by the edge's own reader of JSON and by the contract's rules."""

from itertools import islice
from typing import Any, Final

from protobuf import DescMessage, Message, Registry
from protovalidate import CompilationError

from edge.protojson.readers import ElementReader, Readers
from edge.protojson.violations import ROOT, Violations
from mesh.contract.descriptors import messages_within
from mesh.contract.rules import has_rules
from mesh.validation import Validator

TYPES_MAX: Final = 100
"""The number of types that a sample may consist of. Python's classes of a type make those of all types in it."""


class RuleCheck:
    """Reads samples and validates them as the edge does requests."""

    def __init__(self, types: Registry, validator: Validator) -> None:
        self._readers = Readers(types)
        self._validator = validator

    def read(self, message: DescMessage, sample: Any) -> Message | None:
        """Returns the message that a sample describes, None if it describes none or if the type has too many parts."""
        if not _is_small(message):
            return None
        found = Violations()
        made = ElementReader(self._readers, message).read(sample, ROOT, found)
        return None if found.found else made

    def violations(self, made: Message) -> tuple[str, ...] | None:
        """Returns the paths of the fields that break rules, None if the rules can't be evaluated."""
        if not has_rules(made.desc()):
            return ()
        try:
            return tuple(violation.field for violation in self._validator.violations(made))
        except CompilationError:
            return None


def _is_small(message: DescMessage) -> bool:
    """Returns whether a message consists of at most TYPES_MAX types."""
    return next(islice(messages_within(message), TYPES_MAX, None), None) is None
