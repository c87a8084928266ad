"""Values of single fields in samples: the contract's own examples, what its comments quote, or typical values."""

import re
from collections.abc import Callable
from typing import Any, Final

from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescMessage,
    ScalarType,
)

from edge.openapi.examples import example
from edge.openapi.json_schema import Schema
from edge.openapi.quoted_values import UUID, quoted_value
from edge.openapi.schemas.message_schemas import MessageSchemas
from edge.openapi.schemas.schema_variant import SchemaVariant
from edge.openapi.schemas.well_known_schemas import wrapped_scalar
from edge.openapi.validation_rules.enum_rules import usual_name
from edge.openapi.validation_rules.keywords import given_rules
from edge.protojson.leaf_readers import WRAPPERS
from edge.protojson.scalars import INT64_TYPES
from mesh.contract.descriptors import element_of
from mesh.contract.rules import field_rules

_TIMESTAMP: Final = "google.protobuf.Timestamp"
_TIME: Final = "2026-01-31T12:00:00Z"
_LATER: Final = "2026-01-31T13:00:00Z"
_LATER_NAMES: Final = re.compile("(end|expire|expiration|next|purge)_|.*_until$")

_URL: Final = "https://www.example.com/"
_URL_NAMES: Final = re.compile("(.*_)?(uri|url|endpoint)")

_WELL_KNOWN: Final[dict[str, Any]] = {
    _TIMESTAMP: _TIME,
    "google.protobuf.Duration": "1.5s",
    "google.protobuf.FieldMask": "",
    "google.protobuf.Struct": {"key": "value"},
    "google.protobuf.Value": "value",
    "google.protobuf.ListValue": ["value"],
    "google.protobuf.Empty": {},
    "google.protobuf.Any": {},
    "google.type.Money": {"currencyCode": "EUR", "units": "12", "nanos": 500_000_000},
    "google.type.Date": {"year": 2026, "month": 1, "day": 31},
    "google.type.TimeOfDay": {"hours": 12, "minutes": 30},
    "google.type.LatLng": {"latitude": 51.5, "longitude": -0.1},
    "google.type.Decimal": {"value": "12.5"},
    "google.type.Interval": {"startTime": _TIME, "endTime": _LATER},
    "google.type.PostalAddress": {
        "regionCode": "GB",
        "postalCode": "W1U 3BW",
        "locality": "London",
        "addressLines": ["12 St James's Square"],
    },
}
"""The values of Google's types whose own rules are only in their comments."""

_TEXTS_BY_NAME: Final = {
    "uid": UUID,
    "etag": "1",
    "email": "ada@example.com",
    "next_page_token": "bmV4dA",
    "resume_token": "cmVzdW1l",
    "language_code": "en",
    "region_code": "GB",
    "currency_code": "EUR",
}
"""The values of fields with names of https://google.aip.dev/148 and others that always mean the same."""


class FieldValues:
    """The values of a contract's fields. A field has the same value in every sample."""

    def __init__(self, schemas: MessageSchemas) -> None:
        """`schemas` are apart from those of the document, because they add what they refer to."""
        self._schemas = schemas
        self._known: dict[DescField, Schema] = {}

    def of(self, field: DescField, object_of: Callable[[DescMessage], Any]) -> Any:
        """Returns a value of a field, None if the field is best left out. `object_of` returns that of a message."""
        schema = self._schema(field)
        if examples := schema.get("examples"):
            return examples[0]
        match field.value:
            case DescFieldValueList(element=element):
                item = _example_of(schema["items"])
                item = self._element(field, element, object_of) if item is None else item
                return [] if item is None else [item]
            case DescFieldValueMap(value=element):
                key = example({"type": "string", **schema["propertyNames"]}) if "propertyNames" in schema else "key"
                value = self._element(field, element, object_of)
                return {} if key is None or value is None else {key: value}
        return self._element(field, element_of(field), object_of)

    def description(self, field: DescField) -> str:
        """Returns the comment on a field."""
        return str(self._schema(field).get("description", ""))

    def _schema(self, field: DescField) -> Schema:
        """Returns the schema of a field in a request, which has all rules."""
        schema = self._known.get(field)
        if schema is None:
            schema = self._known[field] = self._schemas.field(field, SchemaVariant.REQUEST, optional=False)
        return schema

    def _element(
        self, field: DescField, element: DescMessage | DescEnum | ScalarType, object_of: Callable[[DescMessage], Any]
    ) -> Any:
        if element is ScalarType.STRING:
            named = _URL if _URL_NAMES.fullmatch(field.name) else _TEXTS_BY_NAME.get(field.name)
            return quoted_value(self.description(field)) or named or _scalar(element)
        if isinstance(element, DescMessage) and element.type_name == _TIMESTAMP:
            return _LATER if _LATER_NAMES.match(field.name) else _TIME
        return value_of(element, object_of)


def value_of(element: DescMessage | DescEnum | ScalarType, object_of: Callable[[DescMessage], Any]) -> Any:
    """Returns a value of a type, None if it is best left out. `object_of` returns that of a message."""
    if isinstance(element, ScalarType):
        return _scalar(element)
    if isinstance(element, DescEnum):
        return usual_name(element, {value.number for value in element.values})
    if element.type_name in WRAPPERS:
        return _scalar(wrapped_scalar(element))
    if element.type_name in _WELL_KNOWN:
        return _WELL_KNOWN[element.type_name]
    return object_of(element)


def is_plain(message: DescMessage) -> bool:
    """Returns whether the sample of a message does not depend on its fields."""
    return message.type_name in WRAPPERS or message.type_name in _WELL_KNOWN


def has_example(field: DescField) -> bool:
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
