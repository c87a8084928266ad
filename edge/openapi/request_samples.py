"""Samples of request bodies, which the pages show and a reader can send as they are.

A sample made of a schema alone breaks the rules that JSON Schema can't express, such as those in CEL. These samples are
validated as a request is, and left out if a rule rejects them.
"""

from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import Any, Final

from googleapis.google.api.field_behavior_pb import FieldBehavior
from protobuf import (
    DescField,
    DescFieldValueEnum,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    Registry,
    ScalarType,
)
from protovalidate import CompilationError

from edge.openapi.json_schema import Schema
from edge.openapi.schemas.field_behavior import behaviors
from edge.openapi.schemas.field_paths import FieldPath, paths_inside
from edge.openapi.schemas.message_schemas import MessageSchemas
from edge.openapi.schemas.oneofs import excluded_by
from edge.openapi.schemas.schema_variant import SchemaVariant
from edge.openapi.schemas.well_known_schemas import wrapped_scalar
from edge.openapi.validation_rules.keywords import given_rules
from edge.protojson.fields import values_in_order
from edge.protojson.leaf_readers import WRAPPERS
from edge.protojson.readers import Readers
from edge.protojson.scalars import INT64_TYPES
from edge.protojson.violations import ROOT, Violations
from mesh.contract.descriptors import messages_within
from mesh.contract.rules import field_rules, has_rules

DEPTH_MAX: Final = 5
TYPES_MAX: Final = 100
"""The number of types that a request may consist of. Python's classes of a type make those of all types in it."""

_CHOSEN_BY_THE_SERVICE: Final = frozenset({FieldBehavior.OUTPUT_ONLY, FieldBehavior.IDENTIFIER})
# A sample must not repeat the id of another request (AIP-155) or the version of another resource (AIP-154).
_CHOSEN_FOR_EACH_CALL: Final = frozenset({"request_id", "etag"})

_WELL_KNOWN: Final[dict[str, Any]] = {
    "google.protobuf.Timestamp": "2026-01-31T12:00:00Z",
    "google.protobuf.Duration": "1.5s",
    "google.protobuf.FieldMask": "",
    "google.protobuf.Struct": {},
    "google.protobuf.Value": None,
    "google.protobuf.ListValue": [],
    "google.protobuf.Empty": {},
    "google.protobuf.Any": {},
    "google.type.Money": {"currencyCode": "EUR", "units": "12", "nanos": 500_000_000},
    "google.type.Date": {"year": 2026, "month": 1, "day": 31},
    "google.type.TimeOfDay": {"hours": 12, "minutes": 30},
    "google.type.LatLng": {"latitude": 51.5, "longitude": -0.1},
    "google.type.Decimal": {"value": "12.5"},
    "google.type.Interval": {"startTime": "2026-01-31T12:00:00Z", "endTime": "2026-01-31T13:00:00Z"},
    "google.type.PostalAddress": {
        "regionCode": "GB",
        "postalCode": "W1U 3BW",
        "locality": "London",
        "addressLines": ["12 St James's Square"],
    },
}
"""The values of Google's types whose own rules are only in their comments."""


class RequestSamples:
    """The samples of a document's requests. A sample holds the fields that are required, and those that the contract
    gives an example; all fields if there are no such ones.
    """

    def __init__(self, schemas: MessageSchemas, types: Registry) -> None:
        self._schemas = schemas
        self._readers = Readers(types)
        self._validator = schemas.requirements.validator

    def of_message(self, message: DescMessage, variant: SchemaVariant, without: Collection[FieldPath] = ()) -> Any:
        """Returns a sample of a body that is the whole request, None if no sample is valid. The fields at the paths
        `without` are in another part of the request.
        """
        if _is_plain(message):
            return None  # As a whole request it is an object of its fields.
        elsewhere = {path[0].name for path in without}
        for sample in self._candidates(message, variant, without):
            if self._is_valid(message, sample, lambda field: field.partition(".")[0] not in elsewhere):
                return sample
        return None

    def of_field(self, field: DescField, variant: SchemaVariant, without: Collection[FieldPath] = ()) -> Any:
        """Returns a sample of a body that is one field of the request, None if no sample is valid."""
        elsewhere = {".".join((field.name, *(each.name for each in path))) for path in without}
        if isinstance(field.value, DescFieldValueMessage) and not _is_plain(field.value.message):
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
            is_required = FieldBehavior.REQUIRED in behaviors(field) or self._schemas.requirements.include(
                field, variant, without
            )
            if not (is_required or everything or _has_example(field)) or depth >= DEPTH_MAX:
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
        schema = self._schemas.field(field, variant, optional=False)
        if examples := schema.get("examples"):
            return examples[0]
        match field.value:
            case DescFieldValueList(element=element):
                item = _example_of(schema["items"])
                item = self._element(element, variant, depth) if item is None else item
                return [] if item is None else [item]
            case DescFieldValueMap(value=element):
                value = self._element(element, variant, depth)
                return {} if value is None or "propertyNames" in schema else {"key": value}
            case (
                DescFieldValueScalar(scalar=element)
                | DescFieldValueEnum(enum=element)
                | DescFieldValueMessage(message=element)
            ):
                return self._element(element, variant, depth)

    def _element(self, element: Any, variant: SchemaVariant, depth: int) -> Any:
        if isinstance(element, ScalarType):
            return _scalar(element)
        if not isinstance(element, DescMessage):
            named = [value for value in values_in_order(element) if value.number] or list(element.values)
            return named[0].json_name or named[0].name
        if element.type_name in WRAPPERS:
            return _scalar(wrapped_scalar(element))
        if element.type_name in _WELL_KNOWN:
            return _WELL_KNOWN[element.type_name]
        return self._object(element, variant, (), everything=False, depth=depth + 1)

    def _is_valid(self, message: DescMessage, sample: dict[str, Any], concerns: Callable[[str], bool]) -> bool:
        """Returns whether a request is valid, apart from violations at paths that don't concern the body."""
        if not _is_small(message):
            return False
        found = Violations()
        request = self._readers.message(message).read(sample, ROOT, found)
        if found.found or not has_rules(message):
            return not found.found
        try:
            violations = self._validator.violations(request)
        except CompilationError:
            return False
        return not any(concerns(violation.field) for violation in violations)


def _is_small(message: DescMessage) -> bool:
    """Returns whether a message consists of at most TYPES_MAX types."""
    return next(islice(messages_within(message), TYPES_MAX, None), None) is None


def _is_plain(message: DescMessage) -> bool:
    """Returns whether the sample of a message does not depend on its fields."""
    return message.type_name in WRAPPERS or message.type_name in _WELL_KNOWN


def _is_in(path: str, field: DescField) -> bool:
    return path == field.name or path.startswith((f"{field.name}.", f"{field.name}["))


def _is_for_clients(field: DescField) -> bool:
    """Returns whether a client chooses the value of a field, and can choose the same one in each call."""
    return (
        behaviors(field).isdisjoint(_CHOSEN_BY_THE_SERVICE)
        and field.name not in _CHOSEN_FOR_EACH_CALL
        and not field.deprecated
    )


def _has_example(field: DescField) -> bool:
    """Returns whether the contract itself gives a field an example."""
    rules = field_rules(field)
    return rules is not None and rules.type is not None and "example" in given_rules(rules.type.value)


def _example_of(schema: Schema) -> Any:
    return next(iter(schema.get("examples", ())), None)


def _scalar(scalar: ScalarType) -> Any:
    if scalar in INT64_TYPES:
        return "1"
    if scalar is ScalarType.STRING:
        return "example"
    if scalar is ScalarType.BYTES:
        return "aGVsbG8="
    return True if scalar is ScalarType.BOOL else 1
