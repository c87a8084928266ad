"""Samples of request bodies, which the pages show and a reader can send as they are.

A sample made of a schema alone breaks the rules that JSON Schema can't express, such as those in CEL. These samples are
validated as a request is, and left out if a rule rejects them.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from googleapis.google.api.field_behavior_pb import FieldBehavior
from protobuf import DescField, DescFieldValueMessage, DescMessage

from edge.contract.http_body import http_body_type
from edge.contract.route import Route
from edge.openapi.samples.field_values import FieldValues, has_example, is_plain
from edge.openapi.samples.rule_check import RuleCheck
from edge.openapi.schemas.field_behavior import behaviors
from edge.openapi.schemas.field_paths import FieldPath, paths_inside
from edge.openapi.schemas.oneofs import excluded_by
from edge.openapi.schemas.requirements import Requirements
from edge.openapi.schemas.schema_variant import SchemaVariant

DEPTH_MAX: Final = 5

_CHOSEN_BY_THE_SERVICE: Final = frozenset({FieldBehavior.OUTPUT_ONLY, FieldBehavior.IDENTIFIER})
# A sample must not repeat the id of another request (AIP-155) or the version of another resource (AIP-154).
_CHOSEN_FOR_EACH_CALL: Final = frozenset({"request_id", "etag"})


class RequestSamples:
    """The samples of a document's requests. A sample holds the fields that are required, and those that the contract
    gives an example; all fields if there are no such ones.
    """

    def __init__(self, values: FieldValues, requirements: Requirements, check: RuleCheck) -> None:
        self._values = values
        self._requirements = requirements
        self._check = check

    def of(self, route: Route, variant: SchemaVariant) -> Any:
        """Returns a sample of a route's body, None if it has none or if no sample is valid. If the body is a stream, it
        is a sample of one message.
        """
        if http_body_type(route) is not None:
            return None
        if route.whole_body:
            without = () if route.method.desc.method_kind in ("client_streaming", "bidi_streaming") else route.variables
            return self._of_message(route.method.desc.input, variant, without)
        if route.body is None:
            return None
        in_path = [fields[1:] for fields in route.variables if fields[0] is route.body]
        return self._of_field(route.body, variant, in_path)

    def _of_message(self, message: DescMessage, variant: SchemaVariant, without: Collection[FieldPath]) -> Any:
        """Returns a sample of a body that is the whole request, None if no sample is valid. The fields at the paths
        `without` are in another part of the request.
        """
        if is_plain(message):
            return None  # As a whole request it is an object of its fields.
        elsewhere = {path[0].name for path in without}
        for sample in self._candidates(message, variant, without):
            if self._is_valid(message, sample, lambda field: field.partition(".")[0] not in elsewhere):
                return sample
        return None

    def _of_field(self, field: DescField, variant: SchemaVariant, without: Collection[FieldPath]) -> Any:
        """Returns a sample of a body that is one field of the request, None if no sample is valid."""
        elsewhere = {".".join((field.name, *(each.name for each in path))) for path in without}
        if isinstance(field.value, DescFieldValueMessage) and not is_plain(field.value.message):
            samples = self._candidates(field.value.message, variant, without)
        else:
            samples = iter((self._value(field, variant, 0),))
        for sample in samples:
            request = {field.json_name: sample}
            if self._is_valid(field.parent, request, lambda path: _is_in(path, field) and path not in elsewhere):
                return sample
        return None

    def _candidates(
        self, message: DescMessage, variant: SchemaVariant, without: Collection[FieldPath]
    ) -> Iterator[dict[str, Any]]:
        """Yields samples of a message, the best first. No sample is empty unless the message is."""
        needed = self._object(message, variant, without, everything=False)
        if needed:
            yield needed
        if everything := self._object(message, variant, without, everything=True):
            yield everything
        if not needed:
            yield {}

    def _object(
        self,
        message: DescMessage,
        variant: SchemaVariant,
        without: Collection[FieldPath],
        *,
        everything: bool,
        depth: int = 0,
    ) -> dict[str, Any]:
        given = {path[0] for path in without if len(path) == 1}
        sample: dict[str, Any] = {}
        for field in message.fields:
            if field in given | excluded_by(given) or not _is_for_clients(field):
                continue
            is_required = FieldBehavior.REQUIRED in behaviors(field) or self._requirements.include(
                field, variant, without
            )
            if not (is_required or everything or has_example(field)) or depth >= DEPTH_MAX:
                continue
            inside = paths_inside(field, without)
            if inside and isinstance(field.value, DescFieldValueMessage):
                value: Any = self._object(field.value.message, variant, inside, everything=everything, depth=depth + 1)
            else:
                value = self._value(field, variant, depth)
            if value is not None:
                sample[field.json_name] = value
                given.add(field)
        return sample

    def _value(self, field: DescField, variant: SchemaVariant, depth: int) -> Any:
        """Returns a value of a field, None if the field is best left out."""
        return self._values.of(
            field, lambda message: self._object(message, variant, (), everything=False, depth=depth + 1)
        )

    def _is_valid(self, message: DescMessage, sample: dict[str, Any], concerns: Callable[[str], bool]) -> bool:
        """Returns whether a request is valid, apart from violations at paths that don't concern the body."""
        request = self._check.read(message, sample)
        violations = None if request is None else self._check.violations(request)
        return violations is not None and not any(map(concerns, violations))


def _is_in(path: str, field: DescField) -> bool:
    return path == field.name or path.startswith((f"{field.name}.", f"{field.name}["))


def _is_for_clients(field: DescField) -> bool:
    """Returns whether a client chooses the value of a field, and can choose the same one in each call."""
    return (
        behaviors(field).isdisjoint(_CHOSEN_BY_THE_SERVICE)
        and field.name not in _CHOSEN_FOR_EACH_CALL
        and not field.deprecated
    )
