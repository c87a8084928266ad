"""google.api.HttpBody: bytes of any type in the place of JSON."""

from typing import Final

from protobuf import DescField, DescFieldValueMessage, DescMessage

from edge.contract.route import Route

HTTP_BODY: Final = "google.api.HttpBody"


def raw_type(route: Route) -> DescMessage | None:
    """The google.api.HttpBody that the body of the route is, None if it is none."""
    if route.whole_body:
        kind = route.method.desc.input
    elif route.body is not None and isinstance(route.body.value, DescFieldValueMessage):
        kind = route.body.value.message
    else:
        return None
    return kind if kind.type_name == HTTP_BODY else None


def inner_type(message: DescMessage, field: DescField | None) -> str:
    """The name of the type that is answered, empty if it is no message."""
    if field is None:
        return message.type_name
    return field.value.message.type_name if isinstance(field.value, DescFieldValueMessage) else ""
