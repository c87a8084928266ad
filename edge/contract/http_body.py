"""Routes with google.api.HttpBody, which carry bytes of any media type instead of JSON."""

from typing import Final

from protobuf import DescField, DescFieldValueMessage, DescMessage

from edge.contract.route import Route

HTTP_BODY: Final = "google.api.HttpBody"


def http_body_type(route: Route) -> DescMessage | None:
    """Returns the google.api.HttpBody type if the request body of the route is one, otherwise None."""
    if route.whole_body:
        kind = route.method.desc.input
    elif route.body is not None and isinstance(route.body.value, DescFieldValueMessage):
        kind = route.body.value.message
    else:
        return None
    return kind if kind.type_name == HTTP_BODY else None


def response_type_name(message: DescMessage, field: DescField | None) -> str:
    """Returns the full name of the message in the response body, empty if it is not a single message."""
    if field is None:
        return message.type_name
    return field.value.message.type_name if isinstance(field.value, DescFieldValueMessage) else ""
