"""Routes with google.api.HttpBody, which carry bytes of any media type instead of JSON."""

from typing import Final

from protobuf import DescFieldValueMessage, DescMessage

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


def returns_http_body(route: Route) -> bool:
    """Returns whether the response body of the route is a google.api.HttpBody."""
    field = route.response_body
    if field is None:
        return route.method.desc.output.type_name == HTTP_BODY
    return isinstance(field.value, DescFieldValueMessage) and field.value.message.type_name == HTTP_BODY
