"""The values of a request that its response repeats."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from protobuf import DescField, DescFieldValueEnum, DescFieldValueMessage, DescFieldValueScalar, ScalarType

from edge.contract.route import Route


@dataclass(frozen=True, slots=True)
class Echoes:
    """The fields in the body of a request, each with its value, by their names."""

    given: Mapping[str, tuple[DescField, Any]]

    @classmethod
    def of(cls, route: Route, body: Any) -> Self:
        """Returns those of a body of the route. It may be None."""
        message = route.method.desc.input if route.whole_body else None
        if route.body is not None and isinstance(route.body.value, DescFieldValueMessage):
            message = route.body.value.message
        if message is None or not isinstance(body, dict):
            return cls({})
        return cls({field.name: (field, body[field.json_name]) for field in message.fields if field.json_name in body})

    def include(self, field: DescField) -> bool:
        """Returns whether the request has a field of the same name and type."""
        given = self.given.get(field.name)
        return given is not None and _type_of(given[0]) == _type_of(field) is not None

    def value(self, field: DescField) -> Any:
        """Returns the value in the request of a field that the response has too, None if there is no such value.
        Messages have more fields in a response.
        """
        if isinstance(field.value, DescFieldValueMessage) or not self.include(field):
            return None
        return self.given[field.name][1]


def _type_of(field: DescField) -> ScalarType | str | None:
    """Returns the type of a single value, None if the field is a list or a map."""
    match field.value:
        case DescFieldValueScalar(scalar=scalar):
            return scalar
        case DescFieldValueEnum(enum=enum):
            return enum.type_name
        case DescFieldValueMessage(message=message):
            return message.type_name
    return None
